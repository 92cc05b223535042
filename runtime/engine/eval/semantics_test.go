package eval

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Every search case of the specification has its outcome on a live segment: the ideal one where the
// reference's is a defect.
func TestSearchCases(t *testing.T) {
	s := readSemantics(t)
	for _, c := range s.Cases {
		if c.Kind != "search" {
			continue
		}
		t.Run(c.ID, func(t *testing.T) { searchCase(t, s.Fixtures[c.Fixture], &c) })
	}
}

type expectedSet struct {
	Spans   []string       `yaml:"spans"`
	NSpans  int            `yaml:"n_spans"`
	Matched int            `yaml:"matched"`
	Attrs   map[string]any `yaml:"attributes"`
}

func searchCase(t *testing.T, f *fixture, c *semanticCase) {
	q, err := traceql.Parse(c.Query)
	if c.ExpectError != "" && c.Ideal.IsZero() {
		require.Error(t, err) // refused before anything is read
		return
	}
	require.NoError(t, err)
	r := &SearchRequest{Query: q, End: 1 << 63, Limit: 1000, SpansPerSpanSet: 1000}
	if c.Limit > 0 {
		r.Limit = c.Limit
	}
	if c.Spss > 0 {
		r.SpansPerSpanSet = c.Spss
	}
	if c.Start != "" {
		r.Start = uint64(f.Base*1e9 + fixtureDuration(t, c.Start))
		r.End = uint64(f.Base*1e9 + fixtureDuration(t, c.End) + 1)
	}
	got, err := Search(context.Background(), segment(t, f.records(t)), r, nil)
	expect := c.Expect
	if !c.Ideal.IsZero() {
		expect = c.Ideal
	}
	require.NoError(t, err)
	var want map[string][]yaml.Node
	require.NoError(t, expect.Decode(&want))
	var traces []string
	for _, m := range got.Traces {
		id := shortTrace(m.ID)
		traces = append(traces, id)
		nodes, ok := want[id]
		if !ok {
			t.Errorf("trace %s was not expected", id)
			continue
		}
		checkSpanSets(t, id, nodes, m.SpanSets)
		for i := range m.SpanSets {
			for j := range m.SpanSets[i].Spans {
				checkSpan(t, c, &m.SpanSets[i].Spans[j])
			}
		}
		if meta, ok := c.Meta[id]; ok {
			if m, ok := c.IdealMeta[id]; ok {
				meta = m
			}
			require.Equal(t, meta.RootName, m.RootName)
			require.Equal(t, meta.RootService, m.RootService)
			require.Equal(t, meta.DurationMs, m.Duration/1e6)
			require.Equal(t, meta.StartMs, (int64(m.Start)-f.Base*1e9)/1e6)
			stats := map[string][2]uint32{}
			for _, s := range m.Services {
				stats[s.Service] = [2]uint32{s.Spans, s.Errors}
			}
			require.Equal(t, meta.ServiceStats, stats)
		}
	}
	if c.Order != nil {
		require.Equal(t, c.Order, traces)
	}
	var names []string
	for id := range want {
		names = append(names, id)
	}
	slices.Sort(names)
	slices.Sort(traces)
	require.Equal(t, names, traces)
}

func shortTrace(id trace.ID) string {
	return strings.TrimLeft(strings.TrimPrefix(id.String(), "7"), "0")
}
func shortSpan(id trace.SpanID) string {
	return strings.TrimLeft(strings.TrimPrefix(id.String(), "5"), "0")
}

