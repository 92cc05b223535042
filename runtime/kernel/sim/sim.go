// Package sim runs the actors of one or several nodes on one thread, in an order drawn from a seed,
// and in a time of its own. The same seed gives the same run, so that a failure can be looked at
// again.
//
// A step is one message of one mailbox, one job of a pool, or one timer. Time passes only when no
// step is ready. Nothing here is safe for concurrent use, and a step may wait for another one only
// by Await.
package sim

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

// Epoch is the time at which every world starts.
var Epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ErrKilled is the cause of the failures that Kill and KillNext make.
var ErrKilled = errors.New("killed by the simulation")

// errIdle is the end of a wait for something that cannot come any more.
var errIdle = fmt.Errorf("simulation: nothing is left to run: %w", context.DeadlineExceeded)

// errEndless is the end of a wait for something that has not come in awaitSteps steps.
var errEndless = fmt.Errorf("simulation: waited for too many steps: %w", context.DeadlineExceeded)

// awaitSteps bounds a wait, because timers that start each other again run for ever.
const awaitSteps = 1_000_000

// World is a simulation: a seed, a time, and nodes.
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

// New makes a world with one node, "main". The methods of World that name no node are about it.
func New(seed uint64) *World {
	w := &World{seed: seed, rng: rand.New(rand.NewPCG(seed, 0x7472_6f75_7065)), now: Epoch, hash: fnv.New64a()}
	w.Node("main")
	return w
}

// Node returns the node of this name, and adds it first if the world has none.
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

func (w *World) mainNode() *Node { return w.nodes[0] }

// Options are the options for a system of the main node.
func (w *World) Options() system.Options { return w.mainNode().Options() }

// System starts a system on the main node.
func (w *World) System() *system.System { return w.mainNode().System() }

// Clock is the main node's clock.
func (w *World) Clock() clock.Clock { return w.mainNode().Clock() }

// Pool is a pool of the main node.
func (w *World) Pool(name string) work.Pool { return w.mainNode().Pool(name) }

// Kill fails an actor of the main node between two messages.
func (w *World) Kill(ref ask.Ref) { w.mainNode().Kill(ref) }

// KillNext fails an actor of the main node at its next message, which is lost.
func (w *World) KillNext(ref ask.Ref) { w.mainNode().KillNext(ref) }

// Crash ends the main node as kill -9 would.
func (w *World) Crash() { w.mainNode().Crash() }

// Now is the world's time.
func (w *World) Now() time.Time { return w.now }

// Rand is the world's source of chance, for faults that must repeat with the seed.
func (w *World) Rand() *rand.Rand { return w.rng }

// Steps returns how many steps were taken.
func (w *World) Steps() int { return w.steps }

// Trace returns the hash of all steps so far: which actor, which message, and when. Equal seeds
// give equal traces.
func (w *World) Trace() uint64 { return w.hash.Sum64() }

// takeStep takes one of the steps that are ready, and reports whether there was one.
func (w *World) takeStep() bool {
	can := 0
	for _, s := range w.ready {
		if s.canRun() {
			can++
		}
	}
	if can == 0 {
		return false
	}
	n := w.rng.IntN(can)
	i := slices.IndexFunc(w.ready, func(s *step) bool {
		if s.canRun() {
			n--
		}
		return n < 0
	})
	s := w.ready[i]
	w.ready = slices.Delete(w.ready, i, i+1)
	w.steps++
	w.noteStep(s.node.name + " " + s.name)
	s.run()
	return true
}

func (s *step) canRun() bool { return !s.node.paused && (s.pool == nil || !s.pool.held) }

func (w *World) noteStep(line string) {
	line = fmt.Sprintf("%d %s %s", w.steps, w.now.Sub(Epoch), line)
	io.WriteString(w.hash, line+"\n")
	if len(w.last) == 200 {
		w.last = append(w.last[:0], w.last[100:]...)
	}
	w.last = append(w.last, line)
}

// passTime moves the time to the next timer, at most to until, and makes the timers that are due
// ready. It reports whether there was one.
func (w *World) passTime(until time.Time) bool {
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

// Run takes n steps, and lets time pass when none is ready. It returns how many steps it found.
func (w *World) Run(n int) int {
	for i := range n {
		for !w.takeStep() {
			if !w.passTime(far) {
				return i
			}
		}
	}
	return n
}

// Settle takes steps until nothing is ready. Time does not pass.
func (w *World) Settle() {
	for w.takeStep() {
	}
}

// Advance lets d pass, with every step and timer that comes due in it, and settles.
func (w *World) Advance(d time.Duration) {
	until := w.now.Add(d)
	for w.takeStep() || w.passTime(until) {
	}
	w.now = until
}

// awaitDone takes steps until done is closed.
func (w *World) awaitDone(ctx context.Context, done <-chan struct{}) error {
	for range awaitSteps {
		select {
		case <-done:
			return nil
		default:
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !w.takeStep() && !w.passTime(far) {
			return errIdle
		}
	}
	return errEndless
}

// TB is the part of testing.TB that Report needs.
type TB interface {
	Helper()
	Cleanup(func())
	Failed() bool
	Logf(format string, args ...any)
}

// Report has a test that fails print how to repeat the run, and its latest steps.
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
