package jobs_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/outline"
	"github.com/troupe-tracing/troupe/test/kit/random"
)

// spanKey is a span as a search names it.
type spanKey struct {
	id    uint64
	start float64 // since the first span of the trace
}

// The spans that a query selects in a trace are those that a search shows of it, named by their
// places in the outline, whatever homes the trace has.
func TestMatchesAreThoseOfASearch(t *testing.T) {
	for round := range 150 {
		r := rand.New(rand.NewPCG(uint64(round), 43))
		dealt := make([][]*otlp.Span, 1+r.IntN(3))
		ids := map[trace.ID]bool{}
		for _, s := range random.Spans(r) {
			n := r.IntN(len(dealt))
			dealt[n] = append(dealt[n], s)
			if r.IntN(10) == 0 {
				n = r.IntN(len(dealt))
				dealt[n] = append(dealt[n], s) // twice
			}
			ids[s.Trace] = true
		}
		var homes []column.Table
		for _, list := range dealt {
			if len(list) > 0 {
				homes = append(homes, segmentOf(t, live.Limits{MaxColumns: 1 + r.IntN(40)}, otlp.Encode(list...)))
			}
		}
		q := random.Search(r)
		for id := range ids {
			whole, err := jobs.RunTrace(t.Context(), homes, id, math.MaxInt64, nil)
			require.NoError(t, err)
			otlp := trace.Assemble(whole.Fragments...)
			spans, err := outline.Of(otlp)
			require.NoError(t, err)
			first := outlineStart(t, homes, id)

			search := &eval.SearchRequest{Query: q, End: math.MaxUint64, Limit: 1, SpansPerSpanSet: len(spans)}
			found, err := jobs.RunScan(context.Background(), []column.Table{segmentOf(t, live.Limits{}, otlp)},
				jobs.Scan{Search: search}, nil)
			require.NoError(t, err)
			want := map[spanKey]bool{}
			for _, m := range found.Partial.Search.Traces {
				for _, set := range m.SpanSets {
					for _, s := range set.Spans {
						want[spanKey{column.IDNumber(string(s.ID[:])), float64(s.Start - first)}] = true
					}
				}
			}
			places := []uint32{}
			tied := map[spanKey]int{}
			for i, s := range spans {
				k := spanKey{s.ID, s.Start}
				if tied[k]++; want[k] {
					places = append(places, uint32(i))
				}
			}
			if len(tied) < len(spans) {
				continue // different spans that the search names equally
			}
			got, _ := joined(t, homes, []trace.ID{id}, jobs.Scan{Matches: &eval.MatchesRequest{Trace: id, Query: q}})
			require.Equal(t, len(spans), got.Matches.Spans)
			require.Equal(t, places, append([]uint32{}, got.Matches.Places...), "round %d: %s", round, q)
		}
	}
}

// outlineStart is the start of the first span of a trace.
func outlineStart(t *testing.T, homes []column.Table, id trace.ID) uint64 {
	first := uint64(math.MaxUint64)
	for _, h := range homes {
		if n, ok, err := h.Lookup(t.Context(), id); ok {
			require.NoError(t, err)
			k, err := long.ReadKeys(t.Context(), h, h.TraceRows(n, nil))
			require.NoError(t, err)
			for _, s := range k.Starts {
				first = min(first, s)
			}
		}
	}
	return first
}

// Spans that share start and id are in the order of an outline.
func TestTiedMatchesAreInTheOrderOfAnOutline(t *testing.T) {
	for round := range 40 {
		r := rand.New(rand.NewPCG(uint64(round), 44))
		id := otlp.TraceID(7)
		var homes []column.Table
		for range 3 {
			var list []*otlp.Span
			for range 1 + r.IntN(5) {
				list = append(list, &otlp.Span{Trace: id, ID: otlp.SpanID(uint64(1 + r.IntN(2))), Name: fmt.Sprint("n", r.IntN(9)),
					Start: 1000, End: 2000})
			}
			homes = append(homes, segmentOf(t, live.Limits{}, otlp.Encode(list...)))
		}
		whole, err := jobs.RunTrace(t.Context(), homes, id, math.MaxInt64, nil)
		require.NoError(t, err)
		spans, err := outline.Of(trace.Assemble(whole.Fragments...))
		require.NoError(t, err)
		for n := range 9 {
			name := fmt.Sprint("n", n)
			want := []uint32{}
			for i, s := range spans {
				if s.Name == name {
					want = append(want, uint32(i))
				}
			}
			q := parsed(t, `{ name = "`+name+`" }`)
			columns := jobs.Scan{Matches: &eval.MatchesRequest{Trace: id, Query: q}}
			got, _ := joinedBy(t, homes, []trace.ID{id}, columns, true)
			require.Equal(t, want, append([]uint32{}, got.Matches.Places...), "round %d", round)
		}
	}
}
