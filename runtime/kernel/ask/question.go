package ask

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// prefix starts the id of every question. By it a question that is over, and so no longer
// registered, is told from other addresses.
const prefix = "ask/"

// question is the sender of a message that wants an answer: the process to which the answer is
// sent. It takes one answer and is gone.
type question struct {
	sys        *actor.ActorSystem
	pid        *actor.PID
	ctx        context.Context
	cancel     context.CancelFunc
	answer     func(reply any, err error)
	onProgress func(known any) // nil when the asker does not want progress
	endSpan    func(error)     // nil when the asker is not traced

	mu      sync.Mutex
	over    bool
	cleanup []func()
}

// deadlined is a context that shows a deadline which the kernel's clock keeps.
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

// end gives the answer. Only the first call counts.
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
	if q.endSpan != nil {
		q.endSpan(err)
	}
	q.answer(reply, err)
}

// onEnd calls f when the question is over, or at once when it is over already.
func (q *question) onEnd(f func()) {
	q.mu.Lock()
	if !q.over {
		q.cleanup = append(q.cleanup, f)
		f = func() {}
	}
	q.mu.Unlock()
	f()
}

// begin sends the question to an actor. When the asker's context has ended it ends the question
// instead.
func (q *question) begin(to Ref, msg any) {
	if err := q.ctx.Err(); err != nil {
		q.end(nil, status.Of(err))
		return
	}
	if to == nil {
		q.end(nil, status.Errorf(status.Unavailable, "ask: no address"))
		return
	}
	if trace.SpanFromContext(q.ctx).IsRecording() {
		q.ctx, q.endSpan = Span(q.ctx, spanName(to, msg))
	}
	q.sys.Root.RequestWithCustomSender(to, msg, q.pid)
}

// SendUserMessage takes the answer, and the progress before it.
func (q *question) SendUserMessage(_ *actor.PID, message any) {
	_, m, _ := actor.UnwrapEnvelope(message)
	switch m := m.(type) {
	case Progress:
		if q.onProgress != nil {
			q.onProgress(m.Known)
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

// Context returns the asker's context while its question is handled. It ends with the question,
// that is also when the answer is given. For a message that nobody waits for it is
// context.Background().
func Context(c actor.Context) context.Context {
	q, over := findQuestion(c.ActorSystem(), c.Sender())
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
// answered or given up, or its time is over. asker is the sender of the question's message. A
// question that is over already, and an address that is no question, have msg handled at once.
func OnOver(c actor.Context, asker Ref, msg any) {
	inc := IncarnationOf(c)
	post := func() { inc.Post(func() any { return msg }) }
	q, _ := findQuestion(c.ActorSystem(), asker)
	if q == nil {
		post()
		return
	}
	q.onEnd(post)
}

// Over reports whether sender is a question for whose answer nobody waits any longer. The kernel
// drops the messages of such senders unhandled.
func Over(sys *actor.ActorSystem, sender *actor.PID) bool {
	_, over := findQuestion(sys, sender)
	return over
}

// findQuestion returns the question that sender is, and whether it is over. An address that is no
// question of this system gives nil and false.
func findQuestion(sys *actor.ActorSystem, sender *actor.PID) (q *question, over bool) {
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
