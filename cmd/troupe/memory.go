package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// keepMemory lets the heap grow as Go does by default, to twice what is live, but not past the configured size: there the garbage collector
// works more often instead. Where the live data alone come near it, the size gives way, so that the collector never runs without end.
// GOMEMLIMIT and GOGC in the environment take its place.
func keepMemory(ctx context.Context, size int64) {
	if size == 0 || os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	debug.SetMemoryLimit(size)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for now := size; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		metrics.Read(live)
		if want := limitFor(size, int64(live[0].Value.Uint64())); want != now {
			now = want
			debug.SetMemoryLimit(now)
		}
	}
}

// limitFor is the limit for a size that is aimed at and the bytes that are live: at least half of what is live is free to be used between two
// collections. It moves in steps, to be set seldom.
func limitFor(size, live int64) int64 {
	const step = 32 << 20
	return max(size, (live+live/2+step-1)/step*step)
}
