package httpapi

import (
	"compress/gzip"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzhttp"

	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Deps is what the API reaches, and Config is what an operator can set of it.
type (
	Deps   = query.Deps
	Config = query.Config
)

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config { return query.DefaultConfig() }

// Routes serves everything under /api that the query-frontend answers. Other paths are not found.
func Routes(d Deps) http.Handler {
	a := &handlers{Service: query.New(d)}
	// Compression is work outside the slots. At the default level it is a third of the work for a
	// large answer, so the fastest level is used.
	gz, err := gzhttp.NewWrapper(gzhttp.MinSize(1024), gzhttp.CompressionLevel(gzip.BestSpeed))
	if err != nil {
		panic("BUG: compression of answers: " + err.Error())
	}
	compressed := gz(http.HandlerFunc(a.serveRequest))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.allowOrigin(w, r) {
			return
		}
		if wantsEvents(r) || r.URL.Path == tailPath {
			a.serveRequest(w, r) // events must not wait in a compressor's buffer
			return
		}
		compressed.ServeHTTP(w, r)
	})
}

type handlers struct {
	*query.Service
	largeAnswer sync.Mutex // held while a large answer is rendered
}

// call is one request and its answer.
type call struct {
	http.ResponseWriter
	r                 *http.Request
	ctx               context.Context
	tenants           []string
	knowsCompleteness bool             // the client knows the added fields
	requireComplete   bool             // an answer that lacks something is an error
	unwritten         *delivery.Budget // of the memory of answers
}

// findHandler finds the handler of a path, and the name that its requests are counted by. As in
// Tempo every method is accepted, except where a handler refuses it.
func (a *handlers) findHandler(path string) (h func(*call) error, op string) {
	switch path {
	case "/api/search":
		return a.serveSearch, "search"
	case "/api/search/tags":
		return a.serveTags, "tags"
	case "/api/v2/search/tags":
		return a.serveTagsV2, "tags_v2"
	case "/api/metrics/query_range":
		return a.serveRange, "query_range"
	case "/api/metrics/query":
		return a.serveInstant, "query"
	case "/api/v2/traces/diff":
		return a.serveDiff, "diff"
	case tailPath:
		return a.serveTail, "tail"
	case "/api/status/node":
		return a.serveNode, "node"
	case "/api/blocks":
		return a.serveBlocks, "blocks"
	case "/api/edges":
		return a.serveEdges, "edges"
	case "/api/queries":
		return a.serveQueries, "queries"
	case "/api/explain":
		return a.serveExplain, "explain"
	case "/api/check":
		return a.serveCheck, "check"
	case "/api/overrides", "/api/mcp": // not built; but a missing tenant is told first
		return func(*call) error { return errNoRoute }, "none"
	}
	switch {
	case isBelow(path, "/api/traces/"):
		return a.serveTraceV1, "traces"
	case isBelow(path, outlinePath):
		return a.serveOutline, "outline"
	case isBelow(path, exportPath):
		return a.serveExport, "export"
	case isBelow(path, matchesPath):
		return a.serveMatches, "matches"
	case isBelow(path, spansPath):
		return a.serveSpans, "spans"
	case isBelow(path, "/api/v2/traces/"):
		return a.serveTraceV2, "traces_v2"
	case strings.HasPrefix(path, "/api/search/tag/") && strings.HasSuffix(path, "/values"):
		return a.serveValues, "values"
	case strings.HasPrefix(path, "/api/v2/search/tag/") && strings.HasSuffix(path, "/values"):
		return a.serveValuesV2, "values_v2"
	case isBelow(path, "/api/queries/"):
		return a.serveCancel, "cancel"
	}
	return nil, ""
}

// isBelow reports whether path is prefix and one more segment.
func isBelow(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && rest != "" && !strings.Contains(rest, "/")
}

func (a *handlers) serveRequest(w http.ResponseWriter, r *http.Request) {
	h, op := a.findHandler(r.URL.Path)
	if h == nil {
		http.NotFound(w, r)
		return
	}
	began := a.Now()
	c := &call{ResponseWriter: w, r: r, ctx: query.ContextOfHTTP(r), unwritten: a.Unwritten}
	if t := a.Config.APITimeout; t > 0 {
		var cancel context.CancelFunc
		c.ctx, cancel = context.WithTimeoutCause(c.ctx, t, errTimeout)
		defer cancel()
	}
	err := a.runHandler(c, h)
	if context.Cause(c.ctx) == errTimeout && err != nil {
		err = errTimeout
	}
	code := a.sendError(c, err)
	if m := a.Metrics; m != nil {
		m.Observe("http", op, strconv.Itoa(code), a.Now().Sub(began))
	}
	var broken *brokenError
	if errors.As(err, &broken) {
		panic(http.ErrAbortHandler) // so the client sees that the answer is not whole
	}
}

