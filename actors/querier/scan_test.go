package querier

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// store holds blocks in memory and opens them. A block may be gone or damaged.
type store struct {
	objects map[string]map[string][]byte // by block, by name
	metas   map[string]*block.Meta
	gone    map[string]bool
	opened  int
}

type sink struct{ to map[string][]byte }

type object struct {
	bytes.Buffer
	to   map[string][]byte
	name string
}

func (s sink) Create(name string) (io.WriteCloser, error) { return &object{to: s.to, name: name}, nil }
func (o *object) Close() error                            { o.to[o.name] = o.Bytes(); return nil }

type source map[string][]byte

func (s source) ReadRange(_ context.Context, name string, off int64, buf []byte) error {
	if b := s[name]; off+int64(len(buf)) <= int64(len(b)) {
		copy(buf, b[off:])
		return nil
	}
	return fmt.Errorf("read %s: %w", name, io.ErrUnexpectedEOF)
}

func (s *store) Open(ctx context.Context, m *blocks.BlockMeta) (*block.Block, error) {
	s.opened++
	if s.gone[m.GetId()] {
		return nil, fmt.Errorf("read spans.parquet: %w", objstore.ErrNotFound)
	}
	return block.Open(ctx, source(s.objects[m.GetId()]), s.metas[m.GetId()])
}

// add writes a block of traces, each of two spans a second apart, in row groups of one page.
func (s *store) add(t *testing.T, id string, from, to int) *blocks.BlockMeta {
	t.Helper()
	seg := live.New(live.Limits{})
	var spans []*otlp.Span
	for i := from; i < to; i++ {
		for k := range 2 {
			at := second(i) + uint64(k)*1e9
			spans = append(spans, &otlp.Span{Trace: otlp.TraceID(uint64(i + 1)), ID: otlp.SpanID(uint64(2*i + k + 1)), Name: fmt.Sprint("op ", i%5), Start: at, End: at + 1e6})
		}
	}
	_, err := seg.Append(0, 0, otlp.Encode(spans...))
	require.NoError(t, err)
	seg.Seal()
	objects := map[string][]byte{}
	meta, _, err := block.Write(context.Background(), []column.Table{seg.Snapshot(0, math.MaxInt64)},
		block.WriteOptions{ID: id, Tenant: "t", Epoch: "e", Partition: -1, RowGroupRows: column.PageRows}, sink{objects})
	require.NoError(t, err)
	s.objects[id], s.metas[id] = objects, meta
	return jobs.CatalogMeta(meta, nil)
}

func second(i int) uint64 { return 1_700_000_000_000_000_000 + uint64(i)*1e9 }

func newDeps() (Deps, *store) {
	s := &store{objects: map[string]map[string][]byte{}, metas: map[string]*block.Meta{}, gone: map[string]bool{}}
	c := cache.New[KnownResult](1 << 20)
	return Deps{Blocks: s, Cache: c, Logger: slog.New(slog.DiscardHandler), Metrics: NewMetrics(prometheus.NewRegistry(), c.Used)}, s
}

func search(t *testing.T, q string, limit int) jobs.Scan {
	t.Helper()
	query, err := traceql.Parse(q)
	require.NoError(t, err)
	return jobs.Scan{Search: &eval.SearchRequest{Query: query, Limit: limit, SpansPerSpanSet: 3, End: math.MaxUint64}}
}

func job(m *blocks.BlockMeta, s jobs.Scan) *jobs.BlockScanJob {
	return &jobs.BlockScanJob{Block: m, Scan: s, Key: s.Key()}
}

// What is known of every row group answers a job without opening the block, with the same result;
// other traces left out, another question or another range within the block are not the same job.
func TestKnownResults(t *testing.T) {
	d, s := newDeps()
	m := s.add(t, "a", 0, 10_000) // three row groups
	ctx := context.Background()
	all := job(m, search(t, `{ name = "op 3" }`, 100_000))
	require.Nil(t, d.knownResult(all))
	first, err := d.scanBlock(ctx, all)
	require.NoError(t, err)
	require.Len(t, first.Partial.Search.Traces, 2000)
	require.Zero(t, first.CacheHits)
	require.EqualValues(t, 20_000, first.Spans)
	require.NotZero(t, first.Bytes)

	opened := s.opened
	again := d.knownResult(all)
	require.NotNil(t, again)
	require.Equal(t, opened, s.opened)
	require.Equal(t, 3, again.CacheHits)
	require.Zero(t, again.Bytes+again.Spans)
	require.Equal(t, first.Partial.Search.Traces, again.Partial.Search.Traces)
	require.Equal(t, first.Oldest, again.Oldest)
	require.Equal(t, first.Partial.Search.Traces, d.knownResult(all).Partial.Search.Traces, "what is kept has not been merged into")

	wider := *all
	wider.Scan = search(t, `{ name = "op 3" }`, 100_000)
	wider.Scan.Search.Start, wider.Scan.Search.End = second(0)-5, second(20_000)
	require.NotNil(t, d.knownResult(&wider), "the ranges differ outside of the block only")
	narrow := wider
	narrow.Scan = search(t, `{ name = "op 3" }`, 100_000)
	narrow.Scan.Search.End = second(5000)
	require.Nil(t, d.knownResult(&narrow))
	other := job(m, search(t, `{ name = "op 4" }`, 100_000))
	require.Nil(t, d.knownResult(other))
	shared := *all
	shared.Print = 1
	shared.Shared = jobs.NewShared(jobs.SharedOptions{Tenant: "t"}, nil, []catalog.Extent{{ID: otlp.TraceID(4), End: math.MaxUint64}})
	require.Nil(t, d.knownResult(&shared))
	out, err := d.scanBlock(ctx, &shared)
	require.NoError(t, err)
	require.Len(t, out.Partial.Search.Traces, 1999)
	require.Len(t, out.Partial.Search.Candidates, 1)
	require.NotNil(t, d.knownResult(&shared))
}

