package admin

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
)

var noDeadline time.Time

// sections are the parts of /status, in its order.
var sections = []string{"version", "services", "endpoints", "promise", "runtime_config", "config"}

func (s *server) status(w http.ResponseWriter, r *http.Request) {
	var b strings.Builder
	for _, name := range sections {
		body, err := s.render(r, name)
		if err != nil {
			body = err.Error() + "\n"
		}
		fmt.Fprintf(&b, "GET /status/%s\n%s\n", name, body)
	}
	writeText(w, b.String())
}

func (s *server) section(w http.ResponseWriter, r *http.Request) {
	name := chi.URLParam(r, "section")
	for _, known := range sections {
		if known != name {
			continue
		}
		body, err := s.render(r, name)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		writeText(w, body)
		return
	}
	http.NotFound(w, r)
}

func (s *server) render(r *http.Request, name string) (string, error) {
	switch name {
	case "version":
		return fmt.Sprintf("troupe, version %s (revision %s)\n  go version: %s\n", s.Build.Version, s.Build.Revision, s.Build.GoVersion), nil
	case "services":
		return services(s.Actors(r.Context())), nil
	case "endpoints":
		return strings.Join(s.endpoints, "\n") + "\n", nil
	case "promise":
		return strings.Join(s.Promise, "\n") + "\n", nil
	case "runtime_config":
		b, err := s.Limits()
		return "---\n" + string(b), err
	}
	b, err := s.Config(r.URL.Query().Get("mode"))
	return "---\n" + string(b), err
}

func (s *server) config(w http.ResponseWriter, r *http.Request) {
	body, err := s.render(r, "config")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	writeText(w, body)
}

// services lists the kinds with the number of their actors in each state.
func services(actors []*Actor) string {
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
