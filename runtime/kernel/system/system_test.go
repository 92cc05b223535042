package system_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

type (
	ping struct{}
	pong struct{ life int }
	boom struct{}
	quit struct{}
)

var bg = context.Background()

func one(supervise.Kind) []string { return []string{""} }

// probe is an actor made of a function; it answers ping, fails at boom, ends at quit, and drains at
// once.
type probe struct {
	life int
	on   func(p *probe, c actor.Context) bool // true: handled
}

func (p *probe) Receive(c actor.Context) {
	if p.on != nil && p.on(p, c) {
		return
	}
	switch c.Message().(type) {
	case ping:
		c.Respond(pong{p.life})
	case boom:
		panic(supervise.Fail(errors.New("boom")))
	case quit:
		c.Stop(c.Self())
	case supervise.Drain:
		c.Respond(supervise.Drained{})
	case system.Inspect:
		c.Respond(&system.ActorStatus{State: fmt.Sprintf("life %d", p.life)})
	default:
		system.Unhandled(c)
	}
}

// kind makes a kind of probes; lives counts how many were made.
func kind(name string, on func(p *probe, c actor.Context) bool) (supervise.Kind, *atomic.Int64) {
	lives := new(atomic.Int64)
	return supervise.Kind{Name: name, New: func(string) actor.Actor { return &probe{life: int(lives.Add(1)), on: on} },
		Policy: supervise.Policy{Backoff: supervise.Exponential(time.Second, 8*time.Second), Restarts: 10, Within: time.Hour}}, lives
}

func start(t *testing.T, sys *system.System, kinds ...supervise.Kind) []ask.Ref {
	t.Helper()
	require.NoError(t, sys.Start(kinds, one))
	var out []ask.Ref
	for _, k := range kinds {
		ref, err := sys.Find(k.Name, "")
		require.NoError(t, err)
		out = append(out, ref)
	}
	return out
}

// empty checks that an ended system has left nothing behind: the library's own dead letter and
// event stream are all there is.
func empty(t *testing.T, sys *system.System) {
	t.Helper()
	n := 0
	for _, b := range sys.Actors().ProcessRegistry.LocalPIDs.LocalPIDs {
		n += b.Count()
	}
	require.Equal(t, 2, n, "processes left behind")
	require.Empty(t, sys.Inspect(bg))
}

func class(err error) status.Class { return status.Of(err).Class }

// A failed actor keeps its address and its mailbox; whoever asked what was lost is told at once.
func TestRestartKeepsAddressAndMailbox(t *testing.T) {
	w := sim.New(1)
	w.Report(t)
	sys := w.System()
	k, lives := kind("k", nil)
	to := start(t, sys, k)[0]
	var got []string
	note := func(what string) func(any, error) {
		return func(reply any, err error) { got = append(got, fmt.Sprint(what, " ", reply, " ", err)) }
	}
	ask.Begin(bg, sys.Actors(), to, ping{}, note("before"))
	ask.Begin(bg, sys.Actors(), to, boom{}, note("boom"))
	ask.Begin(bg, sys.Actors(), to, ping{}, note("after"))
	w.Settle()
	require.Equal(t, []string{"before {1} <nil>", "boom <nil> ask k: it failed: boom"}, got)
	require.Equal(t, "restarting", sys.Inspect(bg)[0].State)
	w.Advance(time.Second)
	require.Equal(t, "after {2} <nil>", got[2])
	again, err := sys.Find("k", "")
	require.NoError(t, err)
	require.True(t, to.Equal(again))
	require.EqualValues(t, 2, lives.Load())
	require.NoError(t, sys.Drain(bg))
	empty(t, sys)
}

