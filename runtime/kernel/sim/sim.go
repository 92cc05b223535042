// Package sim runs the actors of one or several nodes on one thread, in an order drawn from a seed,
// in a time of its own. The same seed gives the same run, so that what a run found can be looked at
// again.
//
// A step is one message of one mailbox, one job of a pool, or one timer. Time passes only when
// there is nothing to do. Nothing here is safe for concurrent use, and no step may wait for another
// one but by Await.
package sim

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

// Epoch is the time at which every world starts.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ErrKilled is the cause of the failures that Kill and KillNext bring about.
var ErrKilled = errors.New("killed by the simulation")

// errIdle says that what is waited for cannot come.
var errIdle = fmt.Errorf("simulation: nothing is left to run: %w", context.DeadlineExceeded)

// errEndless says that what is waited for has not come in awaitSteps steps.
var errEndless = fmt.Errorf("simulation: waited for too many steps: %w", context.DeadlineExceeded)

// awaitSteps bounds a wait, because timers that start each other again would run for ever.
const awaitSteps = 1_000_000

// World is a seed, a time, and nodes.
type World struct {
	seed  uint64
	rng   *rand.Rand
	now   time.Time
	ready []*step
	due   timers
	next  int // numbers timers, so that those of one time have an order
	steps int
	hash  interface {
		io.Writer
		Sum64() uint64
	}
	last  []string // the latest lines of the trace
	nodes []*Node
}

type step struct {
	node *Node
	life int
	name string
	pool *pool // jobs only
	run  func()
}

// New makes a world with one node, "main", which the methods of World that name none are about.
func New(seed uint64) *World {
	w := &World{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x7472_6f75_7065)), now: Epoch, hash: fnv.New64a()}
	w.Node("main")
	return w
}

// Node adds a node, or returns the one of this name.
func (w *World) Node(name string) *Node {
	for _, n := range w.nodes {
		if n.name == name {
			return n
		}
	}
	n := &Node{w: w, name: name, pools: map[string]*pool{}}
	w.nodes = append(w.nodes, n)
	return n
}

func (w *World) main() *Node { return w.nodes[0] }

// Options are what a system of the main node runs by.
func (w *World) Options() system.Options { return w.main().Options() }

// System starts a system on the main node.
func (w *World) System() *system.System { return w.main().System() }

// Clock is the main node's clock.
func (w *World) Clock() clock.Clock { return w.main().Clock() }

// Pool is a pool of the main node.
func (w *World) Pool(name string) work.Pool { return w.main().Pool(name) }

// Kill fails an actor of the main node between two messages.
func (w *World) Kill(ref ask.Ref) { w.main().Kill(ref) }

// KillNext fails an actor of the main node at its next message, which is lost.
func (w *World) KillNext(ref ask.Ref) { w.main().KillNext(ref) }

// Crash ends the main node as kill -9 would.
func (w *World) Crash() { w.main().Crash() }

// Now is the world's time.
func (w *World) Now() time.Time { return w.now }

// Rand is the world's chance, for faults that must repeat with the seed.
func (w *World) Rand() *rand.Rand { return w.rng }

// Steps is how many steps were taken.
func (w *World) Steps() int { return w.steps }

// Trace is the hash of all steps so far: who did what, and when. Equal seeds give equal traces.
func (w *World) Trace() uint64 { return w.hash.Sum64() }

// step takes one step that is ready; false when none is.
func (w *World) step() bool {
	can := 0
	for _, s := range w.ready {
		if s.can() {
			can++
		}
	}
	if can == 0 {
		return false
	}
	n := w.rng.IntN(can)
	i := slices.IndexFunc(w.ready, func(s *step) bool {
		if s.can() {
			n--
		}
		return n < 0
	})
	s := w.ready[i]
	w.ready = slices.Delete(w.ready, i, i+1)
	w.steps++
	w.note(s.node.name + " " + s.name)
	s.run()
	return true
}

func (s *step) can() bool { return !s.node.paused && (s.pool == nil || !s.pool.held) }

