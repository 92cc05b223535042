package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
	"github.com/troupe-tracing/troupe/runtime/gateway/overrides"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

func routes(change func(*Deps)) http.Handler { return Routes(deps(change)) }

func deps(change func(*Deps)) Deps {
	d := Deps{OperatorAddress: func() string { return "127.0.0.1:3201" },
		Queries:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method, " ", r.URL.Path) }),
		Overrides: overrides.Deps{Limits: func() *limits.Set { return &limits.Set{Entries: map[string]limits.Tenant{"red-team": {}}} }},
		Metrics:   prometheus.NewRegistry(), NotReady: func(context.Context) string { return "" },
		Query: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "query ", r.URL.Path) }),
		Config: func(mode string) ([]byte, error) {
			if mode != "" {
				return nil, fmt.Errorf("unknown value for mode query parameter: %s", mode)
			}
			return []byte("target: all\n"), nil
		},
		Limits: func() ([]byte, error) { return []byte("overrides: {}\n"), nil },
		Actors: func(context.Context) []*Actor {
			return []*Actor{{Kind: "live-store", Key: "0", State: "ready"}, {Kind: "live-store", Key: "1", State: "replaying", LastError: "<script>"},
				{Kind: "query-frontend", State: "ready", Children: []*Actor{{Kind: "query", Key: "7", State: "scanning"}}}}
		},
		Upkeep: func(context.Context) (*upkeep.Status, error) {
			return &upkeep.Status{At: time.Unix(1_700_000_000, 0), Jobs: []*upkeep.Job{{Lease: "7.x", Tenant: "red-team", Worker: "<script>"}},
				Tenants: []*upkeep.TenantStatus{{Tenant: "red-team", Live: upkeep.Amount{Blocks: 3}}, {Tenant: "blue-team"}}}, nil
		},
		Promise: func() []string { return []string{"survives"} }, Build: Build{Version: "0.1.0", GoVersion: "go1.26"}}
	if change != nil {
		change(&d)
	}
	return d
}

