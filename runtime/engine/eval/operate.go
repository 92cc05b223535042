package eval

import (
	"cmp"
	"math"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// compareValues applies a comparison operator to two values; re matches the right side of =~ and
// !~. Nil and opaque values satisfy nothing, values of different types satisfy only !=. Of an array
// some element must satisfy the operator, or every element if it is != or !~.
func compareValues(op traceql.Op, a, b value, re *matcher) bool {
	if a.kind == arrayValue || b.kind == arrayValue {
		return compareArray(op, a, b, re)
	}
	switch {
	case a.kind == nothing || b.kind == nothing || a.kind == opaqueValue || b.kind == opaqueValue:
		return false
	case re != nil:
		return a.kind == stringValue && re.matchString(a.str) == (op == "=~")
	case a.kind == stringValue && b.kind == stringValue:
		return acceptsOutcome(op, strings.Compare(a.str, b.str))
	case a.kind == b.kind && a.kind != floatValue:
		if !a.kind.isNumeric() && op != "=" && op != "!=" {
			return false
		}
		return acceptsOutcome(op, cmp.Compare(a.num, b.num))
	case a.kind.isNumeric() && b.kind.isNumeric():
		return compareFloats(op, a.toFloat(), b.toFloat())
	}
	return op == "!="
}

// compareArray is compareValues where one of the values is an array. Two arrays satisfy nothing.
func compareArray(op traceql.Op, a, b value, re *matcher) bool {
	if a.kind == b.kind {
		return false
	}
	every := op == "!=" || op == "!~"
	result := every
	// stopAt decides on the result and ends the walk at the first element that settles it.
	stopAt := func(satisfied bool) (more bool) {
		if satisfied != every {
			result = !every
		}
		return result == every
	}
	if b.kind == arrayValue {
		b.eachElement(func(e value) bool { return stopAt(compareValues(op, a, e, re)) })
	} else {
		a.eachElement(func(e value) bool { return stopAt(compareValues(op, e, b, re)) })
	}
	return result
}

// acceptsOutcome reports whether an operator accepts the outcome of a comparison, as cmp.Compare
// returns it.
func acceptsOutcome(op traceql.Op, c int) bool {
	switch op {
	case "=":
		return c == 0
	case "!=":
		return c != 0
	case "<":
		return c < 0
	case "<=":
		return c <= 0
	case ">":
		return c > 0
	case ">=":
		return c >= 0
	}
	return false
}

// compareFloats applies a comparison operator to floats, of which NaN satisfies only !=.
func compareFloats(op traceql.Op, a, b float64) bool {
	switch op {
	case "=":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case "<=":
		return a <= b
	case ">":
		return a > b
	case ">=":
		return a >= b
	}
	return false
}

// mirrorOp returns the operator for swapped operands: a op b holds where b mirrorOp(op) a does.
func mirrorOp(op traceql.Op) traceql.Op {
	switch op {
	case "<":
		return ">"
	case "<=":
		return ">="
	case ">":
		return "<"
	case ">=":
		return "<="
	}
	return op
}

// computeArithmetic computes a op b. Integers stay integers and wrap around; all other numbers
// become floats. The result is nothing where it cannot be
// computed.
func computeArithmetic(op traceql.Op, a, b value) value {
	if !a.kind.isNumeric() || !b.kind.isNumeric() {
		return value{}
	}
	if a.kind == intValue && b.kind == intValue {
		n, ok := intArithmetic(op, a.num, b.num)
		if !ok {
			return value{}
		}
		return value{kind: intValue, num: n}
	}
	x, y := a.toFloat(), b.toFloat()
	switch op {
	case "+":
		return floatValueOf(x + y)
	case "-":
		return floatValueOf(x - y)
	case "*":
		return floatValueOf(x * y)
	case "/":
		return floatValueOf(x / y)
	case "%":
		return floatValueOf(math.Mod(x, y))
	case "^":
		return floatValueOf(math.Pow(x, y))
	}
	return value{}
}

// intArithmetic computes a op b for integers. ok is false for a division by zero.
func intArithmetic(op traceql.Op, a, b int64) (int64, bool) {
	switch op {
	case "+":
		return a + b, true
	case "-":
		return a - b, true
	case "*":
		return a * b, true
	case "/":
		if b == 0 {
			return 0, false
		}
		if b == -1 {
			return -a, true
		}
		return a / b, true
	case "%":
		if b == 0 {
			return 0, false
		}
		if b == -1 {
			return 0, true
		}
		return a % b, true
	case "^":
		return powerOf(a, b)
	}
	return 0, false
}

// powerOf computes a to the b. It wraps around; with a negative exponent it truncates toward zero.
// ok is false for 0 to a negative power.
func powerOf(a, b int64) (int64, bool) {
	if b < 0 {
		switch {
		case a == 0:
			return 0, false
		case a == 1 || a == -1 && b&1 == 0:
			return 1, true
		case a == -1:
			return -1, true
		}
		return 0, true
	}
	r := int64(1)
	for ; b > 0; b >>= 1 {
		if b&1 != 0 {
			r *= a
		}
		a *= a
	}
	return r, true
}

// negateValue computes -v, which is nothing unless v is a number.
func negateValue(v value) value {
	switch v.kind {
	case intValue, durationValue:
		v.num = -v.num
	case floatValue:
		return floatValueOf(-v.toFloat())
	default:
		return value{}
	}
	return v
}
