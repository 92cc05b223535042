package otlp

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// One bad span of JSON costs itself: the rest is pushed, and the answer adds what the gateway left
// out to what the distributor refused. All of it is counted by tenant and reason.
func TestJSONLossesAreTold(t *testing.T) {
	registry := prometheus.NewRegistry()
	w := newWorld(t, func(_ *Config, d *ingress.Deps) {
		d.Multitenancy = true
		d.Refusals = refusals.New(registry, slog.New(slog.DiscardHandler))
		d.Refusals.Tenants().Grant("team")
		t.Cleanup(d.Refusals.Close)
	})
	w.Answer = func(m *ingest.PushSpans) any {
		return &ingest.PushSpansReply{Spans: int64(trace.CountSpans(m.Otlp)), Rejected: 1, Message: "1 span refused: there"}
	}
	good := `{"traceId":"0102030405060708090a0b0c0d0e0f10","spanId":"0102030405060708"}`
	rec := w.post("application/json", "", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[`+good+`,{"kind":{}},`+good+`,{"traceId":"1"}]}],"instrumentationLibrarySpans":[]}]}`),
		"X-Scope-OrgID", "team")
	require.Equal(t, 200, rec.Code)
	require.Contains(t, rec.Body.String(), `"rejectedSpans":"3"`)
	for _, says := range []string{"spans[1]: kind: want", "spans[3]: traceId: want", "instrumentationLibrarySpans is not read", "; 1 span refused: there"} {
		require.Contains(t, rec.Body.String(), says)
	}
	require.Equal(t, 2, trace.CountSpans(w.Pushed[0].Otlp))
	rec = w.post("application/json", "", []byte(`{"resourceSpans":[]}{}`), "X-Scope-OrgID", "team")
	require.Equal(t, 400, rec.Code)
	require.Contains(t, rec.Body.String(), "send one object a request")
	require.NoError(t, testutil.GatherAndCompare(registry, strings.NewReader(`
# HELP troupe_distributor_requests_refused_total Requests refused as a whole, by any receiver or by the distributor.
# TYPE troupe_distributor_requests_refused_total counter
troupe_distributor_requests_refused_total{reason="malformed",tenant="team"} 1
# HELP troupe_distributor_spans_refused_total Spans refused, alone or with their whole request; sent again and refused again they count again.
# TYPE troupe_distributor_spans_refused_total counter
troupe_distributor_spans_refused_total{reason="invalid_id",tenant="team"} 1
troupe_distributor_spans_refused_total{reason="malformed_span",tenant="team"} 1
# HELP troupe_distributor_warnings_total Spans or requests that were kept in another form than they were sent.
# TYPE troupe_distributor_warnings_total counter
troupe_distributor_warnings_total{reason="old_names",tenant="team"} 1
`)))
}

// What decoding takes is reserved before it is taken, and refused with a time to come back where
// others have it.
func TestJSONReservesMemory(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *ingress.Deps) {
		c.MaxWait = 0
		c.Protocols.GRPC.MaxRecvMsgSize, c.Protocols.HTTP.MaxBodySize, c.MaxBufferedBytes = 1, 1<<20, 4<<20
	})
	body := []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[` + strings.Repeat("{},", 300_000) + `{}]}]}]}`)
	require.Equal(t, 400, w.post("application/json", "", body).Code, "spans without ids")
	other := w.door.NewHold()
	require.NoError(t, other.Grow(t.Context(), 3<<20))
	require.Equal(t, 429, w.post("application/json", "", body).Code)
	other.ShrinkTo(0)
}
