package sim_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

// counter passes a number on to the next of its kind, by job, timer and question in turn, and keeps
// what it has seen on the disk of the test.
type counter struct {
	n    *sim.Node
	sys  *system.System
	key  string
	disk map[string]int
}

type count struct{ n int }

func (a *counter) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case count:
		a.disk[a.key]++
		next := count{m.n + 1}
		to, err := a.sys.Find("counter", fmt.Sprint((m.n+1)%3))
		if err != nil {
			panic(supervise.Fail(err))
		}
		switch m.n % 3 {
		case 0:
			a.n.Pool("io").Go(c, context.Background(), func(context.Context) any { c.Send(to, next); return nil }, work.NewFailed)
		case 1:
			work.After(c, a.n.Clock(), time.Second, func() { c.Send(to, next) })
		case 2:
			r := ask.Request{Kind: "counter", Key: fmt.Sprint((m.n + 1) % 3), Message: next, Timeout: time.Minute}
			ask.Send(context.Background(), c, a.sys, r, func(any, error) any { return nil })
		}
		system.Reply(c, m)
	case func():
		m()
	case supervise.Drain:
		c.Respond(supervise.Drained{})
	default:
		system.Unhandled(c)
	}
}

func boot(t *testing.T, n *sim.Node, disk map[string]int) *system.System {
	sys := n.System()
	k := supervise.Kind{Name: "counter", Key: supervise.PerPartition,
		New:    func(key string) actor.Actor { return &counter{n, sys, key, disk} },
		Policy: supervise.Policy{Backoff: supervise.Exponential(time.Second, time.Minute), Restarts: 100, Within: time.Minute}}
	require.NoError(t, sys.Start([]supervise.Kind{k}, func(supervise.Kind) []string { return []string{"0", "1", "2"} }))
	for i := range 5 {
		to, err := sys.Find("counter", fmt.Sprint(i%3))
		require.NoError(t, err)
		sys.Actors().Root.Send(to, count{i})
	}
	return sys
}

// run is a world of two nodes in which one is killed at times and the other crashes and comes back.
func run(t *testing.T, seed uint64) (trace uint64, disk map[string]int) {
	w := sim.New(seed)
	w.Report(t)
	disk = map[string]int{}
	a, b := w.Node("main"), w.Node("b")
	sys := boot(t, a, disk)
	boot(t, b, disk)
	for i := range 20 {
		require.Equal(t, 50, w.Run(50))
		ref, err := sys.Find("counter", fmt.Sprint(i%3))
		require.NoError(t, err)
		switch i % 4 {
		case 0:
			a.Kill(ref)
		case 1:
			a.KillNext(ref)
		case 2:
			b.Crash()
			boot(t, b, disk)
		}
	}
	return w.Trace(), disk
}

// The same seed gives the same run; another seed gives another one.
func TestSameSeedSameRun(t *testing.T) {
	traces := map[uint64]bool{}
	for seed := range uint64(10) {
		one, disk := run(t, seed)
		two, again := run(t, seed)
		require.Equal(t, one, two, "seed %d", seed)
		require.Equal(t, disk, again)
		traces[one] = true
	}
	require.Len(t, traces, 10)
}

// After a crash nothing of the old life runs: no message, job or timer, and no clock taken before.
func TestCrashLeavesNothing(t *testing.T) {
	w := sim.New(1)
	w.Report(t)
	disk := map[string]int{}
	sys := boot(t, w.Node("main"), disk)
	w.Run(40)
	old := w.Clock()
	old.AfterFunc(time.Second, func() { t.Error("a timer of a dead node") })
	w.Crash()
	before := disk["0"] + disk["1"] + disk["2"]
	to, err := sys.Find("counter", "0")
	require.NoError(t, err)
	sys.Actors().Root.Send(to, count{0})
	old.AfterFunc(time.Second, func() { t.Error("a timer of a dead node") })
	w.Advance(time.Hour)
	require.Equal(t, before, disk["0"]+disk["1"]+disk["2"])
	require.Zero(t, w.Run(10), "there is nothing left to run")
	boot(t, w.Node("main"), disk)
	require.Equal(t, 10, w.Run(10))
}

// A paused node does nothing while time passes, and goes on where it was. Held jobs wait; others do
// not.
func TestPauseAndHold(t *testing.T) {
	w := sim.New(1)
	w.Report(t)
	disk := map[string]int{}
	n := w.Node("main")
	boot(t, n, disk)
	w.Settle()
	seen := len(disk)
	n.Pause()
	before := fmt.Sprint(disk)
	w.Advance(time.Minute)
	require.Equal(t, before, fmt.Sprint(disk))
	n.Resume()
	w.Advance(time.Second)
	require.NotEqual(t, before, fmt.Sprint(disk))
	n.Hold("io")
	w.Advance(time.Hour) // all that goes on ends at the held pool
	before = fmt.Sprint(disk)
	w.Advance(time.Hour)
	require.Equal(t, before, fmt.Sprint(disk))
	n.Release("io")
	w.Advance(time.Second)
	require.NotEqual(t, before, fmt.Sprint(disk))
	require.NotZero(t, seen)
}

// Time passes only as far as asked, and timers come due in their order.
func TestTimePasses(t *testing.T) {
	w := sim.New(1)
	var got []string
	at := func(d time.Duration, what string) {
		w.Clock().AfterFunc(d, func() { got = append(got, what+" "+w.Now().Sub(sim.Epoch).String()) })
	}
	at(3*time.Second, "c")
	at(time.Second, "a")
	stop := w.Clock().AfterFunc(2*time.Second, func() { t.Error("stopped") })
	w.Settle()
	require.Empty(t, got)
	w.Advance(2*time.Second - 1)
	require.True(t, stop.Stop())
	require.False(t, stop.Stop())
	w.Advance(time.Minute)
	require.Equal(t, []string{"a 1s", "c 3s"}, got)
	require.Equal(t, 62*time.Second-1, w.Now().Sub(sim.Epoch))
}

// What can never be answered ends with an error, not with a hang.
func TestAwaitEnds(t *testing.T) {
	w := sim.New(1)
	sys := w.System()
	k := supervise.Kind{Name: "mute", New: func(string) actor.Actor { return actor.ReceiveFunc(func(actor.Context) {}) }}
	require.NoError(t, sys.Start([]supervise.Kind{k}, func(supervise.Kind) []string { return []string{""} }))
	to, err := sys.Find("mute", "")
	require.NoError(t, err)
	_, err = ask.Ask[int](context.Background(), sys, to, count{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
