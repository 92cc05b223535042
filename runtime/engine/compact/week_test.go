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

// week is a simulation of seven days of cuts and merges. A worker merges half a million spans a
// second, those of the tenant that has the most bytes to merge first.
type week struct {
	limits  Limits
	now     time.Time
	tenants []*tenantWeek
	next    int64 // offset of the next cut, and the number of the next block
}

// tenantWeek is what a week has of one tenant.
type tenantWeek struct {
	live    []*blocks.BlockMeta // of days that may have merges left
	closed  []*blocks.BlockMeta // of others
	writes  map[string]int      // by block: how often its spans were written
	mostNow int                 // live blocks at once
}

const (
	tick            = 5 * time.Minute
	partitions      = 4
	spansOfACut     = 150_000 // 64 MiB of log
	mergedPerSecond = 500_000
)

// cut publishes what came of a tenant in one tick at a rate in spans a second.
func (w *week) cut(t *tenantWeek, rate float64) {
	for p := range int32(partitions) {
		spans := int64(rate * tick.Seconds() / partitions)
		cuts := max(spans/spansOfACut, int64(tick/time.Minute))
		for i := range cuts {
			arrived := w.now.Add(-tick + tick*time.Duration(i)/time.Duration(cuts))
			m := newBlock(strconv.FormatInt(w.next, 10), 0, spans/cuts, w.next, arrived)
			m.Partition = p
			t.live, t.writes[m.GetId()] = append(t.live, m), 1
			w.next += 10
		}
	}
	t.mostNow = max(t.mostNow, len(t.live))
}

// merge does what is due, as far as the worker gets in one tick.
func (w *week) merge() {
	budget := int64(mergedPerSecond * tick.Seconds())
	due := make([][]Job, len(w.tenants))
	for i, t := range w.tenants {
		due[i] = Plan(t.live, none, w.limits, w.now)
	}
	for {
		most := 0
		for i := range due {
			if debtOf(due[i]) > debtOf(due[most]) {
				most = i
			}
		}
		if len(due[most]) == 0 {
			return
		}
		for _, j := range due[most] {
			if budget -= spansOf(j.Inputs); budget < 0 {
				return
			}
			w.replace(w.tenants[most], j)
		}
		due[most] = Plan(w.tenants[most].live, none, w.limits, w.now)
	}
}

func debtOf(due []Job) (bytes int64) {
	for _, j := range due {
		bytes += j.Bytes()
	}
	return bytes
}

func (w *week) replace(t *tenantWeek, j Job) {
	first, last := j.Inputs[0], j.Inputs[len(j.Inputs)-1]
	arrived := time.Unix(0, last.GetMaxArrivalUnixNano())
	out := newBlock(strconv.FormatInt(w.next, 10), j.Level(), spansOf(j.Inputs), first.GetFrom(), arrived)
	out.Partition = first.GetPartition()
	w.next++
	gone := map[string]bool{}
	for _, m := range j.Inputs {
		gone[m.GetId()] = true
		t.writes[out.GetId()] = max(t.writes[out.GetId()], t.writes[m.GetId()]+1)
	}
	t.live = append(slices.DeleteFunc(t.live, func(m *blocks.BlockMeta) bool { return gone[m.GetId()] }), out)
}

// closeDays sets aside the blocks of days that ended two hours ago. Nothing of them may be due.
func (w *week) closeDays(t *testing.T, of *tenantWeek) {
	isOver := func(m *blocks.BlockMeta) bool { return w.now.Sub(EndOfDay(DayOf(m))) >= 2*time.Hour }
	if !slices.ContainsFunc(of.live, isOver) {
		return
	}
	for _, j := range Plan(of.live, none, w.limits, w.now) {
		require.False(t, isOver(j.Inputs[0]), "a day is closed two hours after its end")
	}
	for _, m := range of.live {
		if isOver(m) {
			of.closed = append(of.closed, m)
		}
	}
	of.live = slices.DeleteFunc(of.live, isOver)
}

// Over a week, at any rate and with many tenants or one, no span is written more than four times,
// every day is closed two hours after its end, and the number of blocks is in proportion to the
// spans: of a day that is over, at most two for each that is full and two for each partition; of
// days that are open, what waits for neighbours and what was merged twice besides.
func TestWeek(t *testing.T) {
	for _, c := range []struct {
		tenants int
		rate    float64 // spans a second of each
	}{{4, 0.1}, {3, 50}, {3, 1000}, {2, 10_000}, {1, 30_000}} {
		t.Run(fmt.Sprintf("%d tenants of %g spans a second", c.tenants, c.rate), func(t *testing.T) {
			w := &week{limits: Limits{MaxSpans: 4 << 20}, now: EndOfDay(day)}
			for range c.tenants {
				w.tenants = append(w.tenants, &tenantWeek{writes: map[string]int{}})
			}
			for range 7 * 24 * time.Hour / tick {
				w.now = w.now.Add(tick)
				for _, of := range w.tenants {
					w.cut(of, c.rate)
				}
				w.merge()
				for _, of := range w.tenants {
					w.closeDays(t, of)
				}
			}
			most, perDay, mostNow := 0, 0.0, 0
			for _, of := range w.tenants {
				for _, m := range append(of.closed, of.live...) {
					most = max(most, of.writes[m.GetId()])
				}
				perDay = max(perDay, float64(len(of.closed))/6)
				mostNow = max(mostNow, of.mostNow)
			}
			full := c.rate * 86400 / float64(w.limits.MaxSpans)
			cuts := float64(partitions * 24 * 60)
			open := max(cuts/16, 1.5*full) + partitions*(8+8)
			t.Logf("of a tenant %.0f blocks a day at most, of %.1f that were full; at most %d of days that are open; "+
				"a span is written %d times at most", perDay, full, mostNow, most)
			require.LessOrEqual(t, most, 4)
			require.LessOrEqual(t, perDay, 2*full+2*partitions, "blocks of a day that is over")
			require.LessOrEqual(t, float64(mostNow), open, "blocks of days that are open")
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
