package sim

import (
	"context"
	"fmt"
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

// Node is one process: a system, its pools and its clock. Its disks lie outside of the simulation.
type Node struct {
	w      *World
	name   string
	life   int // counts crashes
	paused bool
	pools  map[string]*pool
	sys    *system.System
	logger *slog.Logger
}

// LogTo has the systems that the node starts from now on log to l. Without it they are silent.
func (n *Node) LogTo(l *slog.Logger) { n.logger = l }

// Options are the options for a system of the node's present life.
func (n *Node) Options() system.Options {
	return system.Options{
		Clock:      n.Clock(),
		Scheduler:  scheduler{n, n.life},
		Rand:       rand.New(rand.NewPCG(n.w.rng.Uint64(), 0)),
		Logger:     n.logger,
		Registerer: prometheus.NewRegistry(),
		Node:       n.name,
	}
}

// System starts a system on the node.
func (n *Node) System() *system.System {
	n.sys = system.New(n.Options())
	return n.sys
}

// Clock is the node's clock; its timers end with the node's present life.
func (n *Node) Clock() clock.Clock { return simClock{n, n.life} }

// Pool returns the pool of this name. Its jobs are steps.
func (n *Node) Pool(name string) work.Pool { return n.poolOf(name) }

func (n *Node) poolOf(name string) *pool {
	if n.pools[name] == nil {
		n.pools[name] = &pool{n: n, life: n.life, name: name}
	}
	return n.pools[name]
}

// Hold keeps the jobs of a pool waiting until Release.
func (n *Node) Hold(pool string) { n.poolOf(pool).held = true }

// Release lets the jobs of a pool run.
func (n *Node) Release(pool string) { n.poolOf(pool).held = false }

// Kill fails an actor before its next message. It needs a system made by System.
func (n *Node) Kill(ref ask.Ref) { n.sys.Kill(ref, ErrKilled) }

// KillNext fails an actor at its next message, which is lost.
func (n *Node) KillNext(ref ask.Ref) { n.sys.KillNext(ref, ErrKilled) }

// Pause stops the node until Resume. Its timers come due meanwhile, but none of its steps run.
func (n *Node) Pause() { n.paused = true }

// Resume ends Pause.
func (n *Node) Resume() { n.paused = false }

// Crash ends the node's life as kill -9 would: its actors, jobs and timers are gone without a word.
// Clocks, options, pools and systems taken before are dead. System starts the next life.
func (n *Node) Crash() {
	n.life++
	n.sys, n.pools, n.paused = nil, map[string]*pool{}, false
	n.w.ready = slices.DeleteFunc(n.w.ready, func(s *step) bool { return s.node == n })
	n.w.noteStep(n.name + " crash")
}

// WithTimeout is context.WithTimeout in the world's time.
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

func (n *Node) addStep(life int, name string, p *pool, run func()) {
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
	return s.n.w.awaitDone(ctx, done)
}
func (s scheduler) Handled(id string, msg any) {
	s.n.w.noteStep(fmt.Sprintf("%s %s %T", s.n.name, id, msg))
}

type dispatcher struct {
	scheduler
	id string
}

func (d dispatcher) Schedule(run func()) { d.n.addStep(d.life, d.id, nil, run) }
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
	p.n.addStep(p.life, "job "+p.name, p, work.NewJob(c, ctx, run, failed).Run)
}
