package otlp

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// counter is the sum over tenants of what was counted for a reason.
func counter(t *testing.T, r *prometheus.Registry, name, reason string) (sum float64) {
	t.Helper()
	families, err := r.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if f.GetName() == name && l.GetName() == "reason" && l.GetValue() == reason {
					sum += m.GetCounter().GetValue()
				}
			}
		}
	}
	return sum
}

// Each refusal of a request is counted once, under its reason, and logged.
func TestRefusalsAreCounted(t *testing.T) {
	pb, _ := request(nil)
	for _, c := range []struct {
		reason refusals.Reason
		send   func(w *world) int
		code   int
	}{
		{refusals.NoTenant, func(w *world) int { return w.post(typeProto, "", pb).Code }, 401},
		{refusals.InvalidTenant, func(w *world) int { return w.post(typeProto, "", pb, "X-Scope-OrgID", "a b").Code }, 400},
		{refusals.UnsupportedType, func(w *world) int { return w.post("text/plain", "", pb, "X-Scope-OrgID", "a").Code }, 415},
		{refusals.UnsupportedEncoding, func(w *world) int { return w.post(typeProto, "br", pb, "X-Scope-OrgID", "a").Code }, 400},
		{refusals.Unpackable, func(w *world) int { return w.post(typeProto, "gzip", pb, "X-Scope-OrgID", "a").Code }, 400},
		{refusals.MessageTooLarge, func(w *world) int {
			return w.post(typeProto, "", make([]byte, int(w.cfg.Protocols.HTTP.MaxBodySize)+1), "X-Scope-OrgID", "a").Code
		}, 400},
		{refusals.MessageTooLarge, func(w *world) int {
			require.Error(t, dial(t, w).Invoke(metadata.AppendToOutgoingContext(t.Context(), "x-scope-orgid", "a"), export, make([]byte, int(w.maxMessage())+1), &ingress.RawMessage{}, grpc.ForceCodecV2(ingress.RawCodec{})))
			return 0
		}, 0},
		{refusals.NoTenant, func(w *world) int {
			require.Error(t, dial(t, w).Invoke(t.Context(), export, pb, &ingress.RawMessage{}, grpc.ForceCodecV2(ingress.RawCodec{})))
			return 0
		}, 0},
		{refusals.WrongEndpoint, func(w *world) int {
			rec := httptest.NewRecorder()
			w.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/api/v2/spans", nil))
			return rec.Code
		}, 404},
		{refusals.WrongEndpoint, func(w *world) int {
			require.Error(t, dial(t, w).Invoke(t.Context(), "/jaeger.api_v2.CollectorService/PostSpans", pb, &ingress.RawMessage{}, grpc.ForceCodecV2(ingress.RawCodec{})))
			return 0
		}, 0},
		{refusals.Incomplete, func(w *world) int {
			r := httptest.NewRequest(http.MethodPost, "/v1/traces", io.MultiReader(bytes.NewReader(pb), broken{}))
			r.ContentLength = 1 << 20
			r.Header.Set("Content-Type", typeProto)
			r.Header.Set("X-Scope-OrgID", "a")
			rec := httptest.NewRecorder()
			w.Handler().ServeHTTP(rec, r)
			return rec.Code
		}, 400},
	} {
		registry := prometheus.NewRegistry()
		var log bytes.Buffer
		w := newWorld(t, func(_ *Config, d *ingress.Deps) {
			d.Multitenancy, d.Refusals = true, refusals.New(registry, textLogger(&log))
		})
		require.Equal(t, c.code, c.send(w), c.reason)
		require.Equal(t, 1.0, counter(t, registry, "troupe_distributor_requests_refused_total", string(c.reason)), c.reason)
		require.Contains(t, log.String(), "reason="+string(c.reason))
		require.Empty(t, w.Pushed)
	}
}

// Pages of the sites that are configured may send from a browser, others may not.
func TestCORS(t *testing.T) {
	ask := func(c ingress.CORS, origin, headers string) http.Header {
		w := newWorld(t, func(cfg *Config, _ *ingress.Deps) { cfg.Protocols.HTTP.CORS = c })
		r := httptest.NewRequest(http.MethodOptions, "/v1/traces", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", headers)
		rec := httptest.NewRecorder()
		w.Handler().ServeHTTP(rec, r)
		if rec.Header().Get("Access-Control-Allow-Origin") == "" {
			return nil
		}
		_, json := request(nil)
		answer := w.post(typeJSON, "", json, "Origin", origin)
		require.Equal(t, 200, answer.Code)
		require.NotEmpty(t, answer.Header().Get("Access-Control-Allow-Origin"))
		require.Equal(t, len(c.ExposedHeaders) > 0, answer.Header().Get("Access-Control-Expose-Headers") != "")
		return rec.Header()
	}
	shops := ingress.CORS{AllowedOrigins: []string{"http://*.example", "https://one.test"}, MaxAge: 600}
	h := ask(shops, "http://shop.example", "content-type")
	require.Equal(t, "http://shop.example", h.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "600", h.Get("Access-Control-Max-Age"))
	require.NotNil(t, ask(shops, "https://one.test", "content-type"))
	require.Nil(t, ask(shops, "https://shop.example", "content-type"))
	require.Nil(t, ask(shops, "http://shop.example.evil", "content-type"))
	require.Nil(t, ask(shops, "http://shop.example", "x-team"))
	require.Nil(t, ask(ingress.CORS{}, "http://shop.example", "content-type"))
	named := ingress.CORS{AllowedOrigins: []string{"*"}, AllowedHeaders: []string{"X-Team"}, ExposedHeaders: []string{"Retry-After"}}
	require.Equal(t, "*", ask(named, "http://any", "content-type,x-team").Get("Access-Control-Allow-Origin"))
	require.Nil(t, ask(named, "http://any", "x-other"))
	require.NotNil(t, ask(ingress.CORS{AllowedOrigins: []string{"*"}, AllowedHeaders: []string{"*"}}, "http://any", "x-other"))
	require.Error(t, ingress.CORS{AllowedOrigins: []string{"http://*.*"}}.Validate())
}
