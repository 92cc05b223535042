package admin

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// serveUpkeep shows what the backend-scheduler says of blocks, merges and retention: as a page to
// browsers, as JSON to everyone else. ?tenant= shows one tenant.
func (s *server) serveUpkeep(w http.ResponseWriter, r *http.Request) {
	shown, err := s.Upkeep(r.Context())
	if err != nil {
		http.Error(w, err.Error(), status.Of(err).Class.HTTP())
		return
	}
	if tenant := r.URL.Query().Get("tenant"); tenant != "" {
		shown = shown.OfTenant(tenant)
	}
	if wantsPage(r) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = upkeepPage.Execute(w, shown)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(shown)
}

// wantsPage reports whether a request is a browser's, which did not ask for JSON.
func wantsPage(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/html") && r.URL.Query().Get("format") != "json"
}

//go:embed upkeep.html
var upkeepHTML string

var upkeepPage = template.Must(template.New("upkeep").Funcs(template.FuncMap{
	"bytes":   bytesText,
	"since":   sinceText,
	"seconds": func(s float64) string { return durationText(time.Duration(s * float64(time.Second))) },
	"rate":    func(v float64) string { return bytesText(int64(v)) },
	"days":    func(s int64) string { return fmt.Sprintf("%.4g d", float64(s)/86400) },
	"clock":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
}).Parse(upkeepHTML))

// bytesText writes a number of bytes with three digits and a unit.
func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v, i := float64(n), 0
	for v >= 1000 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.3g %s", v, units[i])
}

// sinceText writes how long before now something was, or how long after now it will be.
func sinceText(t, now time.Time) string {
	switch d := now.Sub(t).Round(time.Second); {
	case t.IsZero():
		return "never"
	case d < 0:
		return "in " + durationText(-d)
	default:
		return durationText(d) + " ago"
	}
}

// durationText writes a duration in whole seconds, or in days and hours.
func durationText(d time.Duration) string {
	const day = 24 * time.Hour
	if d < day {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
}
