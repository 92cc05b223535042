package traceql

import (
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// family is the table a part of an expression is evaluated over.
type family uint8

const (
	ofSpans family = iota
	ofEvents
	ofLinks
)

// family says which child table a field is of.
func (e *Field) family() family {
	switch e.Scope {
	case ScopeEvent:
		return ofEvents
	case ScopeLink:
		return ofLinks
	case ScopeIntrinsic:
		switch e.Name {
		case "event:name", "event:timeSinceStart":
			return ofEvents
		case "link:traceID", "link:spanID":
			return ofLinks
		}
	}
	return ofSpans
}

// fields calls f for every field of an expression, left to right.
func fields(e Expr, f func(*Field)) {
	switch e := e.(type) {
	case *Field:
		f(e)
	case *Unary:
		fields(e.Of, f)
	case *Binary:
		fields(e.Left, f)
		fields(e.Right, f)
	}
}

// familyOf returns where a condition is to be evaluated: over events if it mentions some, else over
// links if it mentions some.
func familyOf(e Expr) family {
	most := ofSpans
	fields(e, func(f *Field) {
		if k := f.family(); k == ofEvents || most == ofSpans {
			most = k
		}
	})
	return most
}

// formula says whether e is built of conditions rather than being one: &&, ||, and ! of anything
// but a value.
func formula(e Expr) bool {
	switch e := e.(type) {
	case *Binary:
		return level(e.Op) == 2
	case *Unary:
		if e.Op != "!" {
			return false
		}
		b, ok := e.Of.(*Binary)
		return ok && level(b.Op) <= 3 || formula(e.Of)
	}
	return false
}

// compiler turns expressions into conditions of one frame of a scan.
type compiler struct {
	s  *scan
	in family
}

func (c compiler) frame() *frame {
	switch c.in {
	case ofEvents:
		return c.s.events.f
	case ofLinks:
		return c.s.links.f
	}
	return c.s.spans
}

// cond compiles a boolean expression.
func (c compiler) cond(e Expr) (cond, error) {
	if !refers(e) {
		v, err := constant(e)
		return constCond{truth: v.kind == boolValue && v.num != 0, boolish: v.kind == boolValue}, err
	}
	if b, ok := e.(*Binary); ok && b.Op == "&&" {
		return c.chain(b)
	}
	if formula(e) || c.in != ofSpans {
		return c.plain(e)
	}
	return c.group(familyOf(e), []Expr{e})
}

// group compiles conditions that must hold for one and the same event, or link.
func (c compiler) group(f family, list []Expr) (cond, error) {
	kids := c.s.kids(f)
	if f == ofSpans {
		return c.plain(list[0])
	}
	if kids == nil {
		return constCond{boolish: true}, nil
	}
	in := compiler{c.s, f}
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
func operands(e Expr, list []Expr) []Expr {
	if b, ok := e.(*Binary); ok && b.Op == "&&" {
		return operands(b.Right, operands(b.Left, list))
	}
	return append(list, e)
}

// chain compiles a chain of &&.
func (c compiler) chain(b *Binary) (cond, error) {
	var conds []cond
	var groups [3][]Expr
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
func (c compiler) plain(e Expr) (cond, error) {
	switch e := e.(type) {
	case *Field:
		src, err := c.source(e)
		if err != nil {
			return nil, err
		}
		return newBare(src), nil
	case *Unary:
		if e.Op == "!" {
			of, err := c.cond(e.Of)
			if err != nil {
				return nil, err
			}
			return &notCond{of: of}, nil
		}
	case *Binary:
		switch {
		case e.Op == "||":
			var ops []cond
			for _, o := range []Expr{e.Left, e.Right} {
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
		case level(e.Op) == 3:
			return c.comparison(e)
		}
	}
	// Arithmetic is no boolean.
	return constCond{}, nil
}

// comparison compiles a comparison or a nil test.
func (c compiler) comparison(e *Binary) (cond, error) {
	left, right, op := e.Left, e.Right, e.Op
	if isNil(left) {
		left, right = right, left
	}
	if isNil(right) {
		if f, ok := left.(*Field); ok {
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
	if !refers(left) {
		left, right, op = right, left, mirror(op)
	}
	if !refers(right) {
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
		if f, ok := left.(*Field); ok {
			if p.re == nil {
				p.lit.str = f.idLiteral(op, v.str)
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

// idLiteral returns a literal beside a field as that is written: ids are in lower case, those of
// traces without leading zeros, those of spans with all of their digits.
func (e *Field) idLiteral(op Op, s string) string {
	if e.Scope != ScopeIntrinsic {
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
func (c compiler) expr(e Expr) (expr, error) {
	if !refers(e) {
		v, err := constant(e)
		return constExpr{v}, err
	}
	switch e := e.(type) {
	case *Field:
		src, err := c.source(e)
		return &fieldExpr{src: src}, err
	case *Unary:
		if e.Op == "-" {
			of, err := c.expr(e.Of)
			return &negExpr{of: of}, err
		}
	case *Binary:
		if level(e.Op) > 3 {
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
func (c compiler) source(f *Field) (source, error) {
	own := f.family()
	src, err := c.s.source(f)
	switch {
	case err != nil || own == c.in:
		return src, err
	case own != ofSpans:
		src = c.s.firstOf(f, src)
	}
	if c.in == ofSpans {
		return src, nil
	}
	return &parentOf{src: src, kids: c.s.kids(c.in)}, nil
}

// firstOf makes a field of events or links a value of the span.
func (s *scan) firstOf(f *Field, src source) source {
	var none value
	switch f.String() {
	case "event:name", "link:traceID", "link:spanID":
		none.kind = stringValue
	}
	kids := s.kids(f.family())
	if kids == nil {
		return &childless{fixedSource{none}}
	}
	return &firstChild{kids: kids, src: src, none: none}
}

// source returns where a field's values are found in the frame of its family.
func (s *scan) source(f *Field) (source, error) {
	kids := s.kids(f.family())
	if f.family() != ofSpans && kids == nil {
		return &fixedSource{}, nil
	}
	switch f.Scope {
	case ScopeIntrinsic:
		if src := s.intrinsicSource(f.Name); src != nil {
			return src, nil
		}
		return nil, unsupported("the intrinsic " + f.Name)
	case ScopeNone:
		return &unscoped{span: s.spans.attribute(column.Span, f.Name), resource: s.resource(f.Name)}, nil
	case ScopeSpan:
		return s.spans.attribute(column.Span, f.Name), nil
	case ScopeResource:
		return s.resource(f.Name), nil
	case ScopeInstrumentation:
		return s.spans.attribute(column.Instrumentation, f.Name), nil
	case ScopeEvent:
		return kids.f.attribute(column.Event, f.Name), nil
	case ScopeLink:
		return kids.f.attribute(column.Link, f.Name), nil
	}
	return nil, unsupported("attributes of the parent span")
}

// resource returns an attribute of resources. service.name is never absent: without one it is
// empty.
func (s *scan) resource(name string) *attrSource {
	src := s.spans.attribute(column.Resource, name)
	src.bare = name == "service.name"
	return src
}

// constant computes an expression without fields.
func constant(e Expr) (value, error) {
	switch e := e.(type) {
	case *Literal:
		return literalValue(e), nil
	case *Unary:
		v, err := constant(e.Of)
		if e.Op == "-" {
			return negate(v), err
		}
		if v.kind != boolValue {
			return value{}, err
		}
		return boolOf(v.num == 0), err
	case *Binary:
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
		case level(e.Op) > 3:
			return arithmetic(e.Op, l, r), nil
		case isNil(e.Left) && isNil(e.Right):
			return boolOf(false), nil
		case isNil(e.Left) || isNil(e.Right):
			if isNil(e.Left) {
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
