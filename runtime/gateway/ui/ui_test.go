package ui

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

func newPages(t *testing.T, change func(*Config)) *httptest.Server {
	t.Helper()
	cfg := DefaultConfig()
	if change != nil {
		change(&cfg)
	}
	require.NoError(t, cfg.Validate())
	h := New(cfg, Facts{Version: "1.2.3", APIPrefix: "/p", Limits: Limits{SearchSeconds: 7, MetricsSeconds: 8, SearchLimit: 9}})
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, url string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(b)
}

// Every place of the pages is answered with the page, under a policy that lets it load nothing from
// elsewhere, with a nonce of its own.
func TestIndex(t *testing.T) {
	s := newPages(t, nil)
	nonces := map[string]bool{}
	for _, p := range []string{"/ui/", "/ui/search?q=%7B%7D", "/ui/trace/0102", "/ui/nothing/like/it"} {
		resp, body := get(t, s.URL+p)
		require.Equal(t, 200, resp.StatusCode, p)
		require.Equal(t, "text/html; charset=utf-8", resp.Header.Get("Content-Type"))
		require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
		require.Equal(t, "nosniff", resp.Header.Get("X-Content-Type-Options"))
		require.Equal(t, "no-referrer", resp.Header.Get("Referrer-Policy"))
		require.Contains(t, body, `<base href="/ui/" />`)
		policy := resp.Header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'; script-src 'self'; ")
		require.Contains(t, policy, "frame-ancestors 'none'")
		nonce := regexp.MustCompile(`'nonce-([^']+)'`).FindStringSubmatch(policy)[1]
		require.Contains(t, body, `content="`+nonce+`"`)
		require.NotContains(t, body, "<script>", "no script stands in the page")
		nonces[nonce] = true
	}
	require.Len(t, nonces, 4)
}

// The base of the pages follows the proxy before the node; what is no plain path is left out.
func TestPrefixes(t *testing.T) {
	s := newPages(t, nil)
	for prefix, want := range map[string]string{"/tracing": "/tracing/ui/", "/a/b/": "/a/b/ui/", `/"><script>`: "/ui/", "//evil.example": "/ui/", "https://evil.example": "/ui/", "/..//x": "/ui/"} {
		_, body := get(t, s.URL+"/ui/", "X-Forwarded-Prefix", prefix)
		require.Contains(t, body, `<base href="`+want+`" />`, prefix)
	}
	s = newPages(t, func(c *Config) {
		c.ExternalPath, c.Path, c.FrameAncestors = "/fixed", "/x", []string{"https://grafana.example"}
	})
	resp, body := get(t, s.URL+"/x/", "X-Forwarded-Prefix", "/other")
	require.Contains(t, body, `<base href="/fixed/x/" /><meta name="nonce"`)
	require.Contains(t, body, `<meta name="prefix" content="/fixed" />`)
	require.Contains(t, resp.Header.Get("Content-Security-Policy"), "frame-ancestors https://grafana.example")
}

func TestConfigDocument(t *testing.T) {
	s := newPages(t, func(c *Config) {
		c.DefaultRange = 90 * time.Minute
		c.Links = []Link{{Name: "logs", URL: "https://logs.example/{traceId}"}}
	})
	resp, body := get(t, s.URL+"/ui/config.json")
	require.Equal(t, "application/json", resp.Header.Get("Content-Type"))
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	var d map[string]any
	require.NoError(t, json.Unmarshal([]byte(body), &d))
	require.Equal(t, map[string]any{"version": "1.2.3", "apiPrefix": "/p", "multitenancy": false, "title": "Troupe", "tenants": []any{}, "defaultQuery": "", "defaultRange": "90m",
		"features": []any{"check", "outline", "spans", "matches", "edges", "tail", "export", "status", "blocks"}, "limits": map[string]any{"searchSeconds": 7., "metricsSeconds": 8., "searchLimit": 9.},
		"links": []any{map[string]any{"name": "logs", "url": "https://logs.example/{traceId}"}}}, d)
}

// Files whose names change with their content may be kept for ever; a name that is none is 404.
func TestAssets(t *testing.T) {
	s := newPages(t, nil)
	_, page := get(t, s.URL+"/ui/")
	script := regexp.MustCompile(`src="\./(assets/[^"]+\.js)"`).FindStringSubmatch(page)[1]
	resp, plain := get(t, s.URL+"/ui/"+script, "Accept-Encoding", "identity")
	require.Equal(t, "text/javascript; charset=utf-8", resp.Header.Get("Content-Type"))
	require.Equal(t, "public, max-age=31536000, immutable", resp.Header.Get("Cache-Control"))
	require.Equal(t, "Accept-Encoding", resp.Header.Get("Vary"))
	resp, packed := get(t, s.URL+"/ui/"+script, "Accept-Encoding", "br, gzip")
	require.Equal(t, "gzip", resp.Header.Get("Content-Encoding"))
	z, err := gzip.NewReader(strings.NewReader(packed))
	require.NoError(t, err)
	unpacked, err := io.ReadAll(z)
	require.NoError(t, err)
	require.Equal(t, plain, string(unpacked))

	resp, _ = get(t, s.URL+"/ui/assets/none.js")
	require.Equal(t, 404, resp.StatusCode)
	resp, body := get(t, s.URL+"/ui/assets/..%2f..%2fui.go")
	require.NotContains(t, body, "package ui")
	require.Equal(t, 404, resp.StatusCode)
	resp, _ = get(t, s.URL+"/ui/icon.svg")
	require.Equal(t, "image/svg+xml", resp.Header.Get("Content-Type"))
	post, err := http.Post(s.URL+"/ui/", "text/plain", nil)
	require.NoError(t, err)
	require.NoError(t, post.Body.Close())
	require.Equal(t, 405, post.StatusCode)
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"path: want a path":          func(c *Config) { c.Path = "ui" },
		"path: \"/api/ui\" is taken": func(c *Config) { c.Path = "/api/ui" },
		"external_path: want a path": func(c *Config) { c.ExternalPath = "/a/" },
		"default_range: want":        func(c *Config) { c.DefaultRange = 0 },
		"frame_ancestors: want":      func(c *Config) { c.FrameAncestors = []string{"x; script-src *"} },
		"links: \"a\": want a name":  func(c *Config) { c.Links = []Link{{Name: "a", URL: "javascript:alert(1)"}} },
	} {
		c := DefaultConfig()
		change(&c)
		require.ErrorContains(t, c.Validate(), want)
	}
}

