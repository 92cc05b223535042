package e2e

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
	"github.com/troupe-tracing/troupe/test/kit/outline"
)

// The outline of a trace has what the trace has, by its id, whether its spans are in segments, in
// blocks or in both, and though some were sent twice.
func TestOutline(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	id := otlp.TraceID(0x1234567890abcdef)
	pushLongTrace(t, n, id, 30_000)
	first := checkOutline(t, n, id)
	require.Len(t, first.Spans, 30_000)

	require.Zero(t, n.Stop(time.Minute)) // what is left is cut
	n.Start()
	require.Equal(t, first.Spans, checkOutline(t, n, id).Spans)

	pushLongTrace(t, n, id, 10_000) // other spans, which have the same ids
	require.Len(t, checkOutline(t, n, id).Spans, 40_000)

	for path, code := range map[string]int{
		"/api/outline/abcdef": http.StatusNotFound, "/api/outline/xyz": http.StatusBadRequest,
		"/api/outline/" + id.String() + "/more": http.StatusNotFound,
	} {
		got, _ := n.Get(path)
		require.Equal(t, code, got, path)
	}
}

// checkOutline reads the outline of a trace and compares it with the trace.
func checkOutline(t *testing.T, n *kit.Node, id trace.ID) *outline.Outline {
	resp, err := openTrace(n, "/api/outline/"+id.String())
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "application/vnd.troupe.outline", resp.Header.Get("Content-Type"))
	require.Equal(t, "true", resp.Header.Get("Troupe-Complete"))
	o, err := outline.Read(b)
	require.NoError(t, err)
	require.True(t, o.Complete)
	require.Empty(t, o.Warnings)
	require.Equal(t, id.String(), o.TraceID)
	require.LessOrEqual(t, len(b), 36*o.N)

	whole, err := openTrace(n, "/api/traces/"+id.String())
	require.NoError(t, err)
	defer whole.Body.Close()
	sent, err := io.ReadAll(whole.Body)
	require.NoError(t, err)
	want, err := outline.Of(sent)
	require.NoError(t, err)
	require.Equal(t, len(want), len(o.Spans))
	for i := range want {
		require.Equal(t, want[i], o.Spans[i], "span %d", i)
	}
	return o
}
