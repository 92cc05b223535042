package oracle

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Search answers a search over spans.
func Search(spans []*otlp.Span, r *eval.SearchRequest) []eval.TraceMatch {
	return search(assemble(spans), r)
}

func search(traces []*aTrace, r *eval.SearchRequest) []eval.TraceMatch {
	root := searchable(r.Query.Root)
	var out []eval.TraceMatch
	for _, t := range traces {
		w, ok := t.window(r.Start, r.End, r.Window())
		if !ok {
			continue
		}
		sets := w.stage(root, []spanset{{spans: w.spans}})
		if len(sets) == 0 {
			continue
		}
		m := eval.TraceMatch{ID: w.id, RootService: w.rootService(), RootName: w.rootName(), Start: w.start(),
			Duration: w.end() - w.start(),
			Cut:      len(w.spans) < len(t.spans)}
		if !r.Bare {
			m.Services = w.services()
			for _, s := range sets {
				m.SpanSets = append(m.SpanSets, w.answer(s, mentionsIn(root), r.SpansPerSpanSet))
			}
		}
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b eval.TraceMatch) int {
		return cmp.Or(cmp.Compare(b.Start, a.Start), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return out[:min(len(out), r.Limit)]
}

// searchable is the part of a query that a search runs: of metrics the pipeline.
func searchable(n traceql.Node) traceql.Node {
	switch n := n.(type) {
	case *traceql.Metrics:
		return n.Pipeline
	case *traceql.Second:
		return searchable(n.Of)
	}
	return n
}

func (t *aTrace) services() []eval.ServiceStats {
	all := map[string]*eval.ServiceStats{}
	for _, s := range t.spans {
		name := s.service()
		if all[name] == nil {
			all[name] = &eval.ServiceStats{Service: name}
		}
		all[name].Spans++
		if s.Status == 2 {
			all[name].Errors++
		}
	}
	var out []eval.ServiceStats
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, *all[name])
	}
	return out
}

func (t *aTrace) answer(s spanset, ms []mention, limit int) eval.SpanSet {
	out := eval.SpanSet{Matched: len(s.spans)}
	for _, a := range s.attrs {
		out.Attributes = append(out.Attributes, attribute(a.key, a.value))
	}
	for _, sp := range s.spans[:min(len(s.spans), limit)] {
		out.Spans = append(out.Spans, t.spanMatch(sp, ms))
	}
	return out
}

func attribute(key string, v any) eval.Attribute {
	v = shown(v)
	if a, ok := v.(array); ok {
		v = []any(a)
	}
	value, err := trace.ReadValue(otlp.AnyValue(v))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return eval.Attribute{Key: key, Value: value}
}

func (t *aTrace) spanMatch(s *span, ms []mention) eval.SpanMatch {
	out := eval.SpanMatch{ID: s.ID, Start: s.Start, Duration: uint64(s.duration())}
	for _, m := range ms {
		if m.field.Scope == traceql.ScopeIntrinsic {
			switch m.field.Name {
			case "name":
				if shown, ok := m.show(env{trace: t, span: s}).(string); ok {
					out.Name = shown
				}
				continue
			case "duration", "traceDuration", "rootName", "rootServiceName", "trace:id", "span:id":
				continue
			}
		}
		if v := m.show(env{trace: t, span: s}); v != nil {
			out.Attributes = append(out.Attributes, attribute(m.field.Name, v))
		}
	}
	return out
}

// mention is what a query does with a field.
type mention struct {
	field *traceql.Field
	// tests are the comparisons of the field with a constant; free says that it is used in another
	// way too, and then all of it is shown.
	tests []*traceql.Binary
	free  bool
	isNil bool // it is tested for absence
}

// mentionsIn lists the fields of a query in the order in which it first names them.
func mentionsIn(n traceql.Node) (out []mention) {
	at := func(f *traceql.Field) *mention {
		i := slices.IndexFunc(out, func(m mention) bool { return m.field.Scope == f.Scope && m.field.Name == f.Name })
		if i < 0 {
			i = len(out)
			out = append(out, mention{field: f})
		}
		return &out[i]
	}
	free := func(e traceql.Expr) {
		for _, f := range fields(e) {
			at(f).free = true
		}
	}
	var expr func(e traceql.Expr)
	expr = func(e traceql.Expr) {
		switch e := e.(type) {
		case *traceql.Field:
			free(e)
		case *traceql.Unary:
			expr(e.Of)
		case *traceql.Binary:
			f, c := fieldAndConstant(e)
			switch {
			case f == nil || !isComparison(e) || isNil(c) && e.Op == "!=":
				expr(e.Left)
				expr(e.Right)
			case isNil(c):
				at(f).isNil = true
			default:
				m := at(f)
				m.tests = append(m.tests, e)
			}
		}
	}
	var node func(n traceql.Node)
	node = func(n traceql.Node) {
		switch n := n.(type) {
		case *traceql.Pipeline:
			for _, s := range n.Stages {
				node(s)
			}
		case *traceql.Filter:
			expr(n.Expr)
		case *traceql.SpansetOp:
			node(n.Left)
			node(n.Right)
		case *traceql.GroupBy:
			free(n.Expr)
		case *traceql.Select:
			for _, f := range n.Fields {
				free(f)
			}
		case *traceql.ScalarFilter:
			free(n.Left.(*traceql.Aggregate).Expr)
		}
	}
	node(n)
	return out
}

// fieldAndConstant takes a comparison of the two apart; nil if it is another.
func fieldAndConstant(e *traceql.Binary) (*traceql.Field, traceql.Expr) {
	if f, ok := e.Left.(*traceql.Field); ok && len(fields(e.Right)) == 0 {
		return f, e.Right
	}
	if f, ok := e.Right.(*traceql.Field); ok && len(fields(e.Left)) == 0 {
		return f, e.Left
	}
	return nil, nil
}

// show is the value of the field that an answer shows, nil if it shows none.
func (m mention) show(v env) any {
	shown := v.value(m.field)
	if !m.free {
		shown = m.passing(v)
	}
	if shown == (opaque{}) {
		return nil
	}
	if shown == nil && m.isNil && len(v.values(m.field)) == 0 {
		return "nil"
	}
	return shown
}

// passing is the first of the field's values that satisfies one of the tests; of an array, the
// elements that do.
func (m mention) passing(v env) any {
	for _, at := range v.each(v.quantifies(m.field)) {
		for _, x := range at.values(m.field) {
			var kept array
			for _, e := range elements(x) {
				if slices.ContainsFunc(m.tests, func(b *traceql.Binary) bool { return test(b, e) }) {
					kept = append(kept, e)
				}
			}
			switch len(kept) {
			case 0:
			case 1:
				return kept[0]
			default:
				return kept
			}
		}
	}
	return nil
}

// test says whether a value satisfies the comparison of a field with a constant.
func test(b *traceql.Binary, value any) bool {
	left, right := value, value
	if len(fields(b.Left)) == 0 {
		left = env{}.eval(b.Left)
	} else {
		right = env{}.eval(b.Right)
	}
	if b.Op != "=~" && b.Op != "!~" {
		left, right = idText(string(b.Op), b.Left, b.Right, left), idText(string(b.Op), b.Right, b.Left, right)
	}
	return holds(string(b.Op), left, right)
}
