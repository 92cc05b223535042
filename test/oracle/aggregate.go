package oracle

import (
	"math"
	"math/big"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// scalarFilter keeps the spanset if the aggregate compares, and notes the aggregate.
func (t *aTrace) scalarFilter(n *traceql.ScalarFilter, s spanset) []spanset {
	a := n.Left.(*traceql.Aggregate)
	v := t.aggregate(a, s)
	if v == nil || !holds(string(n.Op), v, constant(n.Right)) {
		return nil
	}
	return []spanset{s.with(print(a), v)}
}

// constant folds a constant outside of braces.
func constant(n traceql.Node) any {
	switch n := n.(type) {
	case *traceql.Literal:
		return literal(n)
	case *traceql.Negate:
		return negative(constant(n.Of))
	case *traceql.Arithmetic:
		return arithmetic(string(n.Op), constant(n.Left), constant(n.Right))
	}
	panic("BUG: not a constant")
}

// aggregate is the value of an aggregate over the numbers of a spanset, nil if there are none.
func (t *aTrace) aggregate(a *traceql.Aggregate, s spanset) any {
	if a.Func == "count" {
		return int64(len(s.spans))
	}
	var numbers []any
	for _, sp := range s.spans {
		v := (env{trace: t, span: sp}).eval(a.Expr)
		if f, ok := float(v); ok && !math.IsNaN(f) {
			numbers = append(numbers, v)
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	switch a.Func {
	case "min":
		return extreme(numbers, -1)
	case "max":
		return extreme(numbers, 1)
	case "sum":
		return sum(numbers)
	case "avg":
		return average(numbers)
	}
	panic("BUG: aggregate " + a.Func)
}

// extreme is the greatest of numbers of any types, or with sign -1 the least; of equal ones the
// first in the order of values.
func extreme(numbers []any, sign int) any {
	best := numbers[0]
	for _, v := range numbers[1:] {
		if c := sign * compareNumbers(v, best); c > 0 || c == 0 && order(v, best) < 0 {
			best = v
		}
	}
	return best
}

// compareNumbers compares two ints exactly and all else as floats.
func compareNumbers(a, b any) int {
	i, ok := a.(int64)
	j, ok2 := b.(int64)
	if ok && ok2 {
		return compare(i, j)
	}
	f, _ := float(a)
	g, _ := float(b)
	return compare(f, g)
}

// whole returns integers and durations.
func whole(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case time.Duration:
		return int64(v), true
	}
	return 0, false
}

// sum is exact. It has the type of the numbers if they have one and it fits.
func sum(numbers []any) any {
	total := exact(numbers)
	if !sameType(numbers) || total.rat == nil {
		return total.float()
	}
	if i, ok := total.int(); ok {
		switch numbers[0].(type) {
		case int64:
			return i
		case time.Duration:
			return time.Duration(i)
		}
	}
	return total.float()
}

// average is a float, of durations a duration.
func average(numbers []any) any {
	total := exact(numbers)
	n := big.NewRat(int64(len(numbers)), 1)
	if _, ok := numbers[0].(time.Duration); ok && sameType(numbers) {
		q := total.rat.Quo(total.rat, n)
		return time.Duration(new(big.Int).Quo(q.Num(), q.Denom()).Int64())
	}
	return total.float() / float64(len(numbers))
}

func sameType(numbers []any) bool {
	for _, v := range numbers {
		if rank(v) != rank(numbers[0]) {
			return false
		}
	}
	return true
}

// exactSum is a sum without rounding, or infinite or NaN.
type exactSum struct {
	rat      *big.Rat
	infinite float64
}

func exact(numbers []any) exactSum {
	s := exactSum{rat: new(big.Rat)}
	for _, v := range numbers {
		if i, ok := whole(v); ok {
			s.rat.Add(s.rat, new(big.Rat).SetInt64(i))
			continue
		}
		if f := v.(float64); math.IsInf(f, 0) {
			s.infinite += f
		} else {
			s.rat.Add(s.rat, new(big.Rat).SetFloat64(f))
		}
	}
	if s.infinite != 0 {
		s.rat = nil
	}
	return s
}

func (s exactSum) float() float64 {
	if s.rat == nil {
		return s.infinite
	}
	f, _ := s.rat.Float64()
	return f
}

func (s exactSum) int() (int64, bool) {
	return s.rat.Num().Int64(), s.rat.IsInt() && s.rat.Num().IsInt64()
}
