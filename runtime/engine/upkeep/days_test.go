package upkeep

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
)

const first = 20_000 // the first day of these tests, in 2024

// on is a time of a day, counted from the first one.
func on(day int64, after time.Duration) time.Time {
	return compact.EndOfDay(first + day - 1).Add(after)
}

// newCatalog makes a catalog of these blocks, which one cut publishes.
func newCatalog(t *testing.T, list ...*blocks.BlockMeta) *catalog.State {
	s := catalog.New()
	log := catalog.Log{Identity: "e", Partitions: []catalog.Partition{{Start: 0, End: 1 << 40}}}
	s, err := s.With(1, s.Reconcile(log, 0)...)
	require.NoError(t, err)
	cut := &blocks.PublishCut{Epoch: "e", From: 0, To: 1 << 30, Blocks: list}
	s, err = s.With(2, &blocks.Entry{CutPublished: cut})
	require.NoError(t, err)
	return s
}

// newBlock makes a block of 10 bytes a span that arrived at noon of a day.
func newBlock(id, tenant string, day int64, level int32, spans int64) *blocks.BlockMeta {
	at := on(day, 12*time.Hour).UnixNano()
	return &blocks.BlockMeta{Id: id, Tenant: tenant, Epoch: "e", Level: level, Spans: spans, Bytes: 10 * spans,
		MinArrivalUnixNano: at, MaxArrivalUnixNano: at, MinStartUnixNano: uint64(at), MaxEndUnixNano: uint64(at)}
}

// Each tenant's days go after its own retention, and the oldest ones as soon as they are over while
// all blocks together have too many bytes. What TakeDue takes is the oldest of it.
func TestPlanRetention(t *testing.T) {
	const day = 24 * time.Hour
	limits := map[string]Limits{"a": {Retention: 2 * day}, "b": {}, "c": {Retention: day, Kept: true}, "d": {Retention: 9 * day}}
	state := newCatalog(t, newBlock("a0", "a", 0, 0, 1), newBlock("a0'", "a", 0, 0, 1), newBlock("a1", "a", 1, 0, 1),
		newBlock("b0", "b", 0, 0, 1), newBlock("b3", "b", 3, 0, 1), newBlock("c0", "c", 0, 0, 1), newBlock("d1", "d", 1, 0, 1))
	for name, c := range map[string]struct {
		most int64
		now  time.Time
		days string // tenant, day, and how many days after the first one it goes
		due  string
	}{
		"by retention":               {0, on(3, time.Minute), "a0:3 b0:never c0:never a1:4 d1:11 b3:never", "a0"},
		"not before its end":         {0, on(3, 0), "a0:3 b0:never c0:never a1:4 d1:11 b3:never", ""},
		"the oldest first":           {0, on(11, time.Minute), "a0:3 b0:never c0:never a1:4 d1:11 b3:never", "a0"},
		"as many bytes as may be":    {70, on(1, time.Minute), "a0:3 b0:never c0:never a1:4 d1:11 b3:never", ""},
		"a byte more takes a day":    {69, on(1, time.Minute), "a0:1 b0:1 c0:never a1:4 d1:11 b3:never", "a0 b0"},
		"or two":                     {39, on(1, time.Minute), "a0:1 b0:1 c0:never a1:2 d1:2 b3:never", "a0 b0"},
		"never one that is not over": {5, on(3, time.Minute), "a0:3 b0:1 c0:never a1:2 d1:2 b3:4", "a0 b0"},
	} {
		days := PlanRetention(state.View(), Policy{LimitsOf: func(tenant string) Limits { return limits[tenant] }, MaxBytes: c.most}, c.now)
		text := func(days []Day, goes bool) (out string) {
			for i, d := range days {
				if i > 0 {
					out += " "
				}
				out += fmt.Sprint(d.Tenant, d.Day-first)
				if after := d.Goes.Sub(on(0, 0)); goes && d.Goes.IsZero() {
					out += ":never"
				} else if goes {
					out += fmt.Sprint(":", int64(after/day))
				}
			}
			return out
		}
		require.Equal(t, c.days, text(days, true), name)
		require.Equal(t, c.due, text(TakeDue(days, c.now), false), name)
	}
	require.Equal(t, "2024-10-04", NameDay(first))
	require.Equal(t, []string{"1 day", "14 days", "36h0m0s"}, []string{nameDays(day), nameDays(14 * day), nameDays(36 * time.Hour)})
	require.Empty(t, TakeDue(PlanRetention(state.View(), Policy{}, on(99, 0)), on(99, 0)), "without limits all is kept")
}
