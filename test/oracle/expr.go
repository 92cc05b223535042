package oracle

import (
	"strconv"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// eval returns the value of an expression.
func (v env) eval(e traceql.Expr) any {
	switch e := e.(type) {
	case *traceql.Literal:
		return literal(e)
	case *traceql.Field:
		return v.value(e)
	case *traceql.Unary:
		if e.Op == "-" {
			return negative(v.eval(e.Of))
		}
		return v.not(e)
	case *traceql.Binary:
		switch op := string(e.Op); {
		case op == "&&":
			return v.all(e)
		case op == "||":
			l, ok := v.boolean(e.Left).(bool)
			r, ok2 := v.boolean(e.Right).(bool)
			return ok && ok2 && (l || r)
		case isComparison(e):
			return v.boolean(e)
		default:
			return arithmetic(op, v.eval(e.Left), v.eval(e.Right))
		}
	}
	panic("BUG: not an expression")
}

func literal(l *traceql.Literal) any {
	switch l.Type {
	case traceql.TypeNil:
		return nil
	case traceql.TypeInt:
		return l.Int
	case traceql.TypeFloat:
		return l.Float
	case traceql.TypeDuration:
		return time.Duration(l.Int)
	case traceql.TypeString:
		return l.Str
	case traceql.TypeBool:
		return l.Int != 0
	case traceql.TypeStatus:
		return status(l.Str)
	case traceql.TypeKind:
		return kind(l.Str)
	}
	panic("BUG: literal of unknown type")
}

// not is the negation of a boolean. Of a bare field of events it is a condition on an event.
func (v env) not(e *traceql.Unary) any {
	if isCondition(e) && v.quantifies(e) != nothing {
		return v.some([]traceql.Expr{e})
	}
	if b, ok := v.boolean(e.Of).(bool); ok {
		return !b
	}
	return nil
}

// boolean returns the value of an expression that stands for true or false. A condition on events
// or links holds if it holds for one of them.
func (v env) boolean(e traceql.Expr) any {
	if isCondition(e) {
		if v.quantifies(e) != nothing {
			return v.some([]traceql.Expr{e})
		}
		if c, ok := e.(*traceql.Binary); ok {
			return v.comparison(c)
		}
	}
	return v.eval(e)
}

// all is a chain of operands joined by &&. Its conditions on events hold for one and the same
// event, those on links for the same link.
func (v env) all(e *traceql.Binary) bool {
	var onEvents, onLinks []traceql.Expr
	for _, o := range chain(e) {
		over := nothing
		if isCondition(o) {
			over = v.quantifies(o)
		}
		switch over {
		case events:
			onEvents = append(onEvents, o)
		case links:
			onLinks = append(onLinks, o)
		default:
			if v.boolean(o) != true {
				return false
			}
		}
	}
	return (len(onEvents) == 0 || v.some(onEvents)) && (len(onLinks) == 0 || v.some(onLinks))
}

func chain(e traceql.Expr) []traceql.Expr {
	if b, ok := e.(*traceql.Binary); ok && b.Op == "&&" {
		return append(chain(b.Left), chain(b.Right)...)
	}
	return []traceql.Expr{e}
}

// some says whether all conditions, which quantify over the same, hold for one event or one link.
func (v env) some(conditions []traceql.Expr) bool {
	for _, on := range v.each(v.quantifies(conditions[0])) {
		ok := true
		for _, c := range conditions {
			ok = ok && on.boolean(c) == true
		}
		if ok {
			return true
		}
	}
	return false
}

// each lists the events or the links of the span.
func (v env) each(over quantifier) (out []env) {
	switch over {
	case events:
		for i := range v.span.Events {
			out = append(out, env{trace: v.trace, span: v.span, event: &v.span.Events[i]})
		}
	case links:
		for i := range v.span.Links {
			out = append(out, env{trace: v.trace, span: v.span, link: &v.span.Links[i]})
		}
	default:
		out = []env{v}
	}
	return out
}

// isCondition: comparisons, and fields that are true or false, bare or negated.
func isCondition(e traceql.Expr) bool {
	switch e := e.(type) {
	case *traceql.Field:
		return true
	case *traceql.Binary:
		return isComparison(e)
	case *traceql.Unary:
		_, compares := e.Of.(*traceql.Binary)
		return e.Op == "!" && !compares && isCondition(e.Of)
	}
	return false
}

func isComparison(e *traceql.Binary) bool { return strings.ContainsAny(string(e.Op), "=<>~") }

// quantifier is what a condition must hold for one of.
type quantifier int

const (
	nothing quantifier = iota
	events
	links
)

// quantifies says what a condition quantifies over: events, else links, if it refers to any and
// none is chosen yet. Beside an event, a field of links is that of the first link that carries it.
func (v env) quantifies(e traceql.Expr) (over quantifier) {
	if v.event != nil || v.link != nil {
		return nothing
	}
	for _, f := range fields(e) {
		switch {
		case ofEvent(f):
			return events
		case ofLink(f):
			over = links
		}
	}
	return over
}

// fields lists the fields of an expression from left to right.
func fields(e traceql.Expr) (list []*traceql.Field) {
	traceql.EachField(e, func(f *traceql.Field) { list = append(list, f) })
	return list
}

// comparison compares two operands. Where a field has several values, one pair that compares is
// enough.
func (v env) comparison(e *traceql.Binary) bool {
	op, left, right := string(e.Op), e.Left, e.Right
	if isNil(left) || isNil(right) {
		if isNil(left) {
			left, right = right, left
		}
		return !isNil(left) && (len(v.operand(left)) == 0) == (op == "=")
	}
	for _, a := range v.operand(left) {
		for _, b := range v.operand(right) {
			if op != "=~" && op != "!~" {
				a, b = idText(op, left, right, a), idText(op, right, left, b)
			}
			if holds(op, a, b) {
				return true
			}
		}
	}
	return false
}

func isNil(e traceql.Expr) bool {
	l, ok := e.(*traceql.Literal)
	return ok && l.Type == traceql.TypeNil
}

// operand returns the values of an operand of a comparison: none if it is absent.
func (v env) operand(e traceql.Expr) []any {
	if f, ok := e.(*traceql.Field); ok {
		return v.values(f)
	}
	if x := v.eval(e); x != nil {
		return []any{x}
	}
	return nil
}

// idText: a string literal beside an id is compared as a number is: capitals and leading zeros do
// not matter. Order is that of the texts.
func idText(op string, e, other traceql.Expr, value any) any {
	f, ok := other.(*traceql.Field)
	s, isString := value.(string)
	if _, isLiteral := e.(*traceql.Literal); !ok || !isString || !isLiteral || f.Scope != traceql.ScopeIntrinsic {
		return value
	}
	switch f.Name {
	case "trace:id", "link:traceID":
		return strings.TrimLeft(strings.ToLower(s), "0")
	case "span:id", "span:parentID", "link:spanID":
		s = strings.ToLower(s)
		if _, err := strconv.ParseUint(s, 16, 64); err == nil && len(s) < 16 && strings.IndexByte("=!", op[0]) >= 0 {
			s = strings.Repeat("0", 16-len(s)) + s
		}
		return s
	}
	return value
}
