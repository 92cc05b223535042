// Package mailbox is the mailbox of all actors. It is counted and limited, and a scheduler can have
// it handle one message at a time.
//
// The actor library's own mailboxes are not used: the unbounded one has no limit, and the bounded
// one spins while it waits (ADR 0001).
package mailbox

import (
	"sync"

	"github.com/asynkron/protoactor-go/actor"
)

// Limit is a fuse, not flow control: with honest demand it never blows. A message over the limit is
// refused. With 0 Messages there is no limit.
type Limit struct{ Messages int }

// Exempt marks messages that no limit refuses: those for which an actor waits to go on, such as the
// ends of its own jobs. The actor itself bounds how many of them there are.
type Exempt interface{ Exempt() }

// Box is a mailbox. Messages are handled in the order posted, those of the actor library first.
// It is safe for concurrent use; one message is handled at a time.
type Box struct {
	limit   int
	refused func(msg any, full bool)

	mu        sync.Mutex
	user      ring
	system    ring
	started   bool
	scheduled bool
	suspended bool
	stopping  bool // a Stop was handled, so a Restart after it must not wake the actor again
	closed    bool

	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
}

// New makes a mailbox. It calls refused with each message that will not be handled, because it is
// over the limit (full) or because the mailbox was closed. refused must not block.
func New(l Limit, refused func(msg any, full bool)) *Box {
	return &Box{limit: l.Messages, refused: refused}
}

// PostUserMessage queues a message.
func (b *Box) PostUserMessage(m any) {
	b.mu.Lock()
	full := b.limit > 0 && b.user.n >= b.limit && !isExempt(m)
	if b.closed || full {
		b.mu.Unlock()
		b.refused(m, full)
		return
	}
	b.user.pushBack(m)
	b.mu.Unlock()
	b.scheduleRun()
}

func isExempt(m any) bool {
	_, m, _ = actor.UnwrapEnvelope(m)
	_, ok := m.(Exempt)
	return ok
}

// PostSystemMessage queues a message of the actor library.
func (b *Box) PostSystemMessage(m any) {
	b.mu.Lock()
	b.system.pushBack(m)
	b.mu.Unlock()
	b.scheduleRun()
}

// crash is a message that fails the actor between two others.
type crash struct{ reason any }

// Crash fails the actor before its next message, as a panic outside of any message would. It is for
// tests and simulations.
func (b *Box) Crash(reason any) { b.PostSystemMessage(crash{reason}) }

// RegisterHandlers is called once by the actor library, before Start.
func (b *Box) RegisterHandlers(i actor.MessageInvoker, d actor.Dispatcher) {
	b.mu.Lock()
	b.invoker, b.dispatcher = i, d
	b.mu.Unlock()
}

// Start lets messages be handled. Messages that came before have waited for it, so that nothing
// overtakes actor.Started.
func (b *Box) Start() {
	b.mu.Lock()
	b.started = true
	b.mu.Unlock()
	b.scheduleRun()
}

// UserMessageCount returns how many messages wait.
func (b *Box) UserMessageCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.user.n
}

// Close ends the mailbox. Messages that are queued and messages that still come are refused.
func (b *Box) Close() {
	b.mu.Lock()
	left := b.user
	b.user, b.closed = ring{}, true
	b.mu.Unlock()
	for left.n > 0 {
		b.refused(left.popFront(), false)
	}
}

func (b *Box) scheduleRun() {
	b.mu.Lock()
	if b.scheduled || !b.started || !b.isRunnable() {
		b.mu.Unlock()
		return
	}
	b.scheduled = true
	b.mu.Unlock()
	b.dispatcher.Schedule(b.run)
}

func (b *Box) isRunnable() bool { return b.system.n > 0 || !b.suspended && b.user.n > 0 }

// run handles as many messages as the dispatcher's throughput allows, and then gives way.
func (b *Box) run() {
	for range max(b.dispatcher.Throughput(), 1) {
		m, system, ok := b.takeNext()
		if !ok {
			break
		}
		b.handleMessage(m, system)
	}
	b.mu.Lock()
	b.scheduled = false
	b.mu.Unlock()
	b.scheduleRun()
}

func (b *Box) takeNext() (m any, system, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.system.n > 0:
		return b.system.popFront(), true, true
	case b.suspended || b.user.n == 0:
		return nil, false, false
	}
	return b.user.popFront(), false, true
}

// handleMessage passes a message on. A panic goes to the supervisor, which suspends the mailbox.
func (b *Box) handleMessage(m any, system bool) {
	defer func() {
		if r := recover(); r != nil {
			b.invoker.EscalateFailure(r, m)
		}
	}()
	if !system {
		b.invoker.InvokeUserMessage(m)
		return
	}
	switch m := m.(type) {
	case *actor.SuspendMailbox:
		b.setSuspended(true)
	case *actor.ResumeMailbox:
		b.setSuspended(false)
	case crash:
		if !b.stopping {
			b.invoker.EscalateFailure(m.reason, nil)
		}
	case *actor.Stop:
		b.stopping = true // read and written only while handling
		b.invoker.InvokeSystemMessage(m)
	case *actor.Restart:
		if !b.stopping {
			b.invoker.InvokeSystemMessage(m)
		}
	default:
		b.invoker.InvokeSystemMessage(m)
	}
}

func (b *Box) setSuspended(v bool) {
	b.mu.Lock()
	b.suspended = v
	b.mu.Unlock()
}

// ring is a queue that grows and keeps its memory.
type ring struct {
	buf     []any
	head, n int
}

func (r *ring) pushBack(m any) {
	if r.n == len(r.buf) {
		grown := make([]any, max(8, 2*len(r.buf)))
		copy(grown[copy(grown, r.buf[r.head:]):], r.buf[:r.head])
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)%len(r.buf)] = m
	r.n++
}

func (r *ring) popFront() any {
	m := r.buf[r.head]
	r.buf[r.head] = nil
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	return m
}
