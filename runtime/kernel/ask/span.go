package ask

import (
	"context"
	"reflect"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Span begins a child of the span in ctx. Without a recording span in ctx it returns ctx unchanged.
// end is called once, with the error that the work ended in.
func Span(ctx context.Context, name string) (_ context.Context, end func(error)) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, func(error) {}
	}
	ctx, span := parent.TracerProvider().Tracer("troupe").Start(ctx, name)
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// nameOf is the name of a question's span: the actor and the message.
func nameOf(to Ref, msg any) string {
	t := reflect.TypeOf(msg)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return to.GetId() + " " + t.Name()
}
