package oracle

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// answers is who is judged: something that holds the spans of a fixture.
type answers interface {
	Search(r *eval.SearchRequest) ([]eval.TraceMatch, error)
	Metrics(r *eval.MetricsRequest) (*eval.MetricsResult, error)
	Tags(r *eval.TagsRequest) (eval.TagNames, error)
	Values(r *eval.ValuesRequest) (map[eval.TagValue]struct{}, error)
	Filter(text string) *traceql.Query // as it reads the filter of an autocomplete request
}

// semantics is the file of cases.
type semantics struct {
	Fixtures map[string]fixture
	Cases    []semanticsCase
}

type fixture struct {
	Base      int64 `yaml:"base_unix_s"`
	Resources map[string]map[string]any
	Scopes    map[string]struct {
		Name, Version string
		Attrs         map[string]any
	}
	Traces []struct {
		ID    string
		Spans []fixtureSpan
	}
}

type fixtureSpan struct {
	ID, Parent, Name, Kind, Status string
	Message                        string `yaml:"status_message"`
	Start, Dur                     time.Duration
	Res, Scope                     string
	Block                          int
	Attrs                          map[string]any
	Events                         []struct {
		Name  string
		At    time.Duration
		Attrs map[string]any
	}
	Links []struct {
		Trace, Span string
		Attrs       map[string]any
	}
}

type semanticsCase struct {
	ID, Kind, Fixture, Query string
	Expect                   yaml.Node
	Ideal                    yaml.Node
	ExpectError              string `yaml:"expect_error"`
	Spss, Limit              int
	Start, End               *time.Duration
	Step                     time.Duration
	Align, Instant           bool
	Order                    []string
	Meta                     map[string]caseMeta
	IdealMeta                map[string]caseMeta       `yaml:"ideal_meta"`
	SpanAttributes           map[string]map[string]any `yaml:"span_attributes"`
	Series                   []caseSeries
	SeriesInclude            []caseSeries `yaml:"series_include"`
	Scope, Tag               string
}

type caseMeta struct {
	RootName     string            `yaml:"rootName"`
	RootService  string            `yaml:"rootService"`
	DurationMs   uint64            `yaml:"durationMs"`
	StartMs      uint64            `yaml:"startMs"`
	ServiceStats map[string][2]int `yaml:"serviceStats"`
}

type caseSeries struct {
	Labels map[string]any
	Points map[time.Duration]float64
}

func loadSemantics(t testing.TB) *semantics {
	b, err := os.ReadFile(filepath.Join("..", "..", "runtime", "engine", "traceql", "testdata", "semantics.yaml"))
	require.NoError(t, err)
	var s semantics
	require.NoError(t, yaml.Unmarshal(b, &s))
	require.Len(t, s.Cases, 281)
	return &s
}

// digits fills an id up: its first digit, zeros, the text.
func digits(first byte, text string, length int) uint64 {
	n, err := strconv.ParseUint(text, 16, 64)
	if err != nil {
		panic(err)
	}
	if length == 16 {
		n |= uint64(first) << 60
	}
	return n
}

func fixtureSpanID(text string) (id trace.SpanID) {
	if text == "" {
		return id
	}
	return otlp.SpanID(digits(5, text, 16))
}

func fixtureTraceID(text string) trace.ID {
	id := otlp.TraceID(digits(7, text, 32))
	binary.BigEndian.PutUint64(id[:], 7<<60)
	return id
}

func fixtureAttrs(m map[string]any) (out []otlp.Attr) {
	for k, v := range m {
		out = append(out, otlp.Attr{Key: k, Value: v})
	}
	slices.SortFunc(out, func(a, b otlp.Attr) int { return strings.Compare(a.Key, b.Key) })
	return out
}

var fixtureKinds = []string{"", "internal", "server", "client", "producer", "consumer"}

