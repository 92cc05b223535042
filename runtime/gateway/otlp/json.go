package otlp

import (
	"context"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// jsonFactor is the memory that turning JSON into protobuf takes at most, in lengths of the body.
// The message is never longer than the body, and there are two of it for a moment when its buffer
// grows.
const jsonFactor = 2

// fromJSON turns a body of JSON into protobuf. Spans that are left out or changed are counted
// here, and the answer tells the client of them.
func (g *Gateway) fromJSON(
	ctx context.Context, h *ingress.Hold, tenant string, body []byte,
) ([]byte, trace.Losses, error) {
	held := h.Bytes()
	if err := h.Grow(ctx, min(jsonFactor*int64(len(body)), g.door.Limits().BufferedBytes-held)); err != nil {
		return nil, trace.Losses{}, err
	}
	otlp, losses, err := trace.FromJSON(body)
	if err != nil {
		g.door.Refusals().CountRequest(tenant, refusals.Malformed, 0, err.Error())
		return nil, losses, status.Errorf(status.Invalid, "%w", err)
	}
	h.ShrinkTo(int64(cap(otlp)))
	countLosses(g.door.Refusals(), tenant, losses)
	return otlp, losses, nil
}

// countLosses counts spans that are not kept as they were sent.
func countLosses(to *refusals.Refusals, tenant string, losses trace.Losses) {
	for _, r := range losses.Reasons {
		to.CountSpans(tenant, refusals.Reason(r.Code), int64(r.Spans), r.Text)
	}
	for _, r := range losses.Changed {
		to.CountWarning(tenant, refusals.Reason(r.Code), int64(r.Spans), r.Text)
	}
}

// withLosses adds the spans that the gateway has left out to the distributor's answer.
func withLosses(r *ingest.PushSpansReply, losses trace.Losses) *ingest.PushSpansReply {
	message := losses.Message()
	if message == "" {
		return r
	}
	if r.GetMessage() != "" {
		message += "; " + r.GetMessage()
	}
	refused := int64(losses.Refused)
	return &ingest.PushSpansReply{Spans: r.GetSpans() + refused, Rejected: r.GetRejected() + refused, Message: message}
}
