package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// pairs sends one span of each of the traces [from, to), in requests of 500. All are of one minute.
func pairs(t *testing.T, n *kit.Node, at time.Time, from, to int, name string) {
	t.Helper()
	shop := &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: "shop"}}}
	var batch []*otlp.Span
	for i := from; i < to; i++ {
		start := uint64(at.Add(time.Second).UnixNano()) + uint64(i)*1000
		s := &otlp.Span{Trace: otlp.TraceID(uint64(i + 1)), ID: otlp.SpanID(1), Name: name, Kind: 2, Resource: shop, Start: start, End: start + 1e6}
		if name == "second" {
			s.ID, s.Parent, s.Start, s.End = otlp.SpanID(2), otlp.SpanID(1), start+500, start+9e5
		}
		if batch = append(batch, s); len(batch) == 500 || i == to-1 {
			code, answer, err := n.Push(context.Background(), "application/x-protobuf", otlp.Encode(batch...))
			require.NoError(t, err)
			require.Equal(t, 200, code, "%s", answer)
			batch = batch[:0]
		}
	}
}

// Traces whose two spans came in two cuts lie in two blocks each. What is counted of each span by
// itself is counted where it lies: no trace is put together, and no more is read than of traces in
// one block. Where spans were sent twice only their traces are, and nothing counts twice. A search
// puts together about as many as it returns, not all that match.
func TestTracesInTwoBlocks(t *testing.T) {
	traces := 20000
	if testing.Short() {
		traces = 4000
	}
	again := traces / 20
	n := kit.NewNode(t)
	n.Start()
	at := time.Now().Add(-2 * time.Minute).Truncate(time.Minute)
	within := []string{"start", fmt.Sprint(at.Unix()), "end", fmt.Sprint(at.Add(time.Minute).Unix())}
	cut := func() {
		t.Helper()
		require.Zero(t, n.Stop(30*time.Second), n.Log())
		n.Start()
	}
	count := func(where, q string, want int) {
		t.Helper()
		var m struct {
			Series []struct {
				Value float64 `json:"value"`
			} `json:"series"`
		}
		total := 0.0
		require.Eventually(t, func() bool { // found soon; how soon is measured by the benchmarks
			n.GetJSON(&m, "/api/metrics/query", append([]string{"q", q}, within...)...)
			total = 0
			for _, s := range m.Series {
				total += s.Value
			}
			return total == float64(want)
		}, 20*time.Second, 10*time.Millisecond, "%s: %s counts %v, want %d", where, q, &total, want)
	}
	type plan struct {
		Complete       bool
		Assembled      int
		Traces         int
		InspectedBytes int64 `json:"inspectedBytes,string"`
	}
	explain := func(q string) (p plan) {
		t.Helper()
		n.GetJSON(&p, "/api/explain", append([]string{"q", q, "limit", "20"}, within...)...)
		require.True(t, p.Complete)
		return p
	}
	check := func(where string, repeated int) {
		t.Helper()
		count(where, `{ } | count_over_time()`, 2*traces)
		count(where, `{ name = "second" } | count_over_time() by (resource.service.name)`, traces)
		count(where, `{ nestedSetParent < 0 } | count_over_time()`, traces)
		p := explain(`{ } | count_over_time()`)
		require.LessOrEqual(t, p.Assembled, repeated, where)
		if repeated == 0 {
			require.Less(t, p.InspectedBytes, int64(24*traces), where)
		}
		for _, q := range []string{`{ name = "first" }`, `{ name = "second" }`} {
			p = explain(q)
			require.Equal(t, 20, p.Traces, "%s: %s", where, q)
			require.LessOrEqual(t, p.Assembled, 100, "%s: %s", where, q)
		}
	}
	pairs(t, n, at, 0, traces, "first")
	cut()
	pairs(t, n, at, 0, traces, "second")
	count("live", `{ } | count_over_time()`, 2*traces)
	cut()
	check("two blocks", 0)

	pairs(t, n, at, 0, again, "second") // as a client does that has not heard that they were taken
	pairs(t, n, at, traces-again, traces, "first")
	check("blocks and live", 2*again)
	cut()
	check("three blocks", 2*again)
}