// A question that its actor has taken and not answered yet is answered when the actor fails, is
// killed or stops: nobody waits for a deadline.
func TestHeldQuestionsEndWithTheIncarnation(t *testing.T) {
	for what, end := range map[string]func(w *sim.World, sys *system.System, to ask.Ref){
		"fails":     func(w *sim.World, sys *system.System, to ask.Ref) { sys.Actors().Root.Send(to, boom{}) },
		"is killed": func(w *sim.World, sys *system.System, to ask.Ref) { w.Kill(to) },
		"stops":     func(w *sim.World, sys *system.System, to ask.Ref) { sys.Retire(to) },
	} {
		t.Run(what, func(t *testing.T) {
			w := sim.New(1)
			w.Report(t)
			sys := w.System()
			var later []*actor.PID
			k, _ := kind("k", func(p *probe, c actor.Context) bool {
				if _, ok := c.Message().(string); ok {
					later = append(later, c.Sender())
				}
				return len(later) > 0 && c.Sender() == later[len(later)-1]
			})
			to := start(t, sys, k)[0]
			var got []string
			note := func(reply any, err error) { got = append(got, fmt.Sprint(reply, " ", err)) }
			ask.Begin(bg, sys.Actors(), to, "answer me later", note)
			ask.Begin(bg, sys.Actors(), to, "and me", note)
			w.Settle()
			sys.Actors().Root.Send(later[0], "answer")
			w.Settle()
			require.Equal(t, []string{"answer <nil>"}, got)
			end(w, sys, to)
			w.Settle()
			require.Equal(t, []string{"answer <nil>", "<nil> ask k: it ended before it answered"}, got)
			sys.Actors().Root.Send(later[1], "too late")
			w.Settle()
			require.Len(t, got, 2)
		})
	}
}

// Pauses between restarts double from half to the whole of 1, 2, 4, 8 s and stay at the cap.
func TestBackoffDoublesUpToTheCap(t *testing.T) {
	w := sim.New(2)
	w.Report(t)
	sys := w.System()
	var began []time.Time
	k, _ := kind("k", func(p *probe, c actor.Context) bool {
		if _, ok := c.Message().(*actor.Started); ok {
			began = append(began, w.Now())
			if p.life <= 6 {
				panic(supervise.Fail(errors.New("not yet")))
			}
		}
		return false
	})
	start(t, sys, k)
	w.Advance(time.Minute)
	require.Len(t, began, 7)
	for i, limit := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 8 * time.Second, 8 * time.Second} {
		d := began[i+1].Sub(began[i])
		require.True(t, d >= limit/2 && d <= limit, "pause %d was %s, want up to %s", i, d, limit)
	}
}

// Past its restarts a kind takes the process down with one line that names kind, key and cause; a
// quiet time forgives.
func TestEscalatesPastItsRestarts(t *testing.T) {
	w := sim.New(3)
	w.Report(t)
	sys := w.System()
	k, _ := kind("builder", nil)
	k.Policy.Restarts, k.Policy.Within = 2, time.Minute
	require.NoError(t, sys.Start([]supervise.Kind{k}, func(supervise.Kind) []string { return []string{"3"} }))
	to, err := sys.Find("builder", "3")
	require.NoError(t, err)
	fail := func() { sys.Actors().Root.Send(to, boom{}); w.Advance(10 * time.Second) }
	fail()
	fail()
	w.Advance(2 * time.Minute)
	fail()
	fail()
	require.Empty(t, sys.Failed())
	fail()
	require.Len(t, sys.Failed(), 1)
	require.EqualError(t, <-sys.Failed(), "builder-3: failed 3 times within 1m0s and is not started again: boom")
	_, err = sys.Find("builder", "3")
	require.Equal(t, status.Unavailable, class(err))
}

// A constructor that panics is a failure of the actor like any other, and so is a panic while it
// starts; neither makes a hot loop.
func TestConstructorThatPanics(t *testing.T) {
	w := sim.New(4)
	w.Report(t)
	sys := w.System()
	k, _ := kind("k", nil)
	k.Policy.Restarts = 3
	k.New = func(string) actor.Actor { panic("BUG: no key") }
	start(t, sys, k)
	w.Advance(time.Minute)
	require.EqualError(t, <-sys.Failed(), "k: failed 4 times within 1h0m0s and is not started again: BUG: no key")
}

