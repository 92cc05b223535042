// Package ui drives the web pages of a running node in a browser.
package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
)

const app = "../../runtime/gateway/ui/app"

// The journeys of runtime/gateway/ui/app/journeys, each in a browser against real nodes: one with
// the demo and a hostile trace, one with tenants, and one behind a proxy that adds to the path.
func TestJourneys(t *testing.T) {
	requireBrowser(t)
	shop := kit.NewNode(t)
	shop.Start()
	out, errs, code := kit.Troupectl(t, "load", "--demo", "--seed", "7", "--otlp", "http://"+shop.OTLPHTTP)
	require.Equal(t, 0, code, "%s%s", out, errs)
	const hostile = "badbadbadbadbadbadbadbadbadbad01"
	push(t, shop, hostileTrace(hostile))
	push(t, shop, slowVersion())

	tenants := kit.NewNode(t)
	tenants.Config = "multitenancy_enabled: true\n"
	tenants.Start()
	for _, name := range []string{"a", "b"} {
		push(t, tenants, oneSpan("service-of-"+name), "X-Scope-OrgID", name)
	}

	proxied := kit.NewNode(t)
	proxied.Config = "http_api_prefix: /tempo\n"
	proxied.Start()
	push(t, proxied, oneSpan("behind-the-proxy"))
	target, err := url.Parse("http://" + proxied.HTTP)
	require.NoError(t, err)
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Set("X-Forwarded-Prefix", "/tracing")
	}}
	proxy := httptest.NewServer(http.StripPrefix("/tracing", forward))
	defer proxy.Close()

	var failed struct{ Traces []struct{ TraceID string } }
	require.Eventually(t, func() bool {
		shop.GetJSON(&failed, "/api/search", "q", `{ name = "POST /checkout" && status = error }`, "since", "1h")
		return len(failed.Traces) > 0
	}, 20*time.Second, 100*time.Millisecond)
	facts, err := json.Marshal(map[string]string{
		"errorTrace":   fmt.Sprintf("%032s", failed.Traces[0].TraceID),
		"hostileTrace": hostile,
		"tenantURL":    "http://" + tenants.HTTP,
		"prefixURL":    proxy.URL,
	})
	require.NoError(t, err)
	playwright(t, shop, string(facts), "--grep-invert", "@pictures|@bench")
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
	playwright(t, shop, "{}", "--grep", "@pictures")
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
	small, large := strings.Repeat("5a", 16), strings.Repeat("1a", 16)
	pushTree(t, shop, small, 100)
	pushTree(t, shop, large, 100_000)
	playwright(t, shop, fmt.Sprintf(`{"small":%q,"large":%q}`, small, large), "--grep", "@bench")
}

// pushTree sends a trace of n spans, in which each span but the root is a child of an earlier one.
func pushTree(t *testing.T, n *kit.Node, id string, spans int) {
	t.Helper()
	began := time.Now().Add(-time.Minute).UnixNano()
	for from := 0; from < spans; from += 5000 {
		var list []string
		for i := from; i < min(from+5000, spans); i++ {
			parent := ""
			if i > 0 {
				parent = fmt.Sprintf(`"parentSpanId":"%016x",`, (i-1)/8+1)
			}
			start := began + int64(i)*50_000
			list = append(list, fmt.Sprintf(`{"traceId":%q,"spanId":"%016x",%s"name":"step %d","kind":%d,"startTimeUnixNano":"%d","endTimeUnixNano":"%d",
				"attributes":[{"key":"http.route","value":{"stringValue":"/items/{id}"}},{"key":"http.response.status_code","value":{"intValue":"200"}},{"key":"db.statement","value":{"stringValue":"SELECT a, b, c FROM items WHERE id = $1"}}]}`,
				id, i+1, parent, i, 1+i%5, start, start+int64(spans-i)*60_000))
		}
		push(t, n, `{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"tree"}}]},"scopeSpans":[{"spans":[`+strings.Join(list, ",")+`]}]}]}`)
	}
}

