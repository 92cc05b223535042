package admin

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

var noDeadline time.Time

// The parts of /status in their order: those that show nothing of tenants, and all.
var (
	publicSections   = []string{"version", "services", "endpoints", "promise"}
	operatorSections = append(slices.Clone(publicSections), "runtime_config", "config")
)

func (s *server) serveStatus(w http.ResponseWriter, r *http.Request) {
	var b strings.Builder
	for _, name := range s.sections {
		body, err := s.renderSection(r, name)
		if err != nil {
			body = err.Error() + "\n"
		}
		fmt.Fprintf(&b, "GET /status/%s\n%s\n", name, body)
	}
	writeText(w, b.String())
}

func (s *server) serveSection(w http.ResponseWriter, r *http.Request) {
	name := chi.URLParam(r, "section")
	if !slices.Contains(s.sections, name) {
		http.NotFound(w, r)
		return
	}
	body, err := s.renderSection(r, name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeText(w, body)
}

func (s *server) renderSection(r *http.Request, name string) (string, error) {
	switch name {
	case "version":
		return fmt.Sprintf("troupe, version %s (revision %s)\n  go version: %s\n", s.Build.Version, s.Build.Revision,
			s.Build.GoVersion), nil
	case "services":
		return listServices(s.Actors(r.Context())), nil
	case "endpoints":
		return strings.Join(s.endpoints, "\n") + "\n", nil
	case "promise":
		return strings.Join(s.Promise(), "\n") + "\n", nil
	case "runtime_config":
		b, err := s.Limits()
		return "---\n" + string(b), err
	}
	b, err := s.Config(r.URL.Query().Get("mode"))
	return "---\n" + string(b), err
}

// listServices lists the kinds with the number of their actors in each state.
func listServices(actors []*Actor) string {
	var order []string
	states := map[string][]string{}
	count := map[string]int{}
	for _, a := range actors {
		if len(states[a.Kind]) == 0 {
			order = append(order, a.Kind)
		}
		if count[a.Kind+"\x00"+a.State]++; count[a.Kind+"\x00"+a.State] == 1 {
			states[a.Kind] = append(states[a.Kind], a.State)
		}
	}
	var b strings.Builder
	for _, kind := range order {
		var parts []string
		for _, st := range states[kind] {
			parts = append(parts, fmt.Sprintf("%d %s", count[kind+"\x00"+st], st))
		}
		fmt.Fprintf(&b, "%-18s %s\n", kind, strings.Join(parts, ", "))
	}
	return b.String()
}