func (w *World) note(line string) {
	line = fmt.Sprintf("%d %s %s", w.steps, w.now.Sub(Epoch), line)
	io.WriteString(w.hash, line+"\n")
	if len(w.last) == 200 {
		w.last = append(w.last[:0], w.last[100:]...)
	}
	w.last = append(w.last, line)
}

// pass moves the time to the next timer, at most to until, and makes those that are due ready;
// false when none is.
func (w *World) pass(until time.Time) bool {
	if len(w.due) == 0 || w.due[0].at.After(until) {
		return false
	}
	if at := w.due[0].at; at.After(w.now) {
		w.now = at
	}
	for len(w.due) > 0 && !w.due[0].at.After(w.now) {
		t := heap.Pop(&w.due).(*timer)
		if t.life != t.node.life {
			continue
		}
		t.s = &step{node: t.node, life: t.life, name: "timer", run: func() { t.done = true; t.f() }}
		w.ready = append(w.ready, t.s)
	}
	return true
}

var far = Epoch.AddDate(1000, 0, 0)

// Run takes n steps, with time passing when there is nothing else, and returns how many there were
// to take.
func (w *World) Run(n int) int {
	for i := range n {
		for !w.step() {
			if !w.pass(far) {
				return i
			}
		}
	}
	return n
}

// Settle takes steps until nothing is ready. Time does not pass.
func (w *World) Settle() {
	for w.step() {
	}
}

// Advance lets d pass, with everything that comes due in it, and settles.
func (w *World) Advance(d time.Duration) {
	until := w.now.Add(d)
	for w.step() || w.pass(until) {
	}
	w.now = until
}

// await takes steps until done is closed.
func (w *World) await(ctx context.Context, done <-chan struct{}) error {
	for range awaitSteps {
		select {
		case <-done:
			return nil
		default:
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !w.step() && !w.pass(far) {
			return errIdle
		}
	}
	return errEndless
}

// TB is what Report needs of a test.
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
}

// Report has a test that fails say how to see the run again, and its latest steps.
func (w *World) Report(t TB) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Helper()
			for _, line := range w.last[max(0, len(w.last)-30):] {
				t.Logf("%s", line)
			}
			t.Logf("see it again: make sim SEED=%d", w.seed)
		}
	})
}

// Node is one process: a system, its pools and its clock. What is kept on disks lies outside.
type Node struct {
	w      *World
	name   string
	life   int // counts crashes
	paused bool
	pools  map[string]*pool
	sys    *system.System
	logger *slog.Logger
}

// LogTo has the systems of the node that start from now on log to l; without it they are silent.
func (n *Node) LogTo(l *slog.Logger) { n.logger = l }

// Options are what a system of the node's present life runs by.
func (n *Node) Options() system.Options {
	return system.Options{Clock: n.Clock(), Scheduler: scheduler{n, n.life}, Rand: rand.New(rand.NewPCG(n.w.rng.Uint64(), 0)),
		Logger: n.logger, Registerer: prometheus.NewRegistry(), Node: n.name}
}

// System starts a system on the node.
func (n *Node) System() *system.System {
	n.sys = system.New(n.Options())
	return n.sys
}

// Clock is the node's clock; its timers end with the node's present life.
func (n *Node) Clock() clock.Clock { return simClock{n, n.life} }

// Pool returns the pool of this name. Its jobs are steps.
func (n *Node) Pool(name string) work.Pool { return n.pool(name) }

func (n *Node) pool(name string) *pool {
	if n.pools[name] == nil {
		n.pools[name] = &pool{n: n, life: n.life, name: name}
	}
	return n.pools[name]
}

// Hold keeps the jobs of a pool waiting until Release.
func (n *Node) Hold(pool string) { n.pool(pool).held = true }

// Release lets the jobs of a pool run.
func (n *Node) Release(pool string) { n.pool(pool).held = false }

// Kill fails an actor between two messages, before anything else is handled by it. It needs a
// system made by System.
func (n *Node) Kill(ref ask.Ref) { n.sys.Kill(ref, ErrKilled) }

