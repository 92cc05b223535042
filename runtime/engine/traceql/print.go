package traceql

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// printer writes a query in its canonical form, which parses to the same query.
type printer struct{ strings.Builder }

// String returns the query in its canonical form.
func (q *Query) String() string {
	var p printer
	q.Root.printTo(&p)
	if len(q.Hints) > 0 {
		p.WriteString(" with (")
		for i, h := range q.Hints {
			if i > 0 {
				p.WriteString(", ")
			}
			p.WriteString(h.Name + " = ")
			h.Value.printTo(&p)
		}
		p.WriteString(")")
	}
	return p.String()
}

// FormatNode returns a part of a query in its canonical form.
func FormatNode(n Node) string {
	var p printer
	n.printTo(&p)
	return p.String()
}

func (n *Pipeline) printTo(p *printer) {
	for i, s := range n.Stages {
		if i > 0 {
			p.WriteString(" | ")
		}
		s.printTo(p)
	}
}

func (n *Filter) printTo(p *printer) {
	if n.Expr == nil {
		p.WriteString("{ }")
		return
	}
	p.WriteString("{ ")
	n.Expr.printTo(p)
	p.WriteString(" }")
}

// hasPipeline reports whether sub-pipelines take part. Then every operand needs parentheses.
func (n *SpansetOp) hasPipeline() bool {
	for _, o := range []Node{n.Left, n.Right} {
		switch o := o.(type) {
		case *Pipeline:
			return true
		case *SpansetOp:
			if o.hasPipeline() {
				return true
			}
		}
	}
	return false
}

func (n *SpansetOp) printTo(p *printer) { n.printOp(p, n.hasPipeline()) }

// printOp prints the operation; combined puts every operand in parentheses.
func (n *SpansetOp) printOp(p *printer, combined bool) {
	operand := func(o Node) {
		if op, ok := o.(*SpansetOp); ok {
			p.WriteString("(")
			op.printOp(p, combined)
			p.WriteString(")")
			return
		}
		if combined {
			p.WriteString("(")
			o.printTo(p)
			p.WriteString(")")
			return
		}
		o.printTo(p)
	}
	operand(n.Left)
	p.WriteString(" " + string(n.Op) + " ")
	operand(n.Right)
}

func (n *GroupBy) printTo(p *printer) {
	p.WriteString("by(")
	n.Expr.printTo(p)
	p.WriteString(")")
}

func (n *Select) printTo(p *printer) {
	p.WriteString("select(")
	printFields(p, n.Fields)
	p.WriteString(")")
}

func printFields(p *printer, fields []*Field) {
	for i, f := range fields {
		if i > 0 {
			p.WriteString(", ")
		}
		f.printTo(p)
	}
}

func (*Coalesce) printTo(p *printer) { p.WriteString("coalesce()") }

// printScalar prints an operand, in parentheses if it is an operation.
func printScalar(p *printer, n Node) {
	switch n.(type) {
	case *Arithmetic, *Pipeline, *Metrics, *Second:
		p.WriteString("(")
		n.printTo(p)
		p.WriteString(")")
	default:
		n.printTo(p)
	}
}

func (n *ScalarFilter) printTo(p *printer) {
	printScalar(p, n.Left)
	p.WriteString(" " + string(n.Op) + " ")
	printScalar(p, n.Right)
}

func (n *Aggregate) printTo(p *printer) {
	p.WriteString(n.Func + "(")
	if n.Expr != nil {
		n.Expr.printTo(p)
	}
	p.WriteString(")")
}

func (n *Arithmetic) printTo(p *printer) {
	printScalar(p, n.Left)
	p.WriteString(" " + string(n.Op) + " ")
	printScalar(p, n.Right)
}

func (n *Negate) printTo(p *printer) {
	p.WriteString("-")
	printScalar(p, n.Of)
}

