package series

import (
	"cmp"
	"math"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Value is the value of a label: a string, integer, float, boolean or array. Values are compared
// with ==. The zero Value stands for no value.
type Value struct {
	Type trace.Type
	Num  uint64 // as in trace.Value
	Text string // of a trace.String; of a trace.Array the AnyValue message
}

// String returns a string as a Value.
func String(s string) Value { return Value{Type: trace.String, Text: s} }

// Int returns an integer as a Value.
func Int(n int64) Value { return Value{Type: trace.Int, Num: uint64(n)} }

// Bool returns a boolean as a Value.
func Bool(b bool) Value {
	v := Value{Type: trace.Bool}
	if b {
		v.Num = 1
	}
	return v
}

// Float returns a float as a Value. All NaNs are one value; -0 and 0 are two, because their texts
// differ.
func Float(f float64) Value {
	if f != f {
		f = math.NaN()
	}
	return Value{Type: trace.Float, Num: math.Float64bits(f)}
}

// String returns the text of a value, by which values are ordered.
func (v Value) String() string {
	switch v.Type {
	case trace.String:
		return v.Text
	case trace.Int:
		return strconv.FormatInt(int64(v.Num), 10)
	case trace.Float:
		return strconv.FormatFloat(math.Float64frombits(v.Num), 'g', -1, 64)
	case trace.Bool:
		return strconv.FormatBool(v.Num != 0)
	}
	if v.Type == trace.Array {
		var parts []string
		a := trace.Value{Type: trace.Array, Bytes: []byte(v.Text)}
		a.Elements(func(e trace.Value) {
			parts = append(parts, Value{Type: e.Type, Num: e.Num, Text: string(e.Bytes)}.String())
		})
		return "[" + strings.Join(parts, ",") + "]"
	}
	return "nil"
}

// typeRank returns the place of the value's type among values with equal texts.
func (v Value) typeRank() int {
	switch v.Type {
	case trace.Int:
		return 1
	case trace.Float:
		return 2
	case trace.String:
		return 3
	case trace.Bool:
		return 4
	case trace.Array:
		return 5
	}
	return 0
}

// Compare orders values by text; equal texts by type: integers, floats, strings, booleans, arrays.
func (v Value) Compare(o Value) int {
	if v.Type == trace.String && o.Type == trace.String {
		return strings.Compare(v.Text, o.Text)
	}
	return cmp.Or(
		strings.Compare(v.String(), o.String()),
		cmp.Compare(v.typeRank(), o.typeRank()),
		cmp.Compare(v.Num, o.Num),
		strings.Compare(v.Text, o.Text),
	)
}

// Label is a named value of a series.
type Label struct {
	Name  string
	Value Value
}

// NameLabel is the label of a series without groups; its value is the name of the function.
const NameLabel = "__name__"

// CompareLabels is the order of series: by the number of labels, then label by label by name and
// value.
func CompareLabels(a, b []Label) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	for i := range a {
		if c := cmp.Or(strings.Compare(a[i].Name, b[i].Name), a[i].Value.Compare(b[i].Value)); c != 0 {
			return c
		}
	}
	return 0
}
