package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

// hostile is what a sender may put into any name or value: a terminal's title, a cleared screen, a
// change of direction, characters without width, lines that look like troupectl's own, C1 controls.
const hostile = "x\x1b]0;pwned\x07\x1b[2J\r\n0 traces\n\u202eabc\u2066\u200b\u200d\ufeff\u009b31m\t\x7f\u2028\u00ad"

// requireHarmless fails where text holds anything but visible characters and the ends of lines that
// troupectl prints.
func requireHarmless(t *testing.T, what, text string) {
	t.Helper()
	for _, line := range strings.Split(text, "\n") {
		require.False(t, strings.HasPrefix(line, "0 traces"), "%s: a line of a sender's: %q", what, line)
		for _, r := range line {
			require.True(t, unicode.IsPrint(r), "%s: %U in %q", what, r, line)
		}
	}
}

// spoilJSON puts hostile text into every string that is not a number or a time, and into the keys
// of labels.
func spoilJSON(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = spoilJSON(v[k])
		}
	case []any:
		for i := range v {
			v[i] = spoilJSON(v[i])
		}
	case string:
		var n json.Number
		_, notTime := time.Parse(time.RFC3339, v)
		if json.Unmarshal([]byte(v), &n) != nil && notTime != nil {
			return v + hostile
		}
	}
	return v
}

func spoilTrace(t *testing.T, body []byte) []byte {
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(body)
	require.NoError(t, err)
	spoil := func(m pcommon.Map) {
		m.PutStr("key"+hostile, hostile)
		m.PutEmptySlice("list").AppendEmpty().SetStr(hostile)
		for _, k := range []string{"service.name", "exception.type", "exception.message"} {
			if v, ok := m.Get(k); ok {
				v.SetStr(v.Str() + hostile)
			}
		}
	}
	for _, rs := range td.ResourceSpans().All() {
		spoil(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			ss.Scope().SetName(hostile)
			ss.Scope().SetVersion(hostile)
			spoil(ss.Scope().Attributes())
			for _, s := range ss.Spans().All() {
				s.SetName(s.Name() + hostile)
				s.TraceState().FromRaw(hostile)
				s.Status().SetMessage(hostile)
				spoil(s.Attributes())
				s.Events().AppendEmpty().SetName(hostile)
				for _, e := range s.Events().All() {
					spoil(e.Attributes())
				}
				spoil(s.Links().AppendEmpty().Attributes())
			}
		}
	}
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	require.NoError(t, err)
	return b
}

// spoil makes every name in an answer hostile and adds warnings.
func spoil(t *testing.T, path string, body []byte) []byte {
	if strings.HasPrefix(path, "/api/traces/") {
		return spoilTrace(t, body)
	}
	if path == "/v1/traces" {
		return body
	}
	var v map[string]any
	require.NoError(t, json.Unmarshal(body, &v))
	v = spoilJSON(v).(map[string]any)
	v["warnings"] = []any{hostile}
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}

// talking are all commands that print what senders or servers said.
func talking() map[string][]string {
	all := maps.Clone(asking)
	all["csv"] = []string{"metrics", "{ } | rate() by (resource.service.name)", "--csv"}
	all["queries"] = []string{"queries"}
	all["cancel"] = []string{"queries", "cancel", "id" + hostile}
	all["load"] = []string{"load", "--demo", "--traces", "2", "--patience", "1ms"}
	return all
}

// What senders named their services, spans and attributes does nothing to a terminal, whichever
// command shows it.
func TestHostileNames(t *testing.T) {
	h := recorded(func(path string, body []byte) []byte { return spoil(t, path, body) })
	for name, args := range talking() {
		for _, flags := range [][]string{nil, {"--width=80"}} {
			r := runAt(t, t.Context(), h, append(flags, args...)...)
			requireHarmless(t, name, r.out)
			requireHarmless(t, name, r.errs)
			if !slices.Contains([]string{"cancel", "load"}, name) {
				require.Zero(t, r.code, "%s: %s", name, r.errs)
				require.Contains(t, strings.ReplaceAll(r.out+r.errs, "\n", ""), `\x1b`, "%s: the names are shown", name)
			}
		}
	}
}

// Neither do the texts of errors: of a server, of its events, of its header lines, of a partial
// success.
func TestHostileErrors(t *testing.T) {
	for status := range map[int]bool{400: true, 404: true, 429: true, 500: true} {
		h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(hostile))
		})
		for name, args := range talking() {
			r := runAt(t, t.Context(), h, args...)
			require.Equal(t, 1, r.code, name)
			requireHarmless(t, name, r.out+r.errs)
		}
	}
	refusing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(partialSuccess(3, hostile)) })
	r := runAt(t, t.Context(), refusing, "load", "--demo", "--traces", "2")
	require.Equal(t, 1, r.code)
	requireHarmless(t, "partial success", r.out+r.errs)
	require.Contains(t, r.errs, "6 spans were refused for good")
	for _, args := range [][]string{{hostile}, {"blocks", hostile}, {"queries", hostile}, {"trace", hostile}, {"load", "no" + hostile},
		{"search", "{}", "--" + hostile}, {"search", "{}", "--since", hostile}, {"search", "{}", "--url", hostile}} {
		r := runAt(t, t.Context(), recorded(nil), args...)
		require.Equal(t, 1, r.code, "%q", args)
		requireHarmless(t, fmt.Sprintf("%q", args), r.out+r.errs)
	}
}

// tail and the list of running queries print names too.
func TestHostileTail(t *testing.T) {
	var out bytes.Buffer
	p := render.NewPrinter(&out, 80, false)
	answers := recorded(func(path string, body []byte) []byte { return spoil(t, path, body) })
	ctx, stop := context.WithCancel(t.Context())
	r := runAt(t, ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answers(w, r)
		time.AfterFunc(300*time.Millisecond, stop)
	}), "tail", "{ }")
	require.Zero(t, r.code)
	require.Contains(t, r.out, `\x1b`)
	requireHarmless(t, "tail", r.out+r.errs)
	began, _ := time.Parse(time.RFC3339, "2026-11-30T07:00:30Z")
	require.NoError(t, showQueries(p, []byte(runningQueries), began))
	require.Contains(t, out.String(), "7f3a")
	require.Contains(t, out.String(), "30s")
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{"traces":[{"traceID":"1","spanSets":[{"matched":3,"spans":[{"attributes":[{"key":"a","value":{"stringValue":"b"}}]}]}]}]}`))
	f.Add([]byte(ranged))
	f.Add([]byte(runningQueries))
	f.Fuzz(func(t *testing.T, body []byte) {
		var out bytes.Buffer
		p := render.NewPrinter(&out, 80, false)
		if found, err := readSearch(body); err == nil {
			found.showTraces(p, 3)
		}
		if a, err := readSeries(body); err == nil {
			a.showSeries(p, units{values: true, buckets: true})
			_ = a.writeCSV(&out)
		}
		var a explainAnswer
		if json.Unmarshal(body, &a) == nil {
			a.show(p)
		}
		_ = showQueries(p, body, time.Unix(0, 0))
		for _, r := range out.String() {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%U is printed", r)
			}
		}
	})
}