// A result from which older traces were left out serves only those who want no older ones.
func TestKnownSince(t *testing.T) {
	d, s := newDeps()
	m := s.add(t, "a", 0, 3000)
	q := search(t, `{ name = "op 3" }`, 100_000)
	since := job(m, q.Since(second(2000)))
	r, err := d.scanBlock(context.Background(), since)
	require.NoError(t, err)
	require.Len(t, r.Partial.Search.Traces, 200)
	require.NotNil(t, d.knownResult(job(m, q.Since(second(2500)))))
	require.Nil(t, d.knownResult(job(m, q.Since(second(1000)))))
	require.Nil(t, d.knownResult(job(m, q)))
	r, err = d.scanBlock(context.Background(), job(m, q))
	require.NoError(t, err)
	require.Len(t, r.Partial.Search.Traces, 600)
	require.NotNil(t, d.knownResult(since), "all of them serve everybody")
}

// Parts of a block together are the block, and each says where it begins.
func TestParts(t *testing.T) {
	d, s := newDeps()
	m := s.add(t, "a", 0, 10_000)
	q := search(t, `{ name = "op 3" }`, 100_000)
	var all jobs.Partial
	for part := 3; part >= 0; part-- { // more parts than row groups
		j := job(m, q)
		j.Part, j.Parts = part, 4
		r, err := d.scanBlock(context.Background(), j)
		require.NoError(t, err)
		if r.Spans > 0 {
			require.NotZero(t, r.Oldest)
			for _, x := range found(all) {
				require.GreaterOrEqual(t, x.Start, r.Oldest)
			}
		}
		all.Merge(r.Partial, q)
	}
	require.Len(t, all.Search.Traces, 2000)
}

// A search for few traces reads the newest row groups only.
func TestEarlyEnd(t *testing.T) {
	d, s := newDeps()
	m := s.add(t, "a", 0, 10_000)
	r, err := d.scanBlock(context.Background(), job(m, search(t, `{ name = "op 3" }`, 5)))
	require.NoError(t, err)
	require.Len(t, r.Partial.Search.Traces, 5)
	require.Equal(t, second(9998), r.Partial.Search.Traces[0].Start)
	require.Less(t, r.Spans, int64(20_000))
}

// A block that cannot be read is named with its class, hides no other block, and leaves nothing
// behind that is kept.
func TestDamage(t *testing.T) {
	d, s := newDeps()
	a, b, c := s.add(t, "a", 0, 10), s.add(t, "b", 5, 15), s.add(t, "c", 8, 20)
	s.gone["b"] = true
	file := s.objects["c"]["spans.parquet"]
	for i := 4; i < len(file)-4; i++ {
		file[i] ^= 0x5a
	}
	ctx := context.Background()
	r, err := d.readTraces(ctx, &jobs.BlockTracesJob{Blocks: []*blocks.BlockMeta{a, b, c}, TracesAsk: asked(otlp.TraceID(9), otlp.TraceID(99), otlp.TraceID(1))})
	require.NoError(t, err)
	require.Len(t, r.Extracts, 1)
	require.Equal(t, []uint32{2, 2, 0, 0}, r.Extracts[0].Traces)
	require.Len(t, r.Failed, 2)
	require.Equal(t, status.NotFound, status.Of(r.Failed[0]).Class)
	require.Equal(t, status.Corrupt, status.Of(r.Failed[1]).Class)
	for m, class := range map[*blocks.BlockMeta]status.Class{b: status.NotFound, c: status.Corrupt} {
		j := job(m, search(t, "{}", 10))
		_, err := d.scanBlock(ctx, j)
		require.Equal(t, class, status.Of(err).Class)
		require.Nil(t, d.knownResult(j))
	}
}

// A job whose asker has gone ends, and its failure is not the block's.
func TestGone(t *testing.T) {
	d, s := newDeps()
	m := s.add(t, "a", 0, 10_000)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := d.scanBlock(ctx, job(m, search(t, `{ name = "op 3" }`, 5)))
	require.Equal(t, status.Canceled, status.Of(err).Class)
	_, err = d.readTraces(ctx, &jobs.BlockTracesJob{Blocks: []*blocks.BlockMeta{m}, TracesAsk: asked(otlp.TraceID(9))})
	require.Equal(t, status.Canceled, status.Of(err).Class)
}

func asked(ids ...trace.ID) jobs.TracesAsk {
	return jobs.TracesAsk{IDs: ids, Columns: &extract.Asked{}}
}

func found(p jobs.Partial) []eval.TraceMatch {
	if p.Search == nil {
		return nil
	}
	return p.Search.Traces
}
