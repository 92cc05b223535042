package otlp

import (
	"bytes"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"

	kitotlp "github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Exports of metrics and logs are answered with success, so that SDKs fall silent. Spans that come
// to their paths are refused with the right path, because a success would hide that they are lost.
func TestExportsOfOtherSignals(t *testing.T) {
	w := newWorld(t, nil)
	md := pmetric.NewMetrics()
	md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty().SetName("requests")
	request := pmetricotlp.NewExportRequestFromMetrics(md)
	proto, err := request.MarshalProto()
	require.NoError(t, err)
	text, err := request.MarshalJSON()
	require.NoError(t, err)
	spans := kitotlp.Encode(&kitotlp.Span{Trace: kitotlp.TraceID(1), ID: kitotlp.SpanID(2), Start: 1})
	for _, path := range []string{metricsPath, logsPath} {
		for _, c := range []struct {
			kind string
			body []byte
			code int
			says string
		}{
			{typeProto, proto, 200, ""},
			{typeJSON, text, 200, "{}"},
			{typeProto, spans, 404, "traces are taken at /v1/traces"},
			{typeJSON, []byte(`{"resourceSpans":[]}`), 404, "traces are taken at /v1/traces"},
		} {
			r := httptest.NewRequest("POST", path, bytes.NewReader(c.body))
			r.Header.Set("Content-Type", c.kind)
			rec := httptest.NewRecorder()
			w.Handler().ServeHTTP(rec, r)
			require.Equal(t, c.code, rec.Code, "%s %s", path, c.body)
			require.Contains(t, rec.Body.String(), c.says)
		}
	}
}
