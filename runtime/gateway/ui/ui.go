// Package ui serves the web pages of Troupe: a program of scripts and styles that was built from
// app and lies in dist, and a small document that tells it what node it talks to. The pages ask the
// query API like any other client; this package only hands them out.
package ui

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"
)

//go:embed all:dist
var dist embed.FS

// Config is what can be set of the pages.
type Config struct {
	// Whether the pages are served.
	Enabled bool `koanf:"enabled"`
	// The path that the pages are served below.
	Path string `koanf:"path"`
	// What a proxy puts before the paths of this node, for instance /tracing. If it is empty, the
	// header X-Forwarded-Prefix of a request says so.
	ExternalPath string `koanf:"external_path"`
	// The name in the corner of each page.
	Title string `koanf:"title"`
	// Tenants that the pages suggest. They do not decide who may see what.
	Tenants []string `koanf:"tenants"`
	// The query that a search begins with.
	DefaultQuery string `koanf:"default_query"`
	// The range of time that the pages begin with: it ends now, and starts this long ago.
	DefaultRange time.Duration `koanf:"default_range"`
	// Origins that may show the pages inside of their own. None may by default.
	FrameAncestors []string `koanf:"frame_ancestors"`
	// Links to other systems, shown where a span has all that they need.
	Links []Link `koanf:"links"`
}

// Link leads from a span to another system. URL may hold {traceId}, {spanId}, {service}, {name},
// {start}, {end}, {resource.x} and {span.x}.
type Link struct {
	// What the link is called.
	Name string `koanf:"name" json:"name"`
	// Its address, http or https.
	URL string `koanf:"url" json:"url"`
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{Enabled: true, Path: "/ui", Title: "Troupe", DefaultRange: time.Hour}
}

var (
	pathForm   = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)*$`)
	originForm = regexp.MustCompile(`^('self'|https?://[A-Za-z0-9.*:_-]+)$`)
)

// Validate checks what was configured.
func (c Config) Validate() error {
	switch {
	case c.Path == "" || !pathForm.MatchString(c.Path):
		return fmt.Errorf("path: want a path such as /ui, found %q", c.Path)
	case strings.HasPrefix(c.Path, "/api") || strings.HasPrefix(c.Path, "/status"):
		return fmt.Errorf("path: %q is taken by the API; choose another", c.Path)
	case !pathForm.MatchString(c.ExternalPath):
		return fmt.Errorf("external_path: want a path such as /tracing without a slash at its end, found %q",
			c.ExternalPath)
	case c.DefaultRange < time.Second:
		return fmt.Errorf("default_range: want at least 1s, found %s", c.DefaultRange)
	}
	for _, o := range c.FrameAncestors {
		if !originForm.MatchString(o) {
			return fmt.Errorf("frame_ancestors: want origins such as https://grafana.example, found %q", o)
		}
	}
	for _, l := range c.Links {
		if l.Name == "" || !strings.HasPrefix(l.URL, "http://") && !strings.HasPrefix(l.URL, "https://") {
			return fmt.Errorf("links: %q: want a name, and a url that begins with http:// or https://", l.Name)
		}
	}
	return nil
}

// Facts are what the pages must know of their node.
type Facts struct {
	Version      string
	APIPrefix    string // before /api
	Multitenancy bool
	Limits       Limits
}

// Limits are the bounds of the query API that the pages keep to.
type Limits struct {
	SearchSeconds  int64 `json:"searchSeconds"`
	MetricsSeconds int64 `json:"metricsSeconds"`
	SearchLimit    int   `json:"searchLimit"`
}

// features are the additions to the API that this version has, for pages of another version.
var features = []string{"check", "outline", "spans", "matches", "edges", "tail", "export", "status", "blocks"}

// server hands the pages out.
type server struct {
	cfg      Config
	document []byte // config.json
	index    string
	assets   map[string]asset // by their path below the pages
}

// asset is a file of dist. It is read when it is first asked for, so that a node whose pages nobody
// opens pays nothing for them.
type asset struct {
	kind   string
	hashed bool // its name changes with its content
	load   func() (body, packed []byte)
}

