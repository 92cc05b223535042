package oracle

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/layout"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/random"
)

// A spanwise query finds of the spans of a trace the same in two homes, of which neither knows the
// other, as in one: its series and exemplars are equal, and a search finds the same traces.
func TestSpanwiseQueriesNeedNoAssembly(t *testing.T) {
	spanwise := 0
	for i := range *pairs {
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		spans := withoutDuplicates(random.Spans(r))
		var scan jobs.Scan
		if r.IntN(2) == 0 {
			scan.Search = &eval.SearchRequest{Query: random.Search(r), End: math.MaxUint64, Limit: 1000, SpansPerSpanSet: 1}
			if !traceql.IsSpanwise(scan.Search.Query.Root) {
				continue
			}
		} else {
			scan.Metrics = &eval.MetricsRequest{Query: random.Metrics(r), Start: random.Base - 60e9, End: random.Base + 300e9,
				Step: 20e9, Exemplars: r.IntN(20)}
			if !scan.IsSpanwise() {
				continue
			}
		}
		spanwise++
		var homes [2][]*otlp.Span
		for _, s := range spans {
			n := r.IntN(2)
			homes[n] = append(homes[n], s)
		}
		require.Equal(t, found(t, scan, spans), found(t, scan, homes[:]...), "seed %d, number %d", *seed, i)
	}
	require.Greater(t, spanwise, *pairs/10)
}

// found evaluates a scan over homes of which none knows the others, and writes down what of the
// answer cannot depend on them.
func found(t *testing.T, scan jobs.Scan, homes ...[]*otlp.Span) string {
	var tables []column.Table
	for _, spans := range homes {
		seg := live.New(live.Limits{})
		if len(spans) > 0 {
			_, err := seg.Append(0, 0, otlp.Encode(spans...))
			require.NoError(t, err)
		}
		tables = append(tables, seg.Snapshot(0, 1))
	}
	r, err := jobs.RunScan(context.Background(), tables, scan, nil)
	require.NoError(t, err)
	if scan.Search != nil {
		var ids []string
		for _, m := range r.Partial.Search.Traces {
			ids = append(ids, m.ID.String()+"\n")
		}
		slices.Sort(ids)
		return strings.Join(slices.Compact(ids), "")
	}
	series, err := r.Partial.Metrics.Result(scan.Metrics)
	require.NoError(t, err)
	return layout.Metrics(series) + layout.Exemplars(series)
}

// withoutDuplicates leaves out the spans that are equal to an earlier one.
func withoutDuplicates(spans []*otlp.Span) []*otlp.Span {
	seen := map[string]bool{}
	return slices.DeleteFunc(spans, func(s *otlp.Span) bool {
		key := string(otlp.Encode(s))
		again := seen[key]
		seen[key] = true
		return again
	})
}
