package system

import (
	"fmt"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
)

// What the kernel knows of an actor's state; the actor's own word for it is in its answer to
// Inspect.
const (
	stateStarting   = "starting"
	stateRunning    = "running"
	stateRestarting = "restarting"
	stateStopping   = "stopping"
	stateStopped    = "stopped"
)

// cell is the part of an actor that survives restarts.
type cell struct {
	s      *System
	kind   supervise.Kind
	key    string
	name   string
	parent *cell // nil under the root supervisor
	pid    *actor.PID
	count  counters

	mu       sync.Mutex
	box      *mailbox.Box
	current  *shell
	failures []time.Time // within the policy's time
	pending  bool        // a restart is on its way
	restarts int
	handled  int64
	state    string
	err      string
	retired  bool // it is meant to end
	killNext error
}

func (s *System) newCell(k supervise.Kind, key string, parent *cell, under *actor.PID) *cell {
	c := &cell{s: s, kind: k, key: key, name: k.Name, parent: parent, state: stateStarting, count: s.metrics.of(k.Name)}
	if key != "" {
		c.name += "-" + key
	}
	c.pid = s.actors.NewLocalPID(under.Id + "/" + c.name)
	return c
}

func (c *cell) props() *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return c.incarnate() },
		actor.WithSupervisor(policy{s: c.s}),
		actor.WithDispatcher(c.s.opt.Scheduler.Dispatcher(c.pid.Id)),
		actor.WithMailbox(func() actor.Mailbox {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.box = mailbox.New(c.kind.Mailbox, c.refuse)
			return c.box
		}),
		actor.WithReceiverMiddleware(c.unwrap))
}

// refuse answers a message that will not be handled, so that no asker waits for its deadline.
func (c *cell) refuse(m any, full bool) {
	_, m, sender := actor.UnwrapEnvelope(m)
	if _, ok := m.(own); ok {
		return // its incarnation is over, as the actor is
	}
	c.count.dead.Inc()
	why := "it is stopped"
	if full {
		why = fmt.Sprintf("its mailbox is full at %d messages", c.kind.Mailbox.Messages)
		c.s.opt.Logger.Error("mailbox limit reached", "kind", c.kind.Name, "key", c.key, "message", fmt.Sprintf("%T", m))
	}
	c.unavailable(sender, why)
}

func (c *cell) unavailable(sender *actor.PID, why string) {
	if sender != nil {
		c.s.actors.Root.Send(sender, status.Errorf(status.Unavailable, "ask %s: %s", c.name, why))
	}
}

// own is a message of an incarnation to itself: it is made on its turn and dropped when the
// incarnation is over.
type own struct {
	from  *shell
	build func() any
}

// Exempt keeps what an actor waits for out of the mailbox's limit.
func (own) Exempt() {}

// unwrap makes messages of this incarnation, drops those of older ones and questions that nobody
// waits for, and hands out the rest.
func (c *cell) unwrap(next actor.ReceiverFunc) actor.ReceiverFunc {
	return func(rc actor.ReceiverContext, env *actor.MessageEnvelope) {
		if m, ok := env.Message.(own); ok {
			if m.from != rc.Actor() || m.from.Ended() {
				return
			}
			made := c.guardMake(m)
			if made == nil {
				return
			}
			env = &actor.MessageEnvelope{Header: env.Header, Message: made, Sender: env.Sender}
		} else if ask.Over(c.s.actors, env.Sender) {
			c.count.expired.Inc()
			return
		}
		c.s.opt.Scheduler.Handled(c.pid.Id, env.Message)
		next(rc, env)
		if sh, ok := rc.Actor().(*shell); ok {
			ask.EndWithIncarnation(c.s.actors, env.Sender, sh, c.name)
		}
	}
}

// guardMake ends the incarnation when making its message panics, as handling it would.
func (c *cell) guardMake(m own) any {
	defer func() {
		if r := recover(); r != nil {
			m.from.end()
			panic(r)
		}
	}()
	return m.build()
}

func (c *cell) incarnate() (sh *shell) {
	sh = &shell{cell: c}
	c.mu.Lock()
	c.current, c.pending = sh, false
	c.mu.Unlock()
	defer func() {
		// a constructor that fails is a failure of the actor, not of the supervisor that called it
		if r := recover(); r != nil {
			sh.broken = r
		}
	}()
	sh.inner = c.kind.New(c.key)
	return sh
}

// onFailure counts a failure. It returns how many there were within the policy's time, whether that
// is too many, and else the pause before the next start; pending when a start is on its way
// already.
func (c *cell) onFailure(now time.Time, reason any) (n int, giveUp, pending bool, delay time.Duration) {
	p := c.kind.Policy
	c.mu.Lock()
	defer c.mu.Unlock()
	kept := c.failures[:0]
	for _, t := range c.failures {
		if now.Sub(t) < p.Within {
			kept = append(kept, t)
		}
	}
	c.failures = append(kept, now)
	c.err = supervise.Cause(reason)
	n = len(c.failures)
	if n > p.Restarts {
		return n, true, false, 0
	}
	if c.pending {
		return n, false, true, 0
	}
	c.pending = true
	c.state = stateRestarting
	return n, false, false, c.s.jitter(p.Backoff, n)
}

