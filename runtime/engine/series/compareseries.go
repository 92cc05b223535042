package series

import (
	"cmp"
	"math"
	"slices"
)

// MakeSeries makes the series of the window w: for each field and side a series of each of the top
// values, by number of spans and then by value, and a series of the total. A field with more values
// than that has one more series, without samples, that says so. The Comparison stays as it is.
func (c *Comparison) MakeSeries(w Window, top int) Set {
	s := Set{Window: w}
	unit := 1.0
	if c.weighted {
		unit = UnitWeight
	}
	shift, _ := w.intervalOffset(&c.window)
	samples := func(counts *cellCounts, group int) []float64 {
		out := newSamples(&w, 0)
		for iv, n := range counts.eachCount(group) {
			if iv += shift; iv >= 0 && iv < w.intervals {
				out[iv] = float64(n) / unit
			}
		}
		return out
	}
	for _, f := range c.fields {
		// Which values above maxValues are left depends on the order of merging.
		many, limit := f.truncated || len(f.values) > maxValues, f.leastLimit()
		for side, name := range []string{"baseline", "selection"} {
			list, more := f.topValues(side, limit, shift, &w, top)
			many = many || more
			for _, x := range list {
				values := samples(&f.counts, int(GroupOf(side, x.number)))
				s.addMeta(Label{"__meta_type", String(name)}, Label{f.Name, f.values[x.number]}, values)
			}
			if f.totals.sum(side, shift, w.intervals) > 0 {
				values := samples(&f.totals, side)
				s.addMeta(Label{"__meta_type", String(name + "_total")}, Label{f.Name, String("nil")}, values)
			}
		}
		if many {
			none := newSamples(&w, math.NaN())
			s.addMeta(Label{"__meta_error", String("__too_many_values__")}, Label{f.Name, String("nil")}, none)
		}
	}
	s.sortSeries()
	return s
}

// addMeta adds a series of a comparison. Its first label tells what the series is about.
func (s *Set) addMeta(meta, field Label, values []float64) {
	s.Series = append(s.Series, Series{Labels: []Label{meta, field}, Values: values})
}

// valueCount is how many spans of a side have a value.
type valueCount struct {
	number uint32
	count  uint64
}

// topValues returns the values with the most spans on a side in the window w, in this order, and
// whether there are more. Interval 0 of the field is interval shift of w. Values whose hash is
// above the limit do not count.
func (f *FieldCounts) topValues(
	side int, limit uint64, shift int, w *Window, top int,
) (list []valueCount, more bool) {
	compare := func(a, b valueCount) int {
		return cmp.Or(cmp.Compare(b.count, a.count), f.values[a.number].Compare(f.values[b.number]))
	}
	for n := range f.values {
		if f.hashes[n] > limit {
			continue
		}
		x := valueCount{number: uint32(n)}
		if x.count = f.counts.sum(int(GroupOf(side, x.number)), shift, w.intervals); x.count == 0 {
			continue
		}
		if len(list) == top {
			more = true
			if top == 0 || compare(x, list[top-1]) > 0 {
				continue
			}
			list = list[:top-1]
		}
		at, _ := slices.BinarySearchFunc(list, x, compare)
		list = slices.Insert(list, at, x)
	}
	return list, more
}

// sum returns what a group has counted in so many intervals of a window, of which its own interval
// 0 is interval shift.
func (c *cellCounts) sum(group, shift, intervals int) (sum uint64) {
	for iv, n := range c.eachCount(group) {
		if iv += shift; iv >= 0 && iv < intervals {
			sum += n
		}
	}
	return sum
}
