package eval

import (
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// family is the table a part of an expression is evaluated over.
type family uint8

const (
	ofSpans family = iota
	ofEvents
	ofLinks
)

// family says which child table a field is of.
func familyOfField(e *traceql.Field) family {
	switch e.Scope {
	case traceql.ScopeEvent:
		return ofEvents
	case traceql.ScopeLink:
		return ofLinks
	case traceql.ScopeIntrinsic:
		switch e.Name {
		case "event:name", "event:timeSinceStart":
			return ofEvents
		case "link:traceID", "link:spanID":
			return ofLinks
		}
	}
	return ofSpans
}

// familyOf returns where a condition is to be evaluated: over events if it mentions some, else over
// links if it mentions some.
func familyOf(e traceql.Expr) family {
	most := ofSpans
	traceql.EachField(e, func(f *traceql.Field) {
		if k := familyOfField(f); k == ofEvents || most == ofSpans {
			most = k
		}
	})
	return most
}

// formula says whether e is built of conditions rather than being one: &&, ||, and ! of anything
// but a value.
func formula(e traceql.Expr) bool {
	switch e := e.(type) {
	case *traceql.Binary:
		return e.Op.IsLogical()
	case *traceql.Unary:
		if e.Op != "!" {
			return false
		}
		b, ok := e.Of.(*traceql.Binary)
		return ok && !b.Op.IsArithmetic() || formula(e.Of)
	}
	return false
}

// compiler turns expressions into conditions of one frame of a view.
type compiler struct {
	view *tableView
	in   family
}

func (c compiler) frame() *frame {
	switch c.in {
	case ofEvents:
		return c.view.events.f
	case ofLinks:
		return c.view.links.f
	}
	return c.view.spans
}

// cond compiles a boolean expression.
func (c compiler) cond(e traceql.Expr) (cond, error) {
	if !traceql.DependsOnSpan(e) {
		v, err := constant(e)
		return constCond{truth: v.kind == boolValue && v.num != 0, boolish: v.kind == boolValue}, err
	}
	if b, ok := e.(*traceql.Binary); ok && b.Op == "&&" {
		return c.chain(b)
	}
	if formula(e) || c.in != ofSpans {
		return c.plain(e)
	}
	return c.group(familyOf(e), []traceql.Expr{e})
}

// group compiles conditions that must hold for one and the same event, or link.
func (c compiler) group(f family, list []traceql.Expr) (cond, error) {
	kids := c.view.childTable(f)
	if f == ofSpans {
		return c.plain(list[0])
	}
	if kids == nil {
		return constCond{boolish: true}, nil
	}
	in := compiler{c.view, f}
	var conds []cond
	for _, e := range list {
		o, err := in.plain(e)
		if err != nil {
			return nil, err
		}
		conds = append(conds, o)
	}
	return &childCond{kids: kids, in: newAnd(conds)}, nil
}

// operands appends the operands of a chain of &&; of anything else that itself.
func operands(e traceql.Expr, list []traceql.Expr) []traceql.Expr {
	if b, ok := e.(*traceql.Binary); ok && b.Op == "&&" {
		return operands(b.Right, operands(b.Left, list))
	}
	return append(list, e)
}

// chain compiles a chain of &&.
func (c compiler) chain(b *traceql.Binary) (cond, error) {
	var conds []cond
	var groups [3][]traceql.Expr
	for _, e := range operands(b, nil) {
		if f := familyOf(e); f != ofSpans && c.in == ofSpans && !formula(e) {
			groups[f] = append(groups[f], e)
			continue
		}
		o, err := c.cond(e)
		if err != nil {
			return nil, err
		}
		conds = append(conds, o)
	}
	for f, g := range groups {
		if len(g) > 0 {
			o, err := c.group(family(f), g)
			if err != nil {
				return nil, err
			}
			conds = append(conds, o)
		}
	}
	return newAnd(conds), nil
}

// plain compiles a condition that needs no other frame.
func (c compiler) plain(e traceql.Expr) (cond, error) {
	switch e := e.(type) {
	case *traceql.Field:
		src, err := c.source(e)
		if err != nil {
			return nil, err
		}
		return newBare(src), nil
	case *traceql.Unary:
		if e.Op == "!" {
			of, err := c.cond(e.Of)
			if err != nil {
				return nil, err
			}
			return &notCond{of: of}, nil
		}
	case *traceql.Binary:
		switch {
		case e.Op == "||":
			var ops []cond
			for _, o := range []traceql.Expr{e.Left, e.Right} {
				x, err := c.cond(o)
				if err != nil {
					return nil, err
				}
				if or, ok := x.(*orCond); ok && or.plain() {
					ops = append(ops, or.ops...)
				} else {
					ops = append(ops, x)
				}
			}
			return &orCond{ops: ops}, nil
		case e.Op == "&&":
			return c.chain(e)
		case e.Op.IsComparison():
			return c.comparison(e)
		}
	}
	// Arithmetic is no boolean.
	return constCond{}, nil
}

// comparison compiles a comparison or a nil test.
func (c compiler) comparison(e *traceql.Binary) (cond, error) {
	left, right, op := e.Left, e.Right, e.Op
	if traceql.IsNil(left) {
		left, right = right, left
	}
	if traceql.IsNil(right) {
		if f, ok := left.(*traceql.Field); ok {
			src, err := c.source(f)
			return &existsCond{src: src, not: op == "="}, err
		}
		x, err := c.expr(left)
		var has cond = &exprCond{left: x}
		if op == "=" {
			has = &notCond{of: has}
		}
		return has, err
	}
	if !traceql.DependsOnSpan(left) {
		left, right, op = right, left, mirror(op)
	}
	if !traceql.DependsOnSpan(right) {
		v, err := constant(right)
		if err != nil {
			return nil, err
		}
		p := &pred{op: op, lit: v}
		if op == "=~" || op == "!~" {
			if p.re, err = newMatcher(v.str); err != nil {
				return nil, err
			}
		}
		if v.kind == nothing || v.kind == opaqueValue {
			return constCond{boolish: true}, nil
		}
		if f, ok := left.(*traceql.Field); ok {
			if p.re == nil {
				p.lit.str = normalizeID(f, op, v.str)
			}
			src, err := c.source(f)
			if err != nil {
				return nil, err
			}
			return src.compare(p), nil
		}
		x, err := c.expr(left)
		return &exprCond{op: op, left: x, right: constExpr{v}, re: p.re}, err
	}
	l, err := c.expr(left)
	if err != nil {
		return nil, err
	}
	r, err := c.expr(right)
	return &exprCond{op: op, left: l, right: r}, err
}

// normalizeID returns a literal beside a field as that is written: ids are in lower case, those of
// traces without leading zeros, those of spans with all of their digits.
func normalizeID(e *traceql.Field, op traceql.Op, s string) string {
	if e.Scope != traceql.ScopeIntrinsic {
		return s
	}
	switch e.Name {
	case "trace:id", "link:traceID":
		return strings.TrimLeft(strings.ToLower(s), "0")
	case "span:id", "span:parentID", "link:spanID":
		s = strings.ToLower(s)
		if missing := 2*len(trace.SpanID{}) - len(s); missing > 0 && s != "" && (op == "=" || op == "!=") && strings.Trim(s, "0123456789abcdef") == "" {
			return strings.Repeat("0", missing) + s
		}
	}
	return s
}

// expr compiles an expression as a value.
func (c compiler) expr(e traceql.Expr) (expr, error) {
	if !traceql.DependsOnSpan(e) {
		v, err := constant(e)
		return constExpr{v}, err
	}
	switch e := e.(type) {
	case *traceql.Field:
		src, err := c.source(e)
		return &fieldExpr{src: src}, err
	case *traceql.Unary:
		if e.Op == "-" {
			of, err := c.expr(e.Of)
			return &negExpr{of: of}, err
		}
	case *traceql.Binary:
		if e.Op.IsArithmetic() {
			l, err := c.expr(e.Left)
			if err != nil {
				return nil, err
			}
			r, err := c.expr(e.Right)
			return &mathExpr{op: e.Op, left: l, right: r}, err
		}
	}
	b, err := c.cond(e)
	f := c.frame()
	return &boolExpr{c: b, rows: func() int { return f.rows }}, err
}

// source returns where a field's values are found, seen from the compiler's frame.
func (c compiler) source(f *traceql.Field) (source, error) {
	own := familyOfField(f)
	src, err := c.view.source(f)
	switch {
	case err != nil || own == c.in:
		return src, err
	case own != ofSpans:
		src = c.view.firstOf(f, src)
	}
	if c.in == ofSpans {
		return src, nil
	}
	return &parentOf{src: src, kids: c.view.childTable(c.in)}, nil
}

// firstOf makes a field of events or links a value of the span.
func (v *tableView) firstOf(f *traceql.Field, src source) source {
	var none value
	switch f.String() {
	case "event:name", "link:traceID", "link:spanID":
		none.kind = stringValue
	}
	kids := v.childTable(familyOfField(f))
	if kids == nil {
		return &childless{fixedSource{none}}
	}
	return &firstChild{kids: kids, src: src, none: none}
}

// source returns where a field's values are found in the frame of its family.
func (v *tableView) source(f *traceql.Field) (source, error) {
	kids := v.childTable(familyOfField(f))
	if familyOfField(f) != ofSpans && kids == nil {
		return &fixedSource{}, nil
	}
	switch f.Scope {
	case traceql.ScopeIntrinsic:
		if src := v.intrinsicSource(f.Name); src != nil {
			return src, nil
		}
		return nil, unsupported("the intrinsic " + f.Name)
	case traceql.ScopeNone:
		return &unscoped{span: v.spans.attribute(column.Span, f.Name), resource: v.resource(f.Name)}, nil
	case traceql.ScopeSpan:
		return v.spans.attribute(column.Span, f.Name), nil
	case traceql.ScopeResource:
		return v.resource(f.Name), nil
	case traceql.ScopeInstrumentation:
		return v.spans.attribute(column.Instrumentation, f.Name), nil
	case traceql.ScopeEvent:
		return kids.f.attribute(column.Event, f.Name), nil
	case traceql.ScopeLink:
		return kids.f.attribute(column.Link, f.Name), nil
	}
	return nil, unsupported("attributes of the parent span")
}

// resource returns an attribute of resources. service.name is never absent: without one it is
// empty.
func (v *tableView) resource(name string) *attrSource {
	src := v.spans.attribute(column.Resource, name)
	src.bare = name == "service.name"
	return src
}

// constant computes an expression without fields.
func constant(e traceql.Expr) (value, error) {
	switch e := e.(type) {
	case *traceql.Literal:
		return literalValue(e), nil
	case *traceql.Unary:
		v, err := constant(e.Of)
		if e.Op == "-" {
			return negate(v), err
		}
		if v.kind != boolValue {
			return value{}, err
		}
		return boolOf(v.num == 0), err
	case *traceql.Binary:
		l, err := constant(e.Left)
		if err != nil {
			return value{}, err
		}
		r, err := constant(e.Right)
		if err != nil {
			return value{}, err
		}
		both := l.kind == boolValue && r.kind == boolValue
		switch {
		case e.Op == "&&":
			return boolOf(both && l.num != 0 && r.num != 0), nil
		case e.Op == "||":
			return boolOf(both && (l.num != 0 || r.num != 0)), nil
		case e.Op.IsArithmetic():
			return arithmetic(e.Op, l, r), nil
		case traceql.IsNil(e.Left) && traceql.IsNil(e.Right):
			return boolOf(false), nil
		case traceql.IsNil(e.Left) || traceql.IsNil(e.Right):
			if traceql.IsNil(e.Left) {
				l = r
			}
			return boolOf((l.kind != nothing) == (e.Op == "!=")), nil
		case e.Op == "=~" || e.Op == "!~":
			re, err := newMatcher(r.str)
			if err != nil {
				return value{}, err
			}
			return boolOf(compare(e.Op, l, r, re)), nil
		}
		return boolOf(compare(e.Op, l, r, nil)), nil
	}
	return value{}, nil
}
