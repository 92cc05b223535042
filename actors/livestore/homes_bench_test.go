package livestore

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// sendTwice has traces come whose two spans are gap apart in time and one after all first ones in
// the log; afterFirst is called in between.
func sendTwice(w *homesWorld, traces int, gap uint64, afterFirst func()) {
	r := rand.New(rand.NewPCG(1, 1))
	ids := make([][2]uint64, traces)
	for i := range ids {
		ids[i] = [2]uint64{r.Uint64(), r.Uint64()}
	}
	const each = 100 // spans of a record
	for part := range uint64(2) {
		for from := 0; from < traces; from += each {
			list := make([]*otlp.Span, each)
			for i := range list {
				id := otlp.TraceID(ids[from+i][0])
				id[0], id[1] = byte(ids[from+i][1]), byte(ids[from+i][1]>>8)
				start := 1e18 + uint64(from)*1000 + part*gap
				list[i] = &otlp.Span{Trace: id, ID: otlp.SpanID(ids[from+i][1] + part), Name: "x", Start: start, End: start + 1e6}
			}
			w.appendSpans(list...)
		}
		if part == 0 {
			afterFirst()
		}
	}
}

// processorTime is what the process has used so far. On a machine that others use, too, the time
// that passes says little.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkHomes asks which of 200,000 traces with two homes have another one, or which of them are
// repeating. The spans of a trace lie apart in time, or meet.
func BenchmarkHomes(b *testing.B) {
	const traces = 200_000
	for _, c := range []struct {
		name  string
		block bool // the first spans lie in a block
		gap   uint64
	}{
		{"live-live", false, 70e9},
		{"live-block/apart", true, 70e9},
		{"live-block/meeting", true, 0},
	} {
		for _, repeating := range []bool{false, true} {
			kind := map[bool]string{false: "all", true: "repeating"}[repeating]
			var w *homesWorld
			build := func() {
				w = newHomesWorld(b, DefaultConfig().SegmentSpans)
				sendTwice(w, traces, c.gap, func() {
					if c.block {
						w.cover(w.s.next)
						w.s.dropCovered(w.s.atEnd, true)
					}
				})
			}
			ask := func() {
				q := &jobs.HomesJob{Snapshot: jobs.Snapshot{Epoch: "e", Version: 1}, Tenant: "a", From: w.s.covered,
					Blocks: w.metas, Repeating: repeating}
				a := w.ask(q).(*jobs.HomesResult)
				require.GreaterOrEqual(b, len(a.Shared), map[bool]int{false: traces, true: 0}[repeating])
			}
			b.Run(c.name+"/"+kind+"/first", func(b *testing.B) {
				b.ReportAllocs()
				used := time.Duration(0)
				for b.Loop() {
					b.StopTimer()
					build()
					before := processorTime(b)
					b.StartTimer()
					ask()
					used += processorTime(b) - before
				}
				b.ReportMetric(float64(w.s.tenants["a"].homes.bytes())/traces, "B/trace")
				b.ReportMetric(used.Seconds()*1e3/float64(b.N), "cpu-ms/op")
			})
			if w == nil {
				build()
			}
			ask()
			b.Run(c.name+"/"+kind+"/again", func(b *testing.B) {
				for b.Loop() {
					ask()
				}
			})
			b.Run(c.name+"/"+kind+"/after-more", func(b *testing.B) {
				before := processorTime(b)
				for b.Loop() {
					w.appendSpans(&otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(uint64(w.s.next)), Start: 1e18, End: 1e18})
					ask()
				}
				b.ReportMetric((processorTime(b)-before).Seconds()*1e3/float64(b.N), "cpu-ms/op")
			})
		}
	}
}