// New returns the handler of everything below the path of the pages.
func New(c Config, f Facts) http.Handler {
	s := &server{cfg: c, assets: map[string]asset{}}
	var err error
	s.document, err = json.Marshal(map[string]any{
		"version":      f.Version,
		"apiPrefix":    f.APIPrefix,
		"multitenancy": f.Multitenancy,
		"limits":       f.Limits,
		"features":     features,
		"title":        c.Title,
		"tenants":      orEmpty(c.Tenants),
		"links":        orEmpty(c.Links),
		"defaultQuery": c.DefaultQuery,
		"defaultRange": writeRange(c.DefaultRange),
	})
	if err == nil {
		err = fs.WalkDir(dist, "dist", s.readAsset)
	}
	if err == nil && !strings.Contains(s.index, headMark) {
		err = fmt.Errorf("dist/index.html lacks %s", headMark)
	}
	if err != nil {
		panic("BUG: the pages were not built whole, run make ui: " + err.Error())
	}
	return http.StripPrefix(c.Path, http.HandlerFunc(s.serve))
}

// readAsset takes a file of dist in.
func (s *server) readAsset(p string, d fs.DirEntry, err error) error {
	if err != nil || d.IsDir() {
		return err
	}
	name := strings.TrimPrefix(p, "dist/")
	if name == "index.html" {
		body, err := dist.ReadFile(p)
		s.index = string(body)
		return err
	}
	s.assets[name] = asset{
		kind:   kindOf(name),
		hashed: strings.HasPrefix(name, "assets/"),
		load: sync.OnceValues(func() (body, packed []byte) {
			body, _ = dist.ReadFile(p) // it was found there
			return body, pack(body)
		}),
	}
	return nil
}

// kindOf is the content type of a file. It does not ask the machine, whose tables differ.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// writeRange writes a duration as the pages read it: with one unit.
func writeRange(d time.Duration) string {
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}} {
		if d%u.unit == 0 {
			return fmt.Sprintf("%d%s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// pack compresses a file; nil where that would not make it smaller.
func pack(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = w.Write(body)
	_ = w.Close() // a buffer takes everything
	if b.Len() >= len(body) {
		return nil
	}
	return b.Bytes()
}

// serve answers a path below that of the pages. Every path that is no file is a place of the pages
// themselves, which read it.
func (s *server) serve(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "405 method not allowed", http.StatusMethodNotAllowed)
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	name := strings.TrimPrefix(r.URL.Path, "/")
	if a, ok := s.assets[name]; ok {
		s.serveAsset(w, r, a)
		return
	}
	switch {
	case name == "config.json":
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		_, _ = w.Write(s.document)
	case strings.HasPrefix(name, "assets/"):
		http.NotFound(w, r)
	default:
		s.serveIndex(w, r)
	}
}

func (s *server) serveAsset(w http.ResponseWriter, r *http.Request, a asset) {
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Vary", "Accept-Encoding")
	if a.hashed {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		h.Set("Cache-Control", "no-cache")
	}
	body, packed := a.load()
	if packed != nil && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		h.Set("Content-Encoding", "gzip")
		body = packed
	}
	h.Set("Content-Length", fmt.Sprint(len(body)))
	_, _ = w.Write(body)
}

// headMark is where the head of index.html gets what only the node knows.
const headMark = "<!--head-->"

// serveIndex answers with the page that loads everything else. Each answer has a nonce of its own,
// which only the styles of this page know.
func (s *server) serveIndex(w http.ResponseWriter, r *http.Request) {
	prefix := s.cfg.ExternalPath
	if prefix == "" {
		prefix = forwardedPrefix(r)
	}
	secret := make([]byte, 18)
	_, _ = rand.Read(secret) // never fails
	nonce := base64.StdEncoding.EncodeToString(secret)
	base := html.EscapeString(prefix + s.cfg.Path + "/")
	head := `<base href="` + base + `" /><meta name="nonce" content="` + nonce + `" />` +
		`<meta name="prefix" content="` + html.EscapeString(prefix) + `" />`
	page := strings.Replace(s.index, headMark, head, 1)
	ancestors := "'none'"
	if len(s.cfg.FrameAncestors) > 0 {
		ancestors = strings.Join(s.cfg.FrameAncestors, " ")
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-"+nonce+"'; "+
		"img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'self'; form-action 'none'; "+
		"frame-ancestors "+ancestors)
	_, _ = w.Write([]byte(page))
}

// forwardedPrefix is what a proxy says that it has taken from the path; anything that is no plain
// path is left out.
func forwardedPrefix(r *http.Request) string {
	p := strings.TrimSuffix(r.Header.Get("X-Forwarded-Prefix"), "/")
	if len(p) > 200 || !pathForm.MatchString(p) {
		return ""
	}
	return p
}
