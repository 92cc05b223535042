package e2e

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// An SDK over its tenant's rate is told when to come back, comes back, and is taken in when the
// operator has raised the limit: nothing is lost, nothing is taken twice, and the refusal is
// counted. Another tenant is not held up.
func TestRateLimit(t *testing.T) {
	n := kit.NewNode(t)
	file := filepath.Join(n.Dir, "tenants.yaml")
	allow := func(rate string) {
		next := file + ".next"
		require.NoError(t, os.WriteFile(next, []byte("overrides: {busy: {ingestion: {rate_limit_bytes: "+rate+", burst_size_bytes: 3KiB}}}"), 0o600))
		require.NoError(t, os.Rename(next, file))
	}
	allow("1") // byte a second: the second request is refused however slow the machine is
	n.Config = "multitenancy_enabled: true\noverrides: {per_tenant_override_period: 100ms, per_tenant_override_config: " + file + "}\n"
	n.Env = []string{"TROUPE_CFG_DISTRIBUTOR__RETRY_AFTER_ON_RESOURCE_EXHAUSTED=1s"}
	n.Start()

	require.NoError(t, export(t, n, "busy", 1))
	second := make(chan error, 1)
	go func() { second <- export(t, n, "busy", 2) }()
	require.Eventually(t, func() bool {
		_, metrics := n.Get("/metrics")
		return strings.Contains(string(metrics), `troupe_distributor_requests_refused_total{reason="rate_limited",tenant="busy"}`) &&
			strings.Contains(string(metrics), `troupe_distributor_spans_refused_total{reason="rate_limited",tenant="busy"}`)
	}, 20*time.Second, 20*time.Millisecond)
	require.NoError(t, export(t, n, "idle", 1))
	select {
	case err := <-second:
		t.Fatalf("the refused export has ended: %v", err)
	default:
	}
	allow("1MB")
	select {
	case err := <-second:
		require.NoError(t, err)
	case <-time.After(30 * time.Second):
		t.Fatal("the export does not end although the limit is raised")
	}
	for tenant, ids := range map[string][]byte{"busy": {1, 2}, "idle": {1}} {
		for _, id := range ids {
			require.Eventually(t, func() bool {
				code, body := ask(t, n, "GET", "/api/v2/traces/"+trace.TraceID{15: id}.String(), tenant, "", "")
				return code == 200 && strings.Count(body, `"spanId"`) == 1
			}, 20*time.Second, 20*time.Millisecond, "%s %d", tenant, id)
		}
	}
}

// export sends one span of about 2000 bytes as an SDK does. Between two attempts it waits for as
// long as it is told; a refusal that names no time ends it.
func export(t *testing.T, n *kit.Node, tenant string, id byte) error {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	e, err := otlptracegrpc.New(ctx, otlptracegrpc.WithEndpoint(n.OTLPGRPC), otlptracegrpc.WithInsecure(), otlptracegrpc.WithTimeout(time.Minute),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: true, InitialInterval: time.Millisecond, MaxInterval: time.Millisecond, MaxElapsedTime: time.Minute}),
		otlptracegrpc.WithHeaders(map[string]string{"x-scope-orgid": tenant}))
	if err != nil {
		return err
	}
	defer func() { _ = e.Shutdown(context.WithoutCancel(ctx)) }()
	now := time.Now()
	return e.ExportSpans(ctx, []sdktrace.ReadOnlySpan{tracetest.SpanStub{Name: "x", StartTime: now, EndTime: now.Add(time.Second),
		SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{15: id}, SpanID: trace.SpanID{7: id}}),
		Attributes:  []attribute.KeyValue{attribute.String("fill", strings.Repeat("x", 2000))}}.Snapshot()})
}

// ask makes one request of a tenant. It returns the body, or the version where there is none.
func ask(t *testing.T, n *kit.Node, method, path, tenant, match, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+n.HTTP+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("X-Scope-OrgID", tenant)
	if match != "" {
		req.Header.Set("If-Match", match)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if len(b) == 0 {
		return resp.StatusCode, resp.Header.Get("Etag")
	}
	return resp.StatusCode, string(b)
}

// A trace that has more bytes than its tenant allows is refused from then on, with the reason, in a
// request whose other spans are taken; what was acknowledged of it stays.
func TestTraceSize(t *testing.T) {
	n := kit.NewNode(t)
	n.Config = "overrides: {defaults: {global: {max_bytes_per_trace: 10000}}}\n"
	n.Start()
	next := uint64(0)
	push := func(traces ...byte) string {
		var spans []*otlp.Span
		for _, id := range traces {
			next++
			spans = append(spans, &otlp.Span{Trace: otlp.TraceID(uint64(id)), ID: otlp.SpanID(next), Name: strings.Repeat("x", 3000),
				Start: uint64(time.Now().UnixNano()), End: uint64(time.Now().UnixNano())})
		}
		code, body, err := n.Push(t.Context(), "application/x-protobuf", otlp.Encode(spans...))
		require.NoError(t, err)
		require.Equal(t, 200, code)
		return string(body)
	}
	taken := 0
	for deadline := time.Now().Add(30 * time.Second); !strings.Contains(push(1), "TRACE_TOO_LARGE: 1 spans refused"); taken++ {
		require.True(t, time.Now().Before(deadline), "the trace is never refused")
	}
	require.GreaterOrEqual(t, taken, 4, "the first three are not over the limit")
	require.Contains(t, push(1, 2, 1), "TRACE_TOO_LARGE: 2 spans refused")
	spans := func(id uint64) int {
		_, body := n.Get("/api/v2/traces/" + otlp.TraceID(id).String())
		return strings.Count(string(body), `"spanId"`)
	}
	require.Eventually(t, func() bool { return spans(1) == taken && spans(2) == 1 }, 30*time.Second, 20*time.Millisecond)
	_, metrics := n.Get("/metrics")
	require.Contains(t, string(metrics), `troupe_distributor_spans_refused_total{reason="trace_too_large",tenant="single-tenant"} 3`)
}

// What a tenant sets holds at once, is there after kill -9 in the same version, and is no other
// tenant's.
func TestOwnLimits(t *testing.T) {
	n := kit.NewNode(t)
	n.Config = "multitenancy_enabled: true\noverrides: {user_configurable_overrides: {enabled: true}}\n"
	n.Start()
	code, version := ask(t, n, "POST", "/api/overrides", "a", "0", `{"metrics_generator": {"disable_collection": true}}`)
	require.Equal(t, 200, code)
	code, merged := ask(t, n, "GET", "/api/overrides?scope=merged", "a", "", "")
	require.Equal(t, 200, code)
	require.Contains(t, merged, `"disable_collection":true`)
	n.Kill()
	n.Start()
	code, body := ask(t, n, "GET", "/api/overrides", "a", "", "")
	require.Equal(t, 200, code)
	require.Contains(t, body, `"disable_collection":true`)
	code, _ = ask(t, n, "GET", "/api/overrides", "b", "", "")
	require.Equal(t, 404, code)
	code, next := ask(t, n, "POST", "/api/overrides", "a", version, `{}`)
	require.Equal(t, 200, code)
	require.NotEqual(t, version, next)
	code, _ = ask(t, n, "DELETE", "/api/overrides", "a", version, "")
	require.Equal(t, 412, code)
	code, _ = ask(t, n, "DELETE", "/api/overrides", "a", next, "")
	require.Equal(t, 200, code)
}
