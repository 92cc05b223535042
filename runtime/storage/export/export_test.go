package export

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/storage/adopt"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// startOf is when trace n begins.
func startOf(n int) uint64 { return uint64(noon.UnixNano()) + uint64(n)*1e9 }

// newBucket makes a bucket of two sources with ten traces each, of which five are in both; a trace
// has two spans in a source, and one of them is in both.
func newBucket(t *testing.T) (objstore.Bucket, *catalog.View) {
	t.Helper()
	b := objstore.NewMemory()
	a, err := adopt.Open(t.Context(), b, "test")
	require.NoError(t, err)
	require.NoError(t, a.Begin(t.Context()))
	for source, first := range []int{0, 5} {
		w := a.NewWriter("shop", fmt.Sprint(source), 0, noon.Add(time.Hour))
		w.SetBlockSpans(8)
		for n := first; n < first+10; n++ {
			at := startOf(n)
			both := &otlp.Span{Trace: otlp.TraceID(uint64(n)), ID: otlp.SpanID(1), Name: "both", Start: at, End: at + 9}
			own := &otlp.Span{Trace: otlp.TraceID(uint64(n)), ID: otlp.SpanID(uint64(2 + source)), Parent: otlp.SpanID(1),
				Name: fmt.Sprint("own-", source), Start: at + 1, End: at + 5}
			require.NoError(t, w.AddTrace(t.Context(), at, at+9, otlp.Encode(both, own)))
		}
		require.NoError(t, w.Flush(t.Context()))
	}
	return b, a.Catalog().View()
}

// exported returns how many spans come out of each trace.
func exported(t *testing.T, b objstore.Bucket, v *catalog.View, r Request) (map[trace.ID]int, []Unread) {
	t.Helper()
	got := map[trace.ID]int{}
	r.Tenant = "shop"
	unread, err := Each(t.Context(), v, blockstore.NewStore(b, 1<<20), r, func(otlp []byte) error {
		var c trace.Collector
		require.NoError(t, c.Add(otlp))
		for _, id := range c.IDs() {
			got[id] += len(c.Fragments(id))
		}
		return nil
	})
	require.NoError(t, err)
	return got, unread
}

// Each trace comes once and whole, wherever its spans lie; a range and a query choose traces.
func TestEach(t *testing.T) {
	b, v := newBucket(t)
	want := map[trace.ID]int{}
	for n := range 15 {
		want[otlp.TraceID(uint64(n))] = 2
		if n >= 5 && n < 10 {
			want[otlp.TraceID(uint64(n))] = 3
		}
	}
	got, unread := exported(t, b, v, Request{End: 1 << 62})
	require.Empty(t, unread)
	require.Equal(t, want, got)

	got, _ = exported(t, b, v, Request{Start: startOf(4), End: startOf(7)})
	require.Len(t, got, 3)
	require.Equal(t, 3, got[otlp.TraceID(6)])

	q, err := traceql.Parse(`{ name = "own-0" } && { name = "own-1" }`)
	require.NoError(t, err)
	got, _ = exported(t, b, v, Request{End: 1 << 62, Query: q})
	require.Len(t, got, 5)
	for n := 5; n < 10; n++ {
		require.Equal(t, 3, got[otlp.TraceID(uint64(n))])
	}
}

// A block that cannot be read is named, and what is elsewhere comes out.
func TestUnread(t *testing.T) {
	b, v := newBucket(t)
	gone := v.Blocks("shop", 0, 1<<62)[0]
	require.NoError(t, b.Delete(t.Context(), blockstore.Folder("shop", gone.GetId())+block.SpansObject))
	got, unread := exported(t, b, v, Request{End: 1 << 62})
	require.Len(t, unread, 1)
	require.Equal(t, gone.GetId(), unread[0].Block)
	require.Less(t, len(got), 15)
	require.GreaterOrEqual(t, len(got), 10)
}
