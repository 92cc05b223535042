package compact

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// week is a simulation of seven days of cuts and merges of one tenant. A worker merges half a
// million spans a second.
type week struct {
	limits  Limits
	now     time.Time
	live    []*blocks.BlockMeta // of days that may have merges left
	closed  []*blocks.BlockMeta // of others
	writes  map[string]int      // by block: how often its spans were written
	next    int64               // offset of the next cut, and the number of the next block
	mostNow int                 // blocks at once
}

const (
	tick            = 5 * time.Minute
	partitions      = 4
	spansOfACut     = 150_000 // 64 MiB of log
	mergedPerSecond = 500_000
)

// cut publishes what came in one tick at a rate in spans a second.
func (w *week) cut(rate float64) {
	for p := range int32(partitions) {
		spans := int64(rate * tick.Seconds() / partitions)
		cuts := max(spans/spansOfACut, int64(tick/time.Minute))
		for i := range cuts {
			m := newBlock(strconv.FormatInt(w.next, 10), 0, spans/cuts, w.next, w.now.Add(-tick+tick*time.Duration(i)/time.Duration(cuts)))
			m.Partition = p
			w.live, w.writes[m.GetId()] = append(w.live, m), 1
			w.next += 10
		}
	}
}

// merge does what is due, as far as the worker gets in one tick.
func (w *week) merge() {
	budget := int64(mergedPerSecond * tick.Seconds())
	for budget > 0 {
		due := Plan(w.live, none, w.limits, w.now)
		if len(due) == 0 {
			return
		}
		for _, j := range due {
			if budget -= spansOf(j.Inputs); budget < 0 {
				return
			}
			w.replace(j)
		}
	}
}

func (w *week) replace(j Job) {
	first, last := j.Inputs[0], j.Inputs[len(j.Inputs)-1]
	out := newBlock(strconv.FormatInt(w.next, 10), j.Level(), spansOf(j.Inputs), first.GetFrom(), time.Unix(0, last.GetMaxArrivalUnixNano()))
	out.Partition = first.GetPartition()
	w.next++
	gone := map[string]bool{}
	for _, m := range j.Inputs {
		gone[m.GetId()] = true
		w.writes[out.GetId()] = max(w.writes[out.GetId()], w.writes[m.GetId()]+1)
	}
	w.live = append(slices.DeleteFunc(w.live, func(m *blocks.BlockMeta) bool { return gone[m.GetId()] }), out)
}

// closeDays sets aside the blocks of the days before the one before, of which nothing is due.
func (w *week) closeDays(t *testing.T) {
	var rest []*blocks.BlockMeta
	for _, m := range w.live {
		if w.now.Sub(EndOfDay(DayOf(m))) < 2*time.Hour {
			rest = append(rest, m)
		} else {
			w.closed = append(w.closed, m)
		}
	}
	due := Plan(w.live, none, w.limits, w.now)
	for _, j := range due {
		require.Less(t, w.now.Sub(EndOfDay(DayOf(j.Inputs[0]))), 2*time.Hour, "a day is closed two hours after its end")
	}
	w.live = rest
}

// Over a week at any rate no span is written more than four times, every day is closed two hours
// after its end, and the number of blocks is in proportion to the spans.
func TestWeek(t *testing.T) {
	for _, rate := range []float64{0.1, 50, 1000, 10_000, 30_000} {
		t.Run(fmt.Sprintf("%g spans a second", rate), func(t *testing.T) {
			w := &week{limits: Limits{MaxSpans: 4 << 20}, now: EndOfDay(day), writes: map[string]int{}}
			for range 7 * 24 * time.Hour / tick {
				w.now = w.now.Add(tick)
				w.cut(rate)
				w.merge()
				w.closeDays(t)
				w.mostNow = max(w.mostNow, len(w.live))
			}
			most := 0
			for _, m := range append(w.closed, w.live...) {
				most = max(most, w.writes[m.GetId()])
			}
			require.LessOrEqual(t, most, 4)
			perDay := float64(len(w.closed)) / 6
			full := rate * 86400 / float64(w.limits.MaxSpans)
			t.Logf("%.0f blocks a day, of %.1f that were full; at most %d of days that are open; a span is written %d times at most",
				perDay, full, w.mostNow, most)
			require.LessOrEqual(t, perDay, 2*full+2*partitions, "blocks of a day that is over")
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	var list []*blocks.BlockMeta
	for i := range int64(20_000) {
		list = append(list, newBlock(strconv.FormatInt(i, 10), int32(i%4), 1000+i%5000, i*10, at(-time.Duration(i)*time.Minute)))
	}
	b.ReportAllocs()
	for b.Loop() {
		Plan(list, none, Limits{MaxSpans: 4 << 20}, at(12*time.Hour))
	}
}
