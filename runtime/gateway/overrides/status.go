package overrides

import (
	"context"
	_ "embed"
	"encoding/json"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
)

// row is a tenant in the list.
type row struct {
	Name    string `json:"name"`
	Runtime bool   `json:"has_runtime_overrides"`
	Own     bool   `json:"has_user_configurable_overrides"`
}

type list struct {
	Now     time.Time `json:"now"`
	Tenants []row     `json:"tenants,omitempty"`
}

// detail is what the page of one tenant shows. The texts are YAML.
type detail struct {
	Now     time.Time `json:"now"`
	Tenant  string    `json:"tenant"`
	Own     string    `json:"user_configurable_overrides"`
	Runtime string    `json:"runtime_overrides"`
	Default bool      `json:"using_default_or_wildcard_runtime_overrides"`
}

// Status serves the list of tenants that have limits of their own.
func Status(d Deps) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rows := map[string]row{}
		for id := range d.Limits().Entries {
			rows[id] = row{Name: id, Runtime: true}
		}
		if d.Documents != nil {
			for _, id := range d.Documents.Tenants(r.Context()) {
				rows[id] = row{Name: id, Runtime: rows[id].Runtime, Own: true}
			}
		}
		out := list{Now: time.Now()}
		for _, id := range slices.Sorted(maps.Keys(rows)) {
			out.Tenants = append(out.Tenants, rows[id])
		}
		writePage(w, r, "list", out)
	}
}

// TenantStatus serves the limits of the tenant that name finds in a request.
func TenantStatus(d Deps, name func(*http.Request) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := name(r)
		out := detail{Now: time.Now(), Tenant: id}
		_, has := d.Limits().Entries[id]
		out.Default = !has
		b, err := config.YAML(d.Limits().Of(id))
		if err == nil && d.Documents != nil {
			out.Own, err = ownYAML(r.Context(), d.Documents, id)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		out.Runtime = string(b)
		writePage(w, r, "tenant", out)
	}
}

func ownYAML(ctx context.Context, d Documents, id string) (string, error) {
	body, version, err := d.Get(ctx, id)
	if err != nil || version == 0 {
		return "", err
	}
	var v any
	if err := yaml.Unmarshal(body, &v); err != nil { // JSON is YAML
		return "", err
	}
	b, err := yaml.Marshal(v)
	return string(b), err
}

// YAML prints the limits of all tenants that the operator has set: the defaults and every entry.
func YAML(set *limits.Set) ([]byte, error) {
	entries := map[string]any{}
	for id, l := range set.Entries {
		tree, err := config.Tree(l)
		if err != nil {
			return nil, err
		}
		entries[id] = tree
	}
	defaults, err := config.Tree(set.Defaults)
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(map[string]any{"defaults": defaults, "overrides": entries})
}

// writePage writes a page for people, or JSON if the client asks for it.
func writePage(w http.ResponseWriter, r *http.Request, name string, v any) {
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_ = pages.ExecuteTemplate(w, name, v)
}

//go:embed status.html
var pagesHTML string

var pages = template.Must(template.New("").Parse(pagesHTML))
