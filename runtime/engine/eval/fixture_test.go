package eval

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// The fixtures of testdata/semantics.yaml as records of the log. Conventions: see the head of that
// file.

type fixture struct {
	Base      int64                     `yaml:"base_unix_s"`
	Resources map[string]map[string]any `yaml:"resources"`
	Scopes    map[string]fixtureScope   `yaml:"scopes"`
	Traces    []struct {
		ID    string        `yaml:"id"`
		Spans []fixtureSpan `yaml:"spans"`
	} `yaml:"traces"`
}

type fixtureScope struct {
	Name    string         `yaml:"name"`
	Version string         `yaml:"version"`
	Attrs   map[string]any `yaml:"attrs"`
}

type fixtureSpan struct {
	ID      string         `yaml:"id"`
	Parent  string         `yaml:"parent"`
	Name    string         `yaml:"name"`
	Kind    string         `yaml:"kind"`
	Status  string         `yaml:"status"`
	Message string         `yaml:"status_message"`
	Start   string         `yaml:"start"`
	Dur     string         `yaml:"dur"`
	Res     string         `yaml:"res"`
	Scope   string         `yaml:"scope"`
	Attrs   map[string]any `yaml:"attrs"`
	Events  []struct {
		Name  string         `yaml:"name"`
		At    string         `yaml:"at"`
		Attrs map[string]any `yaml:"attrs"`
	} `yaml:"events"`
	Links []struct {
		Trace string         `yaml:"trace"`
		Span  string         `yaml:"span"`
		Attrs map[string]any `yaml:"attrs"`
	} `yaml:"links"`
}

type semanticCase struct {
	ID          string                    `yaml:"id"`
	Kind        string                    `yaml:"kind"`
	Fixture     string                    `yaml:"fixture"`
	Query       string                    `yaml:"query"`
	Expect      yaml.Node                 `yaml:"expect"`
	Ideal       yaml.Node                 `yaml:"ideal"`
	ExpectError string                    `yaml:"expect_error"`
	SpanAttrs   map[string]map[string]any `yaml:"span_attributes"`
	Meta        map[string]fixtureMeta    `yaml:"meta"`
	IdealMeta   map[string]fixtureMeta    `yaml:"ideal_meta"`
	Spss        int                       `yaml:"spss"`
	Limit       int                       `yaml:"limit"`
	Start       string                    `yaml:"start"`
	End         string                    `yaml:"end"`
	Order       []string                  `yaml:"order"`
	Scope       string                    `yaml:"scope"`
	Tag         string                    `yaml:"tag"`
}

type fixtureMeta struct {
	RootName     string               `yaml:"rootName"`
	RootService  string               `yaml:"rootService"`
	DurationMs   uint64               `yaml:"durationMs"`
	StartMs      int64                `yaml:"startMs"`
	ServiceStats map[string][2]uint32 `yaml:"serviceStats"`
}

type semantics struct {
	Fixtures map[string]*fixture `yaml:"fixtures"`
	Cases    []semanticCase      `yaml:"cases"`
}

func readSemantics(t testing.TB) *semantics {
	b, err := os.ReadFile("../traceql/testdata/semantics.yaml")
	require.NoError(t, err)
	var s semantics
	require.NoError(t, yaml.Unmarshal(b, &s))
	return &s
}

func spanHex(id string) string  { return "5" + strings.Repeat("0", 15-len(id)) + id }
func traceHex(id string) string { return "7" + strings.Repeat("0", 31-len(id)) + id }

func fixtureDuration(t testing.TB, s string) int64 {
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	require.NoError(t, err)
	return int64(d)
}

type object = map[string]any

func otlpValue(v any) object {
	switch v := v.(type) {
	case string:
		return object{"stringValue": v}
	case int:
		return object{"intValue": strconv.Itoa(v)}
	case float64:
		return object{"doubleValue": v}
	case bool:
		return object{"boolValue": v}
	case []any:
		list := []any{}
		for _, e := range v {
			list = append(list, otlpValue(e))
		}
		return object{"arrayValue": object{"values": list}}
	}
	panic(fmt.Sprintf("fixture value %T", v))
}

func otlpAttrs(m map[string]any) []any {
	out := []any{}
	for k, v := range m {
		out = append(out, object{"key": k, "value": otlpValue(v)})
	}
	return out
}

// records returns each trace of the fixture as one record of the log.
func (f *fixture) records(t testing.TB) [][]byte {
	var out [][]byte
	for _, tr := range f.Traces {
		groups := []any{}
		for _, s := range tr.Spans {
			scope := f.Scopes[s.Scope]
			groups = append(groups, object{
				"resource": object{"attributes": otlpAttrs(f.Resources[s.Res])},
				"scopeSpans": []any{object{
					"scope": object{"name": scope.Name, "version": scope.Version, "attributes": otlpAttrs(scope.Attrs)},
					"spans": []any{f.span(t, tr.ID, s)},
				}},
			})
		}
		b, err := json.Marshal(object{"resourceSpans": groups})
		require.NoError(t, err)
		otlp, _, err := trace.FromJSON(b)
		require.NoError(t, err)
		out = append(out, otlp)
	}
	return out
}

func (f *fixture) span(t testing.TB, traceID string, s fixtureSpan) object {
	start := f.Base*1e9 + fixtureDuration(t, s.Start)
	ns := func(n int64) string { return strconv.FormatInt(n, 10) }
	o := object{"traceId": traceHex(traceID), "spanId": spanHex(s.ID), "name": s.Name, "startTimeUnixNano": ns(start),
		"endTimeUnixNano": ns(start + fixtureDuration(t, s.Dur)), "attributes": otlpAttrs(s.Attrs)}
	if s.Parent != "" {
		o["parentSpanId"] = spanHex(s.Parent)
	}
	if n, ok := traceql.KindNumber(s.Kind); ok {
		o["kind"] = n
	}
	if n, ok := traceql.StatusNumber(s.Status); ok {
		o["status"] = object{"code": n, "message": s.Message}
	}
	events, links := []any{}, []any{}
	for _, e := range s.Events {
		at := ns(start + fixtureDuration(t, e.At))
		events = append(events, object{"name": e.Name, "timeUnixNano": at, "attributes": otlpAttrs(e.Attrs)})
	}
	for _, l := range s.Links {
		links = append(links, object{"traceId": traceHex(l.Trace), "spanId": spanHex(l.Span), "attributes": otlpAttrs(l.Attrs)})
	}
	o["events"], o["links"] = events, links
	return o
}

// segment returns records as a live table.
func segment(t testing.TB, records [][]byte) *live.Snapshot {
	seg := live.New(live.Limits{})
	for i, r := range records {
		_, err := seg.Append(int64(i), 0, r)
		require.NoError(t, err)
	}
	return seg.Snapshot(0, int64(len(records)))
}
