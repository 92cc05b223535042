package backendscheduler

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
)

// manyBlocks makes a scheduler with blocks of 20 tenants and 14 days, all of them merged once.
func manyBlocks(tb testing.TB, n int) (*state, time.Time) {
	now := compact.EndOfDay(20_000)
	var list []*blocks.BlockMeta
	for i := range n {
		at := now.Add(-time.Duration(i%14)*24*time.Hour - time.Hour).UnixNano()
		list = append(list, &blocks.BlockMeta{Id: fmt.Sprintf("%036d", i), Tenant: fmt.Sprint("tenant", i%20), Epoch: "e", Level: 1,
			From: int64(i), To: int64(i + 1), Spans: 100_000, Bytes: 4 << 20, MinArrivalUnixNano: at, MaxArrivalUnixNano: at})
	}
	c := catalog.New()
	c, err := c.With(1, c.Reconcile(catalog.Log{Identity: "e", Partitions: []catalog.Partition{{End: 1 << 40}}}, 0)...)
	require.NoError(tb, err)
	c, err = c.With(2, &blocks.Entry{CutPublished: &blocks.PublishCut{Epoch: "e", To: int64(n), Blocks: list}})
	require.NoError(tb, err)
	s := &state{cfg: DefaultConfig(), keeping: newKeeping(), phase: ready, ledger: newLedger(1000, c, 2)}
	s.cfg.LimitsOf = func(string) upkeep.Limits { return upkeep.Limits{Retention: 30 * 24 * time.Hour} }
	return s, now
}

// Within a second the status is not made again, whoever asks how often.
func TestStatusIsKeptForASecond(t *testing.T) {
	s, now := manyBlocks(t, 100)
	first := s.describeStatus(now)
	require.Same(t, first, s.describeStatus(now.Add(statusEvery-1)))
	require.NotSame(t, first, s.describeStatus(now.Add(statusEvery)))
	require.NotSame(t, first, s.describeStatus(now.Add(-time.Hour)), "the clock has gone back")
}

// What is noted for the status does not grow.
func TestStatusIsBounded(t *testing.T) {
	sh := newKeeping().shown
	now := time.Unix(0, 0)
	for i := range 100 {
		sh.noteFailure(upkeep.Failure{Reason: fmt.Sprint(i)})
		sh.noteWorker(now.Add(time.Duration(i)*time.Minute), fmt.Sprint(i), 0)
	}
	require.Len(t, sh.failures, mostFailures)
	require.Equal(t, "99", sh.failures[mostFailures-1].Reason)
	sh.forgetWorkers(now.Add(100 * time.Minute))
	require.Len(t, sh.workers, 60)
}

// A status of 20,000 blocks, where the catalog has not changed, and where merges are planned too.
func BenchmarkStatus(b *testing.B) {
	for _, planned := range []bool{true, false} {
		b.Run(fmt.Sprintf("planned=%v", planned), func(b *testing.B) {
			s, now := manyBlocks(b, 20_000)
			for b.Loop() {
				now = now.Add(statusEvery)
				if !planned {
					s.keeping.merges.plan = plan{}
				}
				s.describeStatus(now)
			}
		})
	}
}
