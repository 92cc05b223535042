package ingress

import (
	"bytes"
	"compress/gzip"
	"log/slog"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/test/kit/intake"
)

// world is a door before a distributor whose answers a test decides.
type world struct {
	*Door
	*intake.Distributor
}

func newWorld(t testing.TB, change func(*Limits, *Deps)) *world {
	t.Helper()
	w := &world{Distributor: intake.Start(t)}
	l := limits()
	d := Deps{
		Asker:     w.System,
		Directory: w.System,
		Logger:    slog.New(slog.DiscardHandler),
		Metrics:   NewMetrics(prometheus.NewRegistry()),
	}
	if change != nil {
		change(&l, &d)
	}
	w.Door = New(d, l)
	t.Cleanup(func() { require.Zero(t, testutil.ToFloat64(d.Metrics.buffered), "memory still reserved") })
	return w
}

// spanPerByte has a span for each byte.
type spanPerByte struct{}

func (spanPerByte) Memory(_ string, body []byte) int64 { return 64<<10 + 96*int64(len(body)) }

func (spanPerByte) Read(_ string, body []byte) (Spans, error) {
	td := ptrace.NewTraces()
	spans := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for range body {
		s := spans.AppendEmpty()
		s.SetTraceID([16]byte{1})
		s.SetSpanID([8]byte{2})
	}
	return Spans{Traces: td}, nil
}

// foreign posts a body that is read as one span a byte.
func (w *world) foreign(body []byte, encoding string, tenants ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Content-Encoding", encoding)
	for _, t := range tenants {
		r.Header.Add("X-Scope-OrgID", t)
	}
	rec := httptest.NewRecorder()
	w.Foreign("other", 1<<20, spanPerByte{}).ServeHTTP(rec, r)
	return rec
}

func gzipped(b []byte) []byte {
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// Where the distributor refuses some spans, the answer is 400 with how many of how many and why.
func TestForeignPartialRefusal(t *testing.T) {
	w := newWorld(t, nil)
	w.Answer = func(*ingest.PushSpans) any {
		return &ingest.PushSpansReply{Spans: 1, Rejected: 2, Message: "trace too large"}
	}
	rec := w.foreign([]byte("abc"), "")
	require.Equal(t, 400, rec.Code)
	require.Equal(t, "2 of 3 spans are not kept: trace too large\n", rec.Body.String())
}

// A body that is too large, packed or not, cut, or too much to decode is refused with the reason,
// and nothing of it goes on.
func TestForeignRefuses(t *testing.T) {
	w := newWorld(t, nil)
	large := make([]byte, 1<<20+1)
	for _, c := range []struct {
		name, encoding string
		body           []byte
		text           string
	}{
		{"large", "", large, "http: request body too large"},
		{"bomb", "gzip", gzipped(large), "http: request body too large"},
		{"cut", "gzip", gzipped(large[:1000])[:20], "unexpected EOF"},
	} {
		rec := w.foreign(c.body, c.encoding)
		require.Equal(t, 400, rec.Code, c.name)
		require.Contains(t, rec.Body.String(), c.text, c.name)
	}
	small := newWorld(t, func(l *Limits, _ *Deps) { l.BufferedBytes = 40 << 20 })
	rec := small.foreign(large[:1<<19], "")
	require.Equal(t, 400, rec.Code)
	require.Contains(t, rec.Body.String(), "send smaller batches")
	require.Equal(t, 202, small.foreign(nil, "").Code)
	require.Empty(t, w.Pushed)
	require.Empty(t, small.Pushed)
}

// Where tenants are on, a request of another format names exactly one.
func TestForeignTenants(t *testing.T) {
	w := newWorld(t, func(_ *Limits, d *Deps) { d.Multitenancy = true })
	require.Equal(t, 401, w.foreign([]byte("a"), "").Code)
	require.Equal(t, 401, w.foreign([]byte("a"), "", "a", "b").Code)
	require.Equal(t, 400, w.foreign([]byte("a"), "", "a|b").Code)
	require.Empty(t, w.Pushed)
	require.Equal(t, 202, w.foreign([]byte("a"), "", "team-1").Code)
	require.Equal(t, "team-1", w.Pushed[0].Tenant)
}
