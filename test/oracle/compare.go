package oracle

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// compared are the intrinsics that compare() looks at.
var compared = []string{"name", "status", "statusMessage", "kind", "span:childCount", "rootName", "rootServiceName",
	"instrumentation:name",
	"instrumentation:version"}

// compare counts, for every field, the spans with each of its values among the selected spans and
// among the others.
func (q metrics) compare(n *traceql.Metrics) []*series {
	c := n.Compare
	groups := map[string]map[string]*counted{"selection": {}, "baseline": {}} // by field
	q.each(n.Pipeline, func(v env) {
		side := "baseline"
		start := int64(v.span.Start)
		if (c.Selection.Expr == nil || v.boolean(c.Selection.Expr) == true) &&
			(c.Args < 3 || c.Start < start && start <= c.End) {
			side = "selection"
		}
		for _, f := range v.compared() {
			x := v.value(f)
			if _, isArray := x.(array); isArray || rank(x) == 0 {
				continue
			}
			if groups[side][f.String()] == nil {
				groups[side][f.String()] = &counted{total: q.zeros(), values: map[string]*valueCount{}}
			}
			groups[side][f.String()].add(shown(x), q.interval(start), q)
		}
	})
	var out []*series
	tooMany := map[string]bool{}
	for side, byField := range groups {
		for field, g := range byField {
			g.total.labels = []attr{{"__meta_type", side + "_total"}, {field, "nil"}}
			out = append(out, g.total)
			most := g.most()
			if len(most) > int(c.Top) {
				most = most[:c.Top]
				tooMany[field] = true
			}
			for _, v := range most {
				v.labels = []attr{{"__meta_type", side}, {field, v.value}}
				out = append(out, v.series)
			}
		}
	}
	for field := range tooMany {
		out = append(out, &series{labels: []attr{{"__meta_error", "__too_many_values__"}, {field, "nil"}}, bare: true})
	}
	return out
}

// compared lists the fields that are looked at on a span.
func (v env) compared() (out []*traceql.Field) {
	for _, name := range compared {
		out = append(out, &traceql.Field{Scope: traceql.ScopeIntrinsic, Name: name})
	}
	add := func(scope traceql.FieldScope, attrs []otlp.Attr) {
		seen := map[string]bool{}
		for _, a := range attrs {
			if !seen[a.Key] {
				seen[a.Key] = true
				out = append(out, &traceql.Field{Scope: scope, Name: a.Key})
			}
		}
	}
	add(traceql.ScopeSpan, v.span.Attrs)
	add(traceql.ScopeResource, v.span.resourceAttrs())
	add(traceql.ScopeInstrumentation, v.span.scope().Attrs)
	return out
}

// counted is what was counted of one field: spans that have it, and spans with each value.
type counted struct {
	total  *series
	values map[string]*valueCount
}

type valueCount struct {
	value any
	*series
}

func (q metrics) zeros() *series {
	s := &series{samples: map[int64]float64{}}
	for _, t := range q.intervals() {
		s.samples[t] = 0
	}
	return s
}

func (c *counted) add(v any, t int64, q metrics) {
	k := key([]attr{{"", v}})
	if c.values[k] == nil {
		c.values[k] = &valueCount{v, q.zeros()}
	}
	c.values[k].samples[t]++
	c.total.samples[t]++
}

// most lists the values from the most frequent down, equally frequent ones by text.
func (c *counted) most() []*valueCount {
	total := func(v *valueCount) (sum float64) {
		for _, n := range v.samples {
			sum += n
		}
		return sum
	}
	return slices.SortedFunc(maps.Values(c.values), func(a, b *valueCount) int {
		return cmp.Or(cmp.Compare(total(b), total(a)), strings.Compare(text(a.value), text(b.value)),
			rank(a.value)-rank(b.value))
	})
}