var errTimeout = errors.New("the request could not be processed in the configured timeout (query_frontend.api_timeout)")

// runHandler finds the tenants of a request and calls its handler. A panic in the handler becomes
// the error of this request.
func (a *handlers) runHandler(c *call, h func(*call) error) (err error) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			err = a.PanicError(c.r.URL.Path, p)
		}
	}()
	if c.tenants, err = a.TenantsOf(strings.Join(c.r.Header.Values(tenant.Header), "|")); err != nil {
		return err
	}
	if v := c.r.URL.Query().Get("require_complete"); v != "" {
		if c.requireComplete, err = strconv.ParseBool(v); err != nil {
			return invalidf("invalid value for require_complete: %s", err)
		}
		c.knowsCompleteness = true
	}
	return h(c)
}

// sendError answers with an error, if there is one, and returns the code of the answer.
func (a *handlers) sendError(c *call, err error) int {
	if err == nil {
		return http.StatusOK
	}
	if errors.Is(err, tenant.ErrMissing) {
		http.Error(c, err.Error(), http.StatusUnauthorized)
		return http.StatusUnauthorized
	}
	if err == errNoRoute {
		http.NotFound(c, c.r)
		return http.StatusNotFound
	}
	var broken *brokenError
	if errors.As(err, &broken) { // nothing more can be said to the client
		class := status.Of(broken.cause).Class
		if c.ctx.Err() == nil {
			a.Logger.Warn("an answer broke off", "op", c.r.URL.Path, "err", broken.cause)
		}
		return class.HTTP()
	}
	var coded *codedError
	if errors.As(err, &coded) {
		c.sendText(coded.code, coded.text)
		return coded.code
	}
	if err == errTimeout {
		c.sendText(http.StatusServiceUnavailable, err.Error())
		return http.StatusServiceUnavailable
	}
	e := status.Of(err)
	text := err.Error()
	switch e.Class {
	case status.Canceled:
		if c.ctx.Err() != nil {
			text = context.Canceled.Error()
		}
	case status.Timeout:
		if c.ctx.Err() != nil {
			text = context.DeadlineExceeded.Error()
		}
	case status.Limited:
		if e.RetryAfter > 0 {
			seconds := max(e.RetryAfter.Round(time.Second), time.Second) / time.Second
			c.Header().Set("Retry-After", strconv.Itoa(int(seconds)))
		}
	case status.Internal, status.Corrupt:
		a.Logger.Error("query failed", "op", c.r.URL.Path, "err", err)
	}
	c.sendText(e.Class.HTTP(), text)
	return e.Class.HTTP()
}

// codedError is an error with a status code of its own.
type codedError struct {
	code int
	text string
}

func (e *codedError) Error() string { return e.text }

var errNoRoute = errors.New("no such path")

func invalidf(format string, args ...any) error {
	return status.Errorf(status.Invalid, format, args...)
}

// sendText answers with plain text, without a line feed at its end, as the errors of this API are.
func (c *call) sendText(code int, text string) {
	h := c.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	for _, name := range []string{
		"Content-Disposition", "Content-Encoding", headerComplete, headerWatermark, headerWarning,
	} {
		h.Del(name) // they were set for an answer that is not written after all
	}
	c.WriteHeader(code)
	_, _ = c.Write([]byte(text))
}

// allowOrigin lets the web pages of configured origins ask from a browser. It reports whether the
// request is answered already.
func (a *handlers) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || len(a.Config.CORSAllowedOrigins) == 0 {
		return false
	}
	for _, o := range a.Config.CORSAllowedOrigins {
		if o != "*" && !strings.EqualFold(o, origin) {
			continue
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origin)
		h.Add("Vary", "Origin")
		exposed := []string{headerComplete, headerWatermark, headerWarning, headerTraceSpans}
		h.Set("Access-Control-Expose-Headers", strings.Join(exposed, ", "))
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			h.Set("Access-Control-Allow-Headers", "Accept, Content-Type, "+tenant.Header)
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return true
		}
		return false
	}
	return false
}
