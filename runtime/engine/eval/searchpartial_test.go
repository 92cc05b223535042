package eval

import (
	"context"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Candidates that match for sure count for the floor by their lower bounds, each once, and those
// below it are left out; whichever home comes first.
func TestFloorOfCandidates(t *testing.T) {
	parts := []*SearchPartial{
		{Traces: []TraceMatch{{ID: trace.ID{1}, Start: 90}}},
		{Candidates: []Candidate{{ID: trace.ID{2}, Start: 99, Earliest: 70}, {ID: trace.ID{3}, Start: 80, Earliest: 80}}},
		{Candidates: []Candidate{{ID: trace.ID{2}, Start: 95}, {ID: trace.ID{4}, Start: 75, Earliest: 10}, {ID: trace.ID{5}, Start: 85}}},
	}
	want := []Candidate{
		{ID: trace.ID{2}, Start: 95, Earliest: 70}, {ID: trace.ID{3}, Start: 80, Earliest: 80}, {ID: trace.ID{5}, Start: 85},
	}
	for _, order := range [][]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}} {
		var p SearchPartial
		for _, i := range order {
			p.Merge(parts[i], 2)
		}
		require.EqualValues(t, 80, p.Floor(2))
		require.Equal(t, want, p.Candidates)
	}
}

// extents are shared traces with the starts of their extents.
type extents map[trace.ID]uint64

func (s extents) Has(id trace.ID) bool        { _, ok := s[id]; return ok }
func (s extents) Earliest(id trace.ID) uint64 { return s[id] }
func (s extents) IDs() []trace.ID             { return slices.Collect(maps.Keys(s)) }

// A search over traces that all have another home names about as many candidates as it may return
// traces.
func TestFewCandidatesAreNamed(t *testing.T) {
	const traces, limit = 20000, 5
	shared := extents{}
	var records []*otlp.Span
	for i := range uint64(traces) {
		s := &otlp.Span{Trace: otlp.TraceID(i + 1), ID: otlp.SpanID(i + 1), Name: "a", Start: (i + 10) * 1000, End: (i+10)*1000 + 10}
		records = append(records, s)
		shared[s.Trace] = s.Start
		if i%2 == 0 {
			shared[s.Trace] -= 3000 // another home has an earlier part
		}
	}
	table := segment(t, [][]byte{otlp.Encode(records...)})
	q, err := traceql.Parse(`{ name = "a" }`)
	require.NoError(t, err)
	r := &SearchRequest{Query: q, End: math.MaxUint64, Limit: limit, SpansPerSpanSet: 3}
	got, err := Search(context.Background(), table.Clone(), r, shared)
	require.NoError(t, err)
	require.LessOrEqual(t, len(got.Candidates), 2*limit)
	require.GreaterOrEqual(t, len(got.Candidates), limit)
}
