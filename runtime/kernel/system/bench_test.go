package system_test

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

// BenchmarkAsk asks an actor from outside, one question after the other.
func BenchmarkAsk(b *testing.B) {
	sys := system.New(system.Options{})
	k, _ := kind("k", nil)
	require.NoError(b, sys.Start([]supervise.Kind{k}, one))
	to, err := sys.Find("k", "")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ask.Ask[pong](bg, sys, to, ping{}); err != nil {
			b.Fatal(err)
		}
	}
	require.NoError(b, sys.Drain(bg))
}

// BenchmarkTick has an actor handle a message that it sent to itself with a timer of no time.
func BenchmarkTick(b *testing.B) {
	sys := system.New(system.Options{})
	done := make(chan struct{})
	k, _ := kind("k", func(_ *probe, c actor.Context) bool {
		n, ok := c.Message().(int)
		switch {
		case !ok:
			return false
		case n == 0:
			close(done)
		default:
			work.After(c, clock.Real(), time.Duration(0), n-1)
		}
		return true
	})
	require.NoError(b, sys.Start([]supervise.Kind{k}, one))
	to, err := sys.Find("k", "")
	require.NoError(b, err)
	b.ReportAllocs()
	b.ResetTimer()
	sys.Actors().Root.Send(to, b.N)
	<-done
	b.StopTimer()
	require.NoError(b, sys.Drain(bg))
}
