// Package ask puts questions to actors. A question has a deadline and a cancellation that reach the
// actor that is asked, and it gets exactly one answer.
//
// Actors use Send, which does not wait: the answer comes back as a message. Code outside the actors
// uses Ask, which waits, or Begin.
package ask

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Ref is the address of an actor. It stays the same over restarts.
type Ref = *actor.PID

// Directory finds actors by kind and key.
type Directory interface {
	// Find returns the actor's address, or an Unavailable error that names it.
	Find(kind, key string) (Ref, error)
	// Keys lists the keys of the actors of a kind that run, sorted.
	Keys(kind string) []string
}

// Asker is the actor system as code outside the actors sees it. system.System implements it.
type Asker interface {
	// Actors returns the actor library's system.
	Actors() *actor.ActorSystem
	// Await returns nil when done is closed, or ctx's error when that comes first. A simulation
	// takes its steps meanwhile.
	Await(ctx context.Context, done <-chan struct{}) error
}

// Request is a question of one actor to another.
type Request struct {
	Kind, Key string        // the actor that is asked
	Message   any           // must not be changed any more
	Timeout   time.Duration // how long the asker waits for the answer
}

// Send asks from the actor that handles c, and does not wait. The result of back is handled by the
// asker as a message; back runs on the asker's turn. It gets the reply, or one of these errors:
// that the directory does not find the actor, the error that the actor replied, Timeout, the end of
// ctx, or Internal for a reply that is no T. When the asker restarts, the question ends and the
// answer is dropped.
//
// ctx belongs to the client for whom the actor asks; the actor that is asked sees its end and its
// deadline. Where there is no client it is context.Background().
func Send[T any](ctx context.Context, c actor.Context, d Directory, r Request, back func(T, error) any) {
	inc := IncarnationOf(c)
	to, err := d.Find(r.Kind, r.Key)
	if err != nil {
		inc.Post(func() any {
			var zero T
			return back(zero, err)
		})
		return
	}
	ctx = deadlined{ctx, inc.Clock().Now().Add(r.Timeout)}
	q := newQuestion(ctx, c.ActorSystem(), func(reply any, err error) {
		inc.Post(func() any { return back(typedReply[T](reply, err)) })
	})
	q.onEnd(inc.OnEnd(func() {
		q.end(nil, status.Errorf(status.Canceled, "ask: the asker has ended"))
	}))
	timer := inc.Clock().AfterFunc(r.Timeout, func() {
		q.end(nil, status.Errorf(status.Timeout, "ask %s: no answer within %s", to.GetId(), r.Timeout))
	})
	q.onEnd(func() { timer.Stop() })
	q.begin(to, r.Message)
}

// Ask sends a question from outside the actors and waits for the answer or the end of ctx,
// whichever is first. msg must not be changed any more. An error that the actor replies is returned
// as the error; a reply that is no T is an Internal error.
func Ask[T any](ctx context.Context, sys Asker, to Ref, msg any) (T, error) {
	return Follow[T](ctx, sys, to, msg, nil)
}

// Progress is what an actor sends an asker ahead of its answer. Known must not be changed any more,
// and takes the place of what the actor sent before. It ends nothing, and it may be lost. Only
// Follow takes it.
type Progress struct{ Known any }

// Follow is Ask that also takes the progress that the actor sends before its answer. It calls
// onProgress with each on the actor's turn, so onProgress must not block. It may be nil.
func Follow[T any](ctx context.Context, sys Asker, to Ref, msg any, onProgress func(known T)) (T, error) {
	var reply any
	var failed error
	done := make(chan struct{})
	q := newQuestion(ctx, sys.Actors(), func(r any, err error) {
		reply, failed = r, err
		close(done)
	})
	if onProgress != nil {
		q.onProgress = func(known any) {
			if v, ok := known.(T); ok {
				onProgress(v)
			}
		}
	}
	q.begin(to, msg)
	if err := sys.Await(ctx, done); err != nil {
		q.end(nil, status.Of(err))
		<-done
	}
	return typedReply[T](reply, failed)
}

// Begin sends a question and returns. answer is called exactly once, on whichever goroutine
// answers, and must not block; cancel ends the question with an error. Most callers want Ask or
// Send.
func Begin(ctx context.Context, sys *actor.ActorSystem, to Ref, msg any, answer func(reply any, err error)) (
	cancel func(error)) {
	q := newQuestion(ctx, sys, answer)
	q.begin(to, msg)
	return func(err error) { q.end(nil, err) }
}

// typedReply returns the reply as a T. A reply of another type is an Internal error.
func typedReply[T any](reply any, err error) (T, error) {
	v, ok := reply.(T)
	if err == nil && !ok {
		err = status.Errorf(status.Internal, "unexpected reply %T", reply)
	}
	if err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}
