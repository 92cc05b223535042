package series

import (
	"cmp"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Sides of a comparison.
const (
	Baseline  = 0
	Selection = 1
)

// maxValues bounds the values of one field that a Comparison counts. Of more, those with the least
// hashes are counted, and counted exactly, wherever their spans lie. It is far above what compare()
// lists.
const maxValues = 1 << 12

// Comparison is what compare() has counted: for each field, how many spans of the selection and of
// the baseline have each value.
type Comparison struct {
	window   Window
	weighted bool
	fields   map[string]*FieldCounts
}

// NewComparison returns an empty Comparison. If it is weighted, a span stands for as many as its
// weight says.
func NewComparison(w Window, weighted bool) *Comparison {
	return &Comparison{window: w, weighted: weighted, fields: map[string]*FieldCounts{}}
}

// EmptyCopy returns a Comparison of the same window that has counted nothing.
func (c *Comparison) EmptyCopy() *Comparison { return NewComparison(c.window, c.weighted) }

// FieldCounts is one field of a Comparison.
type FieldCounts struct {
	Name      string
	values    *Tally // by side and value
	totals    *Tally // by side
	hashLimit uint64 // values with a greater hash are not counted
	truncated bool
	// Generation changes when the groups do.
	Generation int
}

// Field returns the field with a name, such as span.x.
func (c *Comparison) Field(name string) *FieldCounts {
	f := c.fields[name]
	if f == nil {
		f = &FieldCounts{Name: name, hashLimit: math.MaxUint64, values: c.newTally(2), totals: c.newTally(1)}
		c.fields[name] = f
	}
	return f
}

func (c *Comparison) newTally(labels int) *Tally {
	t := NewTally(Spec{Func: Count, Window: c.window, Weighted: c.weighted, Labels: make([]string, labels)})
	t.Groups.EncodeValue(0, Int(Baseline)) // code 1
	t.Groups.EncodeValue(0, Int(Selection))
	return t
}

func hashValue(v Value) uint64 {
	h := xxhash.Sum64String(v.Text)
	return mixBits(h ^ mixBits(v.Num+uint64(v.Type)<<56))
}

// GroupOf returns the group of a side's spans with a value; ok=false: they are not counted.
func (f *FieldCounts) GroupOf(side int, v Value) (group uint32, ok bool) {
	if f.truncated && hashValue(v) > f.hashLimit {
		return 0, false
	}
	g := f.values.Groups
	return g.GroupOf([]uint32{uint32(side) + 1, g.EncodeValue(1, v)}), true
}

// Truncated says that there are so many values that not all are counted.
func (f *FieldCounts) Truncated() bool { return f.truncated }

// CountSpans counts spans by the groups of their values; weights are as in Tally.CountSpans. Groups are other
// ones after it if the Generation is.
func (f *FieldCounts) CountSpans(groups, intervals []uint32, weights []uint64) {
	f.values.CountSpans(groups, intervals, weights)
	if f.hasMoreValues(2 * maxValues) {
		f.pruneValues()
	}
}

// CountTotal counts n spans, or spans of weight n, of one side and interval that have the field.
func (f *FieldCounts) CountTotal(side int, interval uint32, n uint64) {
	f.totals.CountInCell(f.totals.Groups.GroupOf([]uint32{uint32(side) + 1}), interval, n)
}

// pruneValues keeps the maxValues values with the least hashes.
func (f *FieldCounts) pruneValues() {
	values := f.values.Groups.labels[1].values[1:]
	hashes := make([]uint64, len(values))
	for i, v := range values {
		hashes[i] = hashValue(v)
	}
	slices.Sort(hashes)
	f.hashLimit, f.truncated = min(f.hashLimit, hashes[maxValues-1]), true
	f.recount()
}

// recount counts anew only what has a hash up to the least.
func (f *FieldCounts) recount() {
	old := f.values
	f.values = (&Comparison{window: old.spec.Window, weighted: old.spec.Weighted}).newTally(2)
	f.Generation++
	to := make([]uint32, old.Groups.Len())
	var v []Value
	for g := range to {
		v = old.Groups.AppendValues(g, v[:0])
		if n, ok := f.GroupOf(int(v[0].Num), v[1]); ok {
			to[g] = n + 1
		}
	}
	for c, n := range old.counts {
		if n == 0 {
			continue
		}
		if g, iv := old.cells.locateCell(uint32(c)); to[g] != 0 {
			f.values.CountInCell(to[g]-1, uint32(iv), n)
		}
	}
}

// Bytes returns the memory taken, in bytes.
func (c *Comparison) Bytes() int {
	n := 0
	for _, f := range c.fields {
		n += 512 + f.values.Bytes() + f.totals.Bytes()
	}
	return n
}

// Merge adds what another Comparison of the same query has counted; its window may be another one
// with the same step. It reports whether the steps fit together. o stays as it is.
func (c *Comparison) Merge(o *Comparison) bool {
	u, ok := c.window.unionWith(&o.window)
	if !ok {
		return false
	}
	c.window = u
	for name, from := range o.fields {
		f := c.Field(name)
		if f.truncated || from.truncated {
			// What one side has let go, the other must.
			least := min(f.hashLimit, from.hashLimit)
			if !f.truncated || f.hashLimit != least {
				f.hashLimit, f.truncated = least, true
				f.recount()
			}
			if !from.truncated || from.hashLimit != least {
				from = from.clone()
				from.hashLimit, from.truncated = least, true
				from.recount()
			}
		}
		f.values.Merge(from.values)
		f.totals.Merge(from.totals)
		f.Generation++
		if f.hasMoreValues(2 * maxValues) {
			f.pruneValues()
		}
	}
	return true
}

func (f *FieldCounts) clone() *FieldCounts {
	n := NewComparison(f.values.spec.Window, f.values.spec.Weighted).Field(f.Name)
	n.hashLimit, n.truncated = f.hashLimit, f.truncated
	n.values.Merge(f.values)
	n.totals.Merge(f.totals)
	return n
}

// hasMoreValues says whether there are more than n values.
func (f *FieldCounts) hasMoreValues(n int) bool { return len(f.values.Groups.labels[1].values)-1 > n }

// MakeSeries makes the series in a window: for each field and side the top values by number of spans, ties
// by value, and the total; a field with more values than that is named by a series without samples.
// The Comparison stays as it is.
func (c *Comparison) MakeSeries(w Window, top int) Set {
	s := Set{Window: w}
	for _, f := range c.fields {
		if f.hasMoreValues(maxValues) { // which of those above are still there depends on the order of things
			f = f.clone()
			f.pruneValues()
		}
		many := f.truncated
		values, totals := f.values.countsBySide(&w), f.totals.countsBySide(&w)
		for side, name := range []string{"baseline", "selection"} {
			list := values[side]
			slices.SortFunc(list, func(a, b *valueCounts) int {
				return cmp.Or(cmp.Compare(b.total, a.total), a.value.Compare(b.value))
			})
			if len(list) > top {
				list, many = list[:top], true
			}
			for _, x := range list {
				s.Series = append(s.Series, Series{Labels: []Label{{"__meta_type", String(name)}, {f.Name, x.value}}, Values: x.samples})
			}
			for _, x := range totals[side] {
				s.Series = append(s.Series, Series{Labels: []Label{{"__meta_type", String(name + "_total")}, {f.Name, String("nil")}}, Values: x.samples})
			}
		}
		if many {
			s.Series = append(s.Series, Series{Labels: []Label{{"__meta_error", String("__too_many_values__")}, {f.Name, String("nil")}}, Values: newSamples(&w, math.NaN())})
		}
	}
	s.sortSeries()
	return s
}

// valueCounts is how many spans have a value, in all and by interval.
type valueCounts struct {
	value   Value
	total   uint64
	samples []float64
}

// countsBySide returns what was counted in a window for each side: the first label of the groups.
func (t *Tally) countsBySide(w *Window) (out [2][]*valueCounts) {
	at := make([]*valueCounts, t.Groups.Len())
	shift, _ := w.intervalOffset(&t.spec.Window)
	var v []Value
	for cell, n := range t.counts {
		if n == 0 {
			continue
		}
		g, iv := t.cells.locateCell(uint32(cell))
		if iv += shift; iv < 0 || iv >= w.intervals {
			continue
		}
		if at[g] == nil {
			v = t.Groups.AppendValues(g, v[:0])
			at[g] = &valueCounts{value: v[len(v)-1], samples: newSamples(w, 0)}
			side := v[0].Num
			out[side] = append(out[side], at[g])
		}
		at[g].total += n
		at[g].samples[iv] = float64(n) / t.spec.unitCount()
	}
	return out
}