// dist was built from the sources that lie beside it: its SOURCES has their checksum.
func TestDistIsOfTheseSources(t *testing.T) {
	want, err := os.ReadFile("dist/SOURCES")
	require.NoError(t, err)
	require.Equal(t, strings.TrimSpace(string(want)), hashSources(t), "the pages were changed and not built: run make ui")
}

// hashSources is the checksum over names and contents of everything that dist is built from.
func hashSources(t *testing.T) string {
	var names []string
	for _, root := range []string{"app/src", "app/public", "app/index.html", "app/package.json", "app/package-lock.json", "app/tsconfig.json", "app/vite.config.ts"} {
		require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() && !strings.Contains(p, ".test.") {
				names = append(names, filepath.ToSlash(p))
			}
			return err
		}))
	}
	slices.Sort(names)
	sum := sha256.New()
	for _, n := range names {
		b, err := os.ReadFile(n)
		require.NoError(t, err)
		own := sha256.Sum256(b)
		_, _ = io.WriteString(sum, n+" "+hex.EncodeToString(own[:])+"\n")
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// Everything in dist has a licence that lets it be part of Troupe.
func TestLicences(t *testing.T) {
	text, err := dist.ReadFile("dist/LICENSES.txt")
	require.NoError(t, err)
	parts := strings.Split(string(text), "\n----\n\n")
	require.Greater(t, len(parts), 5)
	for _, p := range parts {
		first, _, _ := strings.Cut(p, "\n")
		require.Regexp(t, `^\S+ \S+ \((MIT|ISC|BSD-2-Clause|BSD-3-Clause|Apache-2\.0)\)$`, first)
	}
}

// The first screen stays small, and so does all of it. The editor comes after the first screen.
func TestSizes(t *testing.T) {
	first, all := 0, 0
	page, err := dist.ReadFile("dist/index.html")
	require.NoError(t, err)
	require.NoError(t, fs.WalkDir(dist, "dist", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := dist.ReadFile(p)
		if err != nil {
			return err
		}
		n := len(b)
		if z := pack(b); z != nil {
			n = len(z)
		}
		all += n
		if strings.Contains(string(page), strings.TrimPrefix(p, "dist/")) {
			first += n
		}
		return nil
	}))
	t.Logf("figures: first screen %d bytes, all %d bytes, compressed", first, all)
	require.LessOrEqual(t, first, 70<<10, "scripts and styles of the first screen")
	require.LessOrEqual(t, all, 320<<10, "all of dist")
}

// The editor's words are those of the language: it accepts each, and the list has every intrinsic
// that autocomplete offers.
func TestWords(t *testing.T) {
	source, err := os.ReadFile("app/src/traceql/words.ts")
	require.NoError(t, err)
	list := func(name string) []string {
		m := regexp.MustCompile(`(?s)export const ` + name + `[^=]*= \[(.*?)\n?\]`).FindSubmatch(source)
		require.NotNil(t, m, name)
		var out []string
		for _, w := range regexp.MustCompile(`'([^']+)'`).FindAllSubmatch(m[1], -1) {
			out = append(out, string(w[1]))
		}
		return out
	}
	for _, w := range list("intrinsics") {
		_, err := traceql.Parse("{ " + w + " != nil }")
		require.NoError(t, err, w)
	}
	for _, w := range list("keywords") {
		_, err := traceql.Parse("{ .a = " + w + " }")
		require.NoError(t, err, w)
	}
	for _, w := range list("scopes") {
		_, err := traceql.Parse("{ " + w + "a = 1 }")
		require.NoError(t, err, w)
	}
	for _, m := range regexp.MustCompile(`name: '(\w+)', rest: '([^']*)'.*?(metrics: true)?\s*\}`).FindAllSubmatch(source, -1) {
		name, rest := string(m[1]), string(m[2])
		q := "{ } | " + name + rest
		switch {
		case name == "with":
			q = "{ } | rate() with(exemplars=true)"
		case name == "topk" || name == "bottomk":
			q = "{ } | rate() by (name) | " + name + rest
		case strings.HasSuffix(rest, "> "):
			q += "1"
		}
		_, err := traceql.Parse(q)
		require.NoError(t, err, q)
	}
	offered, err := os.ReadFile("../../engine/answer/tags.go")
	require.NoError(t, err)
	body := regexp.MustCompile(`(?s)var intrinsics = \[\]string\{(.*?)\n\}`).FindSubmatch(offered)
	require.NotNil(t, body)
	for _, w := range regexp.MustCompile(`"([^"]+)"`).FindAllSubmatch(body[1], -1) {
		require.Contains(t, list("intrinsics"), string(w[1]))
	}
}