// An actor of the table that ends without being told to is spawned again at the same address; what
// is asked meanwhile is answered.
func TestUnexpectedStopIsAFailure(t *testing.T) {
	w := sim.New(5)
	w.Report(t)
	sys := w.System()
	k, _ := kind("k", nil)
	to := start(t, sys, k)[0]
	sys.Actors().Root.Send(to, quit{})
	w.Settle()
	var err error
	ask.Begin(bg, sys.Actors(), to, ping{}, func(_ any, e error) { err = e })
	w.Settle()
	require.Equal(t, status.Unavailable, class(err))
	w.Advance(time.Second)
	got, err := ask.Ask[pong](bg, sys, to, ping{})
	require.NoError(t, err)
	require.Equal(t, 2, got.life)
	st := sys.Inspect(bg)[0]
	require.EqualValues(t, 1, st.Restarts)
	require.Equal(t, "stopped without being told to", st.LastError)
	require.NoError(t, sys.Drain(bg))
	empty(t, sys)
}

// Messages queued when an actor stops are answered, and so are those that come while it waits for
// its children.
func TestQueuedAtStopIsAnswered(t *testing.T) {
	w := sim.New(6)
	w.Report(t)
	sys := w.System()
	k, _ := kind("k", nil)
	to := start(t, sys, k)[0]
	w.Settle()
	answers := map[string]int{}
	for range 5 {
		ask.Begin(bg, sys.Actors(), to, ping{}, func(_ any, err error) { answers[fmt.Sprint(err)]++ })
	}
	sys.Retire(to)
	w.Settle()
	total := 0
	for text, n := range answers {
		require.Contains(t, []string{"<nil>", "ask k: it is stopped"}, text)
		total += n
	}
	require.Equal(t, 5, total)
	require.Empty(t, sys.Failed(), "a retired actor has not failed")
	require.NoError(t, sys.Drain(bg))
	empty(t, sys)
}

// The mailbox's limit is a fuse: over it the asker hears Unavailable at once, the loss is counted,
// and self-messages still arrive.
func TestMailboxFuse(t *testing.T) {
	w := sim.New(7)
	w.Report(t)
	reg := prometheus.NewRegistry()
	opt := w.Options()
	opt.Registerer = reg
	sys := system.New(opt)
	ticked := false
	k, _ := kind("k", func(_ *probe, c actor.Context) bool {
		switch c.Message().(type) {
		case *actor.Started:
			work.After(c, w.Clock(), 0, "tick")
		case string:
			ticked = true
		default:
			return false
		}
		return true
	})
	k.Mailbox = mailbox.Limit{Messages: 3}
	to := start(t, sys, k)[0]
	w.Settle()
	var full, ok int
	for range 5 {
		ask.Begin(bg, sys.Actors(), to, ping{}, func(_ any, err error) {
			if err == nil {
				ok++
			} else if class(err) == status.Unavailable && strings.Contains(err.Error(), "full at 3") {
				full++
			}
		})
	}
	require.Equal(t, 2, full)
	require.Equal(t, 3.0, metric(t, reg, "troupe_kernel_mailbox_depth", "k"))
	w.Advance(0)
	require.Equal(t, 3, ok)
	require.True(t, ticked)
	require.Equal(t, 2.0, metric(t, reg, "troupe_kernel_dead_letters_total", "k"))
	require.Equal(t, 0.0, metric(t, reg, "troupe_kernel_mailbox_depth", "k"))
}

