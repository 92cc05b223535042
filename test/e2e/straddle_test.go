package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
)

// half sends spans [from, to) of many traces, each trace in a request of its own.
func half(t *testing.T, n *kit.Node, at time.Time, from, to int) {
	t.Helper()
	for i := range 50 {
		td := ptrace.NewTraces()
		r := td.ResourceSpans().AppendEmpty()
		r.Resource().Attributes().PutStr("service.name", "shop")
		for j := from; j < to; j++ {
			s := r.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			s.SetTraceID([16]byte{0x22, byte(i), 15: 7})
			s.SetSpanID([8]byte{byte(j + 1)})
			s.SetName(fmt.Sprint("step ", j))
			start := at.Add(time.Duration(i*10+j) * time.Millisecond)
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(time.Millisecond)))
		}
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		code, _, err := n.Push(context.Background(), "application/x-protobuf", body)
		require.NoError(t, err)
		require.Equal(t, 200, code)
	}
}

// Traces whose spans lie in two blocks and in the live part, some of them twice, are counted and
// found as if they were in one place, again and again.
func TestTracesOverSeveralHomes(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	at := time.Now().Add(-time.Minute).Truncate(time.Minute)
	check := func(where string, spans int) {
		t.Helper()
		for range 3 { // the second and third time much is known already
			var m struct {
				Series []struct {
					Samples []struct {
						Value float64 `json:"value"`
					} `json:"samples"`
				} `json:"series"`
			}
			total := 0.0
			// found soon; how soon is measured by the benchmarks, on a quiet machine
			require.Eventually(t, func() bool {
				n.GetJSON(&m, "/api/metrics/query_range", "q", `{ resource.service.name = "shop" } | count_over_time()`, "step", "60s",
					"start", fmt.Sprint(at.Unix()), "end", fmt.Sprint(at.Add(5*time.Minute).Unix()))
				total = 0
				for _, s := range m.Series {
					for _, p := range s.Samples {
						total += p.Value
					}
				}
				return total == float64(spans*50)
			}, 20*time.Second, 10*time.Millisecond, "%s: %d spans", where, spans*50)
			search := func(q, limit string, want int) {
				t.Helper()
				var f found
				n.GetJSON(&f, "/api/search", "q", q, "limit", limit, "require_complete", "true",
					"start", fmt.Sprint(at.Unix()), "end", fmt.Sprint(at.Add(5*time.Minute).Unix()))
				require.True(t, f.Complete)
				require.Len(t, f.Traces, want, "%s: %s", where, q)
			}
			search(fmt.Sprintf("{ } | count() = %d", spans), "100", 50)
			search(fmt.Sprintf(`{ name = "step 0" } && { name = "step %d" }`, spans-1), "100", 50)
			search(fmt.Sprintf(`{ name = "step 0" } && { name = "step %d" }`, spans-1), "7", 7)
			search(fmt.Sprintf(`{ name = "step %d" }`, spans), "100", 0)
		}
		for i := range 3 {
			require.Len(t, fetch(t, n, fmt.Sprintf("22%02x%026d07", i, 0)), spans, where)
		}
	}
	half(t, n, at, 0, 2)
	check("live", 2)
	require.Zero(t, n.Stop(30*time.Second)) // a cut
	n.Start()
	check("one block", 2)
	half(t, n, at, 1, 4)
	check("block and live, one span twice", 4)
	require.Zero(t, n.Stop(30*time.Second))
	n.Start()
	check("two blocks", 4)
	half(t, n, at, 0, 6)
	check("two blocks and live", 6)
	n.Kill()
	n.Start()
	check("after kill -9", 6)
}
