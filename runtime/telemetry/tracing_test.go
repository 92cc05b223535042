package telemetry

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Own spans are pushed as one OTLP message, with the service's name; what the push does itself is
// not traced.
func TestTracerPushes(t *testing.T) {
	var pushed [][]byte
	p, err := Tracer(Tracing{Enabled: true, Ratio: 1}, func(_ context.Context, otlp []byte) error {
		pushed = append(pushed, otlp)
		return nil
	})
	require.NoError(t, err)
	ctx, root := p.Tracer("test").Start(context.Background(), "search")
	_, child := p.Tracer("test").Start(ctx, "live-store-0 LiveScanJob")
	child.End()
	root.End()
	require.NoError(t, p.Shutdown(context.Background()))
	require.Len(t, pushed, 1)
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(pushed[0])
	require.NoError(t, err)
	require.Equal(t, 2, td.SpanCount())
	service, _ := td.ResourceSpans().At(0).Resource().Attributes().Get("service.name")
	require.Equal(t, "troupe", service.Str())
}

// Nothing is sampled at ratio zero.
func TestTracerRatio(t *testing.T) {
	p, err := Tracer(Tracing{Enabled: true}, func(context.Context, []byte) error {
		t.Error("pushed")
		return nil
	})
	require.NoError(t, err)
	_, span := p.Tracer("test").Start(context.Background(), "search")
	require.False(t, span.SpanContext().IsSampled())
	span.End()
	require.NoError(t, p.Shutdown(context.Background()))
	require.Error(t, Tracing{Ratio: 2}.Validate())
}
