package e2e

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// A node says how far it has read and which blocks it has.
func TestNodeStatus(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	var list []*otlp.Span
	for i := range uint64(50) {
		list = append(list, &otlp.Span{Trace: otlp.TraceID(i + 1), ID: otlp.SpanID(i + 1), Name: "work",
			Start: uint64(time.Now().UnixNano()), End: uint64(time.Now().UnixNano()) + 5})
	}
	code, answer, err := n.Push(t.Context(), "application/x-protobuf", otlp.Encode(list...))
	require.NoError(t, err)
	require.Equal(t, 200, code, "%s", answer)
	type status struct {
		Partitions []struct {
			Covered, Head, Spans int64 `json:",string"`
			Trouble              string
		}
		Catalog struct {
			Blocks int
			Spans  int64 `json:",string"`
		}
		Memory struct {
			UsedBytes int64 `json:",string"`
		}
	}
	sum := func(s status) (live, unread int64) {
		require.Len(t, s.Partitions, 4)
		for _, p := range s.Partitions {
			require.Empty(t, p.Trouble)
			live, unread = live+p.Spans, unread+p.Head-p.Covered
		}
		return live, unread
	}
	require.Eventually(t, func() bool {
		var s status
		n.GetJSON(&s, "/api/status/node")
		require.Positive(t, s.Memory.UsedBytes)
		live, unread := sum(s)
		return live+s.Catalog.Spans == 50 && (live == 0) == (unread == 0)
	}, time.Minute, 50*time.Millisecond)

	require.Zero(t, n.Stop(time.Minute)) // what is left is cut
	n.Start()
	var s status
	n.GetJSON(&s, "/api/status/node")
	live, _ := sum(s)
	require.Zero(t, live)
	require.EqualValues(t, 50, s.Catalog.Spans)

	type block struct {
		ID     string
		Tenant string
		Spans  int64  `json:",string"`
		Start  uint64 `json:"startTimeUnixNano,string"`
	}
	blocks := func(params ...string) (total int, list []block) {
		var a struct {
			Total  int
			Blocks []block
		}
		n.GetJSON(&a, "/api/blocks", params...)
		return a.Total, a.Blocks
	}
	total, all := blocks()
	require.Equal(t, s.Catalog.Blocks, total)
	require.Len(t, all, total)
	spans := int64(0)
	for _, b := range all {
		spans += b.Spans
	}
	require.EqualValues(t, 50, spans)
	again, one := blocks("limit", "1", "since", "1h")
	require.Equal(t, total, again)
	require.Equal(t, all[:1], one)
	none, _ := blocks("start", "1000", "end", "2000")
	require.Zero(t, none)
	for _, params := range []string{"?limit=0", "?limit=x", "?limit=999999", "?start=2000&end=1000", "?since=long", "?start=x"} {
		code, text := n.Get("/api/blocks" + params)
		require.Equal(t, 400, code, "%s: %s", params, text)
	}
}
