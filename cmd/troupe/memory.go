package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// keepMemory sets the pace of the garbage collector by the configured size. Below half of the size
// the collector does not run, because collecting a small heap again and again takes longer than
// most queries. From there up to the size the heap may grow to twice the live data, as in Go by
// default. Beyond the size the collector works harder, unless the live data alone come near it:
// then the size gives way, so that collection always ends. An idle heap stays small, because Go
// collects it every two minutes.
//
// GOMEMLIMIT and GOGC in the environment take its place.
func keepMemory(ctx context.Context, size int64) {
	if size == 0 || os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	limit, percent := int64(0), 0
	adjust := func() {
		metrics.Read(sample)
		live := int64(sample[0].Value.Uint64())
		if want := limitFor(size, live); want != limit {
			limit = want
			debug.SetMemoryLimit(limit)
		}
		if want := percentFor(size, live); want != percent {
			percent = want
			debug.SetGCPercent(percent)
		}
	}
	adjust()
	every(ctx, time.Second, adjust)
}

// limitFor is the limit for a size that is aimed at and the bytes that are live: at least half of
// what is live is free to be used between two collections. It moves in steps, to be set seldom.
func limitFor(size, live int64) int64 {
	const step = 32 << 20
	return max(size, (live+live/2+step-1)/step*step)
}

// percentFor is how much of what is live may come on top of it before a collection, for half of the
// size in sum. It moves in steps, to be set seldom.
func percentFor(size, live int64) int {
	const step = 8 << 20
	live = max(1, (live+step-1)/step) * step
	return int(max(100, 100*(size/2-live)/live))
}
