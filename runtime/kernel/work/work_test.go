package work_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

// A pool runs as many jobs at once as it has workers and lets as many wait as it may; more come
// back as Limited, panics as Internal, and after Close as Unavailable.
func TestPoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := system.New(system.Options{})
		pool := work.NewPool("io", 2, 3)
		hold := make(chan struct{})
		classes := map[status.Class]int{}
		done := 0
		var own []error
		k := supervise.Kind{Name: "k", New: func(string) actor.Actor {
			return actor.ReceiveFunc(func(c actor.Context) {
				switch m := c.Message().(type) {
				case int:
					for range m {
						pool.Go(c, context.Background(), func(context.Context) any { <-hold; return "done" }, work.NewFailed)
					}
				case string:
					done++
				case error:
					own = append(own, m)
				case context.Context:
					pool.Go(c, m, func(context.Context) any { panic("a job's bug") }, func(err error) any { return err })
					pool.Go(c, m, func(context.Context) any { panic("a job's bug") }, work.NewFailed)
				case work.Failed:
					classes[status.Of(m.Err).Class]++
				case supervise.Drain:
					c.Respond(supervise.Drained{})
				case func():
					m()
				}
			})
		}}
		require.NoError(t, sys.Start([]supervise.Kind{k}, func(supervise.Kind) []string { return []string{""} }))
		to, err := sys.Find("k", "")
		require.NoError(t, err)
		tell := func(m any) { sys.Actors().Root.Send(to, m); synctest.Wait() }
		tell(2)
		tell(5)
		require.Equal(t, 3, pool.Waiting())
		require.Equal(t, map[status.Class]int{status.Limited: 2}, classes)
		close(hold)
		synctest.Wait()
		require.Equal(t, 5, done)
		tell(t.Context())
		require.Len(t, own, 1, "a job that names its own message for failure gets that")
		require.ErrorContains(t, own[0], "a job's bug")
		require.Equal(t, 1, classes[status.Internal])
		pool.Close()
		tell(1)
		require.Equal(t, 1, classes[status.Unavailable])
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.NoError(t, sys.Drain(ctx))
		_, err = ask.Ask[int](ctx, sys, to, 1)
		require.Equal(t, status.Unavailable, status.Of(err).Class)
	})
}
