// Package system runs the actors of a process. It spawns them by their kinds under one supervisor,
// starts them again when they fail, drains and stops them in order, and shows their state.
//
// An actor gets the actor library's lifecycle messages, supervise.Drain, Inspect, and the messages
// that others send it. Its Receive never waits: it asks with ask.Send, has slow work done by a
// work.Pool, and lets time pass with work.After. All of these end as messages to the same
// incarnation.
package system

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
)

// Scheduler runs mailboxes. The machine's scheduler uses goroutines; a simulation takes one step at
// a time.
type Scheduler interface {
	// Dispatcher runs the mailbox of the actor with this id.
	Dispatcher(id string) actor.Dispatcher
	// Await returns nil when done is closed, or ctx's error when that comes first.
	Await(ctx context.Context, done <-chan struct{}) error
	// Handled is told each message before it is handled.
	Handled(id string, msg any)
}

// Options of a System. The zero value of each field has a working meaning.
type Options struct {
	Clock      clock.Clock           // the machine's where nil
	Scheduler  Scheduler             // goroutines where nil
	Rand       *rand.Rand            // jitter of restarts; used under a lock
	Logger     *slog.Logger          // silent where nil
	Registerer prometheus.Registerer // a registry of its own where nil
	Node       string                // in every log line
}

// throughput is how many messages a mailbox handles before others get their turn.
const throughput = 100

// goroutines is the scheduler of the machine.
type goroutines struct{}

func (goroutines) Dispatcher(string) actor.Dispatcher { return actor.NewDefaultDispatcher(throughput) }
func (goroutines) Handled(string, any)                {}
func (goroutines) Await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// System is the actors of one process.
type System struct {
	opt     Options
	actors  *actor.ActorSystem
	root    *actor.PID
	metrics *metrics
	failed  chan error

	mu    sync.Mutex
	cells []*actorCell // in the order of start
	byID  map[string]*actorCell
	ended bool
}

