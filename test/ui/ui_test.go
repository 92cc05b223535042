// Package ui drives the web pages of a running node in a browser.
package ui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit"
)

const app = "../../runtime/gateway/ui/app"

// The journeys of runtime/gateway/ui/app/journeys, each in a browser against real nodes: one with
// the demo and hostile traces, one with a trace of a million spans, one with tenants, one behind a
// proxy that adds to the path, one with a damaged block, and one that is started again while a page
// follows it.
func TestJourneys(t *testing.T) {
	requireBrowser(t)
	shop := kit.NewNode(t)
	shop.Start()
	out, errs, code := kit.Troupectl(t, "load", "--demo", "--seed", "7", "--otlp", "http://"+shop.OTLPHTTP)
	require.Equal(t, 0, code, "%s%s", out, errs)
	const hostile = "badbadbadbadbadbadbadbadbadbad01"
	push(t, shop, hostileTrace(hostile))
	push(t, shop, slowVersion())
	push(t, shop, oneSpan("clock-ahead", 10*time.Minute))
	large := kit.NewNode(t) // of its own: ten thousand services slow every page
	large.Start()
	deep := trace.ID{0: 0xdd, 15: 1}
	pushSpans(t, large, 1_000_000, deepSpan(deep))

	damaged := kit.NewNode(t)
	block := damageBlock(t, damaged)
	followed := kit.NewNode(t)
	followed.Start()
	control := httptest.NewServer(controlOf(t, followed))
	defer control.Close()
	proxy := startProxied(t)
	defer proxy.Close()

	var failed struct{ Traces []struct{ TraceID string } }
	require.Eventually(t, func() bool {
		shop.GetJSON(&failed, "/api/search", "q", `{ name = "POST /checkout" && status = error }`, "since", "1h")
		return len(failed.Traces) > 0
	}, 20*time.Second, 100*time.Millisecond)
	playwright(t, shop, map[string]string{
		"errorTrace":   fmt.Sprintf("%032s", failed.Traces[0].TraceID),
		"hostileTrace": hostile,
		"largeURL":     "http://" + large.HTTP,
		"deepTrace":    deep.String(),
		"tenantURL":    "http://" + startTenants(t).HTTP,
		"prefixURL":    proxy.URL,
		"damagedURL":   "http://" + damaged.HTTP,
		"damagedBlock": block,
		"followedURL":  "http://" + followed.HTTP,
		"controlURL":   control.URL,
	}, "--grep-invert", "@pictures|@bench")
}

// startTenants starts a node with two tenants, of which each has one service.
func startTenants(t *testing.T) *kit.Node {
	t.Helper()
	n := kit.NewNode(t)
	n.Config = "multitenancy_enabled: true\n"
	n.Start()
	for _, name := range []string{"a", "b"} {
		push(t, n, oneSpan("service-of-"+name, -time.Minute), "X-Scope-OrgID", name)
	}
	return n
}

// startProxied starts a node whose API has a prefix, behind a proxy that adds another.
func startProxied(t *testing.T) *httptest.Server {
	t.Helper()
	n := kit.NewNode(t)
	n.Config = "http_api_prefix: /tempo\n"
	n.Start()
	push(t, n, oneSpan("behind-the-proxy", -time.Minute))
	target, err := url.Parse("http://" + n.HTTP)
	require.NoError(t, err)
	return httptest.NewServer(http.StripPrefix("/tracing", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Set("X-Forwarded-Prefix", "/tracing")
		},
	}))
}

// damageBlock starts a node of which one block cannot be read, and returns the block's id.
func damageBlock(t *testing.T, n *kit.Node) string {
	t.Helper()
	n.Start()
	for i := range 40 {
		push(t, n, oneSpan(fmt.Sprint("part-", i), -time.Minute))
	}
	require.Zero(t, n.Stop(time.Minute)) // what was live is in blocks then
	files, err := filepath.Glob(filepath.Join(n.Dir, "blocks", "single-tenant", "*", "spans.parquet"))
	require.NoError(t, err)
	require.Greater(t, len(files), 1)
	b, err := os.ReadFile(files[0])
	require.NoError(t, err)
	for i := 4; i < len(b)-4; i++ {
		b[i] ^= 0x5a
	}
	require.NoError(t, os.Chmod(files[0], 0o600))
	require.NoError(t, os.WriteFile(files[0], b, 0o600))
	n.Start()
	return filepath.Base(filepath.Dir(files[0]))
}

