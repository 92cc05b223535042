package otlp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"

	"google.golang.org/grpc"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

const (
	typeProto = "application/x-protobuf"
	typeJSON  = "application/json"
)

// Where SDKs send what is not kept here.
const (
	metricsPath = "/v1/metrics"
	logsPath    = "/v1/logs"
)

const maxBodyKey = "distributor.receivers.otlp.protocols.http.max_request_body_size"

// Handler serves OTLP over HTTP, with the answers to browsers of other sites that are configured.
func (g *Gateway) Handler() http.Handler { return g.makeHandler(nil) }

// makeHandler returns the handler of HTTP. It serves gRPC too if rpc is not nil.
func (g *Gateway) makeHandler(rpc *grpc.Server) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(g.cfg.Protocols.HTTP.TracesPath, g.countAnswers(g.postTraces))
	for path, signal := range map[string]string{metricsPath: "metrics", logsPath: "logs"} {
		if path != g.cfg.Protocols.HTTP.TracesPath {
			mux.HandleFunc(path, g.countAnswers(func(w http.ResponseWriter, r *http.Request) int {
				return g.passOverPost(w, r, signal)
			}))
		}
	}
	if g.cfg.Protocols.HTTP.TracesPath != "/" {
		mux.HandleFunc("/", g.countAnswers(g.notHere))
	}
	web := g.cfg.Protocols.HTTP.CORS.Wrap(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rpc != nil && isRPC(r) {
			g.serveRPC(rpc, w, r)
			return
		}
		web.ServeHTTP(w, r)
	})
}

// countAnswers returns a handler that runs handle and counts the code of its answer.
func (g *Gateway) countAnswers(handle func(http.ResponseWriter, *http.Request) int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		code := http.StatusInternalServerError // of a panic
		defer func() { g.door.CountAnswer("http", strconv.Itoa(code)) }()
		code = handle(w, r)
	}
}

// notHere answers requests for paths that this port does not have.
func (g *Gateway) notHere(w http.ResponseWriter, r *http.Request) int {
	err := ingress.Refuse(refusals.WrongEndpoint, fmt.Errorf("404 nothing is at %.100q: traces are taken at %s by POST",
		r.URL.Path, g.cfg.Protocols.HTTP.TracesPath))
	g.door.CountRefused("", err)
	return answerText(w, http.StatusNotFound, err.Error())
}

// passOverPost answers an export of a signal that Troupe does not keep; see passOver. Spans that
// were sent to the wrong path are refused with the right path, so that they are not lost behind a
// success.
func (g *Gateway) passOverPost(w http.ResponseWriter, r *http.Request, signal string) int {
	kind, known := typeOf(r)
	if r.Method != http.MethodPost || !known {
		return g.notHere(w, r)
	}
	h := g.door.NewHold()
	defer h.ShrinkTo(0)
	limit := g.bodyLimit()
	body, err := g.door.ReceiveBody(w, r, h, limit)
	if err == nil && holdsSpans(kind, body) {
		return g.notHere(w, r)
	}
	id, _ := g.door.FindTenant(r.Header.Values(tenant.Header))
	g.door.CountRefused(id, passedOver(signal))
	w.Header().Set("Content-Type", kind)
	if kind == typeJSON {
		_, _ = io.WriteString(w, "{}")
	}
	return http.StatusOK
}

func (g *Gateway) bodyLimit() ingress.SizeLimit {
	return ingress.SizeLimit{Bytes: int64(g.cfg.Protocols.HTTP.MaxBodySize), Key: maxBodyKey}
}

// holdsSpans reports whether the body of an OTLP export has spans.
func holdsSpans(kind string, body []byte) bool {
	if kind == typeProto {
		return trace.HoldsSpans(body)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	_, _ = d.Token() // the opening brace
	key, _ := d.Token()
	return key == "resourceSpans" || key == "resource_spans"
}

// typeOf returns the content type of a request without its parameters, and whether it is one of
// OTLP.
func typeOf(r *http.Request) (kind string, known bool) {
	kind, _, _ = mime.ParseMediaType(r.Header.Get("Content-Type"))
	return kind, kind == typeProto || kind == typeJSON
}

// postTraces serves the path to which clients post spans, and returns the code of its answer.
// Next: Door.Push.
func (g *Gateway) postTraces(w http.ResponseWriter, r *http.Request) int {
	id, unnamed := g.door.FindTenant(r.Header.Values(tenant.Header))
	if r.Method != http.MethodPost {
		g.door.CountRefused(id, ingress.Refuse(refusals.WrongEndpoint,
			fmt.Errorf("method %.20s: traces come by POST", r.Method)))
		return answerText(w, http.StatusMethodNotAllowed, "405 method not allowed, supported: [POST]")
	}
	kind, known := typeOf(r)
	if !known {
		g.door.CountRefused(id, ingress.Refuse(refusals.UnsupportedType,
			fmt.Errorf("content type %.100q: send application/json or application/x-protobuf", kind)))
		return answerText(w, http.StatusUnsupportedMediaType,
			"415 unsupported media type, supported: [application/json, application/x-protobuf]")
	}
	if unnamed != nil {
		g.door.CountRefused("", unnamed)
		return g.answerError(w, kind, unnamed)
	}
	h := g.door.NewHold()
	defer h.ShrinkTo(0)
	otlp, losses, err := g.readTraces(w, r, h, kind, id)
	if err != nil {
		g.door.CountRefused(id, err)
		return g.answerError(w, kind, err)
	}
	g.door.CountBytes("http", len(otlp))
	reply, err := g.door.Push(r.Context(), id, otlp)
	if err != nil {
		return g.answerError(w, kind, err)
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

// readTraces receives a body, unpacks it, and turns JSON into protobuf. Each step reserves the
// memory that it needs first.
func (g *Gateway) readTraces(
	w http.ResponseWriter, r *http.Request, h *ingress.Hold, kind, tenant string,
) ([]byte, trace.Losses, error) {
	body, err := g.door.ReceiveBody(w, r, h, g.bodyLimit())
	if err != nil || kind != typeJSON {
		return body, trace.Losses{}, err
	}
	return g.fromJSON(r.Context(), h, tenant, body)
}

// answerError answers with a google.rpc.Status in the encoding of the request.
func (g *Gateway) answerError(w http.ResponseWriter, kind string, err error) int {
	st := g.door.GRPCStatus(err)
	code := ingress.HTTPCode(st.Code())
	ingress.SetRetryAfter(w, err)
	body := encodeStatus(st, kind)
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(code)
	_, _ = w.Write(body)
	return code
}

// answerText answers with plain text.
func answerText(w http.ResponseWriter, code int, text string) int {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
	return code
}
