package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func routes(change func(*Deps)) http.Handler {
	d := Deps{Metrics: prometheus.NewRegistry(), NotReady: func(context.Context) string { return "" },
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
		Promise: []string{"survives"}, Build: Build{Version: "0.1.0", GoVersion: "go1.26"}}
	if change != nil {
		change(&d)
	}
	return Routes(d)
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

// Pages answer as clients and operators of Tempo know them. Source: HTTP API §0 and §9.
func TestPages(t *testing.T) {
	h := routes(nil)
	for _, c := range []struct {
		path string
		code int
		body string
	}{
		{"/ready", 200, "ready\n"},
		{"/api/echo", 200, "echo\n"},
		{"/api/traces/1", 200, "query /api/traces/1"},
		{"/status/version", 200, "troupe, version 0.1.0"},
		{"/status/services", 200, "live-store         1 ready, 1 replaying\n"},
		{"/status/endpoints", 200, "GET  /ready\n"},
		{"/status/promise", 200, "survives\n"},
		{"/status/config", 200, "---\ntarget: all\n"},
		{"/status/config?mode=x", 500, "unknown value for mode query parameter: x"},
		{"/status/runtime_config", 200, "---\noverrides: {}\n"},
		{"/status", 200, "GET /status/config\n---\ntarget: all\n"},
		{"/status/usage-stats", 200, "usage-stats is not enabled"},
		{"/status/nonsense", 404, "404 page not found\n"},
		{"/memberlist", 200, "This instance doesn't use memberlist."},
		{"/metrics", 200, ""},
		{"/debug/pprof/goroutine?debug=1", 200, "goroutine profile"},
		{"/ready/", 404, "404 page not found\n"},
		{"/Ready", 404, "404 page not found\n"},
		{"/flush", 404, "404 page not found\n"},
		{"/shutdown", 404, "404 page not found\n"},
		{"/config", 404, "404 page not found\n"},
	} {
		w := get(h, c.path)
		require.Equal(t, c.code, w.Code, c.path)
		require.Contains(t, w.Body.String(), c.body, c.path)
	}
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

// The tree of actors is JSON for programs and a page for browsers, on which nothing that an actor says becomes markup.
func TestActors(t *testing.T) {
	h := routes(nil)
	var tree []*Actor
	w := get(h, "/status/actors")
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &tree))
	require.Equal(t, "7", tree[2].Children[0].Key)
	page := get(h, "/status/actors", "Accept", "text/html").Body.String()
	require.Contains(t, page, "<b>query</b> 7")
	require.Contains(t, page, "&lt;script&gt;")
	require.False(t, strings.Contains(page, "<script>"))
	require.Equal(t, "application/json", get(h, "/status/actors?format=json", "Accept", "text/html").Header().Get("Content-Type"))
}
