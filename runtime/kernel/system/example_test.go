package system_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

// deps is what a baker reaches.
type deps struct {
	Directory ask.Directory
	Oven      work.Pool
	Clock     clock.Clock
}

// bakerKind declares the baker.
func bakerKind(d deps) supervise.Kind {
	return supervise.Kind{
		Name: "baker", Key: supervise.PerNode,
		New:     func(string) actor.Actor { return &baker{deps: d} }, // called again on every restart
		Mailbox: mailbox.Limit{Messages: 64},
		Policy: supervise.Policy{Backoff: supervise.Exponential(time.Second, time.Minute),
			Restarts: 5, Within: 10 * time.Minute, Then: supervise.Escalate},
		Loses: "the loaf in the oven; whoever wants it asks again",
	}
}

// Messages between actors.
type (
	bake      struct{ Loaves int } // to a baker; answers bread
	bread     struct{ Loaves int }
	grind     struct{ Sacks int } // to a miller; answers flour
	flour     struct{ Sacks int }
	wrongdoer struct{}
)

// Self-messages: the ends of what a baker has started.
type (
	ground struct {
		loaves int
		err    error
	}
	baked  struct{ loaves int }
	cooled struct{ loaves int }
)

// baker is an actor: it owns one order at a time.
type baker struct {
	deps     deps
	customer ask.Ref // nil when there is no order
	drainer  ask.Ref // nil until Drain
}

// Receive handles one message and never waits.
func (a *baker) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
	// jobs, timers and questions of this incarnation end by themselves
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
	case bake:
		if a.customer != nil || a.drainer != nil {
			c.Respond(status.Limitedf(time.Second, "bake: the oven is in use"))
			return
		}
		a.customer = c.Sender()
		r := ask.Request{Kind: "miller", Message: grind{Sacks: m.Loaves}, Timeout: 10 * time.Second}
		ask.Send(context.Background(), c, a.deps.Directory, r, func(f flour, err error) any {
			return ground{loaves: f.Sacks, err: err}
		})
	case ground:
		if m.err != nil {
			a.finish(c, status.Of(m.err))
			return
		}
		a.deps.Oven.Go(c, ask.Context(c), func(context.Context) any { return baked{m.loaves} },
			work.NewFailed)
	case baked:
		work.After(c, a.deps.Clock, time.Minute, cooled(m))
	case cooled:
		a.finish(c, bread{m.loaves})
	case work.Failed:
		panic(supervise.Fail(fmt.Errorf("bake: %w", m.Err))) // the supervisor decides
	case wrongdoer:
		panic(supervise.Fail(errors.New("the oven is on fire")))
	case supervise.Drain:
		a.drainer = c.Sender()
		a.drained(c)
	case system.Inspect:
		st := &system.ActorStatus{State: "idle"}
		if a.customer != nil {
			st.State = "baking"
		}
		c.Respond(st)
	default:
		system.Unhandled(c) // counted and logged, never silent
	}
}

func (a *baker) finish(c actor.Context, reply any) {
	c.Send(a.customer, reply)
	a.customer = nil
	a.drained(c)
}

func (a *baker) drained(c actor.Context) {
	if a.drainer != nil && a.customer == nil {
		c.Send(a.drainer, supervise.Drained{})
	}
}

func Example() {
	world := sim.New(1)
	sys := world.System()
	miller := supervise.Kind{Name: "miller", New: func(string) actor.Actor {
		return actor.ReceiveFunc(func(c actor.Context) {
			switch m := c.Message().(type) {
			case grind:
				c.Respond(flour(m))
			case supervise.Drain:
				c.Respond(supervise.Drained{})
			default:
				system.Unhandled(c)
			}
		})
	}}
	one := func(supervise.Kind) []string { return []string{""} }
	err := sys.Start([]supervise.Kind{miller, bakerKind(deps{Directory: sys, Oven: world.Pool("oven"), Clock: world.Clock()})}, one)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	to, _ := sys.Find("baker", "")
	got, err := ask.Ask[bread](ctx, sys, to, bake{Loaves: 3})
	fmt.Println(got, err, world.Now().Sub(sim.Epoch))
	_, err = ask.Ask[bread](ctx, sys, to, wrongdoer{})
	fmt.Println(err)
	world.Advance(time.Minute)
	for _, st := range sys.Inspect(ctx) {
		fmt.Printf("%s %s, restarts: %d, last error: %q\n", st.Kind, st.State, st.Restarts, st.LastError)
	}
	fmt.Println(sys.Drain(ctx, "baker"))
	// Output:
	// {3} <nil> 1m0s
	// ask baker: it failed: the oven is on fire
	// miller busy, restarts: 0, last error: ""
	// baker idle, restarts: 1, last error: "the oven is on fire"
	// <nil>
}
