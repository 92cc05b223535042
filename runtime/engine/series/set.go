package series

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Set is series over one window, in the order of CompareLabels.
type Set struct {
	Window Window
	Series []Series
}

// Series is one series.
type Series struct {
	Labels    []Label
	Values    []float64 // by interval; NaN: no sample
	Exemplars []Exemplar
}

// Exemplar is one span that stands for a value.
type Exemplar struct {
	Trace    trace.ID
	Labels   []Label
	Time     int64 // unix ns
	Interval int
	Value    float64
}

func (s *Set) sortSeries() {
	slices.SortStableFunc(s.Series, func(a, b Series) int { return CompareLabels(a.Labels, b.Labels) })
}

// dropEmpty removes exemplars without sample and series without samples.
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

// KeepFirst keeps the first n series and says whether there were more.
func (s *Set) KeepFirst(n int) bool {
	if n <= 0 || len(s.Series) <= n {
		return false
	}
	s.Series = s.Series[:n:n]
	return true
}

// KeepTop keeps, in every interval, the k greatest samples, or the k least; with at most k series it
// changes nothing. Of equal samples the greatest are those of the first series, the least those of
// the last.
func (s *Set) KeepTop(k int, least bool) {
	if len(s.Series) <= k {
		return
	}
	better := func(a, b int, iv int) int {
		if least {
			return cmp.Or(cmp.Compare(s.Series[a].Values[iv], s.Series[b].Values[iv]), cmp.Compare(b, a))
		}
		return cmp.Or(cmp.Compare(s.Series[b].Values[iv], s.Series[a].Values[iv]), cmp.Compare(a, b))
	}
	var best []int
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

// comparisonFunc returns the comparison an operator stands for.
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

// KeepWhere drops the samples and exemplars that do not compare with c as the operator says.
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

// Calculate returns a op b. Nothing can be divided by zero: the result is NaN.
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

// ApplyConstant puts v op c in the place of each sample v, or c op v if the constant stands on the left.
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

// Join returns the series l op r, label set by label set: those of the left side if the right one
// has a series without labels, otherwise those of the right side. A series without labels stands
// for every label set its side does not have. Exemplars of both sides move to the new sample of
// their interval. l and r must be of one window and are used up.
func Join(op string, l, r Set) Set {
	left, right := byLabels(l.Series), byLabels(r.Series)
	base := &r
	if _, ok := right[""]; ok {
		base = &l
	}
	out := Set{Window: l.Window}
	for i := range base.Series {
		key := labelKey(base.Series[i].Labels)
		a, b := seriesFor(left, key), seriesFor(right, key)
		if a == nil || b == nil {
			continue
		}
		x := Series{Labels: joinLabels(op, a.Labels, b.Labels), Values: make([]float64, len(a.Values))}
		for k := range x.Values {
			x.Values[k] = Calculate(op, a.Values[k], b.Values[k])
		}
		for _, e := range slices.Concat(a.Exemplars, b.Exemplars) {
			e.Value = x.Values[e.Interval]
			x.Exemplars = append(x.Exemplars, e)
		}
		slices.SortStableFunc(x.Exemplars, func(a, b Exemplar) int { return cmp.Compare(a.Time, b.Time) })
		out.Series = append(out.Series, x)
	}
	out.dropEmpty()
	out.sortSeries()
	return out
}

// seriesFor returns the series of a label set, or the one without labels.
func seriesFor(m map[string]*Series, key string) *Series {
	if s := m[key]; s != nil {
		return s
	}
	return m[""]
}

func byLabels(all []Series) map[string]*Series {
	m := make(map[string]*Series, len(all))
	for i := range all {
		if key := labelKey(all[i].Labels); m[key] == nil {
			m[key] = &all[i]
		}
	}
	return m
}

// labelKey returns a text that is the same for the same labels in any order, without the name of
// the function; "" for none.
func labelKey(labels []Label) string {
	parts := make([]string, 0, len(labels))
	for _, l := range labels {
		if l.Name != NameLabel {
			parts = append(parts, fmt.Sprintf("%q=%d:%q", l.Name, l.Value.Type, l.Value))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

func joinLabels(op string, l, r []Label) []Label {
	var out []Label
	var names []string
	for _, side := range [][]Label{l, r} {
		for _, x := range side {
			if x.Name == NameLabel {
				names = append(names, x.Value.String())
			} else if !slices.ContainsFunc(out, func(o Label) bool { return o.Name == x.Name }) {
				out = append(out, x)
			}
		}
	}
	if len(names) == 2 {
		out = append([]Label{{NameLabel, String("(" + names[0] + " " + op + " " + names[1] + ")")}}, out...)
	}
	return out
}