func metric(t *testing.T, reg *prometheus.Registry, name, kind string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && m.GetLabel()[0].GetValue() == kind {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return -1
}

// A job's context ends with the incarnation that started it, its late result is dropped, and a
// panic in it comes back as Failed.
func TestJobsEndWithTheIncarnation(t *testing.T) {
	w := sim.New(8)
	w.Report(t)
	sys := w.System()
	var ctxs []context.Context
	var results []any
	k, _ := kind("k", func(p *probe, c actor.Context) bool {
		switch m := c.Message().(type) {
		case *actor.Started:
			w.Pool("io").Go(c, bg, func(ctx context.Context) any {
				ctxs = append(ctxs, ctx)
				if p.life == 2 {
					panic("in the job")
				}
				sys.Actors().Root.Send(c.Self(), boom{}) // fails the actor while its result is under way
				return fmt.Sprint("result of life ", p.life)
			}, work.NewFailed)
		case string, work.Failed:
			results = append(results, m)
		default:
			return false
		}
		return true
	})
	start(t, sys, k)
	w.Settle()
	w.Advance(time.Minute)
	require.Len(t, ctxs, 2)
	require.Error(t, ctxs[0].Err())
	for _, r := range results {
		require.NotEqual(t, "result of life 2", r)
	}
	failed := results[len(results)-1].(work.Failed)
	require.ErrorContains(t, failed.Err, "BUG: job panicked: in the job")
	require.Equal(t, status.Internal, class(failed.Err))
}

// An actor's question is answered as a message: the reply, an error, or a timeout by the kernel's
// clock. A restart of the asker ends its questions: the one asked sees it, and no answer reaches
// the next incarnation.
func TestSendFromActors(t *testing.T) {
	w := sim.New(9)
	w.Report(t)
	sys := w.System()
	var asked []context.Context
	silent, _ := kind("silent", func(_ *probe, c actor.Context) bool {
		if _, ok := c.Message().(ping); ok {
			asked = append(asked, ask.Context(c))
			return true
		}
		return false
	})
	var got []string
	asker, _ := kind("asker", func(p *probe, c actor.Context) bool {
		switch m := c.Message().(type) {
		case ask.Request:
			ask.Send(bg, c, sys, m, func(reply any, err error) any { return fmt.Sprint("life ", p.life, ": ", reply, " ", err) })
		case string:
			got = append(got, m)
		default:
			return false
		}
		return true
	})
	loud, _ := kind("loud", nil)
	refs := start(t, sys, silent, asker, loud)
	tell := func(m any) { sys.Actors().Root.Send(refs[1], m); w.Settle() }
	request := func(kind string) ask.Request {
		return ask.Request{Kind: kind, Message: ping{}, Timeout: 10 * time.Second}
	}
	tell(request("loud"))
	require.Equal(t, []string{"life 1: {1} <nil>"}, got)
	tell(request("silent"))
	at, ok := asked[0].Deadline()
	require.True(t, ok)
	require.Equal(t, 10*time.Second, at.Sub(w.Now()))
	w.Advance(10 * time.Second)
	require.Equal(t, "life 1: <nil> ask node/silent: no answer within 10s", got[1])
	require.Error(t, asked[0].Err())
	tell(request("silent"))
	require.NoError(t, asked[1].Err())
	tell(boom{})
	require.Error(t, asked[1].Err(), "the one asked sees that the asker has failed")
	w.Advance(time.Minute)
	require.Len(t, got, 2, "the answer to an older incarnation is dropped")
	require.NoError(t, sys.Drain(bg))
	empty(t, sys)
}

// A stopped timer's message is not handled, even when it lies in the mailbox already; nor is that
// of an older incarnation.
func TestTimers(t *testing.T) {
	w := sim.New(10)
	w.Report(t)
	sys := w.System()
	var got []string
	var timer clock.Timer
	k, _ := kind("k", func(p *probe, c actor.Context) bool {
		switch m := c.Message().(type) {
		case *actor.Started:
			work.After(c, w.Clock(), 20*time.Second, fmt.Sprint("late ", p.life))
			timer = work.After(c, w.Clock(), time.Second, "stopped")
		case string:
			got = append(got, m)
		case quit:
			require.True(t, timer.Stop())
			require.False(t, timer.Stop())
		default:
			return false
		}
		return true
	})
	to := start(t, sys, k)[0]
	w.Settle()
	sys.Actors().Root.Send(to, quit{})
	w.Advance(5 * time.Second)
	require.Empty(t, got)
	sys.Actors().Root.Send(to, boom{})
	w.Advance(time.Hour)
	require.Equal(t, []string{"stopped", "late 2"}, got)
}

// Children of an actor are supervised by their own policy: given up they end or fail their parent,
// and they end with it.
func TestChildren(t *testing.T) {
	for _, then := range []supervise.Then{supervise.Stop, supervise.Escalate} {
		w := sim.New(11)
		w.Report(t)
		sys := w.System()
		child, _ := kind("child", nil)
		child.Key, child.Policy.Restarts, child.Policy.Then = supervise.Dynamic, 1, then
		ended := 0
		parent, lives := kind("parent", func(_ *probe, c actor.Context) bool {
			switch m := c.Message().(type) {
			case *actor.Started:
				ref := sys.Spawn(c, child, "7")
				require.True(t, ref.Equal(sys.Spawn(c, child, "7")), "one of a kind and key")
			case *actor.Terminated:
				ended++
			default:
				_ = m
				return false
			}
			return true
		})
		start(t, sys, parent)
		w.Settle()
		tree := sys.Inspect(bg)
		require.Len(t, tree, 1)
		require.Equal(t, "child", tree[0].Children[0].Kind)
		to, err := sys.Find("child", "7")
		require.NoError(t, err)
		for range 2 {
			sys.Actors().Root.Send(to, boom{})
			w.Advance(5 * time.Second)
		}
		_, err = sys.Find("child", "7")
		require.Equal(t, 1, ended)
		if then == supervise.Stop {
			require.Error(t, err)
			require.EqualValues(t, 1, lives.Load())
		} else {
			require.NoError(t, err, "a new parent has a new child")
			require.EqualValues(t, 2, lives.Load())
			require.Equal(t, "child-7 gave up: boom", sys.Inspect(bg)[0].LastError)
		}
		require.Empty(t, sys.Failed())
		require.NoError(t, sys.Drain(bg))
		empty(t, sys)
	}
}

// Drain goes by the order given and then that of the table, waits for each kind, and stops in
// reverse; what does not drain is named and stopped.
func TestDrainOrder(t *testing.T) {
	w := sim.New(12)
	w.Report(t)
	sys := w.System()
	var log []string
	on := func(name string, wait time.Duration) supervise.Kind {
		k, _ := kind(name, func(_ *probe, c actor.Context) bool {
			switch m := c.Message().(type) {
			case supervise.Drain:
				log = append(log, "drain "+name)
				if wait >= 0 {
					work.After(c, w.Clock(), wait, c.Sender())
				}
			case ask.Ref:
				log = append(log, "drained "+name)
				c.Send(m, supervise.Drained{})
			case *actor.Stopping:
				log = append(log, "stop "+name)
			default:
				return false
			}
			return true
		})
		return k
	}
	start(t, sys, on("catalog", 0), on("builder", time.Second), on("door", time.Second), on("stuck", -1))
	ctx, cancel := w.Node("main").WithTimeout(bg, time.Minute)
	defer cancel()
	err := sys.Drain(ctx, "door")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, []string{"drain door", "drained door", "drain catalog", "drained catalog", "drain builder", "drained builder", "drain stuck",
		"stop stuck", "stop door", "stop builder", "stop catalog"}, log)
	require.Equal(t, time.Minute, w.Now().Sub(sim.Epoch))
	empty(t, sys)
}

