package querier

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// countingBucket counts the reads of a bucket, those of indexes apart.
type countingBucket struct {
	objstore.Bucket
	indexes map[string]int64 // by object: where the index begins
	index   atomic.Int64
	others  atomic.Int64
}

func (b *countingBucket) ReadRange(ctx context.Context, name string, off int64, buf []byte) (int, error) {
	if at, ok := b.indexes[name]; ok && at == off {
		b.index.Add(1)
	} else {
		b.others.Add(1)
	}
	return b.Bucket.ReadRange(ctx, name, off, buf)
}

// take returns how many indexes and other ranges were read since it was called before.
func (b *countingBucket) take() (index, others int64) { return b.index.Swap(0), b.others.Swap(0) }

// addBlock writes block n, which has a trace of five spans with attributes, and others.
func (b *countingBucket) addBlock(t testing.TB, n int) *blocks.BlockMeta {
	t.Helper()
	seg := live.New(live.Limits{})
	var spans []*otlp.Span
	for i := range 25 {
		at := second(n) + uint64(i)*1e6
		spans = append(spans, &otlp.Span{
			Trace:    otlp.TraceID(uint64(n*100 + i/5 + 1)),
			ID:       otlp.SpanID(uint64(i + 1)),
			Start:    at,
			End:      at + 1e6,
			Name:     fmt.Sprint("op ", i%7),
			Resource: &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: fmt.Sprint("s", i%3)}}},
			Attrs:    []otlp.Attr{{Key: "path", Value: fmt.Sprint("/", i)}, {Key: "code", Value: 200 + i%3}},
			Events:   []otlp.Event{{Name: "e", Time: at}},
		})
	}
	_, err := seg.Append(0, 0, otlp.Encode(spans...))
	require.NoError(t, err)
	id := fmt.Sprint("block-", n)
	tables := []column.Table{seg.Snapshot(0, math.MaxInt64)}
	o := block.WriteOptions{ID: id, Tenant: "t", Epoch: "e", Partition: -1}
	meta, _, err := block.Write(t.Context(), tables, o, blockstore.NewSink(t.Context(), b.Bucket, "t", id))
	require.NoError(t, err)
	b.indexes["t/"+id+"/"+block.SpansObject] = meta.Index.Offset
	raw, err := json.Marshal(meta)
	require.NoError(t, err)
	return jobs.CatalogMeta(meta, raw)
}

func newCounted(t testing.TB, count int) (Deps, *countingBucket, []*blocks.BlockMeta) {
	b := &countingBucket{Bucket: objstore.NewMemory(), indexes: map[string]int64{}}
	var list []*blocks.BlockMeta
	for n := range count {
		list = append(list, b.addBlock(t, n))
	}
	c := cache.New[KnownResult](16 << 20)
	return Deps{Blocks: blockstore.NewStore(b, 64<<20), Cache: c, Logger: slog.New(slog.DiscardHandler),
		Metrics: NewMetrics(prometheus.NewRegistry(), c.Used)}, b, list
}

// A query reads the index of each block once, and nothing of it when it is asked again.
func TestRequestsOfScans(t *testing.T) {
	d, bucket, list := newCounted(t, 50)
	for i, q := range []string{`{ name = "op 3" }`, `{ span.code = 201 }`, `{ resource.service.name = "none" }`} {
		scan := func() {
			for _, m := range list {
				j := job(m, search(t, q, 20))
				if d.knownResult(j) != nil {
					continue
				}
				_, err := d.scanBlock(t.Context(), j)
				require.NoError(t, err)
			}
		}
		scan()
		index, others := bucket.take()
		t.Logf("%s: %d indexes and %d other ranges of %d blocks", q, index, others, len(list))
		if i == 0 {
			require.EqualValues(t, len(list), index)
		} else {
			require.Zero(t, index, "indexes stay open")
		}
		scan()
		index, others = bucket.take()
		require.Zero(t, index+others, "asked again")
	}
}

// Of 300 blocks whose indexes are open, a trace by its id reads of the one that has it, and in two
// waves: the next one begins when the ranges of the one before are there.
func TestRequestsOfTraceByID(t *testing.T) {
	d, bucket, list := newCounted(t, 300)
	id := func(n int) trace.ID { return otlp.TraceID(uint64(n*100 + 3)) }
	find := func(n int) {
		r, err := d.readTrace(t.Context(), &jobs.BlockTraceJob{Blocks: list, ID: id(n), MaxBytes: 1 << 20})
		require.NoError(t, err)
		require.Empty(t, r.Failed)
		require.Len(t, r.Fragments, 1)
		require.Len(t, r.Fragments[0], 5)
	}
	find(0)
	index, _ := bucket.take()
	require.EqualValues(t, len(list), index, "the first one opens all of them")
	for _, n := range []int{1, 150, 299} {
		find(n)
		index, others := bucket.take()
		require.Zero(t, index)
		require.LessOrEqual(t, others, int64(3), "one range of the traces, one of the spans, one of the events")

		b, err := d.Blocks.Open(t.Context(), list[n])
		require.NoError(t, err)
		reader := b.Reader()
		table, ordinal, ok, err := reader.Find(t.Context(), id(n))
		require.NoError(t, err)
		require.True(t, ok)
		require.NoError(t, (&jobs.TraceResult{}).AddTable(t.Context(), table, ordinal, 1<<20, nil))
		require.LessOrEqual(t, reader.Stats().Waves, 2)
		bucket.take()
	}
}

func BenchmarkTraceByID(b *testing.B) {
	d, _, list := newCounted(b, 300)
	n := 0
	for b.Loop() {
		id := otlp.TraceID(uint64(n%300*100 + 3))
		_, err := d.readTrace(b.Context(), &jobs.BlockTraceJob{Blocks: list, ID: id, MaxBytes: 1 << 20})
		require.NoError(b, err)
		n += 7
	}
}
