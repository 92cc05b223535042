package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// One large trace, which lies in three blocks, takes no other trace from anybody: queries that
// select all spans answer for it and for the small traces beside it, complete, although its spans
// are several times as large as the memory that an answer may have. What is read of it are the
// columns that a query asks for.
func TestQueriesBesideLargeTrace(t *testing.T) {
	const small, large, most = 1000, 60_000, 5 << 20
	n := kit.NewNode(t)
	n.Env = []string{fmt.Sprintf("TROUPE_CFG_QUERY_FRONTEND__MAX_RESULT_BYTES=%d", most)}
	n.Start()
	at := time.Now().Add(-2 * time.Minute).Truncate(time.Minute)
	resource := &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: "shop"}}}
	sent := 0
	push := func(spans []*otlp.Span) {
		t.Helper()
		for from := 0; from < len(spans); from += 2000 {
			body := otlp.Encode(spans[from:min(from+2000, len(spans))]...)
			sent += len(body)
			code, answer, err := n.Push(context.Background(), "application/x-protobuf", body)
			require.NoError(t, err)
			require.Equal(t, 200, code, "%s", answer)
		}
	}
	span := func(trace, number, parent int) *otlp.Span {
		start := uint64(at.Add(time.Second).UnixNano()) + uint64(number)*100_000
		s := &otlp.Span{Trace: otlp.TraceID(uint64(trace)), ID: otlp.SpanID(uint64(number)), Name: "work", Resource: resource,
			Start: start, End: start + 1e6, Attrs: []otlp.Attr{{Key: "payload", Value: fmt.Sprint(number, strings.Repeat(" x", 150))}}}
		if parent > 0 {
			s.Parent = otlp.SpanID(uint64(parent))
		}
		return s
	}
	for part := range 3 {
		var spans []*otlp.Span
		for i := part; i < large; i += 3 {
			spans = append(spans, span(1, i+1, (i+1)/2))
		}
		for i := part; i < small; i += 3 {
			spans = append(spans, span(2+i, 1, 0), span(2+i, 2, 1))
		}
		push(spans)
		require.Zero(t, n.Stop(30*time.Second), n.Log()) // which cuts
		n.Start()
	}
	require.Greater(t, sent, 2*most)
	within := []string{"start", fmt.Sprint(at.Unix()), "end", fmt.Sprint(at.Add(time.Minute).Unix()), "limit", "5000"}
	for q, want := range map[string]int{
		`{ } | count_over_time()`:               large + 2*small,
		`{ } >> { } | count_over_time()`:        large - 1 + small,
		`{ } | count() > 2 | count_over_time()`: large,
	} {
		var m struct {
			Complete *bool
			Warnings []string
			Series   []struct {
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
		}, 20*time.Second, 10*time.Millisecond, "%s counts %v, want %d; %v", q, &total, want, &m.Warnings)
	}
	for q, want := range map[string]int{`{ }`: small + 1, `{ } | count() > 2`: 1, `{ } >> { }`: small + 1} {
		var f found
		n.GetJSON(&f, "/api/search", append([]string{"q", q, "require_complete", "true"}, within...)...)
		require.True(t, f.Complete, q)
		require.Len(t, f.Traces, want, q)
	}
}
