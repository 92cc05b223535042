package e2e

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
)

// With self_tracing a query of a client is found as a trace under the tenant _troupe, below the
// client's own span; ingesting traces, and looking at that tenant, makes none; other tenants do not
// see it.
func TestSelfTracing(t *testing.T) {
	n := kit.NewNode(t)
	n.Config = "self_tracing: {enabled: true}\n"
	n.Start()
	code, body, err := n.Push(context.Background(), "application/json", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10",`+
		`"spanId":"0102030405060708","name":"x","startTimeUnixNano":"1700000000000000000","endTimeUnixNano":"1700000001000000000"}]}]}]}`))
	require.NoError(t, err)
	require.Equal(t, 200, code, "%s", body)

	ask := func(path, tenant, parent string) (int, []byte) {
		req, err := http.NewRequest(http.MethodGet, "http://"+n.HTTP+path, nil)
		require.NoError(t, err)
		req.Header.Set("X-Scope-OrgID", tenant)
		req.Header.Set("Accept", "application/protobuf")
		if parent != "" {
			req.Header.Set("Traceparent", parent)
		}
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, b
	}
	// An acknowledged span is found within a second, and only a query that finds it has scan jobs.
	require.Eventually(t, func() bool {
		code, _ := ask("/api/traces/0102030405060708090a0b0c0d0e0f10", "", "")
		return code == 200
	}, 20*time.Second, 50*time.Millisecond)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	code, _ = ask("/api/search?q=%7B%7D", "", "00-"+id+"-00f067aa0ba902b7-01")
	require.Equal(t, 200, code)
	names := map[string]string{}
	require.Eventually(t, func() bool {
		code, b := ask("/api/traces/"+id, "_troupe", "")
		if code != 200 {
			return false
		}
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
		require.NoError(t, err)
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					names[s.Name()] = s.ParentSpanID().String()
				}
			}
		}
		// A span is exported when it ends, so the spans of one query arrive in several batches.
		return names["query search"] != "" && names["node/query-frontend Query"] != "" && names["job scan"] != ""
	}, 20*time.Second, 200*time.Millisecond, "the spans of one query: %v", names)
	require.Equal(t, "00f067aa0ba902b7", names["query search"])
	code, _ = ask("/api/traces/"+id, "", "")
	require.Equal(t, 404, code, "own traces are seen by their tenant only")
	var found struct {
		Traces []struct{ RootTraceName string }
	}
	n.GetJSON(&found, "/api/search", "q", `{ name = "query search" }`)
	require.Empty(t, found.Traces)
}
