// Package admin serves the pages beside the query API, in two parts. Routes is the port that
// clients reach: readiness, metrics, the version, and the query API itself; it shows nothing that
// belongs to a tenant. OperatorRoutes is the operator's own port: the configuration, the limits and
// running queries of all tenants, the actors, profiles.
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
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
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
	Prefix string // before /api
	Query  http.Handler
	// Pages serves the web pages below PagesPath; nil where they are off.
	Pages     http.Handler
	PagesPath string
	Build     Build
	Metrics   prometheus.Gatherer
	// NotReady says why the node cannot serve; empty when it can.
	NotReady func(context.Context) string
	// Config prints the configuration: all of it (""), what differs from the defaults ("diff"), or
	// the defaults ("defaults").
	Config func(mode string) ([]byte, error)
	// Limits prints the limits by tenant.
	Limits    func() ([]byte, error)
	Overrides overrides.Deps
	Actors    func(context.Context) []*Actor
	// Upkeep returns what the backend-scheduler says of blocks, merges and retention.
	Upkeep func(context.Context) (*upkeep.Status, error)
	// Promise says what an acknowledgement is worth at present, a line for each part.
	Promise func() []string
	// Queries lists the running queries of all tenants at /api/queries, and ends one at
	// /api/queries/{id}.
	Queries http.Handler
	// Actions are further pages of the operator's port.
	Actions []Action
	// OperatorAddress is where the operator's pages are, empty where they are off; it is told to
	// whoever looks for them on the port of the query API.
	OperatorAddress func() string
	// ActorsForAll shows the actors on the port of the query API too.
	ActorsForAll bool
}

// Action is one page or command of the operator's port. Pattern is that of chi, for instance
// /blocks/{id}.
type Action struct {
	Method  string
	Pattern string
	Handler http.HandlerFunc
}

// Routes serves the port that clients reach, with Query below Prefix/api.
func Routes(d Deps) http.Handler {
	s := &server{Deps: d, sections: publicSections}
	r := newRouter()
	s.routePublic(r)
	if d.ActorsForAll {
		r.Get("/status/actors", s.serveActors)
	}
	s.listEndpoints(r)
	for _, route := range operatorPages {
		if route != "/status/actors" || !d.ActorsForAll {
			r.HandleFunc(route, s.namePort)
		}
	}
	return redirectToClean(r)
}

// OperatorRoutes serves the operator's port.
func OperatorRoutes(d Deps) http.Handler {
	s := &server{Deps: d, sections: operatorSections}
	r := newRouter()
	s.routeShared(r)
	s.routeOperator(r)
	s.listEndpoints(r)
	return redirectToClean(r)
}

// AllRoutes serves both on one port, if the operator wants it so.
func AllRoutes(d Deps) http.Handler {
	s := &server{Deps: d, sections: operatorSections}
	r := newRouter()
	s.routePublic(r)
	d.Queries = nil // the query API lists those of the request's tenants under the same path
	s.Deps = d
	s.routeOperator(r)
	s.listEndpoints(r)
	return redirectToClean(r)
}

// newRouter makes a router that answers HEAD wherever it answers GET, because probes and load
// balancers use HEAD.
func newRouter() *chi.Mux {
	r := chi.NewRouter()
	r.Use(middleware.GetHead)
	r.NotFound(http.NotFound)
	return r
}

// routeShared adds what both ports serve.
func (s *server) routeShared(r chi.Router) {
	r.Get("/ready", s.serveReady)
	r.Method(http.MethodGet, "/metrics", promhttp.HandlerFor(s.Metrics, promhttp.HandlerOpts{}))
	r.Get("/status", s.serveStatus)
	r.Get("/status/{section}", s.serveSection)
}

func (s *server) routePublic(r chi.Router) {
	s.routeShared(r)
	r.Get(s.Prefix+"/status/usage-stats", textHandler("usage-stats is not enabled\n"))
	r.Get("/memberlist", textHandler("This instance doesn't use memberlist."))
	r.HandleFunc(s.Prefix+"/api/echo", textHandler("echo\n"))
	r.Get(s.Prefix+"/api/status/buildinfo", s.serveBuildInfo)
	if s.Overrides.Documents != nil {
		r.Handle(s.Prefix+"/api/overrides", overrides.API(s.Overrides))
	}
	if s.Pages != nil {
		r.Get("/", s.leadToPages)
		r.Get(s.PagesPath, redirectTo("./"+path.Base(s.PagesPath)+"/"))
		r.Handle(s.PagesPath+"/*", s.Pages)
	}
	if s.Query != nil {
		r.Handle(s.Prefix+"/api/*", http.StripPrefix(s.Prefix, s.Query))
	}
}

// leadToPages sends a browser that asks for the root to the web pages.
func (s *server) leadToPages(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.NotFound(w, r)
		return
	}
	redirectTo("."+s.PagesPath+"/")(w, r)
}

// redirectTo sends a client to a relative address as it stands; http.Redirect would make it
// absolute, and lose what a proxy has taken from the path.
func redirectTo(address string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", address)
		w.WriteHeader(http.StatusFound)
	}
}

// operatorPages are the paths that the port of the query API does not serve, but knows.
var operatorPages = []string{"/status/config", "/status/runtime_config", "/status/overrides", "/status/overrides/*",
	"/status/actors", "/status/backendscheduler", "/debug/pprof/*"}

func (s *server) routeOperator(r chi.Router) {
	r.Get("/status/actors", s.serveActors)
	r.Get("/status/backendscheduler", s.serveUpkeep)
	r.Get("/status/overrides", overrides.Status(s.Overrides))
	r.Get("/status/overrides/{tenant}", overrides.TenantStatus(s.Overrides,
		func(r *http.Request) string { return chi.URLParam(r, "tenant") }))
	r.HandleFunc("/debug/pprof/*", serveProfile)
	// Commands are refused to pages of other origins that a browser on the operator's machine
	// shows.
	own := http.NewCrossOriginProtection()
	if s.Queries != nil {
		r.Handle("/api/queries", own.Handler(s.Queries))
		r.Handle("/api/queries/{id}", own.Handler(s.Queries))
	}
	for _, a := range s.Actions {
		r.Method(a.Method, a.Pattern, own.Handler(a.Handler))
	}
}

// namePort tells an operator who looks for a page on this port where it is.
func (s *server) namePort(w http.ResponseWriter, _ *http.Request) {
	where := "the operator's port is off (server.admin_listen_port)"
	if address := s.OperatorAddress(); address != "" {
		where = address + ", which server.admin_listen_address and server.admin_listen_port set"
	}
	http.Error(w, "this page is on the operator's port: "+where, http.StatusNotFound)
}

// listEndpoints lists what a router serves, for /status/endpoints.
func (s *server) listEndpoints(r chi.Routes) {
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
}

type server struct {
	Deps
	sections  []string // of /status
	endpoints []string
}

// redirectToClean redirects a path with doubled slashes or dots to its plain form, as Tempo's
// router does.
func redirectToClean(next http.Handler) http.Handler {
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

func textHandler(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { writeText(w, s) }
}

func writeText(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, s)
}

func (s *server) serveReady(w http.ResponseWriter, r *http.Request) {
	if why := s.NotReady(r.Context()); why != "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = io.WriteString(w, why+"\n")
		return
	}
	writeText(w, "ready\n")
}

func (s *server) serveBuildInfo(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.Build)
}

func serveProfile(w http.ResponseWriter, r *http.Request) {
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
