package long_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/outline"
	"github.com/troupe-tracing/troupe/test/kit/spans"
)

// outlineOf reads the outline of what all homes hold, in pieces of any size.
func outlineOf(t *testing.T, r *rand.Rand, homes []home) []byte {
	o := &long.Outline{}
	for _, n := range r.Perm(len(homes)) {
		h := homes[n]
		for from := 0; from < len(h.rows); {
			to := min(from+1+r.IntN(len(h.rows)), len(h.rows))
			k, err := long.ReadDetails(t.Context(), h.table, h.rows[from:to])
			require.NoError(t, err)
			o.Add(uint32(n), k)
			from = to
		}
	}
	for n, rows := range o.Index.Ambiguous() {
		fs, err := column.Fragments(t.Context(), homes[n].table, rows, nil)
		require.NoError(t, err)
		var contents []long.Content
		for _, f := range fs {
			contents = append(contents, long.ContentOf(f.Span))
		}
		o.Index.AddContents(n, rows, contents)
	}
	require.NoError(t, o.Arrange(t.Context()))
	b, err := o.AppendHeader(nil, long.OutlineAbout{TraceID: trace.ID{15: 1}, Complete: true})
	require.NoError(t, err)
	var at long.OutlinePosition
	for !o.IsEnd(at) {
		b, at = o.AppendColumns(b, at, 1+r.IntN(1<<17))
	}
	return b
}

// wanted is the outline of a trace, worked out span by span from what was sent.
func wanted(t *testing.T, homes []home) []outline.Span {
	var all [][]trace.Fragment
	for _, h := range homes {
		fs, err := column.Fragments(t.Context(), h.table, h.rows, nil)
		require.NoError(t, err)
		all = append(all, fs)
	}
	out, err := outline.Of(trace.Assemble(all...))
	require.NoError(t, err)
	return out
}

// An outline has every span once, with its parent, in an order and in bytes that do not depend on
// where the spans lie.
func TestOutlineIsTheTrace(t *testing.T) {
	for seed := range uint64(80) {
		r := rand.New(rand.NewPCG(seed, 8))
		g := spans.New(seed, 1, 8)
		g.Unique = seed%2 == 0
		g.Spans = []int{0, 1, 10, 300}[r.IntN(4)]
		var records [][]byte
		for range 1 + r.IntN(30) {
			records = append(records, g.Record(1+r.IntN(30)))
		}
		records = append(records, records[r.IntN(len(records))]) // a push that was sent again
		if g.Sent() == 0 {
			continue
		}
		homes := layOut(t, r, records, idOf(seed))
		got := outlineOf(t, r, homes)
		o, err := outline.Read(got)
		require.NoError(t, err)
		require.Equal(t, wanted(t, homes), o.Spans, "seed %d", seed)
		require.Equal(t, got, outlineOf(t, r, layOut(t, r, records, idOf(seed))), "seed %d", seed)
	}
}
