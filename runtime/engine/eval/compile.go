package eval

import (
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// family is the table that a part of an expression is evaluated over.
type family uint8

const (
	ofSpans family = iota
	ofEvents
	ofLinks
)

// familyOfField returns the table that a field belongs to.
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

// familyOf returns the table that a condition is evaluated over: events if it mentions a field of
// events, else links if it mentions one of links, else spans.
func familyOf(e traceql.Expr) family {
	most := ofSpans
	traceql.EachField(e, func(f *traceql.Field) {
		if k := familyOfField(f); k == ofEvents || most == ofSpans {
			most = k
		}
	})
	return most
}

// isFormula reports whether e is built of conditions rather than being one: &&, ||, and ! of
// anything but a value.
func isFormula(e traceql.Expr) bool {
	switch e := e.(type) {
	case *traceql.Binary:
		return e.Op.IsLogical()
	case *traceql.Unary:
		if e.Op != "!" {
			return false
		}
		b, ok := e.Of.(*traceql.Binary)
		return ok && !b.Op.IsArithmetic() || isFormula(e.Of)
	}
	return false
}

// compiler turns expressions into conditions and values of one frame of a view.
type compiler struct {
	view *tableView
	in   family // the frame
}

func (c compiler) currentFrame() *frame {
	switch c.in {
	case ofEvents:
		return c.view.events.frame
	case ofLinks:
		return c.view.links.frame
	}
	return c.view.spans
}

// compileCond compiles a boolean expression.
func (c compiler) compileCond(e traceql.Expr) (cond, error) {
	if !traceql.DependsOnSpan(e) {
		v, err := computeConstant(e)
		return constCond{truth: v.kind == boolValue && v.num != 0, boolean: v.kind == boolValue}, err
	}
	if b, ok := e.(*traceql.Binary); ok && b.Op == "&&" {
		return c.compileChain(b)
	}
	if isFormula(e) || c.in != ofSpans {
		return c.compileHere(e)
	}
	return c.compileGroup(familyOf(e), []traceql.Expr{e})
}

// compileGroup compiles conditions that must all hold for one and the same event, or link.
func (c compiler) compileGroup(f family, list []traceql.Expr) (cond, error) {
	kids := c.view.childTable(f)
	if f == ofSpans {
		return c.compileHere(list[0])
	}
	if kids == nil {
		return constCond{boolean: true}, nil
	}
	in := compiler{c.view, f}
	var conds []cond
	for _, e := range list {
		o, err := in.compileHere(e)
		if err != nil {
			return nil, err
		}
		conds = append(conds, o)
	}
	return &childCond{kids: kids, cond: newAnd(conds)}, nil
}

// listOperands appends the operands of a chain of &&. An expression that is no chain is its only
// operand.
func listOperands(e traceql.Expr, list []traceql.Expr) []traceql.Expr {
	if b, ok := e.(*traceql.Binary); ok && b.Op == "&&" {
		return listOperands(b.Right, listOperands(b.Left, list))
	}
	return append(list, e)
}

// compileChain compiles a chain of &&. Its conditions on events are one group, which one event must
// satisfy; so are those on links.
func (c compiler) compileChain(b *traceql.Binary) (cond, error) {
	var conds []cond
	var groups [3][]traceql.Expr
	for _, e := range listOperands(b, nil) {
		if f := familyOf(e); f != ofSpans && c.in == ofSpans && !isFormula(e) {
			groups[f] = append(groups[f], e)
			continue
		}
		o, err := c.compileCond(e)
		if err != nil {
			return nil, err
		}
		conds = append(conds, o)
	}
	for f, g := range groups {
		if len(g) > 0 {
			o, err := c.compileGroup(family(f), g)
			if err != nil {
				return nil, err
			}
			conds = append(conds, o)
		}
	}
	return newAnd(conds), nil
}

// compileHere compiles a condition in the compiler's frame.
func (c compiler) compileHere(e traceql.Expr) (cond, error) {
	switch e := e.(type) {
	case *traceql.Field:
		src, err := c.compileSource(e)
		if err != nil {
			return nil, err
		}
		return newFieldCond(src), nil
	case *traceql.Unary:
		if e.Op == "!" {
			of, err := c.compileCond(e.Of)
			if err != nil {
				return nil, err
			}
			return &notCond{of: of}, nil
		}
	case *traceql.Binary:
		switch {
		case e.Op == "||":
			return c.compileOr(e)
		case e.Op == "&&":
			return c.compileChain(e)
		case e.Op.IsComparison():
			return c.compileComparison(e)
		}
	}
	// Arithmetic is no boolean.
	return constCond{}, nil
}

// compileOr compiles ||. Operands that are || and always booleans become part of it.
func (c compiler) compileOr(e *traceql.Binary) (cond, error) {
	var operands []cond
	for _, o := range []traceql.Expr{e.Left, e.Right} {
		x, err := c.compileCond(o)
		if err != nil {
			return nil, err
		}
		if or, ok := x.(*orCond); ok && or.allBooleans() {
			operands = append(operands, or.operands...)
		} else {
			operands = append(operands, x)
		}
	}
	return &orCond{operands: operands}, nil
}

// compileComparison compiles a comparison or a nil test.
func (c compiler) compileComparison(e *traceql.Binary) (cond, error) {
	left, right, op := e.Left, e.Right, e.Op
	if traceql.IsNil(left) {
		left, right = right, left
	}
	if traceql.IsNil(right) {
		return c.compileNilTest(left, op)
	}
	if !traceql.DependsOnSpan(left) {
		left, right, op = right, left, mirrorOp(op)
	}
	if !traceql.DependsOnSpan(right) {
		return c.compileWithConstant(left, op, right)
	}
	l, err := c.compileExpr(left)
	if err != nil {
		return nil, err
	}
	r, err := c.compileExpr(right)
	return &exprCond{op: op, left: l, right: r}, err
}

// compileNilTest compiles e = nil or e != nil.
func (c compiler) compileNilTest(e traceql.Expr, op traceql.Op) (cond, error) {
	if f, ok := e.(*traceql.Field); ok {
		src, err := c.compileSource(f)
		return &existsCond{src: src, not: op == "="}, err
	}
	x, err := c.compileExpr(e)
	var has cond = &exprCond{left: x}
	if op == "=" {
		has = &notCond{of: has}
	}
	return has, err
}

// compileWithConstant compiles the comparison of an expression with a constant on its right. Fields
// are compared where they lie, other expressions row by row.
func (c compiler) compileWithConstant(left traceql.Expr, op traceql.Op, right traceql.Expr) (cond, error) {
	v, err := computeConstant(right)
	if err != nil {
		return nil, err
	}
	p := &pred{op: op, literal: v}
	if op == "=~" || op == "!~" {
		if p.matcher, err = newMatcher(v.str); err != nil {
			return nil, err
		}
	}
	if v.kind == nothing || v.kind == opaqueValue {
		return constCond{boolean: true}, nil
	}
	if f, ok := left.(*traceql.Field); ok {
		if p.matcher == nil {
			p.literal.str = normalizeID(f, op, v.str)
		}
		src, err := c.compileSource(f)
		if err != nil {
			return nil, err
		}
		return src.newCond(p), nil
	}
	x, err := c.compileExpr(left)
	return &exprCond{op: op, left: x, right: constExpr{v}, matcher: p.matcher}, err
}

// normalizeID returns a literal beside a field as values of the field are written. Ids are in lower
// case, those of traces without leading zeros, those of spans with all of their digits.
func normalizeID(e *traceql.Field, op traceql.Op, s string) string {
	if e.Scope != traceql.ScopeIntrinsic {
		return s
	}
	switch e.Name {
	case "trace:id", "link:traceID":
		return strings.TrimLeft(strings.ToLower(s), "0")
	case "span:id", "span:parentID", "link:spanID":
		s = strings.ToLower(s)
		missing := 2*len(trace.SpanID{}) - len(s)
		isHex := s != "" && strings.Trim(s, "0123456789abcdef") == ""
		if missing > 0 && isHex && (op == "=" || op == "!=") {
			return strings.Repeat("0", missing) + s
		}
	}
	return s
}

// compileExpr compiles an expression as a value.
func (c compiler) compileExpr(e traceql.Expr) (expr, error) {
	if !traceql.DependsOnSpan(e) {
		v, err := computeConstant(e)
		return constExpr{v}, err
	}
	switch e := e.(type) {
	case *traceql.Field:
		src, err := c.compileSource(e)
		return &fieldExpr{src: src}, err
	case *traceql.Unary:
		if e.Op == "-" {
			of, err := c.compileExpr(e.Of)
			return &negExpr{of: of}, err
		}
	case *traceql.Binary:
		if e.Op.IsArithmetic() {
			l, err := c.compileExpr(e.Left)
			if err != nil {
				return nil, err
			}
			r, err := c.compileExpr(e.Right)
			return &mathExpr{op: e.Op, left: l, right: r}, err
		}
	}
	b, err := c.compileCond(e)
	f := c.currentFrame()
	return &boolExpr{c: b, rows: func() int { return f.rows }}, err
}

// compileSource returns the source of a field for rows of the compiler's frame, which need not be
// the field's own: an event has the attributes of its span, and a span those of its first event.
func (c compiler) compileSource(f *traceql.Field) (source, error) {
	own := familyOfField(f)
	src, err := c.view.findSource(f)
	switch {
	case err != nil || own == c.in:
		return src, err
	case own != ofSpans:
		src = c.view.firstChildOf(f, src)
	}
	if c.in == ofSpans {
		return src, nil
	}
	return &parentOf{src: src, kids: c.view.childTable(c.in)}, nil
}

// firstChildOf makes a source of events or links one of the span they belong to.
func (v *tableView) firstChildOf(f *traceql.Field, src source) source {
	var none value
	switch f.String() {
	case "event:name", "link:traceID", "link:spanID":
		none.kind = stringValue
	}
	kids := v.childTable(familyOfField(f))
	if kids == nil {
		return &childless{fixedSource{none}}
	}
	return &firstChild{kids: kids, src: src, missing: none}
}

// findSource returns the source of a field in the frame of its family.
func (v *tableView) findSource(f *traceql.Field) (source, error) {
	kids := v.childTable(familyOfField(f))
	if familyOfField(f) != ofSpans && kids == nil {
		return &fixedSource{}, nil
	}
	switch f.Scope {
	case traceql.ScopeIntrinsic:
		if src := v.intrinsicSource(f.Name); src != nil {
			return src, nil
		}
		return nil, newUnsupported("the intrinsic " + f.Name)
	case traceql.ScopeNone:
		return &unscoped{span: v.spans.attributeSource(column.Span, f.Name), resource: v.resourceAttribute(f.Name)}, nil
	case traceql.ScopeSpan:
		return v.spans.attributeSource(column.Span, f.Name), nil
	case traceql.ScopeResource:
		return v.resourceAttribute(f.Name), nil
	case traceql.ScopeInstrumentation:
		return v.spans.attributeSource(column.Instrumentation, f.Name), nil
	case traceql.ScopeEvent:
		return kids.frame.attributeSource(column.Event, f.Name), nil
	case traceql.ScopeLink:
		return kids.frame.attributeSource(column.Link, f.Name), nil
	case traceql.ScopeParentResource:
		if f.Name == "service.name" {
			return v.parentService(), nil
		}
	}
	return nil, newUnsupported("attributes of the parent span")
}

// resourceAttribute returns an attribute of resources. service.name is never absent: a resource
// without one has an empty one.
func (v *tableView) resourceAttribute(name string) *attrSource {
	src := v.spans.attributeSource(column.Resource, name)
	src.emptyIfMissing = name == "service.name"
	return src
}
