// Package ask is how one asks an actor: with a deadline, with a cancellation that reaches the one
// asked, and with exactly one answer.
package ask

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Ref is the address of an actor. It stays the same over restarts.
type Ref = *actor.PID

// Directory finds actors by kind and key.
type Directory interface {
	// Find returns the actor's address, or an Unavailable error that names it.
	Find(kind, key string) (Ref, error)
	// Keys lists the keys of a kind that run, sorted.
	Keys(kind string) []string
}

// Asker is where questions from outside the actors start; system.System implements it.
type Asker interface {
	Actors() *actor.ActorSystem
	// Await returns nil when done is closed, or ctx's error when that comes first. A simulation
	// takes its steps meanwhile.
	Await(ctx context.Context, done <-chan struct{}) error
}

// prefix starts the id of every question, so that one that is over can be told from other
// addresses.
const prefix = "ask/"

// question is the sender of a message that wants an answer: the process that the answer is sent to.
// It takes one and is gone.
type question struct {
	sys    *actor.ActorSystem
	pid    *actor.PID
	ctx    context.Context
	cancel context.CancelFunc
	answer func(reply any, err error)
	told   func(known any) // takes what is known before the answer; nil: it is dropped
	traced func(error)     // ends the question's span

	mu      sync.Mutex
	over    bool
	cleanup []func()
}

// deadlined is a context whose deadline is told but kept by the kernel's clock.
type deadlined struct {
	context.Context
	at time.Time
}

func (d deadlined) Deadline() (time.Time, bool) {
	if at, ok := d.Context.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}

func newQuestion(ctx context.Context, sys *actor.ActorSystem, answer func(any, error)) *question {
	q := &question{sys: sys, answer: answer}
	q.ctx, q.cancel = context.WithCancel(ctx)
	q.pid, _ = sys.ProcessRegistry.Add(q, prefix+sys.ProcessRegistry.NextId())
	return q
}

// end gives the answer, once; later ones are dropped.
func (q *question) end(reply any, err error) {
	q.mu.Lock()
	if q.over {
		q.mu.Unlock()
		return
	}
	q.over = true
	cleanup := q.cleanup
	q.mu.Unlock()
	q.sys.ProcessRegistry.Remove(q.pid)
	q.cancel()
	for _, f := range cleanup {
		f()
	}
	if q.traced != nil {
		q.traced(err)
	}
	q.answer(reply, err)
}

// onEnd calls f when the question is over, at once when it is.
func (q *question) onEnd(f func()) {
	q.mu.Lock()
	if !q.over {
		q.cleanup = append(q.cleanup, f)
		f = func() {}
	}
	q.mu.Unlock()
	f()
}

func (q *question) send(to Ref, msg any) {
	if to == nil {
		q.end(nil, status.Errorf(status.Unavailable, "ask: no address"))
		return
	}
	if trace.SpanFromContext(q.ctx).IsRecording() {
		q.ctx, q.traced = Span(q.ctx, nameOf(to, msg))
	}
	q.sys.Root.RequestWithCustomSender(to, msg, q.pid)
}

// Progress is what an actor sends an asker ahead of its answer. Known is frozen and takes the place
// of what the actor sent before. It ends nothing, and it may be lost. Only Follow takes it.
type Progress struct{ Known any }

// SendUserMessage takes the answer, and before it progress.
func (q *question) SendUserMessage(_ *actor.PID, message any) {
	_, m, _ := actor.UnwrapEnvelope(message)
	switch m := m.(type) {
	case Progress:
		if q.told != nil {
			q.told(m.Known)
		}
	case error:
		q.end(nil, m)
	case *actor.DeadLetterResponse:
		q.end(nil, status.Errorf(status.Unavailable, "ask: nobody is there"))
	default:
		q.end(m, nil)
	}
}

// SendSystemMessage is part of the actor library's process; a question has no use for it.
func (q *question) SendSystemMessage(*actor.PID, any) {}

// Stop is part of the actor library's process.
func (q *question) Stop(*actor.PID) {
	q.end(nil, status.Errorf(status.Unavailable, "ask: stopped"))
}

// Ask sends a question from outside the actors and waits for the answer or the end of ctx,
// whichever is first. msg is frozen from now on. An error that the actor replies is returned as the
// error; a reply that is no T is an Internal one.
func Ask[T any](ctx context.Context, sys Asker, to Ref, msg any) (T, error) {
	return Follow[T](ctx, sys, to, msg, nil)
}

// Follow is Ask that also takes the progress that the actor sends before its answer: told is called
// with each, on the actor's turn, and must not block.
func Follow[T any](ctx context.Context, sys Asker, to Ref, msg any, told func(known T)) (T, error) {
	var zero T
	var reply any
	var failed error
	done := make(chan struct{})
	var progress func(any)
	if told != nil {
		progress = func(known any) {
			if v, ok := known.(T); ok {
				told(v)
			}
		}
	}
	cancel := begin(ctx, sys.Actors(), to, msg, progress, func(r any, err error) {
		reply, failed = r, err
		close(done)
	})
	if err := sys.Await(ctx, done); err != nil {
		cancel(status.Of(err))
		<-done
	}
	if v, ok := reply.(T); ok && failed == nil {
		return v, nil
	}
	return zero, status.Reply(reply, failed)
}

