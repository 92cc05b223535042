package eval

import "github.com/troupe-tracing/troupe/runtime/engine/traceql"

// computeConstant computes an expression without fields. The error is that of a regular expression.
func computeConstant(e traceql.Expr) (value, error) {
	switch e := e.(type) {
	case *traceql.Literal:
		return literalValue(e), nil
	case *traceql.Unary:
		v, err := computeConstant(e.Of)
		if e.Op == "-" {
			return negateValue(v), err
		}
		if v.kind != boolValue {
			return value{}, err
		}
		return boolValueOf(v.num == 0), err
	case *traceql.Binary:
		return computeBinary(e)
	}
	return value{}, nil
}

// computeBinary computes a binary operation without fields.
func computeBinary(e *traceql.Binary) (value, error) {
	l, err := computeConstant(e.Left)
	if err != nil {
		return value{}, err
	}
	r, err := computeConstant(e.Right)
	if err != nil {
		return value{}, err
	}
	both := l.kind == boolValue && r.kind == boolValue
	switch {
	case e.Op == "&&":
		return boolValueOf(both && l.num != 0 && r.num != 0), nil
	case e.Op == "||":
		return boolValueOf(both && (l.num != 0 || r.num != 0)), nil
	case e.Op.IsArithmetic():
		return computeArithmetic(e.Op, l, r), nil
	case traceql.IsNil(e.Left) && traceql.IsNil(e.Right):
		return boolValueOf(false), nil
	case traceql.IsNil(e.Left) || traceql.IsNil(e.Right):
		if traceql.IsNil(e.Left) {
			l = r
		}
		return boolValueOf((l.kind != nothing) == (e.Op == "!=")), nil
	case e.Op == "=~" || e.Op == "!~":
		m, err := newMatcher(r.str)
		if err != nil {
			return value{}, err
		}
		return boolValueOf(compareValues(e.Op, l, r, m)), nil
	}
	return boolValueOf(compareValues(e.Op, l, r, nil)), nil
}
