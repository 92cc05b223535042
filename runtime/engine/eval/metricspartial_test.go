package eval

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// shop makes records of one trace each: spans of few services, names, sizes and starts, so that
// ties of every sort occur.
func shop(t testing.TB, r *rand.Rand, traces int) (records [][]byte) {
	for i := range traces {
		var e trace.Encoder
		var id trace.ID
		id[0] = 1
		binary.BigEndian.PutUint64(id[8:], uint64(i)+1)
		for n := range 1 + r.IntN(6) {
			service := []byte(fmt.Sprintf("s%d", r.IntN(4)))
			attr := trace.Attribute{Key: []byte("service.name"), Value: trace.Value{Type: trace.String, Bytes: service}}
			kv := trace.AppendAttribute(nil, &attr)
			require.NoError(t, e.Resource(nested(0x0a, nested(0x0a, kv))))
			require.NoError(t, e.Scope(nil))
			s := trace.Span{TraceID: id, StartUnixNano: uint64(1_000e9 + r.Int64N(100)*1e9),
				Name: []byte{byte('a' + r.IntN(3))}, HasParent: n > 0}
			binary.BigEndian.PutUint64(s.SpanID[:], uint64(r.IntN(50)+1))
			binary.BigEndian.PutUint64(s.ParentID[:], uint64(r.IntN(50)+1))
			s.EndUnixNano = s.StartUnixNano + r.Uint64N(1<<uint(r.IntN(40)+1))
			size := trace.Value{Type: trace.Int, Num: r.Uint64N(1000)}
			if r.IntN(3) == 0 {
				size = trace.Value{Type: trace.Float, Num: 0x3fb999999999999a} // 0.1
			}
			s.Attributes = []trace.Attribute{{Key: []byte("size"), Value: size}}
			require.NoError(t, e.Span(&s))
		}
		records = append(records, e.Bytes())
	}
	return records
}

// nested returns a field of a message that is shorter than 128 bytes.
func nested(tag byte, b []byte) []byte { return append([]byte{tag, byte(len(b))}, b...) }

var metricsQueries = []string{
	`{ } | rate()`,
	`{ } | count_over_time() by (resource.service.name, name)`,
	`{ } | sum_over_time(span.size) by (name)`,
	`{ name = "a" } | avg_over_time(span.size)`,
	`{ } | min_over_time(duration) by (span.size)`,
	`{ } | quantile_over_time(duration, .5, .9) by (resource.service.name)`,
	`{ } | histogram_over_time(span.size)`,
	`{ name = "a" } >> { } | max_over_time(duration) by (rootName)`,
	`({ name = "a" } | rate() by (name)) / ({ } | rate()) * 100`,
	`{ } | rate() by (span:id) | topk(3)`,
	`{ } | compare({ name = "b" }, 3)`,
}

func queryRange(t testing.TB, r *MetricsRequest, shared Set, records [][]byte) *MetricsPartial {
	p, err := QueryRange(context.Background(), segment(t, records), r, shared)
	require.NoError(t, err)
	return p
}

func result(t testing.TB, r *MetricsRequest, p *MetricsPartial) *MetricsResult {
	res, err := p.Result(r)
	require.NoError(t, err)
	return res
}

// Series, samples and exemplars must be the same, bit for bit, wherever traces lie, in whatever
// order homes are merged, and however the range is divided among requests. A merge must not change
// the partial that it takes from.
func TestMetricsDoNotDependOnLayout(t *testing.T) {
	for seed := range uint64(12) {
		r := rand.New(rand.NewPCG(seed, 5))
		records := shop(t, r, 1+r.IntN(60))
		for _, text := range metricsQueries {
			q, err := traceql.Parse(text)
			require.NoError(t, err)
			req := &MetricsRequest{Query: q, Start: 1_000e9, End: 1_090e9, Step: 10e9, Exemplars: 1 + r.IntN(20)}
			if r.IntN(4) == 0 {
				req.Instant = true
			}
			want := result(t, req, queryRange(t, req, nil, records))

			homes := make([][][]byte, 1+r.IntN(5))
			for _, rec := range records {
				k := r.IntN(len(homes))
				homes[k] = append(homes[k], rec)
			}
			var partials []*MetricsPartial
			for _, h := range homes {
				r.Shuffle(len(h), func(i, j int) { h[i], h[j] = h[j], h[i] })
				if req.Instant || r.IntN(2) == 0 {
					partials = append(partials, queryRange(t, req, nil, h))
					continue
				}
				// The range in two parts.
				cut := req.Start + req.Step*(1+r.Int64N(8))
				a, b := *req, *req
				a.BinWidth, b.BinWidth = req.ExemplarBinWidth(), req.ExemplarBinWidth()
				a.End, b.Start = cut, cut
				partials = append(partials, queryRange(t, &a, nil, h), queryRange(t, &b, nil, h))
			}
			r.Shuffle(len(partials), func(i, j int) { partials[i], partials[j] = partials[j], partials[i] })
			var all MetricsPartial
			for _, p := range partials {
				before := result(t, req, p)
				all.Merge(p)
				require.Equal(t, before, result(t, req, p), "the partial merged from has changed")
			}
			require.Equal(t, want, result(t, req, &all), "seed %d: %s", seed, text)
			require.Positive(t, all.Size())
		}
	}
}

