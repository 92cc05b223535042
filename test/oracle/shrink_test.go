package oracle

import (
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/layout"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// shrink takes away from a comparison whatever it differs without: spans, parts of spans, parts of
// the query, homes.
func (p *pair) shrink() {
	for again := true; again; {
		again = false
		for _, smaller := range p.smaller() {
			if smaller.differs() != "" {
				*p, again = *smaller, true
				break
			}
		}
	}
}

// smaller lists comparisons with one thing less.
func (p *pair) smaller() (out []*pair) {
	with := func(change func(*pair)) {
		c := *p
		change(&c)
		out = append(out, &c)
	}
	if p.layout.Name != layout.All[0].Name {
		with(func(c *pair) { c.layout = layout.All[0] })
	}
	for n := len(p.spans) / 2; n > 0; n /= 2 {
		for i := 0; i+n <= len(p.spans); i += n {
			with(func(c *pair) { c.spans = slices.Delete(slices.Clone(p.spans), i, i+n) })
		}
	}
	for _, q := range smallerQueries(p.root()) {
		q, err := traceql.Parse((&traceql.Query{Root: q}).String())
		if err != nil || p.metrics != nil && !q.IsMetrics() {
			continue
		}
		with(func(c *pair) { c.setQuery(q) })
	}
	for i, s := range p.spans {
		for _, smaller := range smallerSpans(s) {
			with(func(c *pair) {
				c.spans = slices.Clone(p.spans)
				c.spans[i] = smaller
			})
		}
	}
	return out
}

func (p *pair) root() traceql.Node {
	switch {
	case p.search != nil:
		return p.search.Query.Root
	case p.metrics != nil:
		return p.metrics.Query.Root
	case p.tags != nil && p.tags.Query != nil:
		return p.tags.Query.Root
	case p.values != nil && p.values.Query != nil:
		return p.values.Query.Root
	}
	return nil
}

func (p *pair) setQuery(q *traceql.Query) {
	switch {
	case p.search != nil:
		r := *p.search
		r.Query, p.search = q, &r
	case p.metrics != nil:
		r := *p.metrics
		r.Query, p.metrics = q, &r
	case p.tags != nil:
		r := *p.tags
		r.Query, p.tags = q, &r
	case p.values != nil:
		r := *p.values
		r.Query, p.values = q, &r
	}
}

func smallerSpans(s *otlp.Span) (out []*otlp.Span) {
	with := func(yes bool, change func(*otlp.Span)) {
		if yes {
			c := *s
			change(&c)
			out = append(out, &c)
		}
	}
	for i := range s.Attrs {
		with(true, func(c *otlp.Span) { c.Attrs = slices.Delete(slices.Clone(s.Attrs), i, i+1) })
	}
	for i := range s.Events {
		with(true, func(c *otlp.Span) { c.Events = slices.Delete(slices.Clone(s.Events), i, i+1) })
		with(len(s.Events[i].Attrs) > 0, func(c *otlp.Span) {
			c.Events = slices.Clone(s.Events)
			c.Events[i].Attrs = nil
		})
	}
	for i := range s.Links {
		with(true, func(c *otlp.Span) { c.Links = slices.Delete(slices.Clone(s.Links), i, i+1) })
		with(len(s.Links[i].Attrs) > 0, func(c *otlp.Span) {
			c.Links = slices.Clone(s.Links)
			c.Links[i].Attrs = nil
		})
	}
	if s.Resource != nil {
		for i := range s.Resource.Attrs {
			with(true, func(c *otlp.Span) {
				c.Resource = &otlp.Resource{Attrs: slices.Delete(slices.Clone(s.Resource.Attrs), i, i+1)}
			})
		}
	}
	with(s.Scope != nil, func(c *otlp.Span) { c.Scope = nil })
	with(s.Status != 0 || s.Message != "", func(c *otlp.Span) { c.Status, c.Message = 0, "" })
	with(s.Kind != 0, func(c *otlp.Span) { c.Kind = 0 })
	with(s.Name != "", func(c *otlp.Span) { c.Name = "" })
	with(!s.Parent.IsZero(), func(c *otlp.Span) { c.Parent = otlp.SpanID(0) })
	with(s.End != s.Start, func(c *otlp.Span) { c.End = c.Start })
	return out
}

// smallerQueries lists queries with one part less.
func smallerQueries(n traceql.Node) (out []traceql.Node) {
	add := func(parts []traceql.Node, put func(traceql.Node) traceql.Node) {
		for _, s := range parts {
			out = append(out, put(s))
		}
	}
	switch n := n.(type) {
	case *traceql.Pipeline:
		for i, s := range n.Stages {
			if len(n.Stages) > 1 {
				out = append(out, &traceql.Pipeline{Stages: slices.Delete(slices.Clone(n.Stages), i, i+1)})
			}
			add(smallerQueries(s), func(s traceql.Node) traceql.Node {
				stages := slices.Clone(n.Stages)
				stages[i] = s
				return &traceql.Pipeline{Stages: stages}
			})
		}
	case *traceql.Filter:
		if n.Expr != nil {
			out = append(out, &traceql.Filter{})
			for _, e := range smallerExprs(n.Expr) {
				out = append(out, &traceql.Filter{Expr: e})
			}
		}
	case *traceql.SpansetOp:
		out = append(out, n.Left, n.Right)
		add(smallerQueries(n.Left), func(s traceql.Node) traceql.Node {
			return &traceql.SpansetOp{Op: n.Op, Left: s,
				Right: n.Right}
		})
		add(smallerQueries(n.Right), func(s traceql.Node) traceql.Node {
			return &traceql.SpansetOp{Op: n.Op,
				Left: n.Left, Right: s}
		})
	case *traceql.GroupBy:
		for _, e := range smallerExprs(n.Expr) {
			out = append(out, &traceql.GroupBy{Expr: e})
		}
	case *traceql.Metrics:
		add(smallerQueries(n.Pipeline), func(s traceql.Node) traceql.Node {
			c := *n
			c.Pipeline, _ = s.(*traceql.Pipeline)
			return &c
		})
		for i := range n.By {
			c := *n
			c.By = slices.Delete(slices.Clone(n.By), i, i+1)
			out = append(out, &c)
		}
	case *traceql.Second:
		out = append(out, n.Of)
		add(smallerQueries(n.Of), func(s traceql.Node) traceql.Node {
			c := *n
			c.Of = s
			return &c
		})
	case *traceql.Arithmetic:
		out = append(out, n.Left, n.Right)
		add(smallerQueries(n.Left), func(s traceql.Node) traceql.Node {
			return &traceql.Arithmetic{Op: n.Op, Left: s,
				Right: n.Right}
		})
		add(smallerQueries(n.Right), func(s traceql.Node) traceql.Node {
			return &traceql.Arithmetic{Op: n.Op,
				Left: n.Left, Right: s}
		})
	}
	return out
}

func smallerExprs(e traceql.Expr) (out []traceql.Expr) {
	switch e := e.(type) {
	case *traceql.Unary:
		out = append(out, e.Of)
		for _, s := range smallerExprs(e.Of) {
			out = append(out, &traceql.Unary{Op: e.Op, Of: s})
		}
	case *traceql.Binary:
		out = append(out, e.Left, e.Right)
		for _, s := range smallerExprs(e.Left) {
			out = append(out, &traceql.Binary{Op: e.Op, Left: s, Right: e.Right})
		}
		for _, s := range smallerExprs(e.Right) {
			out = append(out, &traceql.Binary{Op: e.Op, Left: e.Left, Right: s})
		}
	}
	return out
}