func (n *Metrics) printTo(p *printer) {
	n.Pipeline.printTo(p)
	p.WriteString(" | " + n.Func + "(")
	if n.Field != nil {
		n.Field.printTo(p)
	}
	for _, q := range n.Quantiles {
		p.WriteString(", ")
		q.printTo(p)
	}
	if c := n.Compare; c != nil {
		c.Selection.printTo(p)
		if c.Args > 0 {
			p.WriteString(", " + strconv.FormatInt(c.Top, 10))
		}
		if c.Args > 1 {
			p.WriteString(", " + strconv.FormatInt(c.Start, 10) + ", " + strconv.FormatInt(c.End, 10))
		}
	}
	p.WriteString(")")
	if len(n.By) > 0 {
		p.WriteString(" by (")
		printFields(p, n.By)
		p.WriteString(")")
	}
}

func (n *Second) printTo(p *printer) {
	n.Of.printTo(p)
	if n.Func != "" {
		p.WriteString(" | " + n.Func + "(" + strconv.FormatInt(n.Limit, 10) + ")")
		return
	}
	p.WriteString(" " + string(n.Op) + " ")
	printScalar(p, n.Value)
}

// printExpr prints an operand inside braces, in parentheses if it is an operation.
func printExpr(p *printer, e Expr) {
	switch e.(type) {
	case *Binary, *Unary:
		p.WriteString("(")
		e.printTo(p)
		p.WriteString(")")
	default:
		e.printTo(p)
	}
}

func (e *Binary) printTo(p *printer) {
	printExpr(p, e.Left)
	p.WriteString(" " + string(e.Op) + " ")
	printExpr(p, e.Right)
}

func (e *Unary) printTo(p *printer) {
	p.WriteString(string(e.Op))
	printExpr(p, e.Of)
}

func (e *Field) printTo(p *printer) { p.WriteString(e.String()) }

// String returns the field as it is written in queries. Labels of series are named by it.
func (e *Field) String() string {
	name := e.Name
	switch e.Scope {
	case ScopeIntrinsic:
		return name
	case ScopeNone:
		if name != "" && isDigit(name[0]) {
			return "." + quoteName(name) // .5 is a number
		}
	case ScopeParent:
		if strings.HasPrefix(name, "span.") || strings.HasPrefix(name, "resource.") {
			return "parent." + quoteName(name)
		}
	}
	if name == "" || strings.ContainsRune(name, '"') || strings.ContainsFunc(name, endsName) {
		name = quoteName(name)
	}
	return e.Scope.prefix() + name
}

// prefix returns what stands before the names of attributes of a scope.
func (s FieldScope) prefix() string {
	switch s {
	case ScopeSpan:
		return "span."
	case ScopeResource:
		return "resource."
	case ScopeEvent:
		return "event."
	case ScopeLink:
		return "link."
	case ScopeInstrumentation:
		return "instrumentation."
	case ScopeParent:
		return "parent."
	case ScopeParentSpan:
		return "parent.span."
	case ScopeParentResource:
		return "parent.resource."
	}
	return "."
}

func quoteName(name string) string {
	return `"` + strings.ReplaceAll(strings.ReplaceAll(name, `\`, `\\`), `"`, `\"`) + `"`
}

func (e *Literal) printTo(p *printer) {
	switch e.Type {
	case TypeNil:
		p.WriteString("nil")
	case TypeInt:
		if e.Int == math.MinInt64 {
			p.WriteString("minInt")
			return
		}
		p.WriteString(strconv.FormatInt(e.Int, 10))
	case TypeFloat:
		p.WriteString(floatText(e.Float))
	case TypeDuration:
		p.WriteString(time.Duration(e.Int).String())
	case TypeString:
		if fitsBackQuotes(e.Str) {
			p.WriteString("`" + e.Str + "`")
			return
		}
		p.WriteString(strconv.Quote(e.Str))
	case TypeBool:
		p.WriteString(strconv.FormatBool(e.Int != 0))
	default:
		p.WriteString(e.Str)
	}
}

// fitsBackQuotes reports whether a string may stand in back quotes.
func fitsBackQuotes(s string) bool {
	return !strings.ContainsAny(s, "`\r") && utf8.ValidString(s)
}

// floatText returns a float as text. It always has a point or an exponent, so that it parses as a
// float.
func floatText(f float64) string {
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".eEnI") {
		s += ".0"
	}
	return s
}
