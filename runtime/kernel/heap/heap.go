// Package heap paces the garbage collector by the size that the process should have.
package heap

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// period is how often the pace is adapted to the live data.
const period = time.Second

// programBytes is the memory of the process that the collector does not count: pages of the program
// itself.
const programBytes = 24 << 20

// Pace keeps the process near a size in bytes until ctx ends, by setting how soon the garbage
// collector runs:
//
//   - Below half of the size it does not run. Collecting a small heap again and again takes longer
//     than most queries.
//   - Up to the size the heap may grow to twice the live data, as in Go by default.
//   - Beyond the size the collector works harder. If the live data alone come near the size, the
//     size gives way, so that collection always ends.
//
// An idle heap stays small, because Go collects it every two minutes. Pace does nothing if size is
// 0, or if GOMEMLIMIT or GOGC is set in the environment: then the operator has set the pace.
func Pace(ctx context.Context, size int64) {
	if size == 0 || os.Getenv("GOMEMLIMIT") != "" || os.Getenv("GOGC") != "" {
		return
	}
	p := pacer{size: size - programBytes, sample: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	p.adaptPace()
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.adaptPace()
		}
	}
}

// pacer remembers what is set, so that only changes are set again.
type pacer struct {
	size    int64
	sample  []metrics.Sample
	limit   int64
	percent int
}

func (p *pacer) adaptPace() {
	metrics.Read(p.sample)
	live := int64(p.sample[0].Value.Uint64())
	if want := limitFor(p.size, live); want != p.limit {
		p.limit = want
		debug.SetMemoryLimit(want)
	}
	if want := percentFor(p.size, live); want != p.percent {
		p.percent = want
		debug.SetGCPercent(want)
	}
}

// limitFor returns the memory limit in bytes for a wanted size and the live bytes. It leaves at
// least half of the live bytes free for use between two collections, and moves in large steps so
// that it is set seldom.
func limitFor(size, live int64) int64 {
	const step = 32 << 20
	return max(size, (live+live/2+step-1)/step*step)
}

// percentFor returns how much may be allocated on top of the live bytes before a collection, in
// percent of them: up to half of the size in sum, and at least as much again. It moves in steps so
// that it is set seldom.
func percentFor(size, live int64) int {
	const step = 8 << 20
	live = max(1, (live+step-1)/step) * step
	return int(max(100, 100*(size/2-live)/live))
}
