package corpus

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// figures are what is counted of a file.
type figures struct {
	requests, spans, straddling    int // straddling: traces that arrive in several requests
	traceSpans, depths, children   []int
	attributes, textBytes, events  []int
	resources                      []int // of a request
	links, absentParents, rootless int
	kinds                          map[ptrace.SpanKind]bool
	statuses                       map[ptrace.StatusCode]bool
	types                          map[pcommon.ValueType]bool
	spanParents                    map[pcommon.TraceID]map[pcommon.SpanID]pcommon.SpanID
	requestsOfTrace                map[pcommon.TraceID]map[int]bool
	services                       map[string]bool
}

func countFigures(t *testing.T, requests [][]byte) *figures {
	t.Helper()
	f := &figures{requests: len(requests), kinds: map[ptrace.SpanKind]bool{}, statuses: map[ptrace.StatusCode]bool{},
		types: map[pcommon.ValueType]bool{}, services: map[string]bool{},
		spanParents:     map[pcommon.TraceID]map[pcommon.SpanID]pcommon.SpanID{},
		requestsOfTrace: map[pcommon.TraceID]map[int]bool{}}
	for n, request := range requests {
		td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(request)
		require.NoError(t, err)
		f.resources = append(f.resources, td.ResourceSpans().Len())
		for _, rs := range td.ResourceSpans().All() {
			service, _ := rs.Resource().Attributes().Get("service.name")
			f.services[service.AsString()] = true
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					f.addSpan(n, s)
				}
			}
		}
	}
	f.countTraces()
	return f
}

func (f *figures) addSpan(request int, s ptrace.Span) {
	f.spans++
	if f.spanParents[s.TraceID()] == nil {
		f.spanParents[s.TraceID()] = map[pcommon.SpanID]pcommon.SpanID{}
		f.requestsOfTrace[s.TraceID()] = map[int]bool{}
	}
	f.spanParents[s.TraceID()][s.SpanID()] = s.ParentSpanID()
	f.requestsOfTrace[s.TraceID()][request] = true
	f.attributes = append(f.attributes, s.Attributes().Len())
	f.events = append(f.events, s.Events().Len())
	f.links += s.Links().Len()
	f.kinds[s.Kind()] = true
	f.statuses[s.Status().Code()] = true
	for _, v := range s.Attributes().All() {
		f.types[v.Type()] = true
		if v.Type() == pcommon.ValueTypeStr {
			f.textBytes = append(f.textBytes, len(v.Str()))
		}
	}
}

func (f *figures) countTraces() {
	for id, parents := range f.spanParents {
		f.traceSpans = append(f.traceSpans, len(parents))
		if len(f.requestsOfTrace[id]) > 1 {
			f.straddling++
		}
		children := map[pcommon.SpanID]int{}
		deepest, rooted := 0, false
		for _, parent := range parents {
			if parent.IsEmpty() {
				rooted = true
				continue
			}
			children[parent]++
			if _, ok := parents[parent]; !ok {
				f.absentParents++
			}
			depth := 0
			for at, ok := parent, true; ok && !at.IsEmpty(); depth++ {
				at, ok = parents[at]
			}
			deepest = max(deepest, depth)
		}
		if !rooted {
			f.rootless++
		}
		f.depths = append(f.depths, deepest)
		for _, n := range children {
			f.children = append(f.children, n)
		}
	}
}

func median(list []int) int {
	slices.Sort(list)
	return list[len(list)/2]
}

// bounds are inclusive.
type bounds struct{ low, high int }

