package system_test

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

// add asks the counter to add; it answers the sum as an int.
type add struct{ amount int }

// counter is an actor. Its fields need no lock, because it handles one message at a time.
type counter struct{ sum int }

func (a *counter) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting:
	case add:
		if m.amount < 0 {
			panic(supervise.Fail(fmt.Errorf("add %d: a counter only grows", m.amount)))
		}
		a.sum += m.amount
		c.Respond(a.sum)
	case supervise.Drain:
		c.Respond(supervise.Drained{})
	default:
		system.Unhandled(c)
	}
}

// A kind is declared as data, started by a system, and asked by its name. An actor that fails is
// started again at its old address, with a new state.
func ExampleSystem() {
	kind := supervise.Kind{
		Name:    "counter",
		Key:     supervise.PerNode,
		New:     func(string) actor.Actor { return &counter{} }, // called again for every restart
		Mailbox: mailbox.Limit{Messages: 64},
		Policy:  supervise.Policy{Backoff: supervise.Exponential(time.Millisecond, time.Second), Restarts: 5, Within: time.Minute},
		Loses:   "the sum",
	}
	sys := system.New(system.Options{})
	oneEach := func(supervise.Kind) []string { return []string{""} }
	if err := sys.Start([]supervise.Kind{kind}, oneEach); err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	to, _ := sys.Find("counter", "")
	for _, amount := range []int{2, 3, -1, 4} {
		sum, err := ask.Ask[int](ctx, sys, to, add{amount})
		fmt.Println(sum, err)
	}
	fmt.Println(sys.Drain(ctx))
	// Output:
	// 2 <nil>
	// 5 <nil>
	// 0 ask counter: it failed: add -1: a counter only grows
	// 4 <nil>
	// <nil>
}
