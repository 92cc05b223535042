package ingress

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strconv"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// Format is another format of spans. contentType has no parameters, and is empty if the transport
// has none.
type Format interface {
	// Memory returns an upper bound in bytes of what Read allocates for a body, together with
	// writing the result as OTLP. It costs little.
	Memory(contentType string, body []byte) int64
	// Read decodes a body. An error refuses the whole body, and is the client's.
	Read(contentType string, body []byte) (Spans, error)
}

// Spans are those of one body in another format.
type Spans struct {
	Traces  ptrace.Traces
	Refused []Loss // spans of the body that are not among Traces
}

// Loss is a number of spans that a format could not read.
type Loss struct {
	Reason  refusals.Reason
	Spans   int64
	Message string // names cause and remedy
}

// Refusal makes an error of class invalid that is counted under reason.
func Refusal(reason refusals.Reason, format string, args ...any) error {
	return Refuse(reason, status.Errorf(status.Invalid, format, args...))
}

// Foreign serves POST of spans in another format, with the memory, the tenants and the answers of
// OTLP over HTTP. protocol names the format in metrics. limit applies to a body as it is sent and
// after unpacking.
//
// It answers 202 without a body, or a code with the reason as text. If only some spans are
// refused, it answers as if the request were, because these formats cannot tell of a part.
func (d *Door) Foreign(protocol string, limit config.Bytes, format Format) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := http.StatusAccepted
		if err := d.postForeign(w, r, protocol, SizeLimit{int64(limit), "max_request_body_size of the receiver"},
			format); err != nil {
			st := d.GRPCStatus(err)
			code = HTTPCode(st.Code())
			if r.Method != http.MethodPost {
				w.Header().Set("Allow", http.MethodPost)
				code = http.StatusMethodNotAllowed
			}
			SetRetryAfter(w, err)
			http.Error(w, st.Message(), code)
		} else {
			w.WriteHeader(code)
		}
		d.CountAnswer(protocol, strconv.Itoa(code))
	})
}

func (d *Door) postForeign(
	w http.ResponseWriter, r *http.Request, protocol string, limit SizeLimit, format Format,
) error {
	id, err := d.FindTenant(r.Header.Values(tenant.Header))
	if r.Method != http.MethodPost {
		err = Refusal(refusals.WrongEndpoint, "method %.20s: spans come by POST", r.Method)
	}
	h := d.NewHold()
	defer h.ShrinkTo(0)
	var body []byte
	if err == nil {
		body, err = d.ReceiveBody(w, r, h, limit)
	}
	if err != nil {
		d.CountRefused(id, err)
		return err
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return d.takeForeign(r.Context(), h, id, protocol, kind, body, format)
}

// takeForeign translates a body that has arrived completely and has its spans made durable. h
// holds the memory of the body. The error is nil if every span is kept. Refusals are counted.
func (d *Door) takeForeign(
	ctx context.Context, h *Hold, tenant, protocol, kind string, body []byte, format Format,
) error {
	d.CountBytes(protocol, len(body))
	otlp, spans, err := d.translateBody(ctx, h, format, kind, body)
	if err != nil {
		d.CountRefused(tenant, err)
		return err
	}
	total, lost, message := int64(spans.Traces.SpanCount()), int64(0), ""
	for _, l := range spans.Refused {
		d.deps.Refusals.CountSpans(tenant, l.Reason, l.Spans, l.Message)
		total, lost, message = total+l.Spans, lost+l.Spans, l.Message
	}
	if total > lost {
		reply, err := d.Push(ctx, tenant, otlp)
		if err != nil {
			return err
		}
		if n := reply.GetRejected(); n > 0 {
			lost, message = lost+n, reply.GetMessage()
		}
	}
	if lost > 0 {
		return status.Errorf(status.Invalid, "%d of %d spans are not kept: %s", lost, total, message)
	}
	return nil
}

// translateBody turns the spans of a body into OTLP. It reserves what that may take first.
func (d *Door) translateBody(
	ctx context.Context, h *Hold, format Format, kind string, body []byte,
) (otlp []byte, spans Spans, err error) {
	defer func() {
		// The decoders are not ours: a panic of theirs on bytes from outside is the sender's error.
		if p := recover(); p != nil {
			otlp, spans, err = nil, Spans{}, Refusal(refusals.Malformed, "read spans: unexpected structure: %v", p)
		}
	}()
	need, most := format.Memory(kind, body), d.limits.BufferedBytes
	if need > most-h.bytes {
		return nil, Spans{}, Refusal(refusals.MessageTooLarge,
			"read spans: decoding this body may take %s, more than max_buffered_bytes of the OTLP receiver, %s: "+
				"send smaller batches or raise it",
			config.Bytes(need), config.Bytes(most))
	}
	if err := h.Grow(ctx, need); err != nil {
		return nil, Spans{}, err
	}
	if spans, err = format.Read(kind, body); err == nil {
		otlp, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(spans.Traces)
	}
	if err != nil {
		if r := (*refusedError)(nil); errors.As(err, &r) {
			return nil, Spans{}, Refuse(r.reason, status.Errorf(status.Invalid, "read spans: %w", r.error))
		}
		return nil, Spans{}, Refusal(refusals.Malformed, "read spans: %w", err)
	}
	h.ShrinkTo(int64(len(otlp)))
	return otlp, spans, nil
}
