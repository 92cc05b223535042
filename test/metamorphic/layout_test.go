// Package metamorphic tests that an answer is a function of the spans and the query, not of where
// the spans lie.
package metamorphic

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/layout"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/random"
)

var (
	seed   = flag.Uint64("seed", 1, "what the rounds are made of")
	rounds = flag.Int("rounds", defaultRounds, "sets of traces")
	only   = flag.Int("only", -1, "the one round to repeat")
)

// each calls f for every round, with its own source of chance.
func each(t *testing.T, f func(r *rand.Rand, where string)) {
	first, last := 0, *rounds
	if *only >= 0 {
		first, last = *only, *only+1
	}
	for i := first; i < last && !t.Failed(); i++ {
		f(rand.New(rand.NewPCG(*seed, uint64(i))),
			fmt.Sprintf("repeat: go test ./test/metamorphic -run %s -seed=%d -only=%d", t.Name(), *seed, i))
	}
}

// question is a request and its answer as text.
type question struct {
	text string
	ask  func(*layout.Store) (string, error)
}

// questions makes up requests of all kinds.
func questions(r *rand.Rand) (out []question) {
	for range 4 {
		q := &eval.SearchRequest{Query: random.Search(r), End: math.MaxUint64, Limit: []int{1, 2, 20}[r.IntN(3)],
			SpansPerSpanSet: []int{1, 3, 100}[r.IntN(3)]}
		if r.IntN(3) == 0 {
			q.Start = random.Base + uint64(r.IntN(8))*20e9
			q.End = q.Start + 1 + uint64(r.IntN(8))*30e9
		}
		out = append(out, question{fmt.Sprintf("search %s start=%d end=%d limit=%d spss=%d", q.Query, q.Start, q.End,
			q.Limit, q.SpansPerSpanSet), func(s *layout.Store) (string, error) {
			a, err := s.Search(q)
			return layout.Search(a), err
		}})
	}
	for range 3 {
		q := &eval.MetricsRequest{Query: random.Metrics(r), Start: random.Base - 60e9, End: random.Base +
			int64(1+r.IntN(6))*60e9, Step: 20e9, MaxSeries: []int{0, 0, 2}[r.IntN(3)],
			Exemplars: []int{0, 5, 100}[r.IntN(3)]}
		if r.IntN(2) == 0 {
			q.Start = random.Base + int64(r.IntN(8))*20e9
			q.End = q.Start + int64(1+r.IntN(6))*20e9
		}
		out = append(out, question{fmt.Sprintf("metrics %s start=%d end=%d max=%d", q.Query, q.Start, q.End, q.MaxSeries),
			func(s *layout.Store) (string, error) {
				a, err := s.Metrics(q)
				if err != nil {
					return "", err
				}
				return layout.Metrics(a) + layout.Exemplars(a), nil
			}})
	}
	filter := random.Filter(r)
	out = append(out, question{fmt.Sprintf("tags %s", filter), func(s *layout.Store) (string, error) {
		a, err := s.Tags(&eval.TagsRequest{Query: filter, End: math.MaxUint64})
		return layout.Tags(a), err
	}})
	field := random.Field(r)
	return append(out, question{fmt.Sprintf("values of %s %s", field, filter), func(s *layout.Store) (string, error) {
		a, err := s.Values(&eval.ValuesRequest{Field: field, Query: filter, End: math.MaxUint64})
		return layout.Values(a), err
	}})
}

// Whatever segments, blocks and row groups the spans lie in, in whatever order they came, whether
// some came twice and whether blocks were merged: every answer must be the same, byte for byte.
func TestAnswersDoNotDependOnLayout(t *testing.T) {
	each(t, func(r *rand.Rand, where string) {
		spans := random.Spans(r)
		qs := questions(r)
		var first []string
		layouts := []layout.Layout{layout.All[0], layout.All[1+r.IntN(len(layout.All)-1)], layout.Random(r),
			layout.Random(r)}
		for n, l := range layouts {
			s, err := l.Build(spans)
			require.NoError(t, err, "%s\nlayout %s", where, l.Name)
			for i, q := range qs {
				a, err := q.ask(s)
				if err != nil {
					a = "error\n"
				}
				if n == 0 {
					first = append(first, a)
				} else if a != first[i] {
					t.Errorf("%s\n%s\nlayout %s:\n%slayout %s:\n%s", where, q.text, layouts[0].Name, first[i], l.Name,
						a)
				}
			}
		}
	})
}

// A trace looked up by id must hold the same spans, each once, under the same resources and scopes,
// whatever its homes.
func TestTracesDoNotDependOnLayout(t *testing.T) {
	each(t, func(r *rand.Rand, where string) {
		spans := random.Spans(r)
		want := map[trace.ID][]string{}
		for _, s := range spans {
			want[s.Trace] = append(want[s.Trace], contents(t, otlp.Encode(s), s.Trace)...)
		}
		s, err := layout.Random(r).Build(spans)
		require.NoError(t, err, where)
		for id, w := range want {
			b, err := s.Trace(id)
			require.NoError(t, err, where)
			slices.Sort(w)
			require.Equal(t, slices.Compact(w), contents(t, b, id), where)
		}
		b, err := s.Trace(otlp.TraceID(1))
		require.NoError(t, err, where)
		require.Nil(t, b, where)
	})
}

// contents lists the spans of a trace in a message, with all they were sent under, sorted.
func contents(t *testing.T, message []byte, id trace.ID) (out []string) {
	var c trace.Collector
	require.NoError(t, c.Add(message))
	for _, f := range c.Fragments(id) {
		out = append(out, fmt.Sprintf("%x %x %x", f.Resource, f.Scope, f.Span))
	}
	slices.Sort(out)
	return out
}

// What is counted over a window must be the sum of what is counted over its parts.
func TestWindowsAddUp(t *testing.T) {
	each(t, func(r *rand.Rand, where string) {
		spans := random.Spans(r)
		s, err := layout.Random(r).Build(spans)
		require.NoError(t, err, where)
		q := random.Counting(r)
		counts := func(start, end, step int64) map[string]float64 {
			a, err := s.Metrics(&eval.MetricsRequest{Query: q, Start: start, End: end, Step: step})
			require.NoError(t, err, "%s\n%s", where, q)
			out := map[string]float64{}
			for _, series := range a.Series {
				for _, p := range series.Samples {
					if p.Value != 0 {
						out[strings.TrimSpace(layout.Attributes(series.Labels))] += p.Value
					}
				}
			}
			return out
		}
		const hour = 3600e9
		whole := counts(random.Base-hour, random.Base+hour, 2*hour)
		steps := counts(random.Base-hour, random.Base+hour, 10e9)
		require.Equal(t, whole, steps, "%s\n%s\nsteps", where, q)
		parts := map[string]float64{}
		for at := int64(random.Base - hour); at < random.Base+hour; {
			next := min(random.Base+hour, at+int64(1+r.IntN(300))*10e9)
			for k, v := range counts(at, next, 10e9) {
				parts[k] += v
			}
			at = next
		}
		require.Equal(t, whole, parts, "%s\n%s\nparts", where, q)
	})
}