// spans returns the spans of a fixture; those of the second block come last, from index second on.
func (f *fixture) spans() (out []*otlp.Span, second int) {
	resources, scopes := map[string]*otlp.Resource{}, map[string]*otlp.Scope{}
	for name, attrs := range f.Resources {
		resources[name] = &otlp.Resource{Attrs: fixtureAttrs(attrs)}
	}
	for name, s := range f.Scopes {
		scopes[name] = &otlp.Scope{Name: s.Name, Version: s.Version, Attrs: fixtureAttrs(s.Attrs)}
	}
	var later []*otlp.Span
	for _, t := range f.Traces {
		for _, s := range t.Spans {
			start := uint64(f.Base*1e9) + uint64(s.Start)
			o := &otlp.Span{Trace: fixtureTraceID(t.ID), ID: fixtureSpanID(s.ID), Parent: fixtureSpanID(s.Parent),
				Name:    s.Name,
				Kind:    int32(slices.Index(fixtureKinds, s.Kind)),
				Message: s.Message,
				Status:  int32(slices.Index([]string{"", "ok", "error"}, s.Status)),
				Start:   start, End: start + uint64(s.Dur), Resource: resources[s.Res], Scope: scopes[s.Scope],
				Attrs: fixtureAttrs(s.Attrs)}
			for _, e := range s.Events {
				o.Events = append(o.Events, otlp.Event{Name: e.Name, Time: start + uint64(e.At),
					Attrs: fixtureAttrs(e.Attrs)})
			}
			for _, l := range s.Links {
				o.Links = append(o.Links, otlp.Link{Trace: fixtureTraceID(l.Trace), Span: fixtureSpanID(l.Span),
					Attrs: fixtureAttrs(l.Attrs)})
			}
			if s.Block == 2 {
				later = append(later, o)
			} else {
				out = append(out, o)
			}
		}
	}
	return append(out, later...), len(out)
}

// wanted is what a sound engine answers: the ideal, where there is one.
func (c *semanticsCase) wanted() *yaml.Node {
	if c.Ideal.Kind != 0 {
		return &c.Ideal
	}
	return &c.Expect
}

// judge runs one case; it returns "" or what is wrong.
func (c *semanticsCase) judge(f *fixture, a answers) (wrong string) {
	defer func() {
		if r := recover(); r != nil {
			wrong = fmt.Sprintf("panic: %v", r)
		}
	}()
	switch c.Kind {
	case "search":
		return c.judgeSearch(f, a)
	case "metrics":
		return c.judgeMetrics(f, a)
	case "tag_names":
		return c.judgeTags(a)
	case "tag_values":
		return c.judgeValues(a)
	}
	return "unknown kind " + c.Kind
}

func (c *semanticsCase) judgeSearch(f *fixture, a answers) string {
	q, err := traceql.Parse(c.Query)
	if err != nil {
		if c.ExpectError != "" && c.Ideal.Kind == 0 {
			return "" // refused sooner than when it runs
		}
		return err.Error()
	}
	r := &eval.SearchRequest{Query: q, End: math.MaxUint64, Limit: max(c.Limit, 1), SpansPerSpanSet: max(c.Spss, 1)}
	if c.Limit == 0 {
		r.Limit = 1000
	}
	if c.Spss == 0 {
		r.SpansPerSpanSet = 1000
	}
	if c.Start != nil {
		r.Start, r.End = uint64(f.Base*1e9)+uint64(*c.Start), uint64(f.Base*1e9)+uint64(*c.End)+1
	}
	got, err := a.Search(r)
	if c.ExpectError != "" && c.Ideal.Kind == 0 {
		if err == nil {
			return "no error"
		}
		return ""
	}
	if err != nil {
		return err.Error()
	}
	var want map[string][]yaml.Node
	if err := c.wanted().Decode(&want); err != nil {
		return err.Error()
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d traces, want %d", len(got), len(want))
	}
	byID := map[trace.ID]*eval.TraceMatch{}
	for i := range got {
		byID[got[i].ID] = &got[i]
		if i > 0 && got[i].Start > got[i-1].Start {
			return "traces are not newest first"
		}
		if i < len(c.Order) && got[i].ID != fixtureTraceID(c.Order[i]) {
			return fmt.Sprintf("trace %d is %s, want %s", i, got[i].ID, c.Order[i])
		}
	}
	for id, w := range want {
		m := byID[fixtureTraceID(id)]
		if m == nil {
			return "no trace " + id
		}
		if wrong := c.judgeTrace(m, w); wrong != "" {
			return "trace " + id + ": " + wrong
		}
	}
	meta := c.Meta
	if c.IdealMeta != nil {
		meta = c.IdealMeta
	}
	for id, w := range meta {
		if wrong := w.judge(f, byID[fixtureTraceID(id)]); wrong != "" {
			return "trace " + id + ": " + wrong
		}
	}
	return ""
}

