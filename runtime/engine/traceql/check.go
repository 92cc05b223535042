package traceql

import (
	"regexp"
	"regexp/syntax"
	"slices"
)

// maxBy bounds the labels of one metrics query. The reference allows five.
const maxBy = 5

// checker applies the rules that the grammar cannot express. Source: language specification §4.
type checker struct {
	q   string
	err *SyntaxError
}

func checkQuery(text string, q *Query) error {
	c := &checker{q: text}
	c.checkNode(q.Root)
	if c.err != nil {
		return c.err
	}
	return nil
}

func (c *checker) failAt(pos int, format string, args ...any) {
	if c.err == nil {
		c.err = errorAt(c.q, pos, true, format, args...)
	}
}

func (c *checker) checkNode(n Node) {
	switch n := n.(type) {
	case *Pipeline:
		for _, s := range n.Stages {
			c.checkNode(s)
		}
	case *Filter:
		if n.Expr == nil {
			return
		}
		if t := c.checkExpr(n.Expr); t != TypeBool && t != TypeDynamic {
			c.failAt(n.Expr.bytePos(), "a filter must be true or false, but %s is %s", FormatNode(n.Expr), t)
		}
	case *SpansetOp:
		c.checkNode(n.Left)
		c.checkNode(n.Right)
		for _, o := range []Node{n.Left, n.Right} {
			if n.Op.IsStructural() && yieldsSeveral(o) {
				c.failAt(n.Pos, "operator %s needs one spanset on each side, but %s may yield several: add | coalesce()", n.Op, FormatNode(o))
			}
		}
	case *GroupBy:
		c.checkExpr(n.Expr)
		if !DependsOnSpan(n.Expr) {
			c.failAt(n.Expr.bytePos(), "by(%s) groups by a constant: name a field", FormatNode(n.Expr))
		}
	case *Select:
		for _, f := range n.Fields {
			c.checkExpr(f)
		}
	case *ScalarFilter:
		c.checkScalarFilter(n)
	case *Aggregate:
		c.checkAggregate(n)
	case *Arithmetic:
		c.checkNode(n.Left)
		c.checkNode(n.Right)
		if hasCompare(n.Left) || hasCompare(n.Right) {
			c.failAt(n.Pos, "compare() takes no part in arithmetic")
		}
	case *Metrics:
		c.checkNode(n.Pipeline)
		c.checkMetrics(n)
	case *Second:
		c.checkNode(n.Of)
		if hasCompare(n.Of) {
			c.failAt(n.Pos, "no stage may follow compare()")
		}
		if n.Func != "" && n.Limit <= 0 {
			c.failAt(n.Pos, "%s needs a number above 0", n.Func)
		}
	}
}

// yieldsSeveral says whether a spanset expression may yield several spansets.
func yieldsSeveral(n Node) bool {
	several := false
	switch n := n.(type) {
	case *GroupBy:
		return true
	case *Pipeline:
		for _, st := range n.Stages {
			if _, ok := st.(*Coalesce); ok {
				several = false
			} else {
				several = several || yieldsSeveral(st)
			}
		}
	}
	return several
}

// hasCompare reports whether a part of a metrics query is a compare().
func hasCompare(n Node) bool {
	found := false
	EachMetrics(n, func(m *Metrics) { found = found || m.Compare != nil })
	return found
}

func (c *checker) checkScalarFilter(n *ScalarFilter) {
	agg, ok := n.Left.(*Aggregate)
	constant := IsConstant(n.Right)
	switch {
	case ok && constant:
		c.checkAggregate(agg)
	case IsConstant(n.Left):
		c.failAt(n.Pos, "write the aggregate on the left of %s", n.Op)
	default:
		c.failAt(n.Pos, "an aggregate can be compared with a constant only, without arithmetic on the aggregate")
	}
}

func IsConstant(n Node) bool {
	switch n := n.(type) {
	case *Literal:
		return true
	case *Negate:
		return IsConstant(n.Of)
	case *Arithmetic:
		return IsConstant(n.Left) && IsConstant(n.Right)
	}
	return false
}

func (c *checker) checkAggregate(n *Aggregate) {
	if n.Expr == nil {
		return
	}
	t := c.checkExpr(n.Expr)
	if !isNumeric(t) && t != TypeDynamic {
		c.failAt(n.Expr.bytePos(), "%s needs numbers, but %s is %s", n.Func, FormatNode(n.Expr), t)
	}
	if !DependsOnSpan(n.Expr) {
		c.failAt(n.Expr.bytePos(), "%s of a constant: name a field", n.Func)
	}
}

func (c *checker) checkMetrics(n *Metrics) {
	limit := maxBy
	switch n.Func {
	case "avg_over_time", "quantile_over_time", "histogram_over_time":
		limit--
	}
	if len(n.By) > limit {
		c.failAt(n.By[limit].Pos, "%s can be grouped by %d fields at most", n.Func, limit)
	}
	for _, f := range n.By {
		c.checkExpr(f)
	}
	if n.Field != nil {
		c.checkExpr(n.Field)
	}
	for _, q := range n.Quantiles {
		if v := q.Number(); !(v >= 0 && v <= 1) {
			c.failAt(q.Pos, "a quantile lies between 0 and 1")
		}
	}
	if p := n.Compare; p != nil {
		c.checkNode(p.Selection)
		switch {
		case p.Top < 1 || p.Top > 1000:
			c.failAt(n.Pos, "compare() lists between 1 and 1000 values")
		case p.Args == 3 && (p.Start <= 0 || p.End <= p.Start):
			c.failAt(n.Pos, "the times of compare() must be above 0, the first before the second")
		}
	}
}

// Number returns a numeric literal as a float: durations in ns.
func (e *Literal) Number() float64 {
	if e.Type == TypeFloat {
		return e.Float
	}
	return float64(e.Int)
}