// KillNext fails an actor at its next message, which is lost.
func (n *Node) KillNext(ref ask.Ref) { n.sys.KillNext(ref, ErrKilled) }

// Pause stops the node's time slices: nothing of it runs, while its timers come due, until Resume.
func (n *Node) Pause() { n.paused = true }

// Resume ends Pause.
func (n *Node) Resume() { n.paused = false }

// Crash ends the node's life as kill -9 would: its actors, jobs and timers are gone, unheard.
// Clocks, options, pools and systems taken before are dead; System starts the next life.
func (n *Node) Crash() {
	n.life++
	n.sys, n.pools, n.paused = nil, map[string]*pool{}, false
	n.w.ready = slices.DeleteFunc(n.w.ready, func(s *step) bool { return s.node == n })
	n.w.note(n.name + " crash")
}

// WithTimeout is context.WithTimeout by the world's time.
func (n *Node) WithTimeout(parent context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	inner, cancel := context.WithCancel(parent)
	ctx := &timed{Context: inner, at: n.w.now.Add(d)}
	t := n.Clock().AfterFunc(d, func() { ctx.expired = true; cancel() })
	return ctx, func() { t.Stop(); cancel() }
}

type timed struct {
	context.Context
	at      time.Time
	expired bool
}

func (t *timed) Deadline() (time.Time, bool) { return t.at, true }

func (t *timed) Err() error {
	if t.expired {
		return context.DeadlineExceeded
	}
	return t.Context.Err()
}

func (n *Node) ready(life int, name string, p *pool, run func()) {
	if life == n.life {
		n.w.ready = append(n.w.ready, &step{node: n, life: life, name: name, pool: p, run: run})
	}
}

// scheduler makes each message of a mailbox a step.
type scheduler struct {
	n    *Node
	life int
}

func (s scheduler) Dispatcher(id string) actor.Dispatcher { return dispatcher{s, id} }
func (s scheduler) Await(ctx context.Context, done <-chan struct{}) error {
	return s.n.w.await(ctx, done)
}
func (s scheduler) Handled(id string, msg any) {
	s.n.w.note(fmt.Sprintf("%s %s %T", s.n.name, id, msg))
}

type dispatcher struct {
	scheduler
	id string
}

func (d dispatcher) Schedule(run func()) { d.n.ready(d.life, d.id, nil, run) }
func (dispatcher) Throughput() int       { return 1 }

// pool runs jobs inline, each as a step.
type pool struct {
	n    *Node
	life int
	name string
	held bool
}

// Go makes a job ready.
func (p *pool) Go(c actor.Context, ctx context.Context, run func(context.Context) any, failed func(error) any) {
	p.n.ready(p.life, "job "+p.name, p, work.NewJob(c, ctx, run, failed).Run)
}

type simClock struct {
	n    *Node
	life int
}

func (c simClock) Now() time.Time { return c.n.w.now }

func (c simClock) AfterFunc(d time.Duration, f func()) clock.Timer {
	w := c.n.w
	w.next++
	t := &timer{node: c.n, life: c.life, at: w.now.Add(max(d, 0)), seq: w.next, f: f}
	if c.life == c.n.life {
		heap.Push(&w.due, t)
	}
	return t
}

type timer struct {
	node *Node
	life int
	at   time.Time
	seq  int
	pos  int   // in the heap; -1 outside
	s    *step // once it is due
	done bool
	f    func()
}

// Stop takes the timer back, even when it is due and its step was not taken.
func (t *timer) Stop() bool {
	if t.done || t.life != t.node.life {
		return false
	}
	t.done = true
	w := t.node.w
	if t.s != nil {
		w.ready = slices.DeleteFunc(w.ready, func(s *step) bool { return s == t.s })
	} else {
		heap.Remove(&w.due, t.pos)
	}
	return true
}

// timers is a heap by time and then by number.
type timers []*timer

func (h timers) Len() int { return len(h) }
func (h timers) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq
}
func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}
func (h *timers) Push(x any) {
	t := x.(*timer)
	t.pos = len(*h)
	*h = append(*h, t)
}
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.pos = -1
	return t
}
