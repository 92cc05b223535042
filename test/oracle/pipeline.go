package oracle

import (
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// spanset is spans of one trace that belong together, in the trace's order, and what was found out
// about them.
type spanset struct {
	spans []*span
	attrs []attr
}

// attr is a named value of a spanset or of a series.
type attr struct {
	key   string
	value any
}

func (s spanset) with(key string, value any) spanset {
	return spanset{spans: s.spans, attrs: append(slices.Clone(s.attrs), attr{key, value})}
}

// pipeline runs the stages one after the other.
func (t *aTrace) pipeline(p *traceql.Pipeline, in []spanset) []spanset {
	for _, stage := range p.Stages {
		in = t.stage(stage, in)
	}
	return in
}

// stage evaluates one stage, or one operand of an operator, on spansets.
func (t *aTrace) stage(n traceql.Node, in []spanset) []spanset {
	switch n := n.(type) {
	case *traceql.Pipeline:
		return t.pipeline(n, in)
	case *traceql.Filter:
		return each(in, func(s spanset) []spanset { return t.filter(n, s) })
	case *traceql.SpansetOp:
		return each(in, func(s spanset) []spanset { return t.combine(n, s) })
	case *traceql.GroupBy:
		return each(in, func(s spanset) []spanset { return t.groupBy(n, s) })
	case *traceql.ScalarFilter:
		return each(in, func(s spanset) []spanset { return t.scalarFilter(n, s) })
	case *traceql.Coalesce:
		return t.coalesce(in)
	case *traceql.Select:
		return in
	}
	panic("BUG: not a stage")
}

// each evaluates on every spanset and leaves out empty results.
func each(in []spanset, f func(spanset) []spanset) (out []spanset) {
	for _, s := range in {
		for _, r := range f(s) {
			if len(r.spans) > 0 {
				out = append(out, r)
			}
		}
	}
	return out
}

func (t *aTrace) filter(f *traceql.Filter, s spanset) []spanset {
	var kept []*span
	for _, sp := range s.spans {
		if f.Expr == nil || (env{trace: t, span: sp}).boolean(f.Expr) == true {
			kept = append(kept, sp)
		}
	}
	return []spanset{{spans: kept, attrs: s.attrs}}
}

// combine evaluates both operands on the same spanset. The result has that one's attributes.
func (t *aTrace) combine(n *traceql.SpansetOp, s spanset) []spanset {
	left, right := spansOf(t.stage(n.Left, []spanset{s})), spansOf(t.stage(n.Right, []spanset{s}))
	var keep map[*span]bool
	switch op := string(n.Op); {
	case op == "&&" && (len(left) == 0 || len(right) == 0):
	case op == "&&" || op == "||":
		keep = union(left, right)
	default:
		keep = related(op, left, right)
	}
	return []spanset{{spans: t.inOrder(keep), attrs: s.attrs}}
}

func spansOf(sets []spanset) map[*span]bool {
	out := map[*span]bool{}
	for _, s := range sets {
		for _, sp := range s.spans {
			out[sp] = true
		}
	}
	return out
}

func union(a, b map[*span]bool) map[*span]bool {
	out := map[*span]bool{}
	for s := range a {
		out[s] = true
	}
	for s := range b {
		out[s] = true
	}
	return out
}

func (t *aTrace) inOrder(keep map[*span]bool) (out []*span) {
	for _, s := range t.spans {
		if keep[s] {
			out = append(out, s)
		}
	}
	return out
}

var relations = map[string]func(a, b *span) bool{">": isChild, ">>": isDescendant, "<": isParent, "<<": isAncestor,
	"~": isSibling}

// related are the spans that a structural operator returns.
func related(op string, left, right map[*span]bool) map[*span]bool {
	relation := relations[strings.TrimLeft(op, "!&")]
	out := map[*span]bool{}
	for r := range right {
		found := false
		for l := range left {
			if relation(l, r) {
				found = true
				if op[0] == '&' {
					out[l], out[r] = true, true
				}
			}
		}
		if op[0] != '&' && found == (op[0] != '!') {
			out[r] = true
		}
	}
	return out
}

// groupBy splits a spanset by the value of an expression, in the order of the values.
func (t *aTrace) groupBy(n *traceql.GroupBy, s spanset) []spanset {
	type group struct {
		value any
		spans []*span
	}
	var groups []*group
	for _, sp := range s.spans {
		v := (env{trace: t, span: sp}).eval(n.Expr)
		if v == (opaque{}) {
			v = nil
		}
		i := slices.IndexFunc(groups, func(g *group) bool { return order(g.value, v) == 0 })
		if i < 0 {
			i = len(groups)
			groups = append(groups, &group{value: v})
		}
		groups[i].spans = append(groups[i].spans, sp)
	}
	slices.SortFunc(groups, func(a, b *group) int { return order(a.value, b.value) })
	var out []spanset
	for _, g := range groups {
		out = append(out, spanset{spans: g.spans, attrs: s.attrs}.with(print(n), g.value))
	}
	return out
}

func (t *aTrace) coalesce(in []spanset) []spanset {
	if len(in) == 0 {
		return nil
	}
	return []spanset{{spans: t.inOrder(spansOf(in))}}
}

// print is the canonical text of a part of a query.
func print(n traceql.Node) string { return (&traceql.Query{Root: n}).String() }