// Exemplars must be spans that exist: spans of their series, in the range, one of a trace, and no
// more than were asked for. Their values must be those of the spans, or for counts the sample of
// their interval.
func TestExemplarsAreSpans(t *testing.T) {
	records := shop(t, rand.New(rand.NewPCG(3, 3)), 200)
	for _, text := range []string{`{ } | rate() by (name)`, `{ } | max_over_time(duration) by (name)`,
		`{ } | quantile_over_time(duration, .5, .99)`, `{ } | rate() by (name) with (exemplars = 7)`,
		`{ } | rate() with (exemplars = false)`, `{ } | rate() with (exemplars = true)`} {
		q, err := traceql.Parse(text)
		require.NoError(t, err)
		req := &MetricsRequest{Query: q, Start: 1_000e9, End: 1_090e9, Step: 10e9, Exemplars: 20}
		limit := 20
		if h, ok := q.Hint("exemplars"); ok && h.Type == traceql.TypeInt {
			limit = int(h.Int)
		} else if ok && h.Int == 0 {
			limit = 0
		}
		res := result(t, req, queryRange(t, req, nil, records))
		n, seen := 0, map[string]bool{}
		for _, s := range res.Series {
			for _, e := range s.Exemplars {
				n++
				labels := map[string]string{}
				for _, l := range e.Labels {
					labels[l.Key] = string(l.Value.Bytes)
				}
				require.False(t, seen[labels["trace:id"]], "two exemplars of a trace")
				seen[labels["trace:id"]] = true
				require.True(t, e.Time > req.Start && e.Time <= req.End)
				at := slices.IndexFunc(s.Samples, func(x Sample) bool { return e.Time > x.Time-req.Step && e.Time <= x.Time })
				require.GreaterOrEqual(t, at, 0, "an exemplar without sample")
				where := fmt.Sprintf("trace:id = %q", labels["trace:id"])
				if name := string(s.Labels[0].Value.Bytes); s.Labels[0].Key == "name" {
					require.Equal(t, name, labels["name"])
					where += fmt.Sprintf(" && name = %q", name)
				}
				fn := "count_over_time()"
				if q.Root.(*traceql.Metrics).Field != nil {
					fn = "max_over_time(duration)"
				}
				one, err := traceql.Parse("{ " + where + " } | " + fn)
				require.NoError(t, err)
				only := &MetricsRequest{Query: one, Start: e.Time - 1, End: e.Time, Instant: true}
				found := result(t, only, queryRange(t, only, nil, records))
				require.Len(t, found.Series, 1, where)
				if fn == "count_over_time()" { // a span may last no time, but it counts
					require.Positive(t, found.Series[0].Samples[0].Value, "%s at %d", where, e.Time)
					require.Equal(t, s.Samples[at].Value, e.Value)
				} else {
					require.LessOrEqual(t, e.Value, found.Series[0].Samples[0].Value)
				}
			}
		}
		require.LessOrEqual(t, n, limit, text)
		require.True(t, n > limit/2 || limit == 0, "%s: %d exemplars", text, n)
	}
}

type setOf map[trace.ID]bool

func (s setOf) Has(id trace.ID) bool     { return s[id] }
func (s setOf) Earliest(trace.ID) uint64 { return 0 }
func (s setOf) IDs() []trace.ID          { return slices.Collect(maps.Keys(s)) }

