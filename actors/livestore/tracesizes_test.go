package livestore

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// sized is a record of one span of a trace, and how many bytes it counts.
func sized(id uint64) (record []byte, bytes int64) {
	name := strings.Repeat("x", 100)
	record = otlp.Encode(&otlp.Span{Trace: otlp.TraceID(id), ID: otlp.SpanID(1), Name: name, Start: 1, End: 2})
	trace.SpanSizes(record, func(_ trace.ID, n int) { bytes += int64(n) })
	return record, bytes
}

// A trace is listed once it has more bytes than its tenant's limit, however they are spread over
// records, and no other trace is. Ten minutes later its count begins anew.
func TestTraceSizes(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	one, n := sized(1)
	two, _ := sized(2)
	limit := 3 * n
	s := traceSizes{limit: func(tenant string) int64 { return map[string]int64{"limited": limit}[tenant] }}
	for i := range 3 {
		s.countSpans(now.Add(time.Duration(i)*sizePeriod), "limited", one) // one in each period: counted on
		s.countSpans(now, "free", one)
	}
	s.countSpans(now, "limited", two)
	s.listLarge(now)
	require.Empty(t, s.large, "as large as the limit is not over it")
	now = now.Add(3 * sizePeriod)
	s.countSpans(now, "limited", one)
	s.countSpans(now, "limited", one)
	s.listLarge(now)
	require.Equal(t, []jobs.LargeTrace{{Tenant: "limited", ID: otlp.TraceID(1)}}, s.large)
	s.listLarge(now.Add(2*sizePeriod - 1))
	require.Len(t, s.large, 1)
	s.listLarge(now.Add(2 * sizePeriod))
	require.Empty(t, s.large)
	s.countSpans(now.Add(2*sizePeriod), "limited", one)
	s.listLarge(now.Add(2 * sizePeriod))
	require.Empty(t, s.large, "begins anew")

	for range 4 {
		s.countSpans(now.Add(2*sizePeriod), "limited", one)
	}
	s.listLarge(now.Add(2 * sizePeriod))
	require.Len(t, s.large, 1)
	limit = 0
	s.listLarge(now.Add(2 * sizePeriod))
	require.Empty(t, s.large, "the limit is lifted")
}

// The memory for sizes is bounded, and a trace that goes on is counted further even if many others
// come.
func TestTraceSizesAreBounded(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	whale, n := sized(1 << 62)
	s := traceSizes{limit: func(string) int64 { return 20*n - 1 }}
	for i := range uint64(10) {
		for j := range uint64(maxSizes / 4) {
			minnow, _ := sized(1 + i*maxSizes + j)
			s.countSpans(now, "a", minnow)
		}
		s.countSpans(now, "a", whale)
		s.countSpans(now, "a", whale)
		require.LessOrEqual(t, len(s.young)+len(s.old), 2*maxSizes+1)
	}
	s.listLarge(now)
	require.Equal(t, []jobs.LargeTrace{{Tenant: "a", ID: otlp.TraceID(1 << 62)}}, s.large)
}

// The cost of a span when the size of its trace is limited.
func BenchmarkCountSpans(b *testing.B) {
	var spans []*otlp.Span
	for i := range uint64(1000) {
		spans = append(spans, &otlp.Span{
			Trace: otlp.TraceID(1 + i/10),
			ID:    otlp.SpanID(1 + i),
			Name:  "name of a span",
			Start: 1,
			End:   2,
			Attrs: []otlp.Attr{
				{Key: "http.request.method", Value: "GET"},
				{Key: "http.response.status_code", Value: 200},
				{Key: "url.path", Value: "/a/path"},
			},
		})
	}
	record := otlp.Encode(spans...)
	s := traceSizes{limit: func(string) int64 { return 1 << 40 }}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b.ReportAllocs()
	for b.Loop() {
		s.countSpans(now, "a", record)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/span")
}
