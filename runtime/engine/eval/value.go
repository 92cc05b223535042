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

// The kind nothing is nil. An opaque value exists but takes part in nothing: a map, bytes, an empty
// value, an empty array, an array of several types.
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

// value is the value of an expression on one span. compareValues compares values as the language
// does; == only tells whether two are represented alike, for which see groupKey.
type value struct {
	kind valueKind
	num  int64  // int, duration (ns), bool, status, kind; float as its bits
	str  string // string; array and opaque: the AnyValue message
}

func (k valueKind) isNumeric() bool { return k == intValue || k == floatValue || k == durationValue }

// floatValueOf returns a float as a value.
func floatValueOf(f float64) value { return value{kind: floatValue, num: int64(math.Float64bits(f))} }

// boolValueOf returns a boolean as a value.
func boolValueOf(b bool) value {
	if b {
		return value{kind: boolValue, num: 1}
	}
	return value{kind: boolValue}
}

// toFloat returns a numeric value as a float, durations in ns.
func (v value) toFloat() float64 {
	if v.kind == floatValue {
		return math.Float64frombits(uint64(v.num))
	}
	return float64(v.num)
}

// literalValue returns the value of a literal.
func literalValue(l *traceql.Literal) value {
	switch l.Type {
	case traceql.TypeInt:
		return value{kind: intValue, num: l.Int}
	case traceql.TypeFloat:
		return floatValueOf(l.Float)
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

// viewBytes returns the bytes of s, which must not be changed.
func viewBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// viewString returns b as a string, which changes with b.
func viewString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// attributeValue returns the value of an attribute in the language. Its string aliases v.
func attributeValue(v trace.Value) value {
	switch v.Type {
	case trace.String:
		return value{kind: stringValue, str: viewString(v.Bytes)}
	case trace.Int:
		return value{kind: intValue, num: int64(v.Num)}
	case trace.Float:
		return value{kind: floatValue, num: int64(v.Num)}
	case trace.Bool:
		return value{kind: boolValue, num: int64(v.Num)}
	case trace.Array:
		return arrayOf(v)
	}
	return value{kind: opaqueValue, str: viewString(v.Bytes)}
}

// arrayOf returns the value of an array: its element if it has only one, an opaque value if it is
// empty or its elements are not all of one type.
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
		return value{kind: opaqueValue, str: viewString(v.Bytes)}
	case n == 1:
		return first
	}
	return value{kind: arrayValue, str: viewString(v.Bytes)}
}

// parseAnyValue returns a value of an Any column.
func parseAnyValue(s string) value {
	v, ok := column.ParseAnyValue(viewBytes(s))
	if !ok {
		return value{kind: opaqueValue, str: s}
	}
	return attributeValue(v)
}

// eachElement calls f for the elements of an array until f returns false.
func (v value) eachElement(f func(value) bool) {
	w := trace.Value{Type: trace.Array, Bytes: viewBytes(v.str)}
	more := true
	w.Elements(func(e trace.Value) {
		if more {
			more = f(attributeValue(e))
		}
	})
}

// listElements returns the elements of an array.
func (v value) listElements() (list []value) {
	v.eachElement(func(e value) bool {
		list = append(list, e)
		return true
	})
	return list
}

// compareTotal is a total order of values, the order of groups: by type, then by value. Opaque
// values count as nil.
func (v value) compareTotal(o value) int {
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
		return slices.CompareFunc(v.listElements(), o.listElements(), value.compareTotal)
	case floatValue:
		x, y := v.toFloat(), o.toFloat()
		if c := cmp.Compare(x, y); c != 0 || x != 0 {
			return c
		}
		return cmp.Compare(o.num>>63&1, v.num>>63&1) // -0 before 0
	}
	return cmp.Compare(v.num, o.num)
}

// groupKey returns a value that is equal by == to those of the same group: all NaN are one, and
// opaque values are nil.
func (v value) groupKey() value {
	switch {
	case v.kind == opaqueValue:
		return value{}
	case v.kind == floatValue && v.toFloat() != v.toFloat():
		v.num = int64(math.Float64bits(math.NaN()))
	}
	return v
}

// durationText returns a duration as answers show it.
func durationText(ns int64) string { return time.Duration(ns).String() }

// toAnswer returns the value as answers carry it: durations, status, kind and nil as text. The
// result aliases v.
func (v value) toAnswer() trace.Value {
	text := func(s string) trace.Value { return trace.Value{Type: trace.String, Bytes: viewBytes(s)} }
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
		return trace.Value{Type: trace.Array, Bytes: viewBytes(v.str)}
	case durationValue:
		return text(durationText(v.num))
	case statusValue:
		return text(traceql.StatusName(v.num))
	case kindValue:
		return text(traceql.KindName(v.num))
	}
	return text("nil")
}
