package otlp

import (
	"context"
	"mime"
	"net/http"
	"strconv"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Format is another format of spans. contentType comes without parameters.
type Format interface {
	// Memory is an upper bound of what Read allocates for a body, and writing what it returns as OTLP. It costs little.
	Memory(contentType string, body []byte) int64
	// Read decodes a body. Its errors are the client's.
	Read(contentType string, body []byte) (ptrace.Traces, error)
}

// Foreign serves POST of spans in another format, which it names protocol in metrics, with the memory, the tenants and the answers of OTLP
// over HTTP. limit is that of a body, as sent and unpacked. It answers 202 without a body, or a code with the reason as text; spans that the
// distributor refused are a refusal of the request, because these formats cannot tell of a part.
func (g *Gateway) Foreign(protocol string, limit config.Bytes, format Format) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code := http.StatusAccepted
		if err := g.postForeign(w, r, protocol, sizeLimit{int64(limit), "max_request_body_size of the receiver"}, format); err != nil {
			g.countRefused("", err)
			st := g.refusal(err)
			code = httpCode(st.Code())
			retryAfter(w, err)
			http.Error(w, st.Message(), code)
		} else {
			w.WriteHeader(code)
		}
		g.deps.Metrics.requests.WithLabelValues(protocol, strconv.Itoa(code)).Inc()
	})
}

func (g *Gateway) postForeign(w http.ResponseWriter, r *http.Request, protocol string, limit sizeLimit, format Format) error {
	if r.Method != http.MethodPost {
		return status.Errorf(status.Invalid, "method %s: spans come by POST", r.Method)
	}
	h := &hold{g: g}
	defer h.shrink(0)
	body, err := g.unpacked(w, r, h, limit)
	if err != nil {
		return err
	}
	g.deps.Metrics.bytes.WithLabelValues(protocol).Add(float64(len(body)))
	id, err := g.tenant(r.Header.Values(tenant.Header))
	if err != nil {
		return err
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	otlp, spans, err := g.translate(r.Context(), h, func() (ptrace.Traces, error) { return format.Read(kind, body) }, format.Memory(kind, body))
	if err != nil || spans == 0 {
		return err
	}
	reply, err := g.push(r.Context(), id, otlp)
	if err == nil && reply.GetRejected() > 0 {
		err = status.Errorf(status.Invalid, "%d of %d spans are not kept: %s", reply.GetRejected(), spans, reply.GetMessage())
	}
	return err
}

// translate reserves need, which decoding may take, and turns the spans into OTLP.
func (g *Gateway) translate(ctx context.Context, h *hold, decode func() (ptrace.Traces, error), need int64) (otlp []byte, spans int, err error) {
	if most := int64(g.cfg.MaxBufferedBytes); need > most-h.n {
		return nil, 0, status.Errorf(status.Invalid, "read spans: decoding this body may take %s, more than max_buffered_bytes of the OTLP receiver, %s: send smaller batches or raise it",
			config.Bytes(need), config.Bytes(most))
	}
	if err := h.grow(ctx, need); err != nil {
		return nil, 0, err
	}
	defer func() {
		// The decoders are not ours: a panic of theirs on bytes from outside is the sender's error.
		if p := recover(); p != nil {
			otlp, spans, err = nil, 0, status.Errorf(status.Invalid, "read spans: unexpected structure: %v", p)
		}
	}()
	td, err := decode()
	if err == nil {
		otlp, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	}
	if err != nil {
		return nil, 0, status.Errorf(status.Invalid, "read spans: %w", err)
	}
	h.shrink(int64(len(otlp)))
	return otlp, td.SpanCount(), nil
}