func get(h http.Handler, path string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// pages are what each port answers: the code, and a part of the body.
type page struct {
	path string
	code int
	body string
}

var public = []page{
	{"/ready", 200, "ready\n"},
	{"/api/echo", 200, "echo\n"},
	{"/api/traces/1", 200, "query /api/traces/1"},
	{"/status/version", 200, "troupe, version 0.1.0"},
	{"/status/services", 200, "live-store         1 ready, 1 replaying\n"},
	{"/status/endpoints", 200, "GET  /ready\n"},
	{"/status/promise", 200, "survives\n"},
	{"/status", 200, "GET /status/promise\nsurvives\n"},
	{"/status/usage-stats", 200, "usage-stats is not enabled"},
	{"/status/nonsense", 404, "404 page not found\n"},
	{"/memberlist", 200, "This instance doesn't use memberlist."},
	{"/metrics", 200, ""},
	{"/ready/", 404, "404 page not found\n"},
	{"/Ready", 404, "404 page not found\n"},
	{"/flush", 404, "404 page not found\n"},
	{"/shutdown", 404, "404 page not found\n"},
	{"/config", 404, "404 page not found\n"},
}

var operator = []page{
	{"/status/config", 200, "---\ntarget: all\n"},
	{"/status/config?mode=x", 500, "unknown value for mode query parameter: x"},
	{"/status/runtime_config", 200, "---\noverrides: {}\n"},
	{"/status", 200, "GET /status/config\n---\ntarget: all\n"},
	{"/status/overrides", 200, "red-team"},
	{"/status/overrides/red-team", 200, "red-team"},
	{"/status/actors", 200, "live-store"},
	{"/status/backendscheduler", 200, "red-team"},
	{"/debug/pprof/", 200, "goroutine"},
	{"/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
	{"/debug/pprof/cmdline", 200, ""},
	{"/extra", 200, "more"},
}

func withExtra(d *Deps) {
	d.Actions = []Action{{http.MethodGet, "/extra", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "more") }},
		{http.MethodPost, "/do/{what}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "done") }}}
}

// Pages answer as clients and operators of Tempo know them, each on its port. Source:
// docs/spec/api.md, "Pages of the operator".
func TestPages(t *testing.T) {
	check := func(h http.Handler, pages []page) {
		t.Helper()
		for _, c := range pages {
			w := get(h, c.path)
			require.Equal(t, c.code, w.Code, c.path)
			require.Contains(t, w.Body.String(), c.body, c.path)
		}
	}
	check(routes(nil), public)
	check(OperatorRoutes(deps(withExtra)), append(operator, page{"/ready", 200, "ready\n"}, page{"/metrics", 200, ""}, page{"/api/traces/1", 404, ""},
		page{"/api/queries", 200, "GET /api/queries"}))
	check(AllRoutes(deps(withExtra)), append(operator, public[:7]...))
	// those of the request's tenants
	check(AllRoutes(deps(withExtra)), []page{{"/api/queries", 200, "query /api/queries"}})
}

// The port of the query API shows nothing that belongs to the operator or to another tenant, by no
// method and no way to write the path; it says where the page is.
func TestOperatorsPagesAreElsewhere(t *testing.T) {
	h := routes(withExtra)
	for _, p := range operator {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodHead} {
			path, _, _ := strings.Cut(p.path, "?")
			if path == "/status" || path == "/extra" {
				continue
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, path, nil))
			require.Equal(t, 404, w.Code, "%s %s", method, path)
			require.Contains(t, w.Body.String(), "127.0.0.1:3201", path)
		}
	}
	for _, path := range []string{"/status", "/status/endpoints", "/status/./config", "//status/config", "/status/Config", "/debug/pprof", "/debug/pprof/heap"} {
		body := get(h, path).Body.String()
		require.NotContains(t, body, "target:", path)
		require.NotContains(t, body, "red-team", path)
		require.NotContains(t, body, "pprof/", path)
	}
	off := routes(func(d *Deps) { d.OperatorAddress = func() string { return "" } })
	require.Contains(t, get(off, "/status/config").Body.String(), "off")
	shown := routes(func(d *Deps) { d.ActorsForAll = true })
	require.Equal(t, 200, get(shown, "/status/actors").Code)
	require.Equal(t, 404, get(shown, "/status/config").Code)
}

// What is answered to GET is answered to HEAD, on both ports.
func TestHeadIsAnsweredAsGet(t *testing.T) {
	for _, c := range []struct {
		h     http.Handler
		pages []page
	}{{routes(nil), public}, {OperatorRoutes(deps(withExtra)), operator}} {
		for _, p := range c.pages {
			w := httptest.NewRecorder()
			c.h.ServeHTTP(w, httptest.NewRequest(http.MethodHead, p.path, nil))
			require.Equal(t, p.code, w.Code, p.path)
		}
	}
	w := httptest.NewRecorder()
	routes(func(d *Deps) { d.NotReady = func(context.Context) string { return "Starting" } }).ServeHTTP(w, httptest.NewRequest(http.MethodHead, "/ready", nil))
	require.Equal(t, 503, w.Code)
}

// A page of another origin that the operator's browser shows can command nothing.
func TestCommandsOfOtherOriginsAreRefused(t *testing.T) {
	h := OperatorRoutes(deps(withExtra))
	for origin, code := range map[string]int{"": 200, "http://evil.example": 403} {
		for path, method := range map[string]string{"/do/it": http.MethodPost, "/api/queries/1": http.MethodDelete} {
			r := httptest.NewRequest(method, path, nil)
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Equal(t, code, w.Code, "%s from %s", path, origin)
		}
	}
}

// Clients read the version as Tempo writes it, and a path that is written oddly is sent to its
// plain form.
func TestBuildinfoAndCleanPaths(t *testing.T) {
	h := routes(nil)
	w := get(h, "/api/status/buildinfo")
	require.JSONEq(t, `{"version":"0.1.0","revision":"","branch":"","buildUser":"","buildDate":"","goVersion":"go1.26"}`, w.Body.String())
	w = get(h, "//api/./search?q=a%2Fb")
	require.Equal(t, 301, w.Code)
	require.Equal(t, "/api/search?q=a%2Fb", w.Header().Get("Location"))
}

