package trace_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Spans are told from metrics and logs, whose outer messages are the same, and anything else is not
// spans.
func TestHoldsSpans(t *testing.T) {
	spans := otlp.Encode(&otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(2), Name: "n", Start: 1})
	require.True(t, trace.HoldsSpans(spans))

	md := pmetric.NewMetrics()
	m := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName("sixteen.letters.") // as long as a trace id
	m.SetDescription("8 chars.")  // as long as a span id
	m.SetEmptySum().DataPoints().AppendEmpty().SetIntValue(7)
	metrics, err := (&pmetric.ProtoMarshaler{}).MarshalMetrics(md)
	require.NoError(t, err)
	require.False(t, trace.HoldsSpans(metrics))

	ld := plog.NewLogs()
	l := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	l.SetTraceID([16]byte{1})
	l.SetSpanID([8]byte{2})
	logs, err := (&plog.ProtoMarshaler{}).MarshalLogs(ld)
	require.NoError(t, err)
	require.False(t, trace.HoldsSpans(logs))

	for cut := range spans {
		trace.HoldsSpans(spans[:cut]) // it must not panic
	}
	require.False(t, trace.HoldsSpans(nil))
	require.False(t, trace.HoldsSpans([]byte("text")))
}
