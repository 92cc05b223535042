package eval

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Which clues a query has, and which of them a trace needs to match.
func TestClues(t *testing.T) {
	for _, c := range []struct {
		query    string
		clues    string
		can, not []Clues
	}{
		{`{ .a = 1 } >> { .b = 2 }`, `{ .a = 1 }, { .b = 2 }`, []Clues{{1, 1}}, []Clues{{0, 9}, {9, 0}}},
		{`{ .a = 1 } &>> { .b = 2 }`, `{ .a = 1 }, { .b = 2 }`, []Clues{{1, 1}}, []Clues{{0, 9}, {9, 0}}},
		{`{ .a = 1 } && { .b = 2 }`, `{ .a = 1 }, { .b = 2 }`, []Clues{{1, 1}}, []Clues{{0, 9}, {9, 0}}},
		{`{ .a = 1 } || { .b = 2 }`, `{ .a = 1 }, { .b = 2 }`, []Clues{{1, 0}, {0, 1}}, []Clues{{}}},
		{`{ .a = 1 } !>> { .b = 2 }`, `{ .b = 2 }`, []Clues{{1}}, []Clues{{}}},
		{`{ } >> { .b = 2 }`, `{ .b = 2 }`, []Clues{{1}}, []Clues{{}}},
		{`{ .a = 1 } || { }`, `{ .a = 1 }`, []Clues{{}}, nil},
		{`{ .a = 1 } | { .b = 2 && rootName = "x" }`, `{ .a = 1 }, { (.b = 2) && true }`, []Clues{{1, 1}}, []Clues{{1, 0}}},
		{`{ .a = 1 || rootName = "x" }`, ``, []Clues{{}}, nil},
		{`{ !(rootName = "x") && (.a = 1 || .b = 2) }`, `{ ((.a = 1) || (.b = 2)) && true }`, []Clues{{1}}, []Clues{{}}},
		{`{ nestedSetParent < 0 && traceDuration > 1s }`, `{ (nestedSetParent < 0) && true }`, []Clues{{1}}, []Clues{{}}},
		{`{ !.a && rootName = "x" || !.b }`, `{ ((!.a) && true) || (!.b) }`, []Clues{{1}}, []Clues{{}}},
		{`{ .a = 1 } | count() > 5`, `{ .a = 1 }`, []Clues{{6}}, []Clues{{5}}},
		{`{ .a = 1 } | by(.b) | count() >= 2.5`, `{ .a = 1 }`, []Clues{{3}}, []Clues{{2}}},
		{`{ .a = 1 } | count() = 3`, `{ .a = 1 }`, []Clues{{3}, {4}}, []Clues{{2}}},
		{`{ .a = 1 } | count() > 1000`, `{ .a = 1 }`, []Clues{{255}}, []Clues{{254}}},
		{`{ .a = 1 } | count() < 5`, `{ .a = 1 }`, []Clues{{1}, {9}}, []Clues{{}}},
		{`{ } | count() > 2`, `{ }`, []Clues{{3}}, []Clues{{2}}},
		{`({ .a = 1 } | count() > 2) >> ({ .b = 2 } | avg(duration) > 1s)`, `{ .a = 1 }, { .b = 2 }`, []Clues{{3, 1}}, []Clues{{2, 1}, {3, 0}}},
		{`{ .a = 1 } >> { .b = 2 } | rate()`, `{ .a = 1 }, { .b = 2 }`, []Clues{{1, 1}}, []Clues{{0, 9}, {9, 0}}},
		{`({ .a = 1 } >> { } | rate()) / ({ .b = 1 } >> { } | rate())`, ``, []Clues{{}}, nil},
	} {
		q, err := traceql.Parse(c.query)
		require.NoError(t, err, c.query)
		f := (&SearchRequest{Query: q}).clues()
		if q.IsMetrics() {
			f = (&MetricsRequest{Query: q}).clues()
		}
		text := ""
		for i, n := range f.filters {
			part := &traceql.Filter{Expr: traceql.SpanwisePart(n.Expr)}
			text += []string{"", ", "}[min(i, 1)] + traceql.FormatNode(part)
		}
		require.Equal(t, c.clues, text, c.query)
		for _, x := range c.can {
			require.True(t, f.needs(x), "%s: %v", c.query, x)
		}
		for _, x := range c.not {
			require.False(t, f.needs(x), "%s: %v", c.query, x)
		}
	}
}

// A query with more filters than there is room for looks at the first ones only.
func TestManyClues(t *testing.T) {
	text := `{ .a = 0 }`
	for i := range 12 {
		text += fmt.Sprintf(" >> { .a = %d }", i+1)
	}
	q, err := traceql.Parse(text)
	require.NoError(t, err)
	f := (&SearchRequest{Query: q}).clues()
	require.Len(t, f.filters, len(Clues{}))
	require.True(t, f.needs(Clues{1, 1, 1, 1, 1, 1, 1, 1}))
	require.False(t, f.needs(Clues{1, 1, 1, 1, 1, 1, 1, 0}))
}

// Counts of several homes are added, and stay where they are at their greatest.
func TestJoinClues(t *testing.T) {
	require.Equal(t, Clues{3, 255, 255}, Clues{1, 254, 255}.join(Clues{2, 9, 255}))
	require.Equal(t, anyClues, anyClues.join(Clues{1}))
}
