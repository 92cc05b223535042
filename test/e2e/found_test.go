package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
)

// What is acknowledged is found by id, by search and in metrics by whoever asks a second later,
// with default settings. The middle one of several tries is judged: on a machine that stands still
// for a moment, one says nothing.
func TestFoundWithinASecond(t *testing.T) {
	const tries = 9
	n := kit.NewNode(t)
	n.Start()
	since := fmt.Sprint(time.Now().Add(-time.Minute).Unix())
	until := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	took := map[string][]time.Duration{}
	for i := range tries {
		name := fmt.Sprintf("found-%d", i)
		body, id := one(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetName(name) })
		code, answer, err := n.Push(t.Context(), "application/x-protobuf", body)
		require.NoError(t, err)
		require.Equal(t, 200, code, "%s", answer)
		acknowledged := time.Now()
		for how, found := range map[string]func() bool{
			"by id": func() bool { return len(fetch(t, n, id)) == 1 },
			"by search": func() bool {
				var a struct{ Traces []struct{} }
				n.GetJSON(&a, "/api/search", "q", fmt.Sprintf("{ name = %q }", name))
				return len(a.Traces) == 1
			},
			"in metrics": func() bool {
				var a struct{ Series []struct{} }
				n.GetJSON(&a, "/api/metrics/query", "q", fmt.Sprintf("{ name = %q } | count_over_time()", name), "start", since, "end", until)
				return len(a.Series) == 1
			},
		} {
			for {
				asked := time.Since(acknowledged)
				if found() {
					took[how] = append(took[how], asked)
					break
				}
				require.Less(t, asked, time.Minute, "%s is not found %s", name, how)
			}
		}
	}
	for how, d := range took {
		slices.Sort(d)
		require.LessOrEqual(t, d[tries/2], time.Second, "%s: %v", how, d)
	}
}