// New makes a system without actors.
func New(o Options) *System {
	if o.Clock == nil {
		o.Clock = clock.Real()
	}
	if o.Scheduler == nil {
		o.Scheduler = goroutines{}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Node != "" {
		o.Logger = o.Logger.With("node", o.Node)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.Rand == nil {
		o.Rand = rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	s := &System{opt: o, failed: make(chan error, 1), byID: map[string]*actorCell{}}
	silent := func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }
	s.actors = actor.NewActorSystem(actor.WithLoggerFactory(silent))
	s.metrics = newMetrics(s, o.Registerer)
	s.takeDeadLetters()
	s.root = s.spawnRootSupervisor()
	return s
}

func (s *System) spawnRootSupervisor() *actor.PID {
	const name = "node"
	props := actor.PropsFromProducer(func() actor.Actor { return &root{system: s} },
		actor.WithSupervisor(strategy{s}),
		actor.WithDispatcher(s.opt.Scheduler.Dispatcher(name)),
		actor.WithMailbox(func() actor.Mailbox {
			return mailbox.New(mailbox.Limit{}, func(any, bool) {})
		}))
	pid, _ := s.actors.Root.SpawnNamed(props, name)
	return pid
}

// takeDeadLetters replaces the library's own handler of messages to nobody, which starts a
// goroutine for each burst of them.
func (s *System) takeDeadLetters() {
	nobody := s.metrics.countersOf("none")
	s.actors.EventStream = eventstream.NewEventStream()
	s.actors.EventStream.Subscribe(func(e any) {
		if d, ok := e.(*actor.DeadLetterEvent); ok {
			s.onDeadLetter(d, nobody)
		}
	})
}

func (s *System) onDeadLetter(d *actor.DeadLetterEvent, nobody counters) {
	if ask.Over(s.actors, d.PID) {
		return // a late answer
	}
	if d.Sender != nil {
		nobody.dead.Inc()
		s.actors.Root.Send(d.Sender, &actor.DeadLetterResponse{Target: d.PID})
		return
	}
	switch m := d.Message.(type) {
	case *actor.Watch:
		if watcher, ok := s.actors.ProcessRegistry.Get(m.Watcher); ok {
			end := &actor.Terminated{Who: d.PID, Why: actor.TerminatedReason_NotFound}
			watcher.SendSystemMessage(m.Watcher, end)
		}
	case actor.SystemMessage:
	default:
		nobody.dead.Inc()
	}
}

// Actors is the actor library's system.
func (s *System) Actors() *actor.ActorSystem { return s.actors }

// Await returns nil when done is closed, or ctx's error when that comes first.
func (s *System) Await(ctx context.Context, done <-chan struct{}) error {
	return s.opt.Scheduler.Await(ctx, done)
}

// Start spawns one actor for each key of each kind, in the order of the table, and returns when
// they are spawned. It does not wait for them to be ready.
func (s *System) Start(table []supervise.Kind, keys func(supervise.Kind) []string) error {
	for _, k := range table {
		if k.Key == supervise.Dynamic {
			continue
		}
		for _, key := range keys(k) {
			if _, err := s.SpawnRoot(k, key); err != nil {
				return err
			}
		}
	}
	return nil
}

// SpawnRoot spawns one actor under the root supervisor. It waits, so it is not for actors.
func (s *System) SpawnRoot(k supervise.Kind, key string) (ask.Ref, error) {
	c := s.newCell(k, key, nil, s.root)
	if !s.addCell(c) {
		return nil, fmt.Errorf("spawn %s: it runs already or the node ends", c.name)
	}
	done := make(chan struct{})
	s.actors.Root.Send(s.root, spawnCell{cell: c, done: done})
	if err := s.Await(context.Background(), done); err != nil {
		return nil, fmt.Errorf("spawn %s: %w", c.name, err)
	}
	return c.pid, nil
}

// Spawn spawns a supervised child of the actor that handles parent. When one of this kind and key
// runs under it already, that is returned. The child ends when it stops itself, when its policy
// gives it up, or with its parent's incarnation; the parent gets actor.Terminated.
func (s *System) Spawn(parent actor.Context, k supervise.Kind, key string) ask.Ref {
	c := s.newCell(k, key, s.byPID(parent.Self()), parent.Self())
	if !s.addCell(c) {
		return c.pid
	}
	if _, err := parent.SpawnNamed(c.actorProps(), c.name); err != nil {
		s.forgetCell(c)
		panic(supervise.Fail(fmt.Errorf("spawn %s: %w", c.name, err)))
	}
	return c.pid
}

// Spawn is System.Spawn for the actor that handles c.
func Spawn(c actor.Context, k supervise.Kind, key string) ask.Ref {
	return c.Actor().(*incarnation).cell.system.Spawn(c, k, key)
}

// Retire stops an actor of the root supervisor for good, without draining it; whoever wants that
// asks it supervise.Drain before.
func (s *System) Retire(ref ask.Ref) {
	if c := s.byPID(ref); c != nil && c.parent == nil {
		s.actors.Root.Send(s.root, retireCell{c})
	}
}

// Find returns the actor of a kind and key.
func (s *System) Find(kind, key string) (ask.Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cells {
		if c.kind.Name == kind && c.key == key {
			return c.pid, nil
		}
	}
	return nil, status.Errorf(status.Unavailable, "find %s %s: it does not run here", kind, key)
}

// Keys lists the keys of a kind, sorted.
func (s *System) Keys(kind string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, c := range s.cells {
		if c.kind.Name == kind {
			out = append(out, c.key)
		}
	}
	slices.Sort(out)
	return out
}

// Failed yields the one error that ends the process: an actor of the table has used up its
// restarts.
func (s *System) Failed() <-chan error { return s.failed }

func (s *System) reportFailure(err error) {
	select {
	case s.failed <- err:
	default: // the first cause is the one to show
	}
}

// stopGrace is how long the actors have to stop once ctx of Drain is over: long enough for a
// message in hand, not for work.
const stopGrace = 5 * time.Second

// Drain ends the node: it asks the kinds named in first to finish what they have taken, one after
// the other, then the others in the order of the table, the actors of one kind together; then it
// stops all in the reverse order of start. When ctx ends it goes on to stopping. What is asked of
// an actor that has stopped is answered Unavailable. It returns what did not drain or stop. A
// system ends once.
func (s *System) Drain(ctx context.Context, first ...string) error {
	d := &shutdown{ctx: ctx, waves: s.drainWaves(first), done: make(chan struct{})}
	s.actors.Root.Send(s.root, d)
	if err := s.Await(ctx, d.done); err != nil {
		s.actors.Root.Send(s.root, drainTimedOut{err})
		grace, cancel := context.WithCancel(context.Background())
		defer cancel()
		defer s.opt.Clock.AfterFunc(stopGrace, cancel).Stop()
		if s.Await(grace, d.done) != nil {
			for _, c := range slices.Backward(s.allCells()) {
				return fmt.Errorf("stop %s: it is still busy after %s", c.name, stopGrace)
			}
		}
	}
	return errors.Join(d.errs...)
}

// drainWaves groups the root's actors by kind: first the kinds in first, then the others in the
// order of their start.
func (s *System) drainWaves(first []string) [][]*actorCell {
	order := slices.Clone(first)
	byKind := map[string][]*actorCell{}
	for _, c := range s.allCells() {
		if c.parent != nil {
			continue
		}
		byKind[c.kind.Name] = append(byKind[c.kind.Name], c)
		if !slices.Contains(order, c.kind.Name) {
			order = append(order, c.kind.Name)
		}
	}
	var out [][]*actorCell
	for _, kind := range order {
		out = append(out, byKind[kind])
	}
	return out
}

// Kill fails an actor between two messages, as a broken invariant would. For tests and simulations.
func (s *System) Kill(ref ask.Ref, cause error) {
	if c := s.byPID(ref); c != nil {
		if box := c.box.Load(); box != nil {
			box.Crash(supervise.Fail(cause))
		}
	}
}

// KillNext fails an actor at the next message it handles, which is lost. For tests and simulations.
func (s *System) KillNext(ref ask.Ref, cause error) {
	if c := s.byPID(ref); c != nil {
		c.killNext.Store(&cause)
	}
}

// Unhandled counts and logs a message that an actor does not know; never silent. The library's
// lifecycle messages need no handling.
func Unhandled(c actor.Context) {
	switch c.Message().(type) {
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting, *actor.Terminated:
		return
	}
	if inc, ok := c.Actor().(*incarnation); ok {
		cell := inc.cell
		cell.count.unhandled.Inc()
		cell.system.opt.Logger.Error("message not handled",
			"kind", cell.kind.Name, "key", cell.key, "message", fmt.Sprintf("%T", c.Message()))
	}
	if c.Sender() != nil {
		c.Respond(status.Errorf(status.Internal, "message %T is not handled here", c.Message()))
	}
}

// Send answers a question later than on its own turn; a nil address, of a message that nobody
// asked, is left alone.
func Send(c actor.Context, to *actor.PID, msg any) {
	if to != nil {
		c.Send(to, msg)
	}
}

// Reply answers the message in hand; nil and messages that nobody asked are left alone.
func Reply(c actor.Context, msg any) {
	if msg != nil && c.Sender() != nil {
		c.Respond(msg)
	}
}

func (s *System) addCell(c *actorCell) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended || s.byID[c.pid.Id] != nil {
		return false
	}
	s.byID[c.pid.Id] = c
	s.cells = append(s.cells, c)
	return true
}

func (s *System) forgetCell(c *actorCell) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID[c.pid.Id] == c {
		delete(s.byID, c.pid.Id)
		s.cells = slices.DeleteFunc(s.cells, func(o *actorCell) bool { return o == c })
	}
}

func (s *System) byPID(pid *actor.PID) *actorCell {
	if pid == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[pid.Id]
}

func (s *System) allCells() []*actorCell {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.cells)
}

func (s *System) markEnded() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
}

func (s *System) isEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// restartPause is the pause before the restart after the n-th failure.
func (s *System) restartPause(b supervise.Backoff, n int) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return b.Delay(n, s.opt.Rand)
}
