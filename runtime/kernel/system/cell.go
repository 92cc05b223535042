package system

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
)

// The states of an actor as the kernel knows them. While an actor runs, its own word for its state
// is in its answer to Inspect.
const (
	stateStarting   = "starting"
	stateRunning    = "running"
	stateRestarting = "restarting"
	stateStopping   = "stopping"
	stateStopped    = "stopped"
)

// actorCell is the part of an actor that survives restarts: its name and address, its mailbox, and
// its life so far.
type actorCell struct {
	system *System
	kind   supervise.Kind
	key    string
	name   string
	parent *actorCell // nil under the root supervisor
	pid    *actor.PID
	count  counters
	box    atomic.Pointer[mailbox.Box] // nil until the actor is spawned
	life   life

	// Of the actor's turns.
	handled  atomic.Int64
	killNext atomic.Pointer[error] // the next message fails the actor with this cause
}

// life is the course of an actor over its incarnations. The actor's turns, its supervisor and those
// who look at it use it at the same time.
type life struct {
	mu        sync.Mutex
	state     string
	current   *incarnation
	record    supervise.Record
	lastError string
	retired   bool // the actor is meant to end
}

func (s *System) newCell(k supervise.Kind, key string, parent *actorCell, under *actor.PID) *actorCell {
	c := &actorCell{system: s, kind: k, key: key, name: k.Name, parent: parent, count: s.metrics.countersOf(k.Name)}
	c.life.state = stateStarting
	if key != "" {
		c.name += "-" + key
	}
	c.pid = s.actors.NewLocalPID(under.Id + "/" + c.name)
	return c
}

func (c *actorCell) actorProps() *actor.Props {
	return actor.PropsFromProducer(func() actor.Actor { return c.newIncarnation() },
		actor.WithSupervisor(strategy{c.system}),
		actor.WithDispatcher(c.system.opt.Scheduler.Dispatcher(c.pid.Id)),
		actor.WithMailbox(func() actor.Mailbox {
			box := mailbox.New(c.kind.Mailbox, c.refuseMessage)
			c.box.Store(box)
			return box
		}),
		actor.WithReceiverMiddleware(c.filterMessages))
}

// refuseMessage answers a message that will not be handled, so that no asker waits for its
// deadline.
func (c *actorCell) refuseMessage(m any, full bool) {
	_, m, sender := actor.UnwrapEnvelope(m)
	if _, ok := m.(selfMessage); ok {
		return // its incarnation is over, as the actor is
	}
	c.count.dead.Inc()
	why := "it is stopped"
	if full {
		why = fmt.Sprintf("its mailbox is full at %d messages", c.kind.Mailbox.Messages)
		c.system.opt.Logger.Error("mailbox limit reached",
			"kind", c.kind.Name, "key", c.key, "message", fmt.Sprintf("%T", m))
	}
	c.replyUnavailable(sender, why)
}

func (c *actorCell) replyUnavailable(sender *actor.PID, why string) {
	if sender != nil {
		c.system.actors.Root.Send(sender, status.Errorf(status.Unavailable, "ask %s: %s", c.name, why))
	}
}

// selfMessage is a message of an incarnation to itself. It is built on the incarnation's turn, and
// dropped when the incarnation is over.
type selfMessage struct {
	from  *incarnation
	build func() any
}

// Exempt keeps self-messages out of the mailbox's limit: an actor waits for them to go on.
func (selfMessage) Exempt() {}

// filterMessages builds the self-messages of the present incarnation, drops those of older ones and
// the questions for whose answer nobody waits, and hands on the rest.
func (c *actorCell) filterMessages(next actor.ReceiverFunc) actor.ReceiverFunc {
	return func(rc actor.ReceiverContext, env *actor.MessageEnvelope) {
		if m, ok := env.Message.(selfMessage); ok {
			if m.from != rc.Actor() || m.from.Ended() {
				return
			}
			built := m.buildGuarded()
			if built == nil {
				return
			}
			env = &actor.MessageEnvelope{Header: env.Header, Message: built, Sender: env.Sender}
		} else if ask.Over(c.system.actors, env.Sender) {
			c.count.expired.Inc()
			return
		}
		c.system.opt.Scheduler.Handled(c.pid.Id, env.Message)
		next(rc, env)
		if inc, ok := rc.Actor().(*incarnation); ok {
			ask.EndWithIncarnation(c.system.actors, env.Sender, inc, c.name)
		}
	}
}

// buildGuarded ends the incarnation when building its message panics, as handling it would.
func (m selfMessage) buildGuarded() any {
	defer func() {
		if r := recover(); r != nil {
			m.from.end()
			panic(r)
		}
	}()
	return m.build()
}

// noteFailure counts a failure and decides what happens to the actor. count is the number of
// failures within the policy's time.
func (c *actorCell) noteFailure(now time.Time, reason any) (d supervise.Decision, count int) {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	c.life.lastError = supervise.Cause(reason)
	d, count = c.life.record.NoteFailure(c.kind.Policy, now)
	if d == supervise.Restart {
		c.life.state = stateRestarting
	}
	return d, count
}

func (c *actorCell) setState(state string) {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	c.life.state = state
}

func (c *actorCell) currentState() string {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	return c.life.state
}

// endIncarnation ends the incarnation that failed, so that its jobs do not run on through the pause
// before the next start.
func (c *actorCell) endIncarnation() {
	c.life.mu.Lock()
	inc := c.life.current
	c.life.mu.Unlock()
	inc.end()
}

// retire notes that the actor is meant to end.
func (c *actorCell) retire() {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	c.life.retired = true
}

// isRetired reports whether the actor is meant to end, or ends with its first failure.
func (c *actorCell) isRetired() bool {
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	return c.life.retired || c.kind.Policy.Then == supervise.Stop
}

func (c *actorCell) mailboxDepth() int {
	if box := c.box.Load(); box != nil {
		return box.UserMessageCount()
	}
	return 0
}

// describeIn fills in what the kernel knows of the actor.
func (c *actorCell) describeIn(st *ActorStatus) {
	st.Kind, st.Key = c.kind.Name, c.key
	st.Loses = c.kind.Loses
	st.MailboxDepth = int64(c.mailboxDepth())
	st.Handled = c.handled.Load()
	c.life.mu.Lock()
	defer c.life.mu.Unlock()
	st.Restarts = int64(c.life.record.Restarts())
	st.LastError = c.life.lastError
}

// onStopped is called on the actor's last turn. It answers the messages that are still queued. A
// child is forgotten here; the root supervisor forgets its own when it hears of their end.
func (c *actorCell) onStopped() {
	c.setState(stateStopped)
	c.box.Load().Close()
	if c.parent != nil {
		c.system.forgetCell(c)
	}
}
