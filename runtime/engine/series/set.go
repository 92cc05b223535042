package series

import (
	"cmp"
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Set is all series of one function or expression over one window, in the order of CompareLabels.
type Set struct {
	Window Window
	Series []Series
}

// Series is one series.
type Series struct {
	Labels    []Label
	Values    []float64 // by interval; NaN: the series has no sample there
	Exemplars []Exemplar
}

// Exemplar is a span that was chosen to illustrate a series.
type Exemplar struct {
	Trace    trace.ID
	Labels   []Label // of the span, not of the series
	Time     int64   // unix ns
	Interval int
	Value    float64
}

// sortSeries brings the series into the order of CompareLabels.
func (s *Set) sortSeries() {
	slices.SortStableFunc(s.Series, func(a, b Series) int { return CompareLabels(a.Labels, b.Labels) })
}

// dropEmpty removes series without samples, and exemplars that have no value or whose interval has
// no sample.
func (s *Set) dropEmpty() {
	s.Series = slices.DeleteFunc(s.Series, func(x Series) bool {
		return !slices.ContainsFunc(x.Values, func(v float64) bool { return v == v })
	})
	for i := range s.Series {
		x := &s.Series[i]
		x.Exemplars = slices.DeleteFunc(x.Exemplars, func(e Exemplar) bool {
			v := x.Values[e.Interval]
			return v != v || e.Value != e.Value
		})
	}
}

// KeepFirst keeps the first n series (n ≤ 0: all) and reports whether there were more.
func (s *Set) KeepFirst(n int) bool {
	if n <= 0 || len(s.Series) <= n {
		return false
	}
	s.Series = s.Series[:n:n]
	return true
}

// KeepTop keeps in every interval the k greatest samples, or the k least; with at most k series it
// changes nothing. Of equal samples, those of the first series count as greater and those of the
// last as less.
func (s *Set) KeepTop(k int, least bool) {
	if len(s.Series) <= k {
		return
	}
	better := func(a, b int, iv int) int { // negative: series a before series b
		if least {
			return cmp.Or(cmp.Compare(s.Series[a].Values[iv], s.Series[b].Values[iv]), cmp.Compare(b, a))
		}
		return cmp.Or(cmp.Compare(s.Series[b].Values[iv], s.Series[a].Values[iv]), cmp.Compare(a, b))
	}
	var best []int // of one interval: the best series so far, at most k, the best first
	for iv := range s.Window.intervals {
		best = best[:0]
		for i := range s.Series {
			v := s.Series[i].Values[iv]
			if v != v {
				continue
			}
			if len(best) == k {
				last := best[k-1]
				if better(i, last, iv) > 0 {
					s.Series[i].Values[iv] = math.NaN()
					continue
				}
				s.Series[last].Values[iv] = math.NaN()
				best = best[:k-1]
			}
			at, _ := slices.BinarySearchFunc(best, i, func(a, b int) int { return better(a, b, iv) })
			best = slices.Insert(best, at, i)
		}
	}
	s.dropEmpty()
}

// comparisonFunc returns the comparison of an operator.
func comparisonFunc(op string) func(a, b float64) bool {
	switch op {
	case ">":
		return func(a, b float64) bool { return a > b }
	case ">=":
		return func(a, b float64) bool { return a >= b }
	case "<":
		return func(a, b float64) bool { return a < b }
	case "<=":
		return func(a, b float64) bool { return a <= b }
	case "=":
		return func(a, b float64) bool { return a == b }
	case "!=":
		return func(a, b float64) bool { return a != b }
	}
	panic("BUG: no comparison " + op)
}

// KeepWhere keeps the samples and exemplars for which "value op c" holds. op is one of > >= < <= =
// !=.
func (s *Set) KeepWhere(op string, c float64) {
	holds := comparisonFunc(op)
	for i := range s.Series {
		x := &s.Series[i]
		for k, v := range x.Values {
			if !holds(v, c) {
				x.Values[k] = math.NaN()
			}
		}
		for k := range x.Exemplars {
			if !holds(x.Exemplars[k].Value, c) {
				x.Exemplars[k].Value = math.NaN()
			}
		}
	}
	s.dropEmpty()
}

// Calculate returns a op b. op is one of + - * /; a division by zero is NaN.
func Calculate(op string, a, b float64) float64 {
	switch op {
	case "+":
		return a + b
	case "-":
		return a - b
	case "*":
		return a * b
	case "/":
		if b == 0 {
			return math.NaN()
		}
		return a / b
	}
	panic("BUG: no arithmetic " + op)
}

// ApplyConstant replaces each sample v by v op c, or by c op v if the constant stands on the left.
// op is one of Calculate's.
func (s *Set) ApplyConstant(op string, c float64, left bool) {
	apply := func(v float64) float64 {
		if left {
			return Calculate(op, c, v)
		}
		return Calculate(op, v, c)
	}
	for i := range s.Series {
		x := &s.Series[i]
		for k, v := range x.Values {
			x.Values[k] = apply(v)
		}
		for k := range x.Exemplars {
			x.Exemplars[k].Value = apply(x.Exemplars[k].Value)
		}
	}
	s.dropEmpty()
}