// The shapes that the package's comment promises: the recorded files have them and the generated
// ones do.
func TestShapes(t *testing.T) {
	files := []struct {
		name                                    string
		spans, spansMedian, spansMax            bounds // of the file, and of a trace
		depthMax, childrenMax                   bounds
		attributesMedian, attributesMax         bounds
		textMax, eventsMax, links               bounds
		resourcesMax, services                  bounds
		straddling, absentParents, rootlessRate bounds // the first and the last in percent of the traces
		kinds, statuses                         int    // at least so many
		types                                   []pcommon.ValueType
	}{
		{name: DemoApps, spans: bounds{1200, 1700}, spansMedian: bounds{7, 11}, spansMax: bounds{45, 60},
			depthMax:    bounds{12, 16},
			childrenMax: bounds{5, 14}, attributesMedian: bounds{5, 9}, attributesMax: bounds{14, 17},
			textMax:   bounds{75, 150},
			eventsMax: bounds{9, 18}, links: bounds{1, 30}, resourcesMax: bounds{12, 15}, services: bounds{20, 30},
			absentParents: bounds{30, 200}, rootlessRate: bounds{20, 30}, kinds: 6, statuses: 2,
			types: []pcommon.ValueType{pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeBool}},
		{name: WebApp, spans: bounds{1000, 1200}, spansMedian: bounds{1, 1}, spansMax: bounds{456, 456},
			depthMax:    bounds{9, 11},
			childrenMax: bounds{25, 25}, attributesMedian: bounds{9, 9}, attributesMax: bounds{11, 15},
			textMax:   bounds{3500, 3600},
			eventsMax: bounds{1, 2}, resourcesMax: bounds{3, 6}, services: bounds{3, 3}, straddling: bounds{0, 1},
			kinds: 3, statuses: 3,
			types: []pcommon.ValueType{pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeDouble,
				pcommon.ValueTypeSlice,
				pcommon.ValueTypeEmpty}},
		{name: Shell, spans: bounds{3000, 24000}, spansMedian: bounds{1, 1}, spansMax: bounds{440, 460},
			depthMax:    bounds{14, 17},
			childrenMax: bounds{110, 116}, attributesMedian: bounds{6, 8}, attributesMax: bounds{40, 44},
			textMax:   bounds{200, 550},
			eventsMax: bounds{1, 1}, links: bounds{5, 80}, resourcesMax: bounds{50, 200}, services: bounds{1, 5},
			straddling:    bounds{9, 14},
			absentParents: bounds{5, 50}, rootlessRate: bounds{0, 1}, kinds: 5, statuses: 2,
			types: []pcommon.ValueType{pcommon.ValueTypeStr, pcommon.ValueTypeInt, pcommon.ValueTypeSlice}},
		{name: Boutique, spans: bounds{10000, 300000}, spansMedian: bounds{45, 50}, spansMax: bounds{80, 100},
			depthMax:    bounds{8, 9},
			childrenMax: bounds{20, 35}, resourcesMax: bounds{10, 10}, services: bounds{10, 10},
			straddling: bounds{10, 20}, kinds: 1, statuses: 1},
		{name: Sample, spans: bounds{22, 22}, spansMedian: bounds{22, 22}, spansMax: bounds{22, 22},
			depthMax:    bounds{7, 8},
			childrenMax: bounds{4, 6}, attributesMedian: bounds{8, 8}, attributesMax: bounds{13, 14},
			textMax:      bounds{75, 124},
			resourcesMax: bounds{4, 4}, services: bounds{4, 4}, kinds: 3, statuses: 1,
			types: []pcommon.ValueType{pcommon.ValueTypeStr, pcommon.ValueTypeInt}},
	}
	Run(t, func(t *testing.T, from Source) {
		for _, want := range files {
			t.Run(want.name, func(t *testing.T) {
				f := countFigures(t, from.Protobuf(t, want.name))
				within := func(what string, got int, b bounds) {
					t.Helper()
					if got < b.low || got > b.high {
						t.Errorf("%s: %d is outside %d to %d", what, got, b.low, b.high)
					}
				}
				within("spans", f.spans, want.spans)
				within("spans of a trace, median", median(f.traceSpans), want.spansMedian)
				within("spans of a trace, at most", slices.Max(f.traceSpans), want.spansMax)
				within("depth, at most", slices.Max(f.depths)+1, want.depthMax)
				within("children, at most", slices.Max(f.children), want.childrenMax)
				within("attributes, median", median(f.attributes), want.attributesMedian)
				within("attributes, at most", slices.Max(f.attributes), want.attributesMax)
				within("bytes of a text, at most", slices.Max(append(f.textBytes, 0)), want.textMax)
				within("events, at most", slices.Max(f.events), want.eventsMax)
				within("links", f.links, want.links)
				within("resources of a request, at most", slices.Max(f.resources), want.resourcesMax)
				within("services", len(f.services), want.services)
				traces := len(f.spanParents)
				within("percent of traces in several requests", f.straddling*100/traces, want.straddling)
				within("absent parents", f.absentParents, want.absentParents)
				within("percent of traces without a root", f.rootless*100/traces, want.rootlessRate)
				require.GreaterOrEqual(t, len(f.kinds), want.kinds)
				require.GreaterOrEqual(t, len(f.statuses), want.statuses)
				for _, typ := range want.types {
					require.True(t, f.types[typ], typ)
				}
			})
		}
	})
}

// Files without a recorded counterpart have what they were made for.
func TestOnlyGenerated(t *testing.T) {
	f := countFigures(t, generated{}.Protobuf(t, Agents))
	require.Equal(t, 1500, slices.Max(f.children))
	require.Equal(t, 300, slices.Max(f.depths))
	require.Greater(t, slices.Max(f.textBytes), 64<<10)
	require.True(t, f.types[pcommon.ValueTypeMap])
	require.Nil(t, generated{}.JSON(t, RawText))
	require.Contains(t, string(bytes.Join(generated{}.Protobuf(t, RawText), nil)), "latin-\xe9")
}

// A file is the same in every run: its bytes are compared with those of a second generation.
func TestGeneratedTwice(t *testing.T) {
	first := generated{}.Protobuf(t, Shell)
	for n, request := range generateShell() {
		b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(request)
		require.NoError(t, err)
		require.True(t, bytes.Equal(first[n], b), "request %d", n)
	}
}
