package jobs_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/random"
)

var joinedRounds = flag.Int("joined-rounds", 300, "rounds of TestJoinedIsAssembled")

// segmentOf returns a segment of spans, which was sent in one record.
func segmentOf(t testing.TB, limits live.Limits, records ...[]byte) *live.Snapshot {
	seg := live.New(limits)
	for i, r := range records {
		_, err := seg.Append(int64(i), 1, r)
		require.NoError(t, err)
	}
	seg.Seal()
	return seg.Snapshot(0, math.MaxInt64)
}

// assembled is one segment of traces that are put together as wholes from several homes.
func assembled(t testing.TB, homes []column.Table, ids []trace.ID) column.Table {
	var records [][]byte
	for _, id := range ids {
		r, err := jobs.RunTrace(context.Background(), homes, id, math.MaxInt64, nil)
		require.NoError(t, err)
		records = append(records, trace.Assemble(r.Fragments...))
	}
	return segmentOf(t, live.Limits{}, records...)
}

// joined evaluates a scan over the columns of traces from several homes.
func joined(t testing.TB, homes []column.Table, ids []trace.ID, s jobs.Scan) (p jobs.Partial, size int64) {
	return joinedBy(t, homes, ids, s, false)
}

// joinedBy does it with spans that share start and id in the order of their checksums, or not.
func joinedBy(
	t testing.TB, homes []column.Table, ids []trace.ID, s jobs.Scan, byDigest bool,
) (p jobs.Partial, size int64) {
	columns, err := s.TraceColumns()
	require.NoError(t, err)
	parts := &extract.Parts{IDs: ids, ByDigest: byDigest}
	ask := jobs.TracesAsk{IDs: ids, Columns: columns}
	which := column.NewBitmap(len(ids))
	which.SetRange(0, len(ids))
	for range 2 {
		read, err := jobs.RunTraces(context.Background(), homes, &ask)
		require.NoError(t, err)
		size += read.Size()
		parts.Extracts = append(parts.Extracts, read.Extracts...)
		r, err := jobs.RunJoined(context.Background(), parts, which, s)
		require.NoError(t, err)
		p.Merge(r.Partial, s)
		if len(r.Tied) == 0 {
			return p, size
		}
		ask.Only, parts.Named = r.Tied, r.Tied
		which.ClearAll()
		for _, s := range r.Tied {
			which.Set(int(s.Trace))
		}
	}
	require.Fail(t, "contents are asked for twice")
	return p, size
}

func parsed(t testing.TB, text string) *traceql.Query {
	q, err := traceql.Parse(text)
	require.NoError(t, err)
	return q
}

// A query over the columns that it asks for, of traces in several homes, is answered as over these
// traces put together as wholes.
func TestJoinedIsAssembled(t *testing.T) {
	for round := range *joinedRounds {
		r := rand.New(rand.NewPCG(uint64(round), 35))
		spans := random.Spans(r)
		var homes []column.Table
		dealt := make([][]*otlp.Span, 1+r.IntN(3))
		seen, ids := map[trace.ID]bool{}, []trace.ID(nil)
		start, end := uint64(math.MaxUint64), uint64(0)
		for _, s := range spans {
			n := r.IntN(len(dealt))
			dealt[n] = append(dealt[n], s)
			if r.IntN(10) == 0 {
				dealt[r.IntN(len(dealt))] = append(dealt[r.IntN(len(dealt))], s) // twice
			}
			if !seen[s.Trace] {
				seen[s.Trace] = true
				ids = append(ids, s.Trace)
			}
			start, end = min(start, s.Start), max(end, s.End)
		}
		for _, list := range dealt {
			if len(list) > 0 {
				homes = append(homes, segmentOf(t, live.Limits{MaxColumns: 1 + r.IntN(40)}, otlp.Encode(list...)))
			}
		}
		whole := assembled(t, homes, ids)
		search := &eval.SearchRequest{Query: random.Search(r), End: math.MaxUint64, Limit: 1 + r.IntN(5), SpansPerSpanSet: 1 + r.IntN(3)}
		metrics := &eval.MetricsRequest{Query: random.Metrics(r), Start: 1_700_006_400_000_000_000, End: 1_700_006_700_000_000_000,
			Step: 10_000_000_000, Exemplars: r.IntN(2) * 10}
		for _, s := range []jobs.Scan{{Search: search}, {Metrics: metrics}} {
			want, err := jobs.RunScan(context.Background(), []column.Table{whole}, s, nil)
			require.NoError(t, err)
			got, _ := joined(t, homes, ids, s)
			name := fmt.Sprintf("round %d: %s", round, s.Key())
			if s.Search != nil {
				require.Equal(t, fmt.Sprint(want.Partial.Search.Traces), fmt.Sprint(got.Search.Traces), name)
				continue
			}
			a, err := want.Partial.Metrics.Result(metrics)
			require.NoError(t, err)
			b, err := got.Metrics.Result(metrics)
			require.NoError(t, err)
			require.Equal(t, a, b, name)
		}
	}
}

// A large trace costs memory for the columns that a query asks for, whatever else its spans hold,
// and is answered for all the same.
func TestLargeTraceByItsColumns(t *testing.T) {
	const spans = 30_000
	large := otlp.TraceID(7)
	var homes []column.Table
	sent := 0
	for home := range 3 {
		var records [][]byte
		for len(records) < 10 {
			var list []*otlp.Span
			for range spans / 30 {
				n := uint64(home*spans/3 + len(records)*spans/30 + len(list) + 1)
				s := &otlp.Span{Trace: large, ID: otlp.SpanID(n), Name: "work", Start: n * 1000, End: n*1000 + 500,
					Attrs: []otlp.Attr{{Key: "payload", Value: fmt.Sprintf("%d %s", n, strings.Repeat("x", 400))}}}
				if n > 1 {
					s.Parent = otlp.SpanID(n / 2)
				}
				list = append(list, s)
			}
			records = append(records, otlp.Encode(list...))
			sent += len(records[len(records)-1])
		}
		homes = append(homes, segmentOf(t, live.Limits{}, records...))
	}
	require.Greater(t, sent, 400*spans)
	for query, matched := range map[string]int{`{ }`: spans, `{ } >> { }`: spans - 1, `{ } | count() > 1`: spans} {
		q, err := traceql.Parse(query)
		require.NoError(t, err)
		s := jobs.Scan{Search: &eval.SearchRequest{Query: q, End: math.MaxUint64, Limit: 20, SpansPerSpanSet: 3}}
		p, size := joined(t, homes, []trace.ID{large}, s)
		require.Len(t, p.Search.Traces, 1, query)
		require.Equal(t, matched, p.Search.Traces[0].SpanSets[0].Matched, query)
		require.Less(t, size, int64(90*spans), query)
	}
}
