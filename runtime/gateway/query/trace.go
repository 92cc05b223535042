package query

import (
	"context"
	"net/http"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc/metadata"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/telemetry"
)

// beginSpan begins the node's own span of a query, as a child of the caller's span where the
// request names one. end is called with the answer or the error. Queries about the node's own
// traces are not traced.
func (s *Service) beginSpan(
	ctx context.Context,
	tenants []string,
	q *jobs.Query,
) (_ context.Context, end func(*jobs.Answer, error)) {
	if s.Tracer == nil || len(tenants) == 1 && tenants[0] == telemetry.SelfTenant {
		return ctx, func(*jobs.Answer, error) {}
	}
	ctx, span := s.Tracer.Tracer("troupe").Start(ctx, "query "+q.Op(),
		trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(
			attribute.String("troupe.query", q.Text),
			attribute.String("troupe.tenant", strings.Join(tenants, "|"))))
	return ctx, func(a *jobs.Answer, err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		if a != nil {
			span.SetAttributes(
				attribute.Bool("troupe.complete", a.Complete),
				attribute.Int("troupe.blocks", a.Blocks),
				attribute.Int("troupe.jobs", a.Jobs),
				attribute.Int64("troupe.bytes", a.Bytes))
		}
		span.End()
	}
}

// ContextOfHTTP returns the request's context with the caller's trace, if its headers name one.
func ContextOfHTTP(r *http.Request) context.Context {
	return propagation.TraceContext{}.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
}

// ContextOfGRPC returns ctx with the caller's trace, if its metadata names one.
func ContextOfGRPC(ctx context.Context) context.Context {
	md, _ := metadata.FromIncomingContext(ctx)
	return propagation.TraceContext{}.Extract(ctx, carrier(md))
}

// carrier reads metadata, whose names are in lower case.
type carrier metadata.MD

func (c carrier) Get(key string) string {
	if v := c[strings.ToLower(key)]; len(v) > 0 {
		return v[0]
	}
	return ""
}

// Set is part of the propagator's carrier; nothing is sent on.
func (carrier) Set(string, string) {}

// Keys is part of the propagator's carrier; reading does not ask for it.
func (carrier) Keys() []string { return nil }
