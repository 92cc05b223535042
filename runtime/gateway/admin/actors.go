package admin

import (
	"encoding/json"
	"html/template"
	"net/http"
	"strings"
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

// serveActors shows the tree: as a page to browsers, as JSON to everyone else.
func (s *server) serveActors(w http.ResponseWriter, r *http.Request) {
	tree := s.Actors(r.Context())
	if tree == nil {
		tree = []*Actor{}
	}
	if strings.Contains(r.Header.Get("Accept"), "text/html") && r.URL.Query().Get("format") != "json" {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = actorsPage.Execute(w, tree)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(tree)
}

var actorsPage = template.Must(template.New("actors").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Troupe: actors</title><meta name="viewport" content="width=device-width">
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.3rem } ul { list-style: none; padding-left: 1.2rem; border-left: 1px solid #ddd } body > ul { padding: 0; border: 0 }
li { margin: .35rem 0 } b { font-weight: 600 } .state { background: #eef4ee; border-radius: .6rem; padding: 0 .5rem }
.quiet { color: #666 } .bad { color: #a40000 } dl { margin: 0 0 0 1.2rem; color: #666; font-size: .87rem } dt, dd { display: inline; margin: 0 } dd { margin-right: .9rem; color: #222 }
@media (prefers-color-scheme: dark) { body { background: #191b1e; color: #ddd } ul { border-color: #444 } .state { background: #26382a } .quiet, dl { color: #999 } dd { color: #ddd } .bad { color: #ff8a80 } }
</style></head><body>
<h1>Actors of this node</h1>
<p class="quiet">In the order of start; they stop in reverse. The same as JSON: <a href="?format=json">?format=json</a>.</p>
{{define "tree"}}<ul>{{range .}}<li title="{{with .Loses}}a restart loses: {{.}}{{end}}"><b>{{.Kind}}</b>{{with .Key}} {{.}}{{end}} <span class="state">{{.State}}</span>
<span class="quiet">{{.Handled}} messages{{with .MailboxDepth}}, {{.}} waiting{{end}}</span>{{with .Restarts}} <span class="bad">{{.}} restarts</span>{{end}}
{{with .LastError}}<div class="bad">last error: {{.}}</div>{{end}}
{{with .Detail}}<dl>{{range $k, $v := .}}<dt>{{$k}}</dt> <dd>{{$v}}</dd>{{end}}</dl>{{end}}
{{with .Children}}{{template "tree" .}}{{end}}</li>{{end}}</ul>{{end}}
{{template "tree" .}}
</body></html>
`))