// A panic while an actor ends does not keep it from ending.
func TestPanicWhileStopping(t *testing.T) {
	w := sim.New(13)
	w.Report(t)
	sys := w.System()
	k, _ := kind("k", func(_ *probe, c actor.Context) bool {
		switch c.Message().(type) {
		case *actor.Stopping, *actor.Stopped:
			panic("again")
		}
		return false
	})
	start(t, sys, k)
	require.NoError(t, sys.Drain(bg))
	empty(t, sys)
}

// A message that an actor does not know is logged and answered.
func TestUnhandled(t *testing.T) {
	w := sim.New(14)
	var out bytes.Buffer
	opt := w.Options()
	opt.Logger = slog.New(slog.NewTextHandler(&out, nil))
	sys := system.New(opt)
	k, _ := kind("k", nil)
	to := start(t, sys, k)[0]
	_, err := ask.Ask[pong](bg, sys, to, 42)
	require.EqualError(t, err, "message int is not handled here")
	require.Contains(t, out.String(), "node=main kind=k key=\"\" message=int")
	_, err = ask.Ask[int](bg, sys, to, ping{})
	require.EqualError(t, err, "unexpected reply system_test.pong")
}

// With goroutines: an ask is answered, its cancellation comes back at once and reaches the one
// asked, what waited for nobody is dropped, an actor that does not answer is shown as busy, and an
// ended system leaves nothing, not even a goroutine (the bubble waits for all of them).
func TestWithGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := system.New(system.Options{})
		pool := work.NewPool("io", 2, 1)
		asked := make(chan context.Context, 1)
		var handled atomic.Int64
		hold := make(chan struct{})
		k, _ := kind("k", func(_ *probe, c actor.Context) bool {
			switch m := c.Message().(type) {
			case string: // a question that is never answered
				handled.Add(1)
				asked <- ask.Context(c)
			case int: // blocks, as no actor should
				<-hold
			case func(context.Context) any:
				from := c.Sender()
				pool.Go(c, ask.Context(c), func(ctx context.Context) any { sys.Actors().Root.Send(from, m(ctx)); return nil }, work.NewFailed)
			case work.Failed:
				handled.Add(100)
			default:
				return false
			}
			return true
		})
		to := start(t, sys, k)[0]
		got, err := ask.Ask[pong](bg, sys, to, ping{})
		require.NoError(t, err)
		require.Equal(t, 1, got.life)

		ctx, cancel := context.WithCancel(bg)
		go func() { seen := <-asked; cancel(); <-seen.Done() }()
		_, err = ask.Ask[pong](ctx, sys, to, "silent")
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, status.Canceled, class(err))
		began := time.Now()
		short, cancel := context.WithTimeout(bg, time.Second)
		go func() { <-asked }()
		_, err = ask.Ask[pong](short, sys, to, "silent")
		cancel()
		require.Equal(t, status.Timeout, class(err))
		require.Equal(t, time.Second, time.Since(began))

		sys.Actors().Root.Send(to, 1)
		synctest.Wait()
		gone, cancel := context.WithCancel(bg)
		time.AfterFunc(time.Second, cancel)
		_, err = ask.Ask[pong](gone, sys, to, "never handled")
		require.Error(t, err)
		require.Equal(t, "busy", sys.Inspect(bg)[0].State)
		close(hold)
		synctest.Wait()
		require.EqualValues(t, 2, handled.Load())

		v, err := ask.Ask[string](bg, sys, to, func(context.Context) any { return "from the pool" })
		require.NoError(t, err)
		require.Equal(t, "from the pool", v)
		_, err = ask.Ask[pong](bg, sys, to, boom{})
		require.Equal(t, status.Unavailable, class(err))
		got, err = ask.Ask[pong](bg, sys, to, ping{})
		require.NoError(t, err)
		require.Equal(t, 2, got.life)
		require.NoError(t, sys.Drain(bg))
		pool.Close()
		empty(t, sys)
		_, err = ask.Ask[pong](bg, sys, to, ping{})
		require.Equal(t, status.Unavailable, class(err))
	})
}