func (c *cell) set(state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state
}

func (c *cell) is() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// endCurrent ends the incarnation that failed, so that its jobs do not run on through the pause
// before the next start.
func (c *cell) endCurrent() {
	c.mu.Lock()
	sh := c.current
	c.mu.Unlock()
	sh.end()
}

func (c *cell) retire() {
	c.mu.Lock()
	c.retired = true
	c.mu.Unlock()
}

func (c *cell) depth() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.box == nil {
		return 0
	}
	return c.box.UserMessageCount()
}

func (c *cell) describe(st *ActorStatus) {
	st.MailboxDepth = int64(c.depth())
	c.mu.Lock()
	defer c.mu.Unlock()
	st.Kind, st.Key, st.Restarts, st.LastError, st.Handled, st.Loses = c.kind.Name, c.key, int64(c.restarts), c.err, c.handled, c.kind.Loses
}

// shell is one incarnation of an actor: the actor of the kind, and what ends with it.
type shell struct {
	cell   *cell
	inner  actor.Actor
	broken any // what the constructor panicked with

	mu     sync.Mutex
	over   bool
	nextID int
	ends   []ending // in the order they were added, so that simulations repeat
}

type ending struct {
	id int
	f  func()
}

// Receive passes a message to the actor of the kind. When that panics, whoever asked is told at
// once: the message is lost.
func (s *shell) Receive(c actor.Context) {
	cell := s.cell
	lifecycle, last := true, false
	switch c.Message().(type) {
	case *actor.Started:
	case *actor.Restarting:
		s.end()
		last = true
	case *actor.Stopping:
		cell.set(stateStopping)
		s.end()
		last = true
	case *actor.Stopped:
		last = true
		defer cell.stopped()
	case *actor.Terminated:
	default:
		lifecycle = false
		if s.Ended() { // stopping, and waiting for its children
			cell.count.dead.Inc()
			cell.unavailable(c.Sender(), "it is stopping")
			return
		}
	}
	if s.broken != nil {
		if last {
			return
		}
		panic(s.broken)
	}
	started := cell.s.opt.Clock.Now()
	defer func() {
		cell.count.seconds.Observe(cell.s.opt.Clock.Now().Sub(started).Seconds())
		r := recover()
		switch {
		case r == nil:
		case last || s.Ended():
			// A failure now must not keep the actor from ending.
			cell.s.opt.Logger.Error("actor failed while it ended", "kind", cell.kind.Name, "key", cell.key, "err", supervise.Cause(r))
		default:
			s.end()
			cell.unavailable(c.Sender(), "it failed: "+supervise.Cause(r))
			panic(r)
		}
	}()
	if !lifecycle {
		cell.mu.Lock()
		cell.handled++
		kill := cell.killNext
		cell.killNext = nil
		cell.mu.Unlock()
		if kill != nil {
			panic(supervise.Fail(kill))
		}
	}
	s.inner.Receive(c)
	if _, ok := c.Message().(*actor.Started); ok {
		cell.set(stateRunning)
	}
}

// end runs what ends with the incarnation, once.
func (s *shell) end() {
	s.mu.Lock()
	ends := s.ends
	s.over, s.ends = true, nil
	s.mu.Unlock()
	for _, e := range ends {
		e.f()
	}
}

// Ended reports whether the incarnation is over.
func (s *shell) Ended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// OnEnd calls f when the incarnation ends, at once when it has.
func (s *shell) OnEnd(f func()) (forget func()) {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		f()
		return func() {}
	}
	s.nextID++
	id := s.nextID
	s.ends = append(s.ends, ending{id, f})
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for i, e := range s.ends {
			if e.id == id {
				s.ends = append(s.ends[:i], s.ends[i+1:]...)
				return
			}
		}
	}
}

// Post has build called on the actor's turn and its result handled.
func (s *shell) Post(build func() any) {
	if !s.Ended() {
		s.cell.s.actors.Root.Send(s.cell.pid, own{from: s, build: build})
	}
}

// Clock is the kernel's clock.
func (s *shell) Clock() clock.Clock { return s.cell.s.opt.Clock }

// stopped is called on the actor's last turn: what is queued is answered. The root forgets its own
// when it hears of it.
func (c *cell) stopped() {
	c.set(stateStopped)
	c.mu.Lock()
	box := c.box
	c.mu.Unlock()
	box.Close()
	if c.parent != nil {
		c.s.forget(c)
	}
}
