package eval

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// valueKind is the type of a value at run time.
type valueKind uint8

// nothing is nil. opaque values exist but take part in nothing: maps, bytes, empty values, empty
// and mixed arrays.
const (
	nothing valueKind = iota
	intValue
	floatValue
	stringValue
	boolValue
	arrayValue
	durationValue
	statusValue
	kindValue
	opaqueValue
)

// value is the value of an expression on one span.
type value struct {
	kind valueKind
	num  int64  // int, duration (ns), bool, status, kind; float as its bits
	str  string // string; array and opaque: the AnyValue message
}

func (k valueKind) numeric() bool { return k == intValue || k == floatValue || k == durationValue }

func floatOf(f float64) value { return value{kind: floatValue, num: int64(math.Float64bits(f))} }

func boolOf(b bool) value {
	if b {
		return value{kind: boolValue, num: 1}
	}
	return value{kind: boolValue}
}

// number returns a numeric value as a float, durations in ns.
func (v value) number() float64 {
	if v.kind == floatValue {
		return math.Float64frombits(uint64(v.num))
	}
	return float64(v.num)
}

// literalValue is what a literal is at run time.
func literalValue(l *traceql.Literal) value {
	switch l.Type {
	case traceql.TypeInt:
		return value{kind: intValue, num: l.Int}
	case traceql.TypeFloat:
		return floatOf(l.Float)
	case traceql.TypeDuration:
		return value{kind: durationValue, num: l.Int}
	case traceql.TypeString:
		return value{kind: stringValue, str: l.Str}
	case traceql.TypeBool:
		return value{kind: boolValue, num: l.Int}
	case traceql.TypeStatus:
		n, _ := traceql.StatusNumber(l.Str)
		return value{kind: statusValue, num: n}
	case traceql.TypeKind:
		n, _ := traceql.KindNumber(l.Str)
		return value{kind: kindValue, num: n}
	}
	return value{}
}

// bytesOf returns the bytes of s, which must not be changed.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

