// Package admin serves what operators look at: readiness, metrics, status pages, profiles.
package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/pprof"
	"path"
	"slices"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/troupe-tracing/troupe/runtime/gateway/overrides"
)

// Build is what /api/status/buildinfo says. Clients decide by Version what they can ask.
type Build struct {
	Version   string `json:"version"`
	Revision  string `json:"revision"`
	Branch    string `json:"branch"`
	BuildUser string `json:"buildUser"`
	BuildDate string `json:"buildDate"`
	GoVersion string `json:"goVersion"`
}

// Deps is what the pages show.
type Deps struct {
	Prefix  string // before /api
	Query   http.Handler
	Build   Build
	Metrics prometheus.Gatherer
	// NotReady says why the node cannot serve; empty when it can.
	NotReady func(context.Context) string
	// Config prints the configuration: all of it (""), what differs from the defaults ("diff"), or the defaults ("defaults").
	Config func(mode string) ([]byte, error)
	// Limits prints the limits by tenant.
	Limits    func() ([]byte, error)
	Overrides overrides.Deps
	Actors    func(context.Context) []*Actor
	// Promise says what an acknowledgement is worth with this configuration, a line for each part.
	Promise []string
}

// Routes serves all pages, and Query below Prefix/api.
func Routes(d Deps) http.Handler {
	s := &server{Deps: d}
	r := chi.NewRouter()
	r.NotFound(http.NotFound)
	r.Get("/ready", s.ready)
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(d.Metrics, promhttp.HandlerOpts{}))
	r.Get("/status", s.status)
	r.Get("/status/config", s.config)
	r.Get("/status/actors", s.actors)
	r.Get("/status/overrides", overrides.Status(d.Overrides))
	r.Get("/status/overrides/{tenant}", overrides.TenantStatus(d.Overrides, func(r *http.Request) string { return chi.URLParam(r, "tenant") }))
	r.Get("/status/{section}", s.section)
	r.Get(d.Prefix+"/status/usage-stats", text("usage-stats is not enabled\n"))
	r.Get("/memberlist", text("This instance doesn't use memberlist."))
	r.HandleFunc("/debug/pprof/*", profiles)
	r.HandleFunc(d.Prefix+"/api/echo", text("echo\n"))
	r.Get(d.Prefix+"/api/status/buildinfo", s.buildinfo)
	if d.Overrides.Store != nil {
		r.Handle(d.Prefix+"/api/overrides", overrides.API(d.Overrides))
	}
	if d.Query != nil {
		r.Handle(d.Prefix+"/api/*", http.StripPrefix(d.Prefix, d.Query))
	}
	methods := map[string][]string{}
	_ = chi.Walk(r, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		methods[route] = append(methods[route], method)
		return nil
	})
	for _, route := range slices.Sorted(maps.Keys(methods)) {
		method := "any"
		if m := methods[route]; len(m) == 1 {
			method = m[0]
		}
		s.endpoints = append(s.endpoints, fmt.Sprintf("%-4s %s", method, route))
	}
	return cleaned(r)
}

type server struct {
	Deps
	endpoints []string
}

// cleaned sends a path with doubled slashes or dots to its plain form, as Tempo's router does.
func cleaned(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := r.URL.Path
		clean := path.Clean("/" + p)
		if strings.HasSuffix(p, "/") && clean != "/" {
			clean += "/"
		}
		if clean != p {
			u := *r.URL
			u.Path, u.RawPath = clean, ""
			w.Header().Set("Location", u.RequestURI())
			w.WriteHeader(http.StatusMovedPermanently)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeText(w, s) }
}

func writeText(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, s)
}

func (s *server) ready(w http.ResponseWriter, r *http.Request) {
	if why := s.NotReady(r.Context()); why != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, why+"\n")
		return
	}
	writeText(w, "ready\n")
}

func (s *server) buildinfo(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.Build)
}

func profiles(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(noDeadline) // a profile of a minute takes a minute
	switch strings.TrimPrefix(r.URL.Path, "/debug/pprof/") {
	case "cmdline":
		pprof.Cmdline(w, r)
	case "profile":
		pprof.Profile(w, r)
	case "symbol":
		pprof.Symbol(w, r)
	case "trace":
		pprof.Trace(w, r)
	default:
		pprof.Index(w, r)
	}
}
