package eval

import (
	"context"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// stopping is a context that is cancelled after a number of looks at it.
type stopping struct {
	context.Context
	left int
}

func (c *stopping) Err() error {
	if c.left--; c.left < 0 {
		return context.Canceled
	}
	return nil
}

// A search that is cancelled ends with the context's error, wherever it is cancelled.
func TestSearchStops(t *testing.T) {
	s := readSemantics(t)
	table := segment(t, s.Fixtures["shop"].records(t))
	for _, text := range []string{
		`{ name =~ "(?i)g.*t" }`,
		`{ status = error } >> { kind = client } | avg(duration) > 1ms`,
		`{ traceDuration > 1s && span:childCount = 0 }`,
	} {
		q, err := traceql.Parse(text)
		require.NoError(t, err)
		r := &SearchRequest{Query: q, End: math.MaxUint64, Limit: 10, SpansPerSpanSet: 3}
		_, err = Search(context.Background(), table.Clone(), r, nil)
		require.NoError(t, err)
		stopped := 0
		for n := 0; ; n++ {
			if _, err = Search(&stopping{context.Background(), n}, table.Clone(), r, nil); err == nil {
				break
			}
			require.ErrorIs(t, err, context.Canceled)
			stopped++
		}
		require.Greater(t, stopped, 3, text)
	}
}

// What a query keeps in memory is bounded by an error that names what was too much.
func TestBudget(t *testing.T) {
	var b budget
	require.NoError(t, b.takeBytes(MaxMemory, "things"))
	err := b.takeBytes(1, "things")
	require.ErrorIs(t, err, ErrLimit)
	require.ErrorContains(t, err, "things take more than 256 MiB")
}

// shared are traces that have other homes.
type shared map[trace.ID]struct{}

func (s shared) Has(id trace.ID) bool     { _, ok := s[id]; return ok }
func (s shared) Earliest(trace.ID) uint64 { return 0 }
func (s shared) IDs() []trace.ID          { return slices.Collect(maps.Keys(s)) }

// Traces with several homes are never answered but named: where a span matches, or, if that depends
// on other spans of the trace, where a span is a clue that it may.
func TestSharedTracesAreCandidates(t *testing.T) {
	s := readSemantics(t)
	table := segment(t, s.Fixtures["shop"].records(t))
	all := shared{}
	for i := range table.Traces() {
		id, err := table.TraceID(context.Background(), i)
		require.NoError(t, err)
		all[id] = struct{}{}
	}
	for text, want := range map[string]int{
		`{ name = "auth" }`:                     1,
		`{ name = "nope" }`:                     0,
		`{ status = error }`:                    1,
		`{ }`:                                   4,
		`{ name = "nope" } >> { status = ok }`:  2,
		`{ name = "nope" } !> { status = ok }`:  2,
		`{ name = "nope" } || { status = ok }`:  2,
		`{ name = "nope" } >> { }`:              0,
		`{ name = "nope" } || { }`:              4,
		`{ name = "nope" } | count() > 1`:       0,
		`{ } | count() > 1`:                     4,
		`{ } | by(name)`:                        4,
		`{ span:childCount = 77 }`:              4,
		`{ name = "auth" } | { kind = client }`: 0,
	} {
		q, err := traceql.Parse(text)
		require.NoError(t, err)
		r := &SearchRequest{Query: q, End: math.MaxUint64, Limit: 10, SpansPerSpanSet: 3}
		got, err := Search(context.Background(), table.Clone(), r, all)
		require.NoError(t, err)
		require.Empty(t, got.Traces, text)
		require.Len(t, got.Candidates, want, text)
		for _, c := range got.Candidates {
			require.Contains(t, all, c.ID)
			require.NotZero(t, c.Start)
		}
	}
}

// Merging partial results keeps the newest, whatever the order of merging, and leaves what is
// merged as it is.
func TestMergeSearch(t *testing.T) {
	match := func(start uint64, id byte) TraceMatch { return TraceMatch{ID: trace.ID{id}, Start: start} }
	a := &SearchPartial{Traces: []TraceMatch{match(9, 1), match(5, 2)}, InspectedSpans: 3}
	b := &SearchPartial{
		Traces:         []TraceMatch{match(9, 0), match(7, 3), match(5, 1)},
		Candidates:     []Candidate{{Start: 6}, {ID: trace.ID{8}, Start: 4}},
		InspectedSpans: 4,
	}
	want := []TraceMatch{match(9, 0), match(9, 1), match(7, 3), match(5, 1)}
	for _, order := range [][2]*SearchPartial{{a, b}, {b, a}} {
		var p SearchPartial
		p.Merge(order[0], 4)
		p.Merge(order[1], 4)
		require.Equal(t, want, p.Traces)
		require.Equal(t, uint64(7), p.InspectedSpans)
		require.Equal(t, []Candidate{{Start: 6}}, p.Candidates, "the other is older than four that match")
	}
	require.Len(t, a.Traces, 2)
	require.Len(t, b.Traces, 3)
}

// The first values in order stay when values take more bytes than they may, whatever the order of
// merging.
func TestValuesAreCut(t *testing.T) {
	set := func(values ...string) *TagValues {
		v := &TagValues{Values: map[TagValue]struct{}{}}
		for _, s := range values {
			v.Values[TagValue{"string", s}] = struct{}{}
		}
		return v
	}
	parts := []*TagValues{set("d", "a"), set("c"), set("b", "e")}
	for _, order := range [][3]int{{0, 1, 2}, {2, 1, 0}, {1, 2, 0}} {
		got := new(TagValues)
		for _, i := range order {
			got.Merge(parts[i], 3*len("stringX"))
		}
		require.Equal(t, set("a", "b", "c").Values, got.Values)
		require.True(t, got.Truncated)
	}
}

// The top-k machinery keeps what a full sort would put first.
func TestTopK(t *testing.T) {
	for limit := 1; limit < 12; limit++ {
		k := &topK[int]{limit: limit, before: func(a, b *int) bool { return *a < *b }}
		for i := range 10 {
			k.add(i * 7 % 10)
		}
		var want []int
		for i := range min(limit, 10) {
			want = append(want, i)
		}
		require.Equal(t, want, k.sorted())
	}
}

// A matcher answers as the anchored regular expression does, also where it does without one.
func TestMatcher(t *testing.T) {
	inputs := []string{
		"", "a", "ab", "abc", "xabc", "abcx", "ABC", "a\nb", "aa", "b", "cat", "car", "\xff", "\uFFFD", "abc.*", "x.y", "xzy",
	}
	for _, expr := range []string{
		"", "abc", "abc.*", ".*abc", ".*abc.*", "ab|abc|", "(?i)abc", "ca[rt]", "a?b", "a+", ".*", ".", ".*a.*b", "a.*b.*",
		"a.*b.*c", ".*.*", "ab.*bc", "a.*a", ".*b.*b.*", "a.+c", "(a|b)c?", "^abc$", "a.b", "abc\\.\\*", "x\\.y", "[^a]",
		"\\x{FFFD}", ".*\\x{FFFD}", "(?:ab){1,2}", "a{0}", "(?s)a.*", "(?-s)a.*", "x.*y",
	} {
		m, err := newMatcher(expr)
		require.NoError(t, err)
		re, err := traceql.CompileRegex(expr)
		require.NoError(t, err)
		for _, in := range inputs {
			require.Equal(t, re.MatchString(in), m.matchString(in), "%q against %q", in, expr)
		}
	}
}

// A search of any text that parses ends without panic, over tables with every kind of value.
func FuzzSearch(f *testing.F) {
	s := readSemantics(f)
	var tables []*live.Snapshot
	for _, name := range []string{"shop", "tree", "ev", "twins"} {
		tables = append(tables, segment(f, s.Fixtures[name].records(f)))
	}
	for _, c := range s.Cases {
		if c.Kind == "search" {
			f.Add(c.Query, uint64(0), uint64(math.MaxUint64), 3)
		}
	}
	f.Fuzz(func(t *testing.T, text string, start, end uint64, limit int) {
		q, err := traceql.Parse(text)
		if err != nil {
			return
		}
		for _, table := range tables {
			r := &SearchRequest{Query: q, Start: start, End: end, Limit: limit, SpansPerSpanSet: 2}
			got, err := Search(context.Background(), table.Clone(), r, nil)
			if err == nil && len(got.Traces) > max(limit, 0) {
				t.Fatalf("%d traces, limit %d", len(got.Traces), limit)
			}
		}
	})
}

// Of several values of an attribute a search shows the same one, whichever of them lie in the
// overflow.
func TestShownValueDoesNotDependOnOverflow(t *testing.T) {
	q, err := traceql.Parse(`{ span.n != 5 }`)
	require.NoError(t, err)
	for _, columns := range []int{0, 1} {
		seg := live.New(live.Limits{MaxColumns: columns})
		_, err := seg.Append(0, 0, otlp.Encode(&otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(1), Start: 1,
			Attrs: []otlp.Attr{{Key: "n", Value: true}, {Key: "n", Value: 1}}}))
		require.NoError(t, err)
		r := &SearchRequest{Query: q, End: math.MaxUint64, Limit: 1, SpansPerSpanSet: 1}
		got, err := Search(context.Background(), seg.Snapshot(0, 1), r, nil)
		require.NoError(t, err)
		require.Len(t, got.Traces, 1)
		want := []Attribute{{Key: "n", Value: trace.Value{Type: trace.Int, Num: 1}}}
		require.Equal(t, want, got.Traces[0].SpanSets[0].Spans[0].Attributes, "%d columns", columns)
	}
}
