package eval

import (
	"cmp"
	"context"
	"math"
	"math/bits"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// byStage is by(): it splits each spanset by the value of an expression, in the order of values.
type byStage struct {
	e    *perRow
	text string
	vals []keyedRow // scratch
}

// keyedRow is a row with the value by which it is grouped.
type keyedRow struct {
	v   value
	row uint32
}

func (st *byStage) runStage(_ context.Context, _ int, in []spanset) ([]spanset, error) {
	var out []spanset
	for _, set := range in {
		st.vals = st.vals[:0]
		for _, r := range set.rows {
			st.vals = append(st.vals, keyedRow{st.e.at(r).groupKey(), r})
		}
		slices.SortStableFunc(st.vals, func(a, b keyedRow) int { return a.v.compareTotal(b.v) })
		for from := 0; from < len(st.vals); {
			to := from
			var rows []uint32
			for ; to < len(st.vals) && st.vals[to].v.compareTotal(st.vals[from].v) == 0; to++ {
				rows = append(rows, st.vals[to].row)
			}
			attrs := append(slices.Clone(set.attrs), stageResult{st, st.vals[from].v})
			out = append(out, spanset{rows, attrs})
			from = to
		}
	}
	return out, nil
}

func (st *byStage) resultName() string  { return st.text }
func (st *byStage) passesNothing() bool { return false }

// scalarStage is a comparison of an aggregate with a constant: it drops the spansets for which it
// is false.
type scalarStage struct {
	fn    string
	e     *perRow // nil for count
	op    traceql.Op
	limit value
	text  string
	vals  []value // scratch
}

func (st *scalarStage) runStage(_ context.Context, _ int, in []spanset) ([]spanset, error) {
	var out []spanset
	for _, set := range in {
		v := value{kind: intValue, num: int64(len(set.rows))}
		if st.e != nil {
			st.vals = st.vals[:0]
			for _, r := range set.rows {
				if x := st.e.at(r); x.kind.isNumeric() && !math.IsNaN(x.toFloat()) {
					st.vals = append(st.vals, x)
				}
			}
			v = aggregateNumbers(st.fn, st.vals)
		}
		if v.kind != nothing && compareValues(st.op, v, st.limit, nil) {
			out = append(out, spanset{set.rows, append(slices.Clone(set.attrs), stageResult{st, v})})
		}
	}
	return out, nil
}

func (st *scalarStage) resultName() string  { return st.text }
func (st *scalarStage) passesNothing() bool { return false }

// aggregateNumbers computes min, max, sum or avg of numbers. The result does not depend on their
// order; without numbers it is nothing. A sum keeps their common type if it has one and the sum
// fits.
func aggregateNumbers(fn string, vals []value) value {
	if len(vals) == 0 {
		return value{}
	}
	switch fn {
	case "min":
		return slices.MinFunc(vals, orderNumbers)
	case "max":
		// Of equal numbers of several types, the first type is the result, as for min.
		return slices.MaxFunc(vals, func(a, b value) int {
			if c := compareNumbers(a, b); c != 0 {
				return c
			}
			return orderTypes(b, a)
		})
	}
	kind := vals[0].kind
	var hi, lo uint64 // the sum of integers, in 128 bits
	var floats series.Exact
	for _, v := range vals {
		if v.kind != kind {
			kind = floatValue
		}
		if v.kind == floatValue {
			floats.Add(v.toFloat())
			continue
		}
		var carry uint64
		lo, carry = bits.Add64(lo, uint64(v.num), 0)
		hi, _ = bits.Add64(hi, uint64(v.num>>63), carry)
	}
	n := int64(len(vals))
	switch {
	case fn == "sum" && kind != floatValue && int64(hi) == int64(lo)>>63:
		return value{kind: kind, num: int64(lo)}
	case fn == "avg" && kind == durationValue:
		return value{kind: kind, num: divideInt128(hi, lo, n)}
	}
	floats.AddInt(int64(hi), lo)
	sum := floats.Float()
	if fn == "avg" {
		sum /= float64(n)
	}
	return floatValueOf(sum)
}

// compareNumbers compares integers exactly and other numbers as floats.
func compareNumbers(a, b value) int {
	if a.kind == intValue && b.kind == intValue {
		return cmp.Compare(a.num, b.num)
	}
	return cmp.Compare(a.toFloat(), b.toFloat())
}

// orderTypes puts integers before floats before durations.
func orderTypes(a, b value) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.num, b.num))
}

// orderNumbers is a total order: by number, then by type.
func orderNumbers(a, b value) int {
	if c := compareNumbers(a, b); c != 0 {
		return c
	}
	return orderTypes(a, b)
}

// divideInt128 returns the signed 128-bit integer hi·2⁶⁴ + lo divided by n > 0, truncated. The
// quotient must fit; the mean of 64-bit integers does.
func divideInt128(hi, lo uint64, n int64) int64 {
	negative := int64(hi) < 0
	if negative {
		lo, hi = -lo, ^hi
		if lo == 0 {
			hi++
		}
	}
	q, _ := bits.Div64(hi%uint64(n), lo, uint64(n))
	if negative {
		return -int64(q)
	}
	return int64(q)
}