func checkSpanSets(t *testing.T, id string, nodes []yaml.Node, sets []SpanSet) {
	var want []expectedSet
	for _, n := range nodes {
		if n.Kind == yaml.ScalarNode {
			if len(want) == 0 {
				want = append(want, expectedSet{})
			}
			want[0].Spans = append(want[0].Spans, n.Value)
			continue
		}
		var s expectedSet
		require.NoError(t, n.Decode(&s))
		want = append(want, s)
	}
	require.Len(t, sets, len(want), "spansets of %s", id)
	used := make([]bool, len(sets))
	for _, w := range want {
		found := false
		var seen []string
		for i := range sets {
			ids := []string{}
			for _, s := range sets[i].Spans {
				ids = append(ids, shortSpan(s.ID))
			}
			slices.Sort(ids)
			slices.Sort(w.Spans)
			seen = append(seen, fmt.Sprint(ids))
			if used[i] || w.NSpans == 0 && !slices.Equal(ids, w.Spans) || w.NSpans > 0 && len(ids) != w.NSpans {
				continue
			}
			used[i], found = true, true
			if w.Matched > 0 {
				require.Equal(t, w.Matched, sets[i].Matched)
			}
			if w.Attrs != nil {
				require.Equal(t, texts(w.Attrs), attributeTexts(sets[i].Attributes))
			}
			break
		}
		require.True(t, found, "trace %s: no spanset %v among %v", id, w.Spans, seen)
	}
}

func checkSpan(t *testing.T, c *semanticCase, s *SpanMatch) {
	want, ok := c.SpanAttrs[shortSpan(s.ID)]
	if !ok {
		return
	}
	w := texts(want)
	if name, ok := w["(name)"]; ok {
		require.Equal(t, name, s.Name)
		delete(w, "(name)")
	}
	require.Equal(t, w, attributeTexts(s.Attributes))
}

// texts writes typed values as text: strings as they are, numbers as the file writes them, floats
// as float(…).
func texts(m map[string]any) map[string]string {
	out := map[string]string{}
	for k, v := range m {
		out[k] = fmt.Sprint(v)
		if f, ok := v.(float64); ok {
			out[k] = fmt.Sprintf("float(%v)", f)
		}
	}
	return out
}

func attributeTexts(list []Attribute) map[string]string {
	out := map[string]string{}
	for _, a := range list {
		out[a.Key] = valueText(a.Value)
	}
	return out
}

func valueText(v trace.Value) string {
	x := attributeValue(v)
	switch x.kind {
	case stringValue:
		return x.str
	case floatValue:
		return fmt.Sprintf("float(%v)", x.toFloat())
	case boolValue:
		return fmt.Sprint(x.num != 0)
	case arrayValue:
		var list []string
		x.eachElement(func(e value) bool { w := e.toAnswer(); list = append(list, valueText(w)); return true })
		return fmt.Sprint(list)
	}
	return fmt.Sprint(x.num)
}

// Every autocomplete case of the specification has its outcome on a live segment.
func TestTagCases(t *testing.T) {
	s := readSemantics(t)
	for _, c := range s.Cases {
		table := func(t *testing.T) Fetcher { return segment(t, s.Fixtures[c.Fixture].records(t)) }
		switch c.Kind {
		case "tag_names":
			t.Run(c.ID, func(t *testing.T) {
				got, err := Tags(context.Background(), table(t), &TagsRequest{Query: traceql.ParseFilter(c.Query), End: 1 << 63})
				require.NoError(t, err)
				var want map[string][]string
				require.NoError(t, c.Expect.Decode(&want))
				names := map[string][]string{}
				for scope, set := range got {
					if c.Scope == "none" || c.Scope == scope {
						names[scope] = slices.Sorted(maps.Keys(set))
					}
				}
				require.Equal(t, want, names)
			})
		case "tag_values":
			t.Run(c.ID, func(t *testing.T) {
				f, err := traceql.ParseField(c.Tag)
				require.NoError(t, err)
				r := &ValuesRequest{Field: f, Query: traceql.ParseFilter(c.Query), End: 1 << 63}
				got, err := Values(context.Background(), table(t), r)
				require.NoError(t, err)
				var want, list []string
				require.NoError(t, c.Expect.Decode(&want))
				for v := range got.Values {
					list = append(list, v.Type+":"+v.Value)
				}
				slices.Sort(list)
				slices.Sort(want)
				require.Equal(t, want, list)
			})
		}
	}
}