// Traces with several homes must be left out, and those that may match in the range must be named.
// If the query looks at whole traces, these are all that have spans in the range.
func TestMetricsLeaveSharedTracesOut(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	records := shop(t, r, 40)
	shared := setOf{}
	var rest, away [][]byte
	for i, rec := range records {
		if i%3 != 0 {
			rest = append(rest, rec)
			continue
		}
		away = append(away, rec)
		var id trace.ID
		id[0] = 1
		binary.BigEndian.PutUint64(id[8:], uint64(i)+1)
		shared[id] = true
	}
	for _, text := range metricsQueries {
		q, err := traceql.Parse(text)
		require.NoError(t, err)
		req := &MetricsRequest{Query: q, Start: 1_020e9, End: 1_040e9, Step: 10e9, Exemplars: 10}
		p := queryRange(t, req, shared, records)
		require.Equal(t, result(t, req, queryRange(t, req, nil, rest)), result(t, req, p), text)
		named := setOf{}
		for _, c := range p.Candidates() {
			require.True(t, shared[c.ID])
			named[c.ID] = true
		}
		// Those named, added, make the whole.
		var add [][]byte
		for _, rec := range away {
			var ids idsOf
			require.NoError(t, new(trace.Reader).Walk(rec, &ids))
			if named[ids[0]] {
				add = append(add, rec)
			}
		}
		p.Merge(queryRange(t, req, nil, add))
		require.Equal(t, result(t, req, queryRange(t, req, nil, records)), result(t, req, p), text)
		require.NotEmpty(t, named, text)
	}
}

// If each home of a trace holds one side of a structural query, the home with spans in the range
// must name the trace, although nothing can match there alone.
func TestMetricsNameWhatMatchesNowhereAlone(t *testing.T) {
	id := trace.ID{1}
	home := func(key string, n byte, parent trace.SpanID) [][]byte {
		var e trace.Encoder
		require.NoError(t, e.Resource(nil))
		require.NoError(t, e.Scope(nil))
		s := trace.Span{TraceID: id, SpanID: trace.SpanID{n}, ParentID: parent, HasParent: parent != trace.SpanID{},
			StartUnixNano: 5e9, EndUnixNano: 6e9,
			Attributes: []trace.Attribute{{Key: []byte(key), Value: trace.Value{Type: trace.Int, Num: 1}}}}
		require.NoError(t, e.Span(&s))
		return [][]byte{e.Bytes()}
	}
	req := &MetricsRequest{Query: parse(t, `{ span.a = 1 } >> { span.b = 1 } | rate()`), Start: 0, End: 10e9,
		Step: 10e9}
	var all MetricsPartial
	for _, h := range [][][]byte{home("a", 1, trace.SpanID{}), home("b", 2, trace.SpanID{1})} {
		p := queryRange(t, req, setOf{id: true}, h)
		require.Len(t, p.Candidates(), 1)
		require.False(t, req.CanMatch()(p.Candidates()[0]))
		all.Merge(p)
	}
	require.Equal(t, []Candidate{{ID: id, Start: 5e9, Clues: Clues{1, 1}}}, all.Candidates())
	require.True(t, req.CanMatch()(all.Candidates()[0]))
}

type idsOf []trace.ID

func (*idsOf) Resource([]byte) error        { return nil }
func (*idsOf) Scope([]byte) error           { return nil }
func (ids *idsOf) Span(s *trace.Span) error { *ids = append(*ids, s.TraceID); return nil }

// A cancelled query must stop, a query with too many series must end with a named error, and a
// range that makes no window must be refused.
func TestMetricsEnd(t *testing.T) {
	records := shop(t, rand.New(rand.NewPCG(9, 9)), 10)
	q, err := traceql.Parse(`{ } | rate() by (name)`)
	require.NoError(t, err)
	req := &MetricsRequest{Query: q, Start: 1_000e9, End: 1_090e9, Step: 10e9}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = QueryRange(ctx, segment(t, records), req, nil)
	require.ErrorIs(t, err, context.Canceled)

	require.ErrorIs(t, checkSeriesMemory(MaxMemory+1), ErrLimit)
	require.NoError(t, checkSeriesMemory(MaxMemory))

	for _, bad := range []MetricsRequest{{Query: q}, {Query: q, Start: 5, End: 5, Step: 1},
		{Query: q, Start: 0, End: 1e18, Step: 1}, {Query: q, Start: 0, End: 10, Step: -1}} {
		_, err = QueryRange(context.Background(), segment(t, records), &bad, nil)
		require.Error(t, err)
		_, err = new(MetricsPartial).Result(&bad)
		require.Error(t, err)
	}
	// Of nothing: a count has its series, with zeros.
	res := result(t, &MetricsRequest{Query: parse(t, `{ } | rate()`), Start: 0, End: 20, Step: 10}, new(MetricsPartial))
	require.Len(t, res.Series, 1)
	require.Len(t, res.Series[0].Samples, 2)
	// The first in the order of labels are kept.
	req.MaxSeries = 2
	res = result(t, req, queryRange(t, req, nil, records))
	require.True(t, res.Truncated)
	require.Equal(t, "a", string(res.Series[0].Labels[0].Value.Bytes))
	require.Equal(t, "b", string(res.Series[1].Labels[0].Value.Bytes))
}

func parse(t testing.TB, text string) *traceql.Query {
	q, err := traceql.Parse(text)
	require.NoError(t, err)
	return q
}
