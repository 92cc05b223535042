package admin

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"net/http"
)

// Actor is one actor as /status/actors shows it.
type Actor struct {
	Kind         string            `json:"kind"`
	Key          string            `json:"key,omitempty"`
	State        string            `json:"state"`
	Detail       map[string]string `json:"detail,omitempty"`
	MailboxDepth int64             `json:"mailboxDepth"`
	Handled      int64             `json:"handled"` // messages since it was spawned
	Restarts     int64             `json:"restarts"`
	LastError    string            `json:"lastError,omitempty"`
	Loses        string            `json:"loses,omitempty"` // with a restart
	Children     []*Actor          `json:"children,omitempty"`
}

// serveActors shows the tree of actors: as a page to browsers, as JSON to everyone else.
func (s *server) serveActors(w http.ResponseWriter, r *http.Request) {
	tree := s.Actors(r.Context())
	if tree == nil {
		tree = []*Actor{}
	}
	if wantsPage(r) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = actorsPage.Execute(w, tree)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(tree)
}

//go:embed actors.html
var actorsHTML string

var actorsPage = template.Must(template.New("actors").Parse(actorsHTML))
