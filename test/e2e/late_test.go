package e2e

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
)

// Spans count in metrics and are found by searches of their own time however late they come, and
// those of a clock that runs ahead are found by default; live, from blocks, and sums over parts of
// a range are the sum over the whole.
func TestLateSpans(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	now := time.Now()
	ages := []time.Duration{-30 * time.Minute, 0, 3 * time.Minute, 2 * time.Hour, 9 * time.Hour, 22 * time.Hour}
	push := func(round byte) {
		for i, age := range ages {
			td := ptrace.NewTraces()
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("service.name", "clock")
			s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
			s.SetTraceID([16]byte{round, 15: byte(i + 1)})
			s.SetSpanID([8]byte{1})
			s.SetName("tick")
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-age)))
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(-age + time.Millisecond)))
			body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
			require.NoError(t, err)
			code, answer, err := n.Push(t.Context(), "application/x-protobuf", body)
			require.NoError(t, err)
			require.Equal(t, 200, code, "%s", answer)
		}
	}
	count := func(from, to time.Time) (sum float64) {
		var series struct {
			Series []struct{ Samples []struct{ Value float64 } }
		}
		n.GetJSON(&series, "/api/metrics/query_range", "q", "{} | count_over_time()", "step", "1m",
			"start", fmt.Sprint(from.UnixNano()), "end", fmt.Sprint(to.UnixNano()))
		for _, s := range series.Series {
			for _, v := range s.Samples {
				sum += v.Value
			}
		}
		return sum
	}
	searched := func(params ...string) int {
		var found struct{ Traces []struct{ TraceID string } }
		n.GetJSON(&found, "/api/search", append([]string{"q", `{ name = "tick" }`, "limit", "100"}, params...)...)
		return len(found.Traces)
	}
	check := func(rounds int) {
		t.Helper()
		minute := now.Truncate(time.Minute)
		from, to := minute.Add(-23*time.Hour), minute.Add(55*time.Minute)
		require.Eventually(t, func() bool { return count(from, to) == float64(len(ages)*rounds) }, 20*time.Second, 20*time.Millisecond)
		parts := 0.0
		for at := from; at.Before(to); at = at.Add(5*time.Hour + time.Minute) {
			end := at.Add(5 * time.Hour)
			if end.After(to) {
				end = to
			}
			parts += count(at.Add(time.Minute), end) // a range counts from the interval before its start
		}
		require.EqualValues(t, len(ages)*rounds, parts)
		require.Equal(t, 3*rounds, searched(), "by default: the last quarter of an hour and what is ahead")
		for _, age := range ages {
			at := now.Add(-age)
			require.Equal(t, rounds, searched("start", fmt.Sprint(at.Unix()-1), "end", fmt.Sprint(at.Unix()+1)), "%s", age)
		}
	}
	push(1)
	check(1)
	require.Zero(t, n.Stop(30*time.Second))
	n.Start()
	check(1)
	push(2)
	check(2)
}
