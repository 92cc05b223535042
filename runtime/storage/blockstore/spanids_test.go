package blockstore_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// The ids and kinds of exactly the spans of the traces that are asked for are read, from a block of
// many row groups and from a live segment alike, in whatever order the traces are named.
func TestEachSpan(t *testing.T) {
	const traces = 3000
	r := rand.New(rand.NewPCG(1, 2))
	segment := live.New(live.Limits{})
	want := map[trace.ID][]string{}
	show := func(id trace.SpanID, kind int32) string { return fmt.Sprintf("%s %d", id, kind) }
	for i := range 20_000 {
		s := &otlp.Span{Trace: otlp.TraceID(uint64(r.IntN(traces))), ID: otlp.SpanID(uint64(r.IntN(9000) + 1)),
			Name: fmt.Sprint(i), Kind: int32(r.IntN(6)), Start: uint64(r.IntN(1e9))}
		want[s.Trace] = append(want[s.Trace], show(s.ID, s.Kind))
		_, err := segment.Append(int64(i), 0, otlp.Encode(s))
		require.NoError(t, err)
	}
	snapshot := segment.Snapshot(0, math.MaxInt64)
	bucket := objstore.NewMemory()
	meta, _, err := block.Write(t.Context(), []column.Table{snapshot},
		block.WriteOptions{ID: "b", Tenant: "a", Partition: -1, RowGroupRows: 3000},
		folder{t, bucket, blockstore.Folder("a", "b")})
	require.NoError(t, err)
	raw, err := json.Marshal(meta)
	require.NoError(t, err)
	store := blockstore.NewStore(bucket, 1<<20)
	for _, n := range []int{0, 1, 7, traces} {
		var asked []trace.ID
		for range n {
			if id := otlp.TraceID(uint64(r.IntN(traces + 10))); !slices.Contains(asked, id) {
				asked = append(asked, id)
			}
		}
		check := func(each func(visit func(id trace.ID, span trace.SpanID, kind int32))) {
			got := map[trace.ID][]string{}
			each(func(id trace.ID, span trace.SpanID, kind int32) { got[id] = append(got[id], show(span, kind)) })
			for _, id := range asked {
				require.ElementsMatch(t, want[id], got[id])
				delete(got, id)
			}
			require.Empty(t, got)
		}
		check(func(visit func(trace.ID, trace.SpanID, int32)) {
			found, err := blockstore.FindTraces(t.Context(), store, jobs.CatalogMeta(meta, raw), asked)
			require.NoError(t, err)
			require.NoError(t, found.EachSpan(t.Context(), func(i int, id trace.SpanID, kind int32) {
				visit(asked[found.List[i].Asked], id, kind)
			}))
		})
		check(func(visit func(trace.ID, trace.SpanID, int32)) {
			var ordinals []int
			var ids []trace.ID
			for _, id := range asked {
				i, ok, err := snapshot.Lookup(t.Context(), id)
				require.NoError(t, err)
				if ok {
					ordinals, ids = append(ordinals, i), append(ids, id)
				}
			}
			visitRow := func(n int, id trace.SpanID, kind int32) { visit(ids[n], id, kind) }
			require.NoError(t, column.EachSpan(t.Context(), snapshot, ordinals, visitRow))
		})
	}
}
