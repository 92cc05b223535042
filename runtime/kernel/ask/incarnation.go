package ask

import (
	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Incarnation is one life of an actor, from its start to its restart or stop. The kernel's actors
// implement it.
type Incarnation interface {
	// Post has build called on the actor's turn and its result handled as a message. When the
	// incarnation is over by then, neither happens.
	Post(build func() any)
	// OnEnd calls f when the incarnation ends, or at once when it has ended. forget takes f back.
	OnEnd(f func()) (forget func())
	// Ended reports whether the incarnation is over.
	Ended() bool
	// Clock returns the kernel's clock.
	Clock() clock.Clock
}

// IncarnationOf returns the incarnation that handles a message.
func IncarnationOf(c actor.Context) Incarnation { return c.Actor().(Incarnation) }

// EndWithIncarnation has the question of sender answered with Unavailable when inc ends before the
// question was answered, because no answer can come any more. The kernel calls it after every
// message that inc has handled. name is the actor's, for the error.
func EndWithIncarnation(sys *actor.ActorSystem, sender *actor.PID, inc Incarnation, name string) {
	q, over := findQuestion(sys, sender)
	if q == nil || over {
		return
	}
	q.onEnd(inc.OnEnd(func() {
		q.end(nil, status.Errorf(status.Unavailable, "ask %s: it ended before it answered", name))
	}))
}