// playwright runs journeys against a node.
func playwright(t *testing.T, n *kit.Node, facts string, which ...string) {
	t.Helper()
	run := exec.Command("npx", append([]string{"playwright", "test"}, which...)...)
	run.Dir = app
	run.Env = append(os.Environ(), "TROUPE_UI_URL=http://"+n.HTTP, "TROUPE_UI_FACTS="+facts, "TROUPE_UI_OUTPUT="+t.TempDir())
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

func push(t *testing.T, n *kit.Node, body string, headers ...string) {
	t.Helper()
	code, answer, err := n.Push(context.Background(), "application/json", []byte(body), headers...)
	require.NoError(t, err)
	require.Equal(t, 200, code, "%s", answer)
}

func oneSpan(service string) string {
	now := time.Now().Add(-time.Minute).UnixNano()
	return fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}}]},"scopeSpans":[{"spans":[
		{"traceId":"%032x","spanId":"%016x","name":"work","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`, service, now, now, now, now+5e6)
}

// slowVersion is a service of which one version is slow, because of its reads of a shelf.
func slowVersion() string {
	var resources []string
	for i := range 200 {
		version, took := "1.9", int64(5e6)
		if i%5 == 0 {
			version, took = "2.0.1-slow", 800e6
		}
		start := time.Now().Add(-time.Duration(5+i) * time.Second).UnixNano()
		resources = append(resources, fmt.Sprintf(`{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"catalog"}},{"key":"service.version","value":{"stringValue":%q}}]},
			"scopeSpans":[{"spans":[
			{"traceId":"%032x","spanId":"%016x","name":"GET /catalog","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"},
			{"traceId":"%032x","spanId":"%016x","parentSpanId":"%016x","name":"read shelf","kind":3,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}`,
			version, 1<<40+i, 2*i+1, start, start+took, 1<<40+i, 2*i+2, 2*i+1, start+1e6, start+took-1e6))
	}
	return `{"resourceSpans":[` + strings.Join(resources, ",") + `]}`
}

// hostileTrace has a script in every text, a value of 1 MB, many attributes, signs that turn the
// direction of writing, a cycle, ids that come twice, and times that no clock shows.
func hostileTrace(id string) string {
	now := time.Now().Add(-time.Minute).UnixNano()
	bad := `<script>window.hacked=true</script><img src=x onerror=window.hacked=true>` + "\u202e\u0000\n'\"`{}"
	text := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	many := make([]string, 2000)
	for i := range many {
		many[i] = fmt.Sprintf(`{"key":%s,"value":{"stringValue":%s}}`, text(fmt.Sprintf("%s%d", bad, i)), text(bad))
	}
	span := func(n, parent int, name string, start, end int64, more string) string {
		return fmt.Sprintf(`{"traceId":%q,"spanId":"%016x","parentSpanId":"%016x","name":%s,"kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"%s}`,
			id, n, parent, text(name), start, end, more)
	}
	spans := []string{
		span(1, 0, bad, now, now+1e9, fmt.Sprintf(`,"attributes":[%s,{"key":"long","value":{"stringValue":%s}}],"status":{"code":2,"message":%s},"events":[{"timeUnixNano":"%d","name":%s,"attributes":[{"key":"javascript:alert(1)","value":{"stringValue":"javascript:alert(1)"}}]}]`,
			strings.Join(many, ","), text(strings.Repeat("<b>long</b> ", 90_000)), text(bad), now, text(bad))),
		span(2, 3, bad, now+1, now+2, ""), span(3, 2, "cycle", now+2, now+3, ""),
		span(4, 1, "twice", now+4, now+5, ""), span(4, 1, "twice, with another name", now+4, now+6, ""),
		span(5, 1, "ends before it starts", now+9, now+8, ""), span(6, 1, "1970", 1, 2, ""), span(7, 1, "2262", 9223372036854775800, 9223372036854775807, ""),
		span(8, 99, "orphan", now, now+1, ""),
	}
	return fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%s}}]},"scopeSpans":[{"scope":{"name":%s},"spans":[%s]}]}]}`,
		text("a<script>b"), text(bad), strings.Join(spans, ","))
}
