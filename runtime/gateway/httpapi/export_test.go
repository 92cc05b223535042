package httpapi

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// A trace is exported as a file: OTLP/JSON with hexadecimal ids, as other programs read it, or
// protobuf.
func TestExport(t *testing.T) {
	f, s := newAPI(t, nil)
	longTrace(t, f, 3, nil, nil)
	resp, body := get(t, s, "/api/export/8?format=otlp-json")
	require.Equal(t, 200, resp.StatusCode, body)
	require.Equal(t, `attachment; filename="trace-00000000000000000000000000000008.json"`, resp.Header.Get("Content-Disposition"))
	require.Equal(t, "true", resp.Trailer.Get("Troupe-Complete"))
	got, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces([]byte(body))
	require.NoError(t, err)

	longTrace(t, f, 3, nil, nil)
	resp, body = get(t, s, "/api/export/8?format=otlp-proto")
	require.Equal(t, "application/protobuf", resp.Header.Get("Content-Type"))
	want, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces([]byte(body))
	require.NoError(t, err)
	require.Equal(t, want, got)
	require.Equal(t, 3, got.ResourceSpans().Len())

	for path, code := range map[string]int{
		"/api/export/9": 404, "/api/export/8?format=csv": 400, "/api/export/x": 400,
	} {
		resp, body := get(t, s, path)
		require.Equal(t, code, resp.StatusCode, "%s: %s", path, body)
		require.Empty(t, resp.Header.Get("Content-Disposition"))
	}
}