// An actor that blocks for ever does not keep Drain from returning: it is named.
func TestDrainGivesUpOnABlockedActor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := system.New(system.Options{})
		hold := make(chan struct{})
		k, _ := kind("k", func(_ *probe, c actor.Context) bool {
			if _, ok := c.Message().(int); ok {
				<-hold
				return true
			}
			return false
		})
		to := start(t, sys, k)[0]
		sys.Actors().Root.Send(to, 1)
		ctx, cancel := context.WithTimeout(bg, time.Second)
		defer cancel()
		require.EqualError(t, sys.Drain(ctx), "stop k: it is still busy after 5s")
		close(hold)
		synctest.Wait()
		empty(t, sys)
	})
}

// Many askers, failures, restarts and cancellations at once: every question is answered exactly
// once.
func TestEveryQuestionIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := system.New(system.Options{})
		k, _ := kind("k", nil)
		k.Policy.Restarts, k.Mailbox.Messages = 1000, 8
		to := start(t, sys, k)[0]
		const askers, questions = 16, 50
		var answered atomic.Int64
		done := make(chan struct{})
		for a := range askers {
			go func() {
				defer func() { done <- struct{}{} }()
				for q := range questions {
					ctx, cancel := context.WithTimeout(bg, time.Duration(1+q)*time.Second)
					var msg any = ping{}
					if (a+q)%10 == 0 {
						msg = boom{}
					}
					_, _ = ask.Ask[pong](ctx, sys, to, msg)
					answered.Add(1)
					cancel()
				}
			}()
		}
		for range askers {
			<-done
		}
		require.EqualValues(t, askers*questions, answered.Load())
		require.NoError(t, sys.Drain(bg))
		empty(t, sys)
	})
}
