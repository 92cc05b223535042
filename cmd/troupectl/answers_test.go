package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Unsetenv("NO_COLOR")
	os.Exit(m.Run())
}

const runningQueries = `{"queries":[{"id":"7f3a","tenant":"acme","op":"search","query":"{ span.http.route = \"/cart\" && duration > 1s } | select(name)",
	"state":"running","began":"2026-11-30T07:00:00Z","jobs":40,"done":12,"blocks":9,"inspectedBytes":"1234567","heldSeconds":0.31}]}`

const (
	failedTrace = "78d8c0cc0fdedfa9c5c47a33f727af79"
	placedTrace = "0000000000000000000000000000000a"
)

// answerFor gives the recorded answer of a node to a request.
func answerFor(r *http.Request) string {
	q := r.URL.Query().Get("q")
	switch r.URL.Path {
	case "/api/search":
		if asksForAttributes(q) {
			return "select.json"
		}
		return "search.json"
	case "/api/traces/" + failedTrace:
		return "failed.pb"
	case "/api/traces/" + placedTrace:
		return "placed.pb"
	case "/api/metrics/query":
		return "instant.json"
	case "/api/metrics/query_range":
		for _, name := range []string{"quantile", "histogram", "rate"} {
			if strings.Contains(q, name) {
				return name + ".json"
			}
		}
	case "/api/explain":
		return "explain.json"
	case "/status/backendscheduler":
		return "upkeep.json"
	}
	return ""
}

// recorded answers as a node did; change may alter each answer.
func recorded(change func(path string, body []byte) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body := []byte(runningQueries)
		if name := answerFor(r); name != "" {
			var err error
			if body, err = os.ReadFile(filepath.Join("testdata", "answers", name)); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
		} else if r.URL.Path == "/v1/traces" {
			body = nil
		} else if r.URL.Path != "/api/queries" {
			http.NotFound(w, r)
			return
		}
		if change != nil {
			body = change(r.URL.Path, body)
		}
		_, _ = w.Write(body)
	}
}

// result is what a command printed and its exit code.
type result struct {
	out, errs string
	code      int
}

// runAt runs a command against a node that answers as h does.
func runAt(t *testing.T, ctx context.Context, h http.Handler, args ...string) result {
	t.Helper()
	s := httptest.NewServer(h)
	defer s.Close()
	var out, errs bytes.Buffer
	code := execute(ctx, append([]string{"--url", s.URL, "--otlp", s.URL, "--operator", s.URL}, args...), &out, &errs)
	return result{strings.ReplaceAll(out.String(), s.URL, "URL"), strings.ReplaceAll(errs.String(), s.URL, "URL"), code}
}

// asking are commands that ask a node, by the name of their golden files.
var asking = map[string][]string{
	"search":     {"search", "{ status = error }"},
	"select":     {"search", "{ status = error } | select(name, span.http.route)"},
	"trace":      {"trace", failedTrace},
	"attributes": {"trace", strings.ToUpper(failedTrace), "--attributes"},
	"placed":     {"trace", placedTrace, "--attributes"},
	"rate":       {"metrics", "{ } | rate() by (resource.service.name)"},
	"quantile":   {"metrics", "{ } | quantile_over_time(duration, .5, .9)"},
	"histogram":  {"metrics", "{ } | histogram_over_time(duration)"},
	"instant":    {"metrics", "{ } | count_over_time() by (name)", "--instant"},
	"explain":    {"explain", "{ status = error }"},
	"jobs":       {"blocks", "jobs"},
	"retention":  {"retention", "--dry-run"},
}

// What commands print at 80 and 120 columns, with colours, and piped. No line is wider than the
// terminal.
func TestGolden(t *testing.T) {
	for name, args := range asking {
		for form, flags := range map[string][]string{"80": {"--width=80"}, "120": {"--width=120"}, "color": {"--width=100", "--color=always"}, "piped": nil} {
			r := runAt(t, t.Context(), recorded(nil), append(flags, args...)...)
			require.Zero(t, r.code, "%s: %s", name, r.errs)
			compareGolden(t, name+"."+form, r.out+r.errs)
			for _, line := range strings.Split(r.out, "\n") {
				if form == "80" || form == "120" {
					require.LessOrEqual(t, len([]rune(line)), map[string]int{"80": 80, "120": 120}[form], "%s: %q", name, line)
				}
				require.Equal(t, strings.TrimRight(line, " "), line, "no spaces at the end")
			}
			require.Equal(t, form == "color", strings.Contains(r.out, "\x1b["), "%s.%s", name, form)
		}
	}
}

// compareGolden compares with a file of testdata/golden; TROUPE_REWRITE=1 writes it instead.
func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".txt")
	if os.Getenv("TROUPE_REWRITE") != "" {
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err, "TROUPE_REWRITE=1 go test ./cmd/troupectl writes it")
	require.Equal(t, string(want), got, "%s; TROUPE_REWRITE=1 go test ./cmd/troupectl writes it", name)
}

// --json gives the answer as it came.
func TestJSON(t *testing.T) {
	for name, args := range asking {
		var came []byte
		h := recorded(func(_ string, body []byte) []byte { came = body; return body })
		r := runAt(t, t.Context(), h, append(args[:len(args):len(args)], "--json")...)
		require.Zero(t, r.code, "%s: %s", name, r.errs)
		require.True(t, json.Valid([]byte(r.out)), name)
		if args[0] != "trace" {
			require.JSONEq(t, string(came), r.out, name)
		}
	}
	r := runAt(t, t.Context(), recorded(nil), "trace", failedTrace, "--json")
	require.Contains(t, r.out, `"resourceSpans"`)
	for _, args := range [][]string{{"load", "--demo", "--traces", "3", "--json"}, {"version", "--json"}, {"queries", "--json"}} {
		r := runAt(t, t.Context(), recorded(nil), args...)
		require.Zero(t, r.code, r.errs)
		require.True(t, json.Valid([]byte(r.out)), "%v: %s", args, r.out)
	}
	broken := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>\x1b[2J")) })
	for name, args := range asking {
		for _, flags := range [][]string{nil, {"--json"}} {
			r := runAt(t, t.Context(), broken, append(args[:len(args):len(args)], flags...)...)
			require.Equal(t, 1, r.code, name)
			require.Contains(t, r.errs, "read the answer", name)
			require.NotContains(t, r.errs, "\x1b", name)
		}
	}
}
