package eval

import (
	"context"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// shapes are traces of n spans whose shape is the worst for something.
var shapes = map[string]func(n int) []*otlp.Span{
	"chain": func(n int) (out []*otlp.Span) {
		for i := range n {
			out = append(out, shapedSpan(i, i, i-1))
		}
		return out
	},
	"chain into a circle": func(n int) (out []*otlp.Span) {
		for i := range n {
			up := i - 1
			if i == 0 {
				up = n / 2
			}
			out = append(out, shapedSpan(i, i, up))
		}
		return out
	},
	"one id, and children of it": func(n int) (out []*otlp.Span) {
		for i := range n / 2 {
			out = append(out, shapedSpan(i, 0, -1), shapedSpan(i, i+1, 0))
		}
		return out
	},
	"star": func(n int) (out []*otlp.Span) {
		for i := range n {
			out = append(out, shapedSpan(i, i, min(i-1, 0)))
		}
		return out
	},
	"one start and one id": func(n int) (out []*otlp.Span) {
		for i := range n {
			s := shapedSpan(i, 0, 7) // no roots: they would be compared one by one
			s.Start, s.End = 1e18, 1e18
			s.Attrs = []otlp.Attr{{Key: "n", Value: i}}
			out = append(out, s)
		}
		return out
	},
}

// shapedSpan returns the at-th span of a trace; ids count from 0, and a negative parent is none.
func shapedSpan(at, id, parent int) *otlp.Span {
	s := &otlp.Span{
		Trace: otlp.TraceID(1),
		ID:    otlp.SpanID(uint64(id + 1)),
		Name:  []string{"a", "b", "c"}[at%3],
		Kind:  1,
		Start: 1e18 + uint64(at),
		End:   1e18 + uint64(at),
	}
	if parent >= 0 {
		s.Parent = otlp.SpanID(uint64(parent + 1))
	}
	return s
}

var shapedQueries = []string{
	`{ name = "a" } >> { name = "b" }`,
	`{ name = "a" } << { name = "b" }`,
	`{ name = "a" } > { }`,
	`{ } < { name != "c" }`,
	`{ name = "a" } ~ { }`,
	`{ } !>> { name = "b" }`,
	`{ name = "a" } &>> { }`,
	`{ } &<< { name = "a" }`,
	`{ nestedSetLeft > 3 && span:childCount < 2 }`,
	`{ } | by(name) | count() > 1`,
}

// Whatever the shape of a trace, a query takes about as many steps as it has spans, and looks at
// its context on the way, so that it ends soon after it is cancelled.
func TestWorkIsLinearAndStops(t *testing.T) {
	const small, large = 2 * patience, 8 * patience
	for name, spans := range shapes {
		t.Run(name, func(t *testing.T) {
			tables := map[int]*live.Snapshot{}
			for _, n := range []int{small, large} {
				tables[n] = segment(t, [][]byte{otlp.Encode(spans(n)...)})
			}
			for _, text := range shapedQueries {
				q, err := traceql.Parse(text)
				require.NoError(t, err)
				r := &SearchRequest{Query: q, End: math.MaxUint64, Limit: 10, SpansPerSpanSet: 3}
				looks := func(n int) int {
					c := &stopping{context.Background(), math.MaxInt}
					_, err := Search(c, tables[n].Clone(), r, nil)
					require.NoError(t, err, text)
					return math.MaxInt - c.left
				}
				few, many := looks(small), looks(large)
				require.Less(t, many, 6*few+30, "%s: looks at the context for four times the spans", text)
				for range min(many, 3) {
					n := rand.IntN(many)
					_, err := Search(&stopping{context.Background(), n}, tables[large].Clone(), r, nil)
					require.ErrorIs(t, err, context.Canceled, "%s: cancelled at look %d of %d", text, n, many)
				}
			}
		})
	}
}

// Structural operators over traces of all shapes find what their definition says, span by span.
func TestRelatedByDefinition(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for round := range 400 {
		n := 1 + r.IntN(12)
		spans := make([]*otlp.Span, n)
		for i := range spans {
			spans[i] = shapedSpan(i, r.IntN(n+2), r.IntN(n+3)-1)
			spans[i].Kind = int32(1 + r.IntN(3))
		}
		table := segment(t, [][]byte{otlp.Encode(spans...)})
		f := newTableView(table, allTime).forest()
		require.NoError(t, f.linkParents(context.Background(), 0))
		rows := table.TraceRows(0, nil)
		above := func(a, b uint32) bool { // a is an ancestor of b
			seen := map[int32]bool{int32(b): true}
			for p := *f.parent.at(b); p >= 0 && !seen[p]; p = *f.parent.at(uint32(p)) {
				if uint32(p) == a {
					return true
				}
				seen[p] = true
			}
			return false
		}
		var left, right []uint32
		for _, row := range rows {
			if r.IntN(2) == 0 {
				left = append(left, row)
			}
			if r.IntN(3) > 0 {
				right = append(right, row)
			}
		}
		below := func(l, r uint32) bool { return above(r, l) }
		for op, related := range map[traceql.Op]func(l, r uint32) bool{">>": above, "<<": below} {
			var want []uint32
			for _, b := range right {
				for _, a := range left {
					if related(a, b) {
						want = append(want, b)
						break
					}
				}
			}
			got, err := f.relatedRows(context.Background(), op, left, right)
			require.NoError(t, err)
			require.Equal(t, want, got, "round %d, %s", round, op)
			for _, row := range rows {
				require.Zero(t, *f.relation.marks.at(row))
			}
		}
	}
}

func BenchmarkStructure(b *testing.B) {
	for name, n := range map[string]int{"wide": 10000, "deep": 200} {
		var spans []*otlp.Span
		for i := range n {
			up := i - 1
			if name == "wide" {
				up = (i - 1) / 4
			}
			if i == 0 {
				up = -1
			}
			spans = append(spans, shapedSpan(i, i, up))
		}
		table := segment(b, [][]byte{otlp.Encode(spans...)})
		for _, text := range shapedQueries[:4] {
			b.Run(name+" "+text, func(b *testing.B) {
				q, err := traceql.Parse(text)
				require.NoError(b, err)
				r := &SearchRequest{Query: q, End: math.MaxUint64, Limit: 10, SpansPerSpanSet: 3}
				for b.Loop() {
					_, err := Search(context.Background(), table.Clone(), r, nil)
					require.NoError(b, err)
				}
			})
		}
	}
}
