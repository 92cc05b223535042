package system

import (
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
)

// incarnation is one life of an actor: the actor that its kind has made, and everything that ends
// with it. The actor library knows it as the actor.
type incarnation struct {
	cell   *actorCell
	inner  actor.Actor
	broken any // what the kind's constructor panicked with

	mu     sync.Mutex
	over   bool
	nextID int
	ends   []ending // in the order they were added, so that simulations repeat
}

// ending is a call to make when the incarnation ends.
type ending struct {
	id int
	f  func()
}

func (c *actorCell) newIncarnation() (inc *incarnation) {
	inc = &incarnation{cell: c}
	c.life.mu.Lock()
	c.life.current = inc
	c.life.record.NoteStart()
	c.life.mu.Unlock()
	defer func() {
		// A constructor that fails is a failure of the actor, not of the supervisor that called it.
		if r := recover(); r != nil {
			inc.broken = r
		}
	}()
	inc.inner = c.kind.New(c.key)
	return inc
}

// Receive passes a message to the actor of the kind. When that panics, the message is lost, and its
// asker is told at once.
func (i *incarnation) Receive(c actor.Context) {
	cell := i.cell
	isLifecycle, isLast := true, false
	switch c.Message().(type) {
	case *actor.Started, *actor.Terminated:
	case *actor.Restarting:
		i.end()
		isLast = true
	case *actor.Stopping:
		cell.setState(stateStopping)
		i.end()
		isLast = true
	case *actor.Stopped:
		isLast = true
		defer cell.onStopped()
	default:
		isLifecycle = false
		if i.Ended() { // stopping, and waiting for its children
			cell.count.dead.Inc()
			cell.replyUnavailable(c.Sender(), "it is stopping")
			return
		}
	}
	if i.broken != nil {
		if isLast {
			return
		}
		panic(i.broken)
	}
	started := cell.system.opt.Clock.Now()
	defer func() {
		cell.count.seconds.Observe(cell.system.opt.Clock.Now().Sub(started).Seconds())
		if r := recover(); r != nil {
			i.onPanic(c, r, isLast)
		}
	}()
	if !isLifecycle {
		cell.handled.Add(1)
		if cause := cell.killNext.Load(); cause != nil {
			cell.killNext.Store(nil)
			panic(supervise.Fail(*cause))
		}
	}
	i.inner.Receive(c)
	if _, ok := c.Message().(*actor.Started); ok {
		cell.setState(stateRunning)
	}
}

// onPanic ends the incarnation and panics again, for the supervisor. A panic while the actor ends
// must not keep it from ending.
func (i *incarnation) onPanic(c actor.Context, r any, isLast bool) {
	cell := i.cell
	if isLast || i.Ended() {
		cell.system.opt.Logger.Error("actor failed while it ended",
			"kind", cell.kind.Name, "key", cell.key, "err", supervise.Cause(r))
		return
	}
	i.end()
	cell.replyUnavailable(c.Sender(), "it failed: "+supervise.Cause(r))
	panic(r)
}

// end makes the calls that were added with OnEnd. Only the first call counts.
func (i *incarnation) end() {
	i.mu.Lock()
	ends := i.ends
	i.over, i.ends = true, nil
	i.mu.Unlock()
	for _, e := range ends {
		e.f()
	}
}

// Ended reports whether the incarnation is over.
func (i *incarnation) Ended() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.over
}

// OnEnd calls f when the incarnation ends, or at once when it has ended. forget takes f back.
func (i *incarnation) OnEnd(f func()) (forget func()) {
	i.mu.Lock()
	if i.over {
		i.mu.Unlock()
		f()
		return func() {}
	}
	i.nextID++
	id := i.nextID
	i.ends = append(i.ends, ending{id, f})
	i.mu.Unlock()
	return func() { i.forgetEnding(id) }
}

func (i *incarnation) forgetEnding(id int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	at := slices.IndexFunc(i.ends, func(e ending) bool { return e.id == id })
	if at >= 0 {
		i.ends = append(i.ends[:at], i.ends[at+1:]...)
	}
}

// Post has build called on the actor's turn and its result handled as a message.
func (i *incarnation) Post(build func() any) {
	if !i.Ended() {
		i.cell.system.actors.Root.Send(i.cell.pid, selfMessage{from: i, build: build})
	}
}

// Clock returns the kernel's clock.
func (i *incarnation) Clock() clock.Clock { return i.cell.system.opt.Clock }
