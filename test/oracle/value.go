package oracle

import (
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// A value of the language is nil, int64, float64, time.Duration, string, bool, status, kind, array
// or opaque.
type (
	status string
	kind   string
	array  []any // two or more scalars of one type
	// a value that exists and is equal to nothing: a map, bytes, an empty or mixed array, the empty
	// value
	opaque struct{}
)

// valueOf is what the language sees of an attribute's value.
func valueOf(v any) any {
	switch v := v.(type) {
	case int:
		return int64(v)
	case string, int64, float64, bool:
		return v
	case []any:
		var a array
		for _, e := range v {
			if _, nested := e.([]any); nested {
				return opaque{}
			}
			e = valueOf(e)
			if rank(e) == 0 || rank(e) > rank(true) || len(a) > 0 && rank(e) != rank(a[0]) {
				return opaque{}
			}
			a = append(a, e)
		}
		switch len(a) {
		case 0:
			return opaque{}
		case 1:
			return a[0]
		}
		return a
	}
	return opaque{}
}

// valuesOf returns the values that a list of attributes has under a key, by type and then as sent.
// The first is the one that counts where only one can.
func valuesOf(attrs []otlp.Attr, key string) []any {
	var out []any
	for _, a := range attrs {
		if a.Key == key {
			out = append(out, a.Value)
		}
	}
	slices.SortStableFunc(out, func(a, b any) int { return columnOf(a) - columnOf(b) })
	for i := range out {
		out[i] = valueOf(out[i])
	}
	return out
}

// columnOf orders the types of sent values: string, int, float, bool, bytes, all others.
func columnOf(v any) int {
	switch v.(type) {
	case string:
		return 0
	case int, int64:
		return 1
	case float64:
		return 2
	case bool:
		return 3
	case []byte:
		return 4
	}
	return 5
}

// rank orders values of different types.
func rank(v any) int {
	switch v.(type) {
	case nil, opaque:
		return 0
	case int64:
		return 1
	case float64:
		return 2
	case string:
		return 3
	case bool:
		return 4
	case array:
		return 5
	case time.Duration:
		return 6
	case status:
		return 7
	case kind:
		return 8
	}
	panic("BUG: not a value")
}

// order is a total order of values: by rank, then by value; NaN comes before the other floats.
func order(a, b any) int {
	if c := rank(a) - rank(b); c != 0 {
		return c
	}
	switch a := a.(type) {
	case int64:
		return compare(a, b.(int64))
	case float64:
		b := b.(float64)
		if c := compare(a, b); c != 0 || a == b {
			if a == 0 && b == 0 {
				return btoi(math.Signbit(b)) - btoi(math.Signbit(a))
			}
			return c
		}
		return btoi(math.IsNaN(b)) - btoi(math.IsNaN(a))
	case string:
		return strings.Compare(a, b.(string))
	case bool:
		return btoi(a) - btoi(b.(bool))
	case array:
		return slices.CompareFunc(a, b.(array), order)
	case time.Duration:
		return compare(a, b.(time.Duration))
	case status:
		return slices.Index(statuses, a) - slices.Index(statuses, b.(status))
	case kind:
		return slices.Index(kinds, a) - slices.Index(kinds, b.(kind))
	}
	return 0
}

// compare is cmp.Compare but for NaN, which it finds neither above nor below anything.
func compare[T int64 | float64 | time.Duration](a, b T) int { return btoi(a > b) - btoi(a < b) }

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// float returns a number as a float, durations in ns.
func float(v any) (float64, bool) {
	switch v := v.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	case time.Duration:
		return float64(v), true
	}
	return 0, false
}

// holds says whether a op b, for operators that yield a boolean of two values.
func holds(op string, a, b any) bool {
	x, isArray := a.(array)
	y, isArrayToo := b.(array)
	switch {
	case isArray && isArrayToo:
		return false
	case isArray:
		return quantified(op, x, func(e any) bool { return holds(op, e, b) })
	case isArrayToo:
		return quantified(op, y, func(e any) bool { return holds(op, a, e) })
	}
	if rank(a) == 0 || rank(b) == 0 {
		return false
	}
	if op == "=~" || op == "!~" {
		s, ok := a.(string)
		return ok && regexp.MustCompile(`\A(?s:`+b.(string)+`)\z`).MatchString(s) == (op == "=~")
	}
	if rank(a) != rank(b) {
		f, ok := float(a)
		g, ok2 := float(b)
		if !ok || !ok2 {
			return op == "!="
		}
		return holds(op, f, g)
	}
	switch a := a.(type) {
	case float64:
		return holdsOrdered(op, a, b.(float64))
	case bool, status, kind:
		return op == "=" && a == b || op == "!=" && a != b
	}
	return holdsOrdered(op, order(a, b), 0)
}

func holdsOrdered[T int | float64](op string, a, b T) bool {
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
	panic("BUG: not a comparison: " + op)
}

// quantified: the negative operators must hold for all elements of an array, the others for some.
func quantified(op string, a array, holds func(any) bool) bool {
	if op == "!=" || op == "!~" {
		return !slices.ContainsFunc(a, func(e any) bool { return !holds(e) })
	}
	return slices.ContainsFunc(a, holds)
}

// arithmetic returns a op b, nil where that is no number.
func arithmetic(op string, a, b any) any {
	i, ok := a.(int64)
	j, ok2 := b.(int64)
	if ok && ok2 {
		return integer(op, i, j)
	}
	x, ok := float(a)
	y, ok2 := float(b)
	if !ok || !ok2 {
		return nil
	}
	switch op {
	case "+":
		return x + y
	case "-":
		return x - y
	case "*":
		return x * y
	case "/":
		return x / y
	case "%":
		return math.Mod(x, y)
	case "^":
		return math.Pow(x, y)
	}
	panic("BUG: not arithmetic: " + op)
}

func integer(op string, a, b int64) any {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/", "%":
		if b == 0 {
			return nil
		}
		if op == "/" {
			return a / b
		}
		return a % b
	case "^":
		return power(a, b)
	}
	panic("BUG: not arithmetic: " + op)
}

// power is exact modulo 2^64. Negative exponents give the truncated quotient.
func power(a, b int64) any {
	if b < 0 {
		switch a {
		case 0:
			return nil
		case 1, -1:
			return power(a, -(b % 2))
		}
		return int64(0)
	}
	r := int64(1)
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			r *= a
		}
		a *= a
	}
	return r
}

// negative returns -v, nil where v is no number.
func negative(v any) any {
	switch v := v.(type) {
	case int64:
		return -v
	case float64:
		return -v
	case time.Duration:
		return -v
	}
	return nil
}

// shown is a value as answers show it: durations, status and kind are text, and nothing is the text
// nil.
func shown(v any) any {
	switch v := v.(type) {
	case nil, opaque:
		return "nil"
	case time.Duration:
		return v.String()
	case status:
		return string(v)
	case kind:
		return string(v)
	}
	return v
}

// text is a value of a label as it is sorted.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case array:
		var parts []string
		for _, e := range v {
			parts = append(parts, text(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	panic("BUG: no label holds this")
}
