package blockstore_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// folder is a sink for the objects of a block.
type folder struct {
	t      *testing.T
	bucket objstore.Bucket
	prefix string
}

type object struct {
	bytes.Buffer
	folder folder
	name   string
}

func (f folder) Create(name string) (io.WriteCloser, error) {
	return &object{folder: f, name: name}, nil
}

func (o *object) Close() error {
	_, err := o.folder.bucket.Create(o.folder.t.Context(), o.folder.prefix+o.name, &o.Buffer)
	return err
}

// writeBlock writes a block of partition 0 of 2 with a span for each of the traces, the n-th of
// which begins at n.
func writeBlock(t *testing.T, b objstore.Bucket, traces []trace.ID) *blocks.BlockMeta {
	t.Helper()
	segment := live.New(live.Limits{})
	for i, id := range traces {
		span := &otlp.Span{Trace: id, ID: otlp.SpanID(uint64(i + 1)), Start: uint64(i), End: uint64(i) + 5}
		_, err := segment.Append(int64(i), 0, otlp.Encode(span))
		require.NoError(t, err)
	}
	m, _, err := block.Write(t.Context(), []column.Table{segment.Snapshot(0, math.MaxInt64)},
		block.WriteOptions{ID: "b", Tenant: "a", Partition: 0, Parts: []int32{2}},
		folder{t, b, blockstore.Folder("a", "b")})
	require.NoError(t, err)
	raw, err := json.Marshal(m)
	require.NoError(t, err)
	return jobs.CatalogMeta(m, raw)
}

// routed returns n ids of traces of the tenant that are routed to partition p of 2.
func routed(n int, p int32) (ids []trace.ID) {
	for i := uint64(1); len(ids) < n; i++ {
		if id := trace.ID(otlp.TraceID(i)); trace.Partition("a", id, 2) == p {
			ids = append(ids, id)
		}
	}
	return ids
}

// Exactly the traces that the block holds are found, each under its place in the list and with its
// time in the block.
func TestFindTraces(t *testing.T) {
	bucket := objstore.NewMemory()
	ids, others := routed(20, 0), routed(5, 1)
	m := writeBlock(t, bucket, ids[:10])
	asked := append(others, ids[8], ids[15], ids[3])

	found, err := blockstore.FindTraces(t.Context(), blockstore.NewStore(bucket, 1<<20), m, asked)
	require.NoError(t, err)
	require.Len(t, found.List, 2)
	for i, want := range []struct {
		asked int
		start uint64
	}{{5, 8}, {7, 3}} {
		require.Equal(t, want.asked, found.List[i].Asked)
		e, err := found.List[i].Extent(t.Context())
		require.NoError(t, err)
		require.Equal(t, asked[want.asked], e.ID)
		require.Equal(t, want.start, e.Start)
		require.Equal(t, want.start+5, e.End)
	}
	require.Zero(t, found.BytesRead(), "the index is enough to find a trace")
}

// A block that none of the traces can have been routed to is not opened: here it could not be.
func TestFindTracesOfAnotherPartition(t *testing.T) {
	bucket := objstore.NewMemory()
	m := writeBlock(t, bucket, routed(3, 0))
	require.NoError(t, bucket.Delete(t.Context(), "a/b/"+block.SpansObject))
	store := blockstore.NewStore(bucket, 1<<20)

	found, err := blockstore.FindTraces(t.Context(), store, m, routed(5, 1))
	require.NoError(t, err)
	require.Empty(t, found.List)
	_, err = blockstore.FindTraces(t.Context(), store, m, routed(5, 0))
	require.ErrorIs(t, err, objstore.ErrNotFound)
}

// Names of objects of blocks are told from others, and fit together again.
func TestObjectNames(t *testing.T) {
	n, ok := blockstore.ParseObjectName(blockstore.Folder("a", "b") + block.MetaObject)
	require.True(t, ok)
	require.Equal(t, blockstore.ObjectName{Tenant: "a", ID: "b", Object: block.MetaObject}, n)
	require.Equal(t, "a/b/", n.Folder())
	for _, name := range []string{"catalog/12", "a/b/c/d", ""} {
		_, ok := blockstore.ParseObjectName(name)
		require.False(t, ok, name)
	}
}

// No two calls return the same id.
func TestNewID(t *testing.T) {
	require.NotEqual(t, blockstore.NewID("a", "e", 1, 2, 3, 4), blockstore.NewID("a", "e", 1, 2, 3, 4))
}
