package queryfrontend

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/test/kit/layout"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/random"
)

// homesOf deals whole traces to n blocks, of which each is one table.
func homesOf(t *testing.T, r *rand.Rand, n int) (metas []*blocks.BlockMeta, tables map[string]column.Table) {
	deal := make([][]*otlp.Span, n)
	for _, s := range random.Spans(r) {
		k := int(s.Trace[15]) % n
		deal[k] = append(deal[k], s)
	}
	tables = map[string]column.Table{}
	for i, spans := range deal {
		if len(spans) == 0 {
			continue
		}
		m := &blocks.BlockMeta{Id: fmt.Sprintf("block %d", i), Tenant: "t", Partition: -1, MinStartUnixNano: math.MaxUint64}
		for _, s := range spans {
			m.MinStartUnixNano, m.MaxEndUnixNano = min(m.MinStartUnixNano, s.Start), max(m.MaxEndUnixNano, s.Start, s.End)
		}
		seg := live.New(live.Limits{})
		_, err := seg.Append(0, 0, otlp.Encode(spans...))
		require.NoError(t, err)
		seg.Seal()
		metas, tables[m.Id] = append(metas, m), seg.Snapshot(0, 1)
	}
	return metas, tables
}

// Of the same question, asked again and again over blocks, the answer is that of the scans merged
// one by one, whatever of it is known, in whatever order they end, and also before all have ended.
// A scan that has failed spoils nothing that is kept.
func TestFoldsChangeNoAnswer(t *testing.T) {
	recalled := 0
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		metas, tables := homesOf(t, r, 12)
		s := catalog.New()
		require.NoError(t, s.Apply(&blocks.Commit{Seq: 1, Entries: []*blocks.Entry{{Epoch: &blocks.Epoch{Id: "e"}},
			{BlocksReplaced: &blocks.BlocksReplaced{Tenant: "t", Outputs: metas}}}}))
		kept := map[string]*jobs.ScanResult{}
		q := random.Counting(r)
		var req *eval.MetricsRequest
		for round := range 8 {
			if round%4 == 0 {
				req = &eval.MetricsRequest{Query: q, Step: 1 << uint(55+r.IntN(3)), Exemplars: 5}
				req.Start, req.End = series.AlignRange(r.Int64N(1<<60), 1<<61, req.Step)
			}
			query := &jobs.Query{Tenant: "t", Scan: jobs.Scan{Metrics: req}, Range: jobs.Range{Start: uint64(max(req.Start, 0)), End: uint64(req.End) + 1}}
			query.WantsProgress = true
			cfg := DefaultConfig().ForMachine(2)
			cfg.ProgressStep = 0
			c := newCourse(cfg, query, nil)
			fails, ends := r.IntN(4) == 0, r.IntN(4) == 0
			want := eval.NewMetricsPartial(req)
			answer := func(j job) jobEnded {
				switch task := j.task.(type) {
				case viewTask:
					return jobEnded{job: j, reply: s.View()}
				case recallTask:
					if known := kept[task.name]; known != nil {
						recalled++
						for _, s := range task.fold.Scans {
							want.Merge(scanOf(t, tables, s.Block).Partial.Metrics)
						}
						return jobEnded{job: j, reply: known}
					}
					return jobEnded{job: j, reply: notKnown{}}
				case blockScanTask:
					if fails && r.IntN(4) == 0 {
						return jobEnded{job: j, err: status.Errorf(status.Corrupt, "the page is damaged")}
					}
					found := scanOf(t, tables, task.Block)
					want.Merge(found.Partial.Metrics)
					return jobEnded{job: j, reply: found}
				}
				t.Fatalf("unexpected job %T", j.task)
				return jobEnded{}
			}
			compare := func(got *jobs.Answer) {
				a, err := want.Result(req)
				require.NoError(t, err)
				if got.Partial.Metrics == nil {
					got.Partial.Metrics = &eval.MetricsPartial{}
				}
				b, err := got.Partial.Metrics.Result(req)
				require.NoError(t, err)
				require.Equal(t, layout.Metrics(a), layout.Metrics(b), "seed %d: %s", seed, q)
				require.Equal(t, a, b, "seed %d: %s", seed, q)
			}
			list := c.beginUntil(time.Unix(1, 0)).jobs
			var got *jobs.Answer
			take := func(s step) {
				if s.fail != nil { // every scan has
					require.Zero(t, c.foundOut)
					got = &jobs.Answer{}
					return
				}
				for _, k := range s.keep {
					kept[k.name] = k.result
				}
				list, got = append(list, s.jobs...), s.answer
				if s.progress != nil {
					compare(s.progress)
				}
			}
			for got == nil {
				if len(list) == 0 {
					take(c.onSlots(1 + r.IntN(4)))
					continue
				}
				if ends && c.foundOut > 0 && r.IntN(8) == 0 {
					take(c.onTimeOver())
					break
				}
				k := r.IntN(len(list))
				j := list[k]
				list = append(list[:k:k], list[k+1:]...)
				take(c.onJobEnded(time.Unix(0, 0), answer(j)))
			}
			compare(got)
		}
	}
	require.Greater(t, recalled, 20)
}

func scanOf(t *testing.T, tables map[string]column.Table, j *jobs.BlockScanJob) *jobs.ScanResult {
	found, err := jobs.RunScan(context.Background(), []column.Table{tables[j.Block.Id]}, j.Scan.ClippedTo(j.Block), nil)
	require.NoError(t, err)
	return found
}
