package traceql

// maxBy bounds the labels of one metrics query, as the reference engine does.
const maxBy = 5

// checker applies the rules that the grammar cannot express: types of operands, and which parts may
// stand together. It keeps the first error.
//
// Source: docs/spec/traceql.md, "Types and checks".
type checker struct {
	q   string // the text, for positions in errors
	err *SyntaxError
}

// checkQuery returns the first error of a query that was parsed from text.
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

// checkNode checks a part of the query outside of braces, and everything in it.
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
		c.checkSingle(n, n.Left)
		c.checkSingle(n, n.Right)
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

// checkSingle refuses an operand of a structural operator that may yield several spansets.
func (c *checker) checkSingle(n *SpansetOp, operand Node) {
	if n.Op.IsStructural() && yieldsSeveral(operand) {
		c.failAt(n.Pos, "operator %s needs one spanset on each side, but %s may yield several: add | coalesce()",
			n.Op, FormatNode(operand))
	}
}

// yieldsSeveral reports whether a spanset expression may yield several spansets.
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

// checkScalarFilter refuses every comparison of aggregates but that of one with a constant.
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

// IsConstant reports whether a part outside of braces is a constant, or arithmetic on constants.
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

// checkAggregate refuses aggregates of anything but numbers that depend on the span.
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

// checkMetrics checks the arguments and labels of a metrics function.
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