// Begin sends a question and returns. answer is called exactly once, on whichever goroutine
// answers, and must not block; cancel ends the question with an error. Most callers want Ask or
// Send.
func Begin(ctx context.Context, sys *actor.ActorSystem, to Ref, msg any, answer func(reply any, err error)) (cancel func(error)) {
	return begin(ctx, sys, to, msg, nil, answer)
}

// begin is Begin with what takes the progress; nil drops it.
func begin(ctx context.Context, sys *actor.ActorSystem, to Ref, msg any, told func(any), answer func(any, error)) (cancel func(error)) {
	q := newQuestion(ctx, sys, answer)
	q.told = told
	if err := ctx.Err(); err != nil {
		q.end(nil, status.Of(err))
	} else {
		q.send(to, msg)
	}
	return func(err error) { q.end(nil, err) }
}

// Context is the asker's context while a question is handled: its deadline and its end, which is
// also when the answer was given. Messages that nobody waits for have the background.
func Context(c actor.Context) context.Context {
	q, over := find(c.ActorSystem(), c.Sender())
	switch {
	case q != nil:
		return q.ctx
	case over:
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		return ctx
	}
	return context.Background()
}

// OnOver has the actor handle msg when nobody waits any longer for the answer to a question: it was
// answered, given up, or its time is over. The question is named by its asker, the sender of its
// message; one that is over already, and one that nobody asked, are over at once.
func OnOver(c actor.Context, asker Ref, msg any) {
	inc := Of(c)
	post := func() { inc.Post(func() any { return msg }) }
	q, _ := find(c.ActorSystem(), asker)
	if q == nil {
		post()
		return
	}
	q.onEnd(post)
}

// Over reports whether sender is a question that nobody waits for any longer. The kernel drops such
// messages unhandled.
func Over(sys *actor.ActorSystem, sender *actor.PID) bool {
	_, over := find(sys, sender)
	return over
}

func find(sys *actor.ActorSystem, sender *actor.PID) (q *question, over bool) {
	if sender == nil || !strings.HasPrefix(sender.Id, prefix) || sender.Address != sys.Address() {
		return nil, false
	}
	proc, ok := sys.ProcessRegistry.Get(sender)
	if !ok {
		return nil, true
	}
	q, _ = proc.(*question)
	return q, q != nil && q.ctx.Err() != nil
}

// Incarnation is one life of an actor, from its start to its restart or stop. The kernel's actors
// implement it.
type Incarnation interface {
	// Post has make called on the actor's turn and its result handled as a message; not at all when
	// the incarnation is over by then.
	Post(make func() any)
	// OnEnd calls f when the incarnation ends, at once when it has. forget takes f back.
	OnEnd(f func()) (forget func())
	// Ended reports whether the incarnation is over.
	Ended() bool
	// Clock is the kernel's clock.
	Clock() clock.Clock
}

// Hold ends the question of sender, where it has not been answered, when the incarnation that has
// handled it ends: an answer that was still to come never will. The kernel calls it for every
// message.
func Hold(sys *actor.ActorSystem, sender *actor.PID, inc Incarnation, name string) {
	if q, over := find(sys, sender); q != nil && !over {
		q.onEnd(inc.OnEnd(func() { q.end(nil, status.Errorf(status.Unavailable, "ask %s: it ended before it answered", name)) }))
	}
}

// Of returns the incarnation that handles a message.
func Of(c actor.Context) Incarnation { return c.Actor().(Incarnation) }

// Send asks from an actor without waiting. What back makes of the answer, or of its absence after
// the timeout, comes as a message. back runs on the actor's turn. A restart of the asker ends the
// question and drops the answer.
func Send(c actor.Context, to Ref, msg any, timeout time.Duration, back func(reply any, err error) any) {
	SendWith(context.Background(), c, to, msg, timeout, back)
}

// SendWith is Send on behalf of whoever owns ctx: the one asked sees its end and its deadline.
func SendWith(ctx context.Context, c actor.Context, to Ref, msg any, timeout time.Duration, back func(reply any, err error) any) {
	inc := Of(c)
	q := newQuestion(deadlined{ctx, inc.Clock().Now().Add(timeout)}, c.ActorSystem(), func(reply any, err error) {
		inc.Post(func() any { return back(reply, err) })
	})
	if err := ctx.Err(); err != nil {
		q.end(nil, status.Of(err))
		return
	}
	q.onEnd(inc.OnEnd(func() { q.end(nil, status.Errorf(status.Canceled, "ask: the asker has ended")) }))
	timer := inc.Clock().AfterFunc(timeout, func() {
		q.end(nil, status.Errorf(status.Timeout, "ask %s: no answer within %s", to.GetId(), timeout))
	})
	q.onEnd(func() { timer.Stop() })
	q.send(to, msg)
}