// With a prefix the API is found below it and nowhere else, the pages stay where they are.
func TestPrefix(t *testing.T) {
	h := routes(func(d *Deps) { d.Prefix = "/tempo" })
	require.Equal(t, "query /api/search", get(h, "/tempo/api/search").Body.String())
	require.Equal(t, "echo\n", get(h, "/tempo/api/echo").Body.String())
	require.Equal(t, 200, get(h, "/tempo/status/usage-stats").Code)
	require.Equal(t, 200, get(h, "/ready").Code)
	for _, path := range []string{"/api/search", "/api/echo", "/api/status/buildinfo", "/tempo/ready"} {
		require.Equal(t, 404, get(h, path).Code, path)
	}
}

func TestNotReady(t *testing.T) {
	h := routes(func(d *Deps) { d.NotReady = func(context.Context) string { return "Application is stopping" } })
	w := get(h, "/ready")
	require.Equal(t, 503, w.Code)
	require.Equal(t, "Application is stopping\n", w.Body.String())
}

// The tree of actors is JSON for programs and a page for browsers, on which nothing that an actor
// says becomes markup.
func TestActors(t *testing.T) {
	h := OperatorRoutes(deps(nil))
	var tree []*Actor
	w := get(h, "/status/actors")
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &tree))
	require.Equal(t, "7", tree[2].Children[0].Key)
	html := get(h, "/status/actors", "Accept", "text/html").Body.String()
	require.Contains(t, html, "<b>query</b> 7")
	require.Contains(t, html, "&lt;script&gt;")
	require.False(t, strings.Contains(html, "<script>"))
	require.Equal(t, "application/json", get(h, "/status/actors?format=json", "Accept", "text/html").Header().Get("Content-Type"))
}

// What the scheduler says is JSON for programs and a page for browsers, of all tenants or of one.
func TestUpkeep(t *testing.T) {
	h := OperatorRoutes(deps(nil))
	var shown upkeep.Status
	require.NoError(t, json.Unmarshal(get(h, "/status/backendscheduler").Body.Bytes(), &shown))
	require.Equal(t, "7.x", shown.Jobs[0].Lease)
	require.Len(t, shown.Tenants, 2)
	require.NoError(t, json.Unmarshal(get(h, "/status/backendscheduler?tenant=red-team&format=json", "Accept", "text/html").Body.Bytes(), &shown))
	require.Equal(t, 3, shown.Total.Live.Blocks)
	require.Len(t, shown.Tenants, 1)
	html := get(h, "/status/backendscheduler", "Accept", "text/html").Body.String()
	require.Contains(t, html, "&lt;script&gt;")
	require.True(t, strings.HasSuffix(html, "</html>\n"), "the page is whole")
	away := OperatorRoutes(deps(func(d *Deps) {
		d.Upkeep = func(context.Context) (*upkeep.Status, error) {
			return nil, status.Errorf(status.Unavailable, "not here")
		}
	}))
	require.Equal(t, 503, get(away, "/status/backendscheduler").Code)
}

// A browser that asks for the root is led to the web pages by a relative address, so that it holds
// behind a proxy; a probe is not.
func TestRootLeadsToThePages(t *testing.T) {
	pages := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "page of "+r.URL.Path) })
	h := Routes(Deps{Pages: pages, PagesPath: "/ui", OperatorAddress: func() string { return "" }, Metrics: prometheus.NewRegistry()})
	ask := func(path, accept string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodGet, path, nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	w := ask("/", "text/html,*/*")
	require.Equal(t, []any{302, "./ui/"}, []any{w.Code, w.Header().Get("Location")})
	require.Equal(t, 404, ask("/", "*/*").Code)
	w = ask("/ui", "text/html")
	require.Equal(t, []any{302, "./ui/"}, []any{w.Code, w.Header().Get("Location")})
	require.Equal(t, "page of /ui/trace/1", ask("/ui/trace/1", "text/html").Body.String())
}
