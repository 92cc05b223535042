package oracle

import (
	"context"
	"fmt"
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

// The spanwise part of a filter accepts, in two homes of which neither knows the other, every span
// that the filter accepts where its trace is whole.
func TestSpanwisePartsAcceptEnough(t *testing.T) {
	parts := 0
	for i := range *pairs {
		r := rand.New(rand.NewPCG(*seed, uint64(i)))
		q := random.Search(r)
		var filter *traceql.Filter
		traceql.Walk(q.Root, func(n traceql.Node) bool {
			if f, ok := n.(*traceql.Filter); ok && filter == nil && !traceql.IsSpanwise(f) {
				filter = f
			}
			return true
		})
		if filter == nil {
			continue
		}
		part := traceql.SpanwisePart(filter.Expr)
		if part == nil {
			continue
		}
		parts++
		spans := withoutDuplicates(random.Spans(r))
		var homes [2][]*otlp.Span
		for _, s := range spans {
			n := r.IntN(2)
			homes[n] = append(homes[n], s)
		}
		accepted := matches(t, &traceql.Filter{Expr: part}, homes[:]...)
		for span := range matches(t, filter, spans) {
			require.Contains(t, accepted, span, "seed %d, number %d: %s", *seed, i, traceql.FormatNode(filter))
		}
	}
	require.Greater(t, parts, *pairs/100)
}

// matches returns the spans that a filter accepts, each home looked at alone.
func matches(t *testing.T, filter *traceql.Filter, homes ...[]*otlp.Span) map[string]struct{} {
	q, err := traceql.Parse(traceql.FormatNode(filter))
	require.NoError(t, err)
	out := map[string]struct{}{}
	for _, spans := range homes {
		scan := jobs.Scan{Search: &eval.SearchRequest{Query: q, End: math.MaxUint64, Limit: 1000, SpansPerSpanSet: 1000}}
		r, err := jobs.RunScan(context.Background(), []column.Table{tableOf(t, spans)}, scan, nil)
		require.NoError(t, err)
		for _, m := range r.Partial.Search.Traces {
			for _, set := range m.SpanSets {
				for _, s := range set.Spans {
					out[fmt.Sprint(m.ID, s.ID, s.Start, s.Duration)] = struct{}{}
				}
			}
		}
	}
	return out
}

// tableOf makes one home of spans.
func tableOf(t *testing.T, spans []*otlp.Span) column.Table {
	seg := live.New(live.Limits{})
	if len(spans) > 0 {
		_, err := seg.Append(0, 0, otlp.Encode(spans...))
		require.NoError(t, err)
	}
	return seg.Snapshot(0, 1)
}

// found evaluates a scan over homes of which none knows the others, and writes down what of the
// answer cannot depend on them.
func found(t *testing.T, scan jobs.Scan, homes ...[]*otlp.Span) string {
	var tables []column.Table
	for _, spans := range homes {
		tables = append(tables, tableOf(t, spans))
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
