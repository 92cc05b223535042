package jobs

import (
	"context"
	"maps"
	"math"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// spread is a corpus in two blocks, and the traces that both hold spans of.
type spread struct {
	start, end uint64
	homes      []*block.Block
	shared     map[trace.ID]catalog.Extent
	spans      int
}

// spreadOut puts of every so many traces of the corpus the later half into a second block, and all
// the rest into the first. merged makes one trace of all.
func spreadOut(b *testing.B, every int, merged bool) *spread {
	start, end, records := corpus(b)
	one := live.New(live.Limits{})
	rename := trace.Encoder{}
	if merged {
		rename.Change = func(s *trace.Span) { s.TraceID = trace.ID{15: 1} }
	}
	for i, r := range records {
		var w trace.Reader
		if merged {
			rename = trace.Encoder{Change: rename.Change}
			require.NoError(b, w.Walk(r, &rename))
			r = rename.Bytes()
		}
		_, err := one.Append(int64(i), 1, r)
		require.NoError(b, err)
	}
	snap := one.Snapshot(0, math.MaxInt64)
	out := &spread{start: start, end: end, shared: map[trace.ID]catalog.Extent{}, spans: snap.Rows()}
	segments := []*live.Segment{live.New(live.Limits{}), live.New(live.Limits{})}
	ctx := context.Background()
	record := int64(0)
	for i := range snap.Traces() {
		info, err := snap.Trace(ctx, i)
		require.NoError(b, err)
		rows := snap.TraceRows(i, nil)
		parts := [][]uint32{rows}
		if every > 0 && i%every == 0 && len(rows) > 1 {
			parts = [][]uint32{rows[:len(rows)/2], rows[len(rows)/2:]}
			out.shared[info.ID] = catalog.Extent{ID: info.ID, Start: info.Start, End: info.End}
		}
		for k, rows := range parts {
			for chunk := range slices.Chunk(rows, 10_000) {
				fs, err := column.Fragments(ctx, snap, chunk, nil)
				require.NoError(b, err)
				_, err = segments[k].Append(record, 1, trace.Assemble(fs))
				require.NoError(b, err)
				record++
			}
		}
	}
	for k, seg := range segments {
		if seg.Rows() == 0 {
			continue
		}
		seg.Seal()
		at := dir(b.TempDir())
		m, _, err := block.Write(ctx, []column.Table{seg.Snapshot(0, math.MaxInt64)}, block.WriteOptions{
			ID:     []string{"00000000-0000-5000-8000-000000000001", "00000000-0000-5000-8000-000000000002"}[k],
			Tenant: "t", Epoch: "e", Parts: []int32{1}, To: 1 << 40}, at)
		require.NoError(b, err)
		bl, err := block.Open(ctx, at, m)
		require.NoError(b, err)
		out.homes = append(out.homes, bl)
	}
	return out
}

// answer does what a query does: it scans each home and puts the candidates together, in batches.
func (s *spread) answer(b *testing.B, scan Scan) (traces int) {
	ctx := context.Background()
	shared := NewShared(SharedOptions{}, nil, slices.Collect(maps.Values(s.shared)))
	var all Partial
	for _, h := range s.homes {
		r, err := RunScan(ctx, h.Reader().Tables(), scan, shared.LeftOutLive(nil))
		require.NoError(b, err)
		all.Merge(r.Partial, scan)
	}
	bounds := StartBounds{}
	all.TakeCandidates(scan, bounds)
	columns, err := scan.TraceColumns()
	require.NoError(b, err)
	for batch := range slices.Chunk(bounds.NewestFirst(), 1<<14) {
		ask := TracesAsk{Columns: columns}
		for _, c := range batch {
			ask.IDs = append(ask.IDs, c.ID)
		}
		parts := &extract.Parts{IDs: ask.IDs}
		for _, h := range s.homes {
			r, err := RunTraces(ctx, h.Reader().Tables(), &ask)
			require.NoError(b, err)
			parts.Extracts = append(parts.Extracts, r.Extracts...)
		}
		which := column.NewBitmap(len(ask.IDs))
		which.SetRange(0, len(ask.IDs))
		r, err := RunJoined(ctx, parts, which, scan)
		require.NoError(b, err)
		require.Empty(b, r.Tied)
		all.Merge(r.Partial, scan)
		traces += len(batch)
	}
	return traces
}

// processorTime is the time for which the process has run, in ns. On a machine that others use,
// too, it says more than the time that has passed.
func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkHomes answers queries that depend on whole traces over traces that have one home, of
// which every twentieth or each has two, and over one trace of all spans that has one or two.
func BenchmarkHomes(b *testing.B) {
	for _, layout := range []struct {
		name   string
		every  int
		merged bool
	}{
		{"one", 0, false}, {"twentieth", 20, false}, {"all", 1, false}, {"large-one", 0, true}, {"large", 1, true},
	} {
		b.Run(layout.name, func(b *testing.B) {
			s := spreadOut(b, layout.every, layout.merged)
			for _, q := range []struct{ name, text string }{
				{"rate", `{ } | rate()`},
				{"structural", `{ resource.service.name = "frontend" } >> { status = error }`},
				{"structural-rate", `{ resource.service.name = "frontend" } >> { status = error } | rate()`},
				{"any-rate", `{ } >> { } | rate()`},
				{"count-rate", `{ } | count() > 1 | rate()`},
				{"root-rate", `{ rootServiceName = "frontend" && span.http.response.status_code >= 400 } | rate() by (name)`},
				{"aggregate", `{ span.db.system = "redis" } | count() > 5`},
			} {
				b.Run(q.name, func(b *testing.B) {
					query, err := traceql.Parse(q.text)
					require.NoError(b, err)
					scan := Scan{Search: &eval.SearchRequest{Query: query, Start: s.start, End: s.end, Limit: 20, SpansPerSpanSet: 3}}
					if query.IsMetrics() {
						step := int64(1e9)
						scan = Scan{Metrics: &eval.MetricsRequest{Query: query, Start: int64(s.start) / step * step,
							End: int64(s.end), Step: step}}
					}
					b.ReportAllocs()
					n, before := 0, processorTime(b)
					for b.Loop() {
						n = s.answer(b, scan)
					}
					b.ReportMetric(float64(n), "together")
					b.ReportMetric(float64(processorTime(b)-before)/float64(b.N)/float64(s.spans), "cpu-ns/span")
				})
			}
		})
	}
}
