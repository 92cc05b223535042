package jobs_test

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/layout"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/random"
)

// home is a table with the times of its spans.
type home struct {
	table  column.Table
	meta   *blocks.BlockMeta
	lo, hi uint64
}

// homes deals whole traces to tables.
func homes(t *testing.T, r *rand.Rand, n int) (out []home) {
	t.Helper()
	deal := make([][]*otlp.Span, n)
	to := map[trace.ID]int{}
	for _, s := range random.Spans(r) {
		if _, ok := to[s.Trace]; !ok {
			to[s.Trace] = r.IntN(n)
		}
		deal[to[s.Trace]] = append(deal[to[s.Trace]], s)
	}
	for _, spans := range deal {
		if len(spans) == 0 {
			continue
		}
		h := home{lo: math.MaxUint64}
		for _, s := range spans {
			h.lo, h.hi = min(h.lo, s.Start), max(h.hi, s.Start, s.End)
		}
		seg := live.New(live.Limits{})
		_, err := seg.Append(0, 0, otlp.Encode(spans...))
		require.NoError(t, err)
		seg.Seal()
		h.table = seg.Snapshot(0, 1)
		h.meta = &blocks.BlockMeta{MinStartUnixNano: h.lo, MaxEndUnixNano: h.hi}
		out = append(out, h)
	}
	return out
}

// over merges the results of a scan over each home that the range meets, the scan clipped to the
// home or not.
func over(hs []home, s jobs.Scan, r jobs.Range, clip bool) (p jobs.Partial, err error) {
	for _, h := range hs {
		if !r.Overlaps(h.lo, h.hi) {
			continue
		}
		one := s
		if clip {
			one = s.ClippedTo(h.meta)
		}
		res, err := jobs.RunScan(context.Background(), []column.Table{h.table}, one, nil)
		if err != nil {
			return p, err // a query of a kind that is refused
		}
		p.Merge(res.Partial, s)
	}
	return p, nil
}

// A scan clipped to a block gives the same result there as the scan itself, whatever the query and
// the range.
func TestWithin(t *testing.T) {
	compared := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 7))
		hs := homes(t, r, 3)
		first, last := uint64(math.MaxUint64), uint64(0)
		for _, h := range hs {
			first, last = min(first, h.lo), max(last, h.hi)
		}
		width := max(last-first, 1)
		start := first + r.Uint64N(width) - min(first, r.Uint64N(width))
		end := start + 1 + r.Uint64N(width)
		if r.IntN(3) == 0 {
			start, end = first-min(first, uint64(time.Hour)), last+uint64(time.Hour)
		}

		search := &eval.SearchRequest{Query: random.Search(r), Start: start, End: end, Limit: 1 + r.IntN(5), SpansPerSpanSet: 3}
		s := jobs.Scan{Search: search}
		rng := jobs.Range{Start: start, End: end}
		want, err := over(hs, s, rng, false)
		got, again := over(hs, s, rng, true)
		require.Equal(t, err == nil, again == nil)
		if err == nil && want.Search != nil {
			require.Equal(t, layout.Search(want.Search.Traces), layout.Search(got.Search.Traces), "seed %d: %s", seed, search.Query)
		}

		step := int64(1 + r.Uint64N(width/3+1))
		m := &eval.MetricsRequest{Query: random.Metrics(r), Step: step, Exemplars: 5}
		m.Start, m.End = series.AlignRange(int64(start), int64(end), step)
		s = jobs.Scan{Metrics: m}
		rng = jobs.Range{Start: uint64(max(m.Start, 0)), End: uint64(m.End) + 1}
		if (m.End-m.Start)/step > 5000 {
			continue
		}
		want, err = over(hs, s, rng, false)
		got, again = over(hs, s, rng, true)
		require.Equal(t, err == nil, again == nil)
		if err != nil || want.Metrics == nil {
			continue
		}
		a, err := want.Metrics.Result(m)
		require.NoError(t, err)
		b, err := got.Metrics.Result(m)
		require.NoError(t, err)
		compared++
		require.Equal(t, layout.Metrics(a), layout.Metrics(b), "seed %d: %s", seed, m.Query)
		require.Equal(t, a, b, "seed %d: %s", seed, m.Query) // exemplars too
	}
	require.Greater(t, compared, 100)
}

// Leaving out what is older than the traces that are known already does not change a search, in any
// order of the homes.
func TestSince(t *testing.T) {
	cut := 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 9))
		hs := homes(t, r, 4)
		s := jobs.Scan{Search: &eval.SearchRequest{Query: random.Search(r), End: math.MaxUint64, Limit: 1 + r.IntN(3), SpansPerSpanSet: 3}}
		all := jobs.Range{End: math.MaxUint64}
		want, err := over(hs, s, all, false)
		if err != nil {
			continue // a query of a kind that is refused
		}
		var got jobs.Partial
		for _, h := range hs {
			one := s
			if newer := got.Floor(s.Search.Limit); newer > 0 {
				one = s.Since(newer)
				cut++
			}
			res, err := jobs.RunScan(context.Background(), []column.Table{h.table}, one, nil)
			require.NoError(t, err)
			got.Merge(res.Partial, s)
		}
		require.Equal(t, layout.Search(want.Search.Traces), layout.Search(got.Search.Traces), "seed %d: %s", seed, s.Search.Query)
	}
	require.Greater(t, cut, 50)
}

// What is cloned, and what was merged from, does not change by later merges: partial answers and
// cached results are read by others.
func TestMergeLeavesOthersAlone(t *testing.T) {
	field, err := traceql.ParseField("name")
	require.NoError(t, err)
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 8))
		hs := homes(t, r, 4)
		for _, s := range []jobs.Scan{
			{Search: &eval.SearchRequest{Query: random.Search(r), End: math.MaxUint64, Limit: 2, SpansPerSpanSet: 2}},
			{Metrics: &eval.MetricsRequest{Query: random.Counting(r), Start: 0, End: 1 << 62, Step: 1 << 60}},
			{Tags: &eval.TagsRequest{End: math.MaxUint64}},
			{Values: &eval.ValuesRequest{Field: field, End: math.MaxUint64}},
		} {
			var parts []jobs.Partial
			for _, h := range hs {
				res, err := jobs.RunScan(context.Background(), []column.Table{h.table}, s, nil)
				if err != nil {
					break // a query of a kind that is refused
				}
				parts = append(parts, res.Partial)
			}
			show := func(p jobs.Partial) string {
				switch {
				case p.Search != nil:
					return layout.Search(p.Search.Traces)
				case p.Metrics != nil:
					m, err := p.Metrics.Result(s.Metrics)
					require.NoError(t, err)
					return layout.Metrics(m)
				case p.Values != nil:
					return layout.Values(p.Values.Values)
				}
				return layout.Tags(p.Tags)
			}
			var before []string
			var all jobs.Partial
			var clones []jobs.Partial
			for _, p := range parts {
				before = append(before, show(p))
				all.Merge(p, s)
				clones = append(clones, all.Clone(s))
				before = append(before, show(all))
			}
			for i := range parts {
				require.Equal(t, before[2*i], show(parts[i]), "seed %d", seed)
				require.Equal(t, before[2*i+1], show(clones[i]), "seed %d", seed)
			}
		}
	}
}
