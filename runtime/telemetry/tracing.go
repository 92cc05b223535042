package telemetry

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// SelfTenant is the tenant that the node's own traces go to.
const SelfTenant = "_troupe"

// Tracing configures the node's own traces.
type Tracing struct {
	// Whether the node traces its own queries. Their traces belong to the tenant _troupe.
	Enabled bool `koanf:"enabled"`
	// The share of requests that are traced, from 0 to 1, among those whose caller has not decided
	// it.
	Ratio float64 `koanf:"sample_ratio"`
}

// DefaultTracing is what a node runs with when nothing is configured: no traces of its own.
func DefaultTracing() Tracing { return Tracing{Ratio: 1} }

// Validate names every value that cannot work.
func (t Tracing) Validate() error {
	if t.Ratio < 0 || t.Ratio > 1 {
		return fmt.Errorf("sample_ratio: %v is outside 0 to 1", t.Ratio)
	}
	return nil
}

// Tracer makes the node's own traces. push stores a TracesData message under SelfTenant; it is
// never called for spans that push itself makes, since its context has no span. Spans wait in a
// bounded queue; those over it, and those push refuses, are gone: a node never waits for its own
// traces. Shutdown pushes what waits.
func Tracer(t Tracing, push func(ctx context.Context, otlp []byte) error) (*sdktrace.TracerProvider, error) {
	exporter, err := otlptrace.New(context.Background(), exportTo(push))
	if err != nil {
		return nil, fmt.Errorf("start tracing: %w", err)
	}
	return sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(t.Ratio))),
		sdktrace.WithResource(resource.NewSchemaless(attribute.String("service.name", "troupe"),
			attribute.String("service.version", Version)))), nil
}

// exportTo is a client of the OTLP exporter whose collector is the node itself.
type exportTo func(ctx context.Context, otlp []byte) error

// Start is part of the exporter's client.
func (exportTo) Start(context.Context) error { return nil }

// Stop is part of the exporter's client.
func (exportTo) Stop(context.Context) error { return nil }

// UploadTraces pushes a batch.
func (push exportTo) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	b, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("encode own traces: %w", err)
	}
	return push(ctx, b)
}