// DependsOnSpan reports whether an expression depends on the span it is evaluated on.
func DependsOnSpan(e Expr) bool {
	return Contains(e, func(n Node) bool {
		_, ok := n.(*Field)
		return ok
	})
}

func isNumeric(t Type) bool { return t == TypeInt || t == TypeFloat || t == TypeDuration }

func (t Type) String() string {
	switch t {
	case TypeNil:
		return "nil"
	case TypeInt:
		return "an integer"
	case TypeFloat:
		return "a float"
	case TypeDuration:
		return "a duration"
	case TypeString:
		return "a string"
	case TypeBool:
		return "a boolean"
	case TypeStatus:
		return "a status"
	case TypeKind:
		return "a kind"
	}
	return "an attribute"
}

// checkExpr checks an expression and returns its static type.
func (c *checker) checkExpr(e Expr) Type {
	switch e := e.(type) {
	case *Literal:
		return e.Type
	case *Field:
		switch e.Scope {
		case ScopeIntrinsic:
			if e.Name == "parent" {
				c.failAt(e.Pos, "parent is not supported")
			}
			return IntrinsicType(e.Name)
		case ScopeParent, ScopeParentSpan, ScopeParentResource:
			c.failAt(e.Pos, "attributes of the parent span are not supported")
		}
		return TypeDynamic
	case *Unary:
		t := c.checkExpr(e.Of)
		switch {
		case t == TypeDynamic:
		case e.Op == "-" && !isNumeric(t):
			c.failAt(e.Pos, "- needs a number, but %s is %s", FormatNode(e.Of), t)
		case e.Op == "!" && t != TypeBool:
			c.failAt(e.Pos, "! needs a boolean, but %s is %s", FormatNode(e.Of), t)
		}
		if e.Op == "!" {
			return TypeBool
		}
		return t
	case *Binary:
		return c.checkBinary(e)
	}
	return TypeDynamic
}

func (c *checker) checkBinary(e *Binary) Type {
	l, r := c.checkExpr(e.Left), c.checkExpr(e.Right)
	if l != r && l != TypeDynamic && r != TypeDynamic && l != TypeNil && r != TypeNil && !(isNumeric(l) && isNumeric(r)) {
		c.failAt(e.Pos, "%s is %s and %s is %s: they cannot be combined by %s", FormatNode(e.Left), l, FormatNode(e.Right), r, e.Op)
		return TypeBool
	}
	var allowed []Type
	switch {
	case e.Op.IsLogical():
		allowed = []Type{TypeBool}
	case e.Op.IsArithmetic():
		allowed = []Type{TypeInt, TypeFloat, TypeDuration}
	case e.Op == "=~" || e.Op == "!~":
		c.checkRegex(e, l, r)
		return TypeBool
	case e.Op == "=" || e.Op == "!=":
		allowed = []Type{TypeInt, TypeFloat, TypeDuration, TypeString, TypeBool, TypeStatus, TypeKind, TypeNil}
		if e.Op == "=" {
			c.checkNilTest(e.Left, r)
			c.checkNilTest(e.Right, l)
		}
	default:
		allowed = []Type{TypeInt, TypeFloat, TypeDuration, TypeString}
	}
	for _, o := range []struct {
		e Expr
		t Type
	}{{e.Left, l}, {e.Right, r}} {
		if o.t != TypeDynamic && !slices.Contains(allowed, o.t) {
			c.failAt(e.Pos, "operator %s is not defined for %s, which is %s", e.Op, FormatNode(o.e), o.t)
		}
	}
	if !e.Op.IsArithmetic() {
		return TypeBool
	}
	if l == TypeDynamic {
		return r
	}
	return l
}

// checkNilTest refuses tests that are never true.
func (c *checker) checkNilTest(e Expr, other Type) {
	f, ok := e.(*Field)
	if !ok || other != TypeNil {
		return
	}
	if f.Scope == ScopeIntrinsic {
		c.failAt(f.Pos, "intrinsic %s is never nil", f)
	} else if f.Scope == ScopeResource && f.Name == "service.name" {
		c.failAt(f.Pos, "%s is never nil", f)
	}
}

func (c *checker) checkRegex(e *Binary, l, r Type) {
	lit, ok := e.Right.(*Literal)
	switch {
	case !ok || lit.Type != TypeString:
		c.failAt(e.Right.bytePos(), "the right side of %s must be a string in quotes", e.Op)
	case l != TypeString && l != TypeDynamic:
		c.failAt(e.Pos, "operator %s is not defined for %s, which is %s", e.Op, FormatNode(e.Left), l)
	default:
		re, err := syntax.Parse(lit.Str, syntax.Perl)
		if err != nil {
			c.failAt(lit.Pos, "regular expression: %s", err)
		} else if n := countRegexSteps(re); n > maxRegexSteps {
			c.failAt(lit.Pos, "regular expression is too large: with its repetitions written out it has more than %d parts", maxRegexSteps)
		}
	}
}

// maxRegexSteps bounds the parts of a regular expression: matching a value takes time in proportion
// to both.
const maxRegexSteps = 2000

// countRegexSteps counts the parts of an expression with repetitions written out; above the limit it stops.
func countRegexSteps(re *syntax.Regexp) int {
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n += len(re.Rune) / 16
	}
	for _, s := range re.Sub {
		if n += countRegexSteps(s); n > maxRegexSteps {
			return n
		}
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Min, re.Max, 1)
	}
	return n
}

// CompileRegex returns the expression anchored at both ends; its . matches line breaks too.
func CompileRegex(re string) (*regexp.Regexp, error) { return regexp.Compile(`\A(?s:` + re + `)\z`) }