func (w caseMeta) judge(f *fixture, m *eval.TraceMatch) string {
	got := caseMeta{RootName: m.RootName, RootService: m.RootService, DurationMs: m.Duration / 1e6,
		StartMs:      m.Start/1e6 - uint64(f.Base)*1e3,
		ServiceStats: map[string][2]int{}}
	for _, s := range m.Services {
		got.ServiceStats[s.Service] = [2]int{int(s.Spans), int(s.Errors)}
	}
	if a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", w); a != b {
		return "is " + a + ", want " + b
	}
	return ""
}

// judgeTrace compares span sets: a list of spans means one span set.
func (c *semanticsCase) judgeTrace(m *eval.TraceMatch, want []yaml.Node) string {
	type wantedSet struct {
		Spans      []string
		Matched    *int
		NSpans     *int `yaml:"n_spans"`
		Attributes map[string]any
	}
	var sets []wantedSet
	for _, n := range want {
		if n.Kind == yaml.ScalarNode {
			if sets == nil {
				sets = make([]wantedSet, 1)
			}
			sets[0].Spans = append(sets[0].Spans, n.Value)
			continue
		}
		var s wantedSet
		if err := n.Decode(&s); err != nil {
			return err.Error()
		}
		sets = append(sets, s)
	}
	if len(m.SpanSets) != len(sets) {
		return fmt.Sprintf("%d span sets, want %d", len(m.SpanSets), len(sets))
	}
	for i, w := range sets {
		got := m.SpanSets[i]
		var ids, wantIDs []string
		for _, s := range got.Spans {
			ids = append(ids, s.ID.String())
		}
		for _, s := range w.Spans {
			wantIDs = append(wantIDs, fixtureSpanID(s).String())
		}
		slices.Sort(ids)
		slices.Sort(wantIDs)
		if w.NSpans == nil && !slices.Equal(ids, wantIDs) {
			return fmt.Sprintf("spans %v, want %v", ids, wantIDs)
		}
		if w.NSpans != nil && len(ids) != *w.NSpans {
			return fmt.Sprintf("%d spans, want %d", len(ids), *w.NSpans)
		}
		if w.Matched != nil && got.Matched != *w.Matched {
			return fmt.Sprintf("matched %d, want %d", got.Matched, *w.Matched)
		}
		if w.Attributes != nil {
			if wrong := sameAttributes(got.Attributes, w.Attributes); wrong != "" {
				return wrong
			}
		}
		for _, s := range got.Spans {
			for id, attrs := range c.SpanAttributes {
				if s.ID != fixtureSpanID(id) {
					continue
				}
				all := s.Attributes
				if s.Name != "" {
					all = append([]eval.Attribute{{Key: "(name)",
						Value: trace.Value{Type: trace.String, Bytes: []byte(s.Name)}}}, all...)
				}
				if wrong := sameAttributes(all, attrs); wrong != "" {
					return "span " + id + ": " + wrong
				}
			}
		}
	}
	return ""
}

func sameAttributes(got []eval.Attribute, want map[string]any) string {
	g, w := map[string]string{}, map[string]string{}
	for _, a := range got {
		g[a.Key] = string(trace.AppendValue(nil, &a.Value))
	}
	for k, v := range want {
		w[k] = string(otlp.AnyValue(typed(v)))
	}
	if a, b := fmt.Sprintf("%q", g), fmt.Sprintf("%q", w); a != b {
		return "attributes " + a + ", want " + b
	}
	return ""
}