func stringOf(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// attributeValue is what an attribute is to the language. Its string aliases v.
func attributeValue(v trace.Value) value {
	switch v.Type {
	case trace.String:
		return value{kind: stringValue, str: stringOf(v.Bytes)}
	case trace.Int:
		return value{kind: intValue, num: int64(v.Num)}
	case trace.Float:
		return value{kind: floatValue, num: int64(v.Num)}
	case trace.Bool:
		return value{kind: boolValue, num: int64(v.Num)}
	case trace.Array:
		return arrayOf(v)
	}
	return value{kind: opaqueValue, str: stringOf(v.Bytes)}
}

// arrayOf returns an array of one element as that element, and what is not homogeneous as opaque.
func arrayOf(v trace.Value) value {
	n, kind := 0, nothing
	var first value
	v.Elements(func(e trace.Value) {
		ev := value{kind: opaqueValue}
		if e.Type != trace.Array {
			ev = attributeValue(e)
		}
		if n++; n == 1 {
			first, kind = ev, ev.kind
		} else if kind != ev.kind {
			kind = opaqueValue
		}
	})
	switch {
	case n == 0 || kind == opaqueValue:
		return value{kind: opaqueValue, str: stringOf(v.Bytes)}
	case n == 1:
		return first
	}
	return value{kind: arrayValue, str: stringOf(v.Bytes)}
}

// anyValue reads a value of an Any column.
func anyValue(s string) value {
	v, ok := column.ParseAnyValue(bytesOf(s))
	if !ok {
		return value{kind: opaqueValue, str: s}
	}
	return attributeValue(v)
}

// elements calls f for the elements of an array until f returns false.
func (v value) elements(f func(value) bool) {
	w := trace.Value{Type: trace.Array, Bytes: bytesOf(v.str)}
	more := true
	w.Elements(func(e trace.Value) {
		if more {
			more = f(attributeValue(e))
		}
	})
}

// list returns the elements of an array.
func (v value) list() (list []value) {
	v.elements(func(e value) bool {
		list = append(list, e)
		return true
	})
	return list
}

// compare is an operator between two values; re matches the right side of =~ and !~. nil and opaque
// values satisfy nothing, values of different types only !=. With an array, some element must
// satisfy = < <= > >= =~, every one != and !~.
func compare(op traceql.Op, a, b value, re *matcher) bool {
	if a.kind == arrayValue || b.kind == arrayValue {
		if a.kind == b.kind {
			return false
		}
		every := op == "!=" || op == "!~"
		result := every
		test := func(e value) bool {
			if compare(op, e, b, re) != every {
				result = !every
			}
			return result == every
		}
		if b.kind == arrayValue {
			test = func(e value) bool {
				if compare(op, a, e, re) != every {
					result = !every
				}
				return result == every
			}
			b.elements(test)
		} else {
			a.elements(test)
		}
		return result
	}
	switch {
	case a.kind == nothing || b.kind == nothing || a.kind == opaqueValue || b.kind == opaqueValue:
		return false
	case re != nil:
		return a.kind == stringValue && re.match(a.str) == (op == "=~")
	case a.kind == stringValue && b.kind == stringValue:
		return holds(op, strings.Compare(a.str, b.str))
	case a.kind == b.kind && a.kind != floatValue:
		if !a.kind.numeric() && op != "=" && op != "!=" {
			return false
		}
		return holds(op, cmp.Compare(a.num, b.num))
	case a.kind.numeric() && b.kind.numeric():
		return compareFloats(op, a.number(), b.number())
	}
	return op == "!="
}

// holds says whether an operator accepts the outcome of a comparison.
func holds(op traceql.Op, c int) bool {
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

// mirror turns a op b into b mirror(op) a.
func mirror(op traceql.Op) traceql.Op {
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

// arithmetic computes a op b. Integers stay integers and wrap around; all other numbers become
// floats. What cannot be computed is nothing.
func arithmetic(op traceql.Op, a, b value) value {
	if !a.kind.numeric() || !b.kind.numeric() {
		return value{}
	}
	if a.kind == intValue && b.kind == intValue {
		n, ok := intArithmetic(op, a.num, b.num)
		if !ok {
			return value{}
		}
		return value{kind: intValue, num: n}
	}
	x, y := a.number(), b.number()
	switch op {
	case "+":
		return floatOf(x + y)
	case "-":
		return floatOf(x - y)
	case "*":
		return floatOf(x * y)
	case "/":
		return floatOf(x / y)
	case "%":
		return floatOf(math.Mod(x, y))
	case "^":
		return floatOf(math.Pow(x, y))
	}
	return value{}
}

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
		return power(a, b)
	}
	return 0, false
}

// power is a to the b, wrapping around; for negative exponents truncated toward zero.
func power(a, b int64) (int64, bool) {
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

func negate(v value) value {
	switch v.kind {
	case intValue, durationValue:
		v.num = -v.num
	case floatValue:
		return floatOf(-v.number())
	default:
		return value{}
	}
	return v
}

// order is a total order of values: by type, then by value; opaque values count as nil. It is the
// order of groups.
func (v value) order(o value) int {
	if v.kind == opaqueValue {
		v.kind = nothing
	}
	if o.kind == opaqueValue {
		o.kind = nothing
	}
	if c := cmp.Compare(v.kind, o.kind); c != 0 {
		return c
	}
	switch v.kind {
	case nothing:
		return 0
	case stringValue:
		return strings.Compare(v.str, o.str)
	case arrayValue:
		return slices.CompareFunc(v.list(), o.list(), value.order)
	case floatValue:
		x, y := v.number(), o.number()
		if c := cmp.Compare(x, y); c != 0 || x != 0 {
			return c
		}
		return cmp.Compare(o.num>>63&1, v.num>>63&1) // -0 before 0
	}
	return cmp.Compare(v.num, o.num)
}

// key makes equal values of one group comparable by ==: all NaN are one, opaque is nil.
func (v value) key() value {
	switch {
	case v.kind == opaqueValue:
		return value{}
	case v.kind == floatValue && v.number() != v.number():
		v.num = int64(math.Float64bits(math.NaN()))
	}
	return v
}

// durationText prints a duration as answers do.
func durationText(ns int64) string { return time.Duration(ns).String() }

// answer returns the value as answers carry it: durations, status, kind and nil as text. It aliases
// v.
func (v value) answer() trace.Value {
	text := func(s string) trace.Value { return trace.Value{Type: trace.String, Bytes: bytesOf(s)} }
	switch v.kind {
	case intValue:
		return trace.Value{Type: trace.Int, Num: uint64(v.num)}
	case floatValue:
		return trace.Value{Type: trace.Float, Num: uint64(v.num)}
	case boolValue:
		return trace.Value{Type: trace.Bool, Num: uint64(v.num)}
	case stringValue:
		return text(v.str)
	case arrayValue:
		return trace.Value{Type: trace.Array, Bytes: bytesOf(v.str)}
	case durationValue:
		return text(durationText(v.num))
	case statusValue:
		return text(traceql.StatusName(v.num))
	case kindValue:
		return text(traceql.KindName(v.num))
	}
	return text("nil")
}
