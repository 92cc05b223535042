package otlp

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

const (
	typeProto = "application/x-protobuf"
	typeJSON  = "application/json"
)

// errTooLarge is the answer to a body beyond the limit, before and after unpacking.
var errTooLarge = errors.New("http: request body too large")

// HTTP makes the server of OTLP over HTTP. The caller gives it a listener.
func (g *Gateway) HTTP() *http.Server {
	return &http.Server{Handler: g.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: g.cfg.ReceiveTimeout, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10}
}

// Handler serves the path of traces.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(g.cfg.Protocols.HTTP.TracesPath, func(w http.ResponseWriter, r *http.Request) {
		code := g.post(w, r)
		g.deps.Metrics.requests.WithLabelValues("http", strconv.Itoa(code)).Inc()
	})
	return mux
}

func (g *Gateway) post(w http.ResponseWriter, r *http.Request) int {
	if r.Method != http.MethodPost {
		return plain(w, http.StatusMethodNotAllowed, "405 method not allowed, supported: [POST]")
	}
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != typeProto && kind != typeJSON {
		return plain(w, http.StatusUnsupportedMediaType, "415 unsupported media type, supported: [application/json, application/x-protobuf]")
	}
	h := &hold{g: g}
	defer h.shrink(0)
	id, err := g.tenant(r.Header.Values(tenant.Header))
	if err != nil {
		return g.fail(w, kind, err)
	}
	otlp, losses, err := g.read(r, h, kind, id)
	if err != nil {
		return g.fail(w, kind, err)
	}
	g.deps.Metrics.bytes.WithLabelValues("http").Add(float64(len(otlp)))
	reply, err := g.push(r.Context(), id, otlp)
	if err != nil {
		return g.fail(w, kind, err)
	}
	reply = withLosses(reply, losses)
	w.Header().Set("Content-Type", kind)
	body := encodeReply(reply)
	if kind == typeJSON {
		body = encodeReplyJSON(reply)
	}
	_, _ = w.Write(body) // the client has gone otherwise
	return http.StatusOK
}

// read receives the body, unpacks it and turns JSON into protobuf. Each step reserves what it needs first.
func (g *Gateway) read(r *http.Request, h *hold, kind, tenant string) ([]byte, trace.Losses, error) {
	body, err := g.unpacked(r, h, int64(g.cfg.Protocols.HTTP.MaxBodySize))
	if err != nil || kind != typeJSON {
		return body, trace.Losses{}, err
	}
	return g.fromJSON(r.Context(), h, tenant, body)
}

// unpacked receives the body and unpacks it.
func (g *Gateway) unpacked(r *http.Request, h *hold, limit int64) ([]byte, error) {
	encoding := r.Header.Get("Content-Encoding")
	unpack := unpackers[encoding]
	if encoding != "" && unpack == nil {
		return nil, status.Errorf(status.Invalid, "unsupported Content-Encoding: %s", encoding)
	}
	if r.ContentLength > limit {
		return nil, status.Errorf(status.Invalid, "%w", errTooLarge)
	}
	body, err := g.receiveBody(r, h, limit)
	if err != nil {
		return nil, err
	}
	if unpack != nil {
		packed := body
		if err := h.grow(r.Context(), limit); err != nil {
			return nil, err
		}
		z, err := unpack(bytes.NewReader(packed))
		if err != nil {
			return nil, status.Errorf(status.Invalid, "%w", err)
		}
		defer z.Close()
		if body, err = readAtMost(z, make([]byte, 0, min(limit, 4*int64(len(packed))+512)), limit); err != nil {
			return nil, status.Errorf(status.Invalid, "%w", err)
		}
		h.shrink(int64(len(body)))
	}
	return body, nil
}

// receiveBody reads the body as it was sent. A body of unknown length reserves as it grows.
func (g *Gateway) receiveBody(r *http.Request, h *hold, limit int64) ([]byte, error) {
	if r.ContentLength >= 0 {
		if err := h.grow(r.Context(), r.ContentLength); err != nil {
			return nil, err
		}
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			return nil, status.Errorf(status.Invalid, "read body: %w", err)
		}
		return body, nil
	}
	var body []byte
	for size := int64(64 << 10); ; size *= 2 {
		size = min(size, limit+1)
		if err := h.grow(r.Context(), size-h.n); err != nil {
			return nil, err
		}
		more, err := io.ReadAll(io.LimitReader(r.Body, size-int64(len(body))))
		body = append(body, more...)
		switch {
		case err != nil:
			return nil, status.Errorf(status.Invalid, "read body: %w", err)
		case int64(len(body)) > limit:
			return nil, status.Errorf(status.Invalid, "%w", errTooLarge)
		case int64(len(body)) < size:
			return body, nil
		}
	}
}

func readAtMost(r io.Reader, dst []byte, limit int64) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	n, err := io.Copy(buf, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = errTooLarge
	}
	return buf.Bytes(), err
}

// fail answers with google.rpc.Status in the encoding of the request.
func (g *Gateway) fail(w http.ResponseWriter, kind string, err error) int {
	st := g.refusal(err)
	code := httpCode(st.Code())
	retryAfter(w, err)
	body := encodeStatus(st, kind)
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(code)
	_, _ = w.Write(body)
	return code
}

// retryAfter says when to come again, where err knows.
func retryAfter(w http.ResponseWriter, err error) {
	if e := status.Of(err); e.Class == status.Limited && e.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((e.RetryAfter+time.Second-1)/time.Second)))
	}
}

// httpCode is the table of OTLP over HTTP.
func httpCode(c codes.Code) int {
	switch c {
	case codes.OK:
		return http.StatusOK
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.ResourceExhausted:
		return http.StatusTooManyRequests
	case codes.Canceled, codes.DeadlineExceeded, codes.Unavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

func plain(w http.ResponseWriter, code int, text string) int {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
	return code
}