// typed reads the text float(X) as a float.
func typed(v any) any {
	if s, ok := v.(string); ok && strings.HasPrefix(s, "float(") {
		f, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimPrefix(s, "float("), ")"), 64)
		if err == nil {
			return f
		}
	}
	return v
}

func (c *semanticsCase) judgeMetrics(f *fixture, a answers) string {
	q, err := traceql.Parse(c.Query)
	if err != nil {
		return err.Error()
	}
	base := f.Base * 1e9
	r := &eval.MetricsRequest{Query: q, Start: base + int64(*c.Start), End: base + int64(*c.End), Step: int64(c.Step),
		Instant: c.Instant}
	if c.Instant {
		r.Step = r.End - r.Start
	}
	if c.Align {
		r.Start -= r.Start%r.Step + r.Step
		r.End += (r.Step - r.End%r.Step) % r.Step
	}
	got, err := a.Metrics(r)
	if err != nil {
		return err.Error()
	}
	want, include := c.Series, c.SeriesInclude
	if c.Ideal.Kind != 0 {
		var ideal []caseSeries
		if err := c.Ideal.Decode(&ideal); err != nil {
			return err.Error()
		}
		want = ideal
		if include != nil {
			want, include = nil, replaced(include, ideal)
		}
	}
	if include == nil && len(got.Series) != len(want) {
		return fmt.Sprintf("%d series, want %d", len(got.Series), len(want))
	}
	for _, w := range append(slices.Clone(want), include...) {
		i := slices.IndexFunc(got.Series, func(s eval.Series) bool { return sameAttributes(s.Labels, w.Labels) == "" })
		if i < 0 {
			return fmt.Sprintf("no series %v", w.Labels)
		}
		points := map[time.Duration]float64{}
		for _, p := range got.Series[i].Samples {
			points[time.Duration(p.Time-base)] = p.Value
		}
		if a, b := fmt.Sprint(points), fmt.Sprint(w.Points); a != b {
			for t, v := range w.Points {
				if !near(points[t], v) || len(points) != len(w.Points) {
					return fmt.Sprintf("series %v: %s, want %s", w.Labels, a, b)
				}
			}
		}
	}
	return ""
}

// replaced puts the ideal series in the place of those with the same labels.
func replaced(all, ideal []caseSeries) (out []caseSeries) {
	for _, s := range all {
		for _, i := range ideal {
			if fmt.Sprint(s.Labels) == fmt.Sprint(i.Labels) {
				s = i
			}
		}
		out = append(out, s)
	}
	return out
}

// near allows for another order of floating-point operations.
func near(a, b float64) bool {
	return a == b || math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) <= 1e-9*max(math.Abs(a), math.Abs(b))
}

func (c *semanticsCase) judgeTags(a answers) string {
	got, err := a.Tags(&eval.TagsRequest{Query: a.Filter(c.Query), End: math.MaxUint64})
	if err != nil {
		return err.Error()
	}
	var want map[string][]string
	if err := c.wanted().Decode(&want); err != nil {
		return err.Error()
	}
	names := map[string][]string{}
	for scope, set := range got {
		if c.Scope != "none" && c.Scope != scope {
			continue
		}
		for name := range set {
			names[scope] = append(names[scope], name)
		}
		slices.Sort(names[scope])
	}
	if g, w := fmt.Sprint(names), fmt.Sprint(want); g != w {
		return g + ", want " + w
	}
	return ""
}

func (c *semanticsCase) judgeValues(a answers) string {
	field, err := traceql.Parse("{} | select(" + c.Tag + ")")
	if err != nil {
		return err.Error()
	}
	r := &eval.ValuesRequest{Field: field.Root.(*traceql.Pipeline).Stages[1].(*traceql.Select).Fields[0],
		Query: a.Filter(c.Query), End: math.MaxUint64}
	got, err := a.Values(r)
	if err != nil {
		return err.Error()
	}
	var want, values []string
	if err := c.wanted().Decode(&want); err != nil {
		return err.Error()
	}
	for v := range got {
		values = append(values, v.Type+":"+v.Value)
	}
	slices.Sort(values)
	if !slices.Equal(values, want) {
		return fmt.Sprintf("%v, want %v", values, want)
	}
	return ""
}