// controlOf lets a journey act on a node: POST /restart kills and starts it, POST /send sends a
// span of the service that the query names.
func controlOf(t *testing.T, n *kit.Node) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /restart", func(http.ResponseWriter, *http.Request) {
		n.Kill()
		n.Launch()
		n.WaitReady(time.Minute)
	})
	mux.HandleFunc("POST /send", func(w http.ResponseWriter, r *http.Request) {
		body := oneSpan(r.URL.Query().Get("service"), 0)
		code, answer, err := n.Push(r.Context(), "application/json", []byte(body))
		if err != nil || code != http.StatusOK {
			t.Errorf("send: %d %s %v", code, answer, err)
		}
	})
	return mux
}

// The pictures of the README, of the demo.
func TestPictures(t *testing.T) {
	if os.Getenv("TROUPE_UI_PICTURES") == "" {
		t.Skip("TROUPE_UI_PICTURES names no folder for them: make ui-pictures does")
	}
	requireBrowser(t)
	shop := kit.NewNode(t)
	shop.Start()
	out, errs, code := kit.Troupectl(t, "load", "--demo", "--seed", "7", "--traces", "3000", "--otlp", "http://"+shop.OTLPHTTP)
	require.Equal(t, 0, code, "%s%s", out, errs)
	playwright(t, shop, nil, "--grep", "@pictures")
}

// The figures of docs/benchmarks.md.
func TestFigures(t *testing.T) {
	if os.Getenv("TROUPE_UI_BENCH") == "" {
		t.Skip("TROUPE_UI_BENCH is not set: make ui-bench sets it")
	}
	requireBrowser(t)
	shop := kit.NewNode(t)
	shop.Start()
	out, errs, code := kit.Troupectl(t, "load", "--demo", "--seed", "7", "--otlp", "http://"+shop.OTLPHTTP)
	require.Equal(t, 0, code, "%s%s", out, errs)
	facts := map[string]string{}
	for i, spans := range []int{100, 100_000, 1_000_000} {
		id := trace.ID{0: 0xbe, 15: byte(i)}
		facts[fmt.Sprint("trace", spans)] = id.String()
		pushSpans(t, shop, spans, treeSpan(id, spans))
	}
	playwright(t, shop, facts, "--grep", "@bench")
}

// playwright runs journeys against a node, and tells them facts.
func playwright(t *testing.T, n *kit.Node, facts map[string]string, which ...string) {
	t.Helper()
	text, err := json.Marshal(facts)
	require.NoError(t, err)
	run := exec.Command("npx", append([]string{"playwright", "test"}, which...)...)
	run.Dir = app
	run.Env = append(os.Environ(), "TROUPE_UI_URL=http://"+n.HTTP, "TROUPE_UI_FACTS="+string(text), "TROUPE_UI_OUTPUT="+t.TempDir())
	printed, err := run.CombinedOutput()
	require.NoError(t, err, "%s", printed)
	t.Logf("%s", printed)
}

// requireBrowser skips a test unless TROUPE_UI is set; then everything that it needs must be there.
func requireBrowser(t *testing.T) {
	t.Helper()
	if os.Getenv("TROUPE_UI") == "" {
		t.Skip("TROUPE_UI is not set: make ui-test sets up Node.js packages and Chromium and runs this")
	}
	if why := missing(); why != "" {
		t.Fatal(why + ": make ui-packages")
	}
}

// missing says what the journeys lack on this machine.
func missing() string {
	if _, err := exec.LookPath("npx"); err != nil {
		return "Node.js is not here"
	}
	if _, err := os.Stat(app + "/node_modules/@playwright/test"); err != nil {
		return "the packages of the pages are not installed"
	}
	chromium := os.Getenv("TROUPE_CHROMIUM")
	if chromium == "" {
		chromium = "/usr/bin/chromium"
	}
	if _, err := os.Stat(chromium); err != nil {
		return chromium + " is not here"
	}
	return ""
}
