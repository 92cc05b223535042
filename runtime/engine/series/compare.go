package series

import (
	"cmp"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// The sides of a comparison.
const (
	Baseline  = 0
	Selection = 1
)

// maxValues bounds the values of one field that a Comparison counts, far above what compare()
// lists. If there are more, those with the least hashes are counted, and they are counted exactly:
// which values these are does not depend on the order or the place of the spans.
const maxValues = 1 << 12

// Comparison is what compare() has counted: for each field, how many spans of the selection and of
// the baseline have each value, by interval.
//
//	span  side       span.status         field span.status counts
//	   0  baseline   ok                  baseline:  ok 2
//	   1  baseline   ok                  selection: ok 1, error 1
//	   2  selection  error
//	   3  selection  ok                  totals
//	   4  selection  -                   baseline 2, selection 2   (span 4 lacks the field)
type Comparison struct {
	window   Window
	weighted bool
	fields   map[string]*FieldCounts // by name
}

// NewComparison returns an empty Comparison. In a weighted one a span stands for as many as its
// weight says; see UnitWeight.
func NewComparison(w Window, weighted bool) *Comparison {
	return &Comparison{window: w, weighted: weighted, fields: map[string]*FieldCounts{}}
}

// EmptyCopy returns a Comparison of the same window that has counted nothing.
func (c *Comparison) EmptyCopy() *Comparison { return NewComparison(c.window, c.weighted) }

// FieldCounts is what a Comparison has counted for one field.
type FieldCounts struct {
	Name      string
	values    *Tally // by side and value
	totals    *Tally // by side
	hashLimit uint64 // values with a greater hash are not counted
	truncated bool   // there are such values
	// Generation changes whenever groups returned by GroupOf become invalid.
	Generation int
}

// Field returns the counts of the field with this name, such as span.x.
func (c *Comparison) Field(name string) *FieldCounts {
	f := c.fields[name]
	if f == nil {
		f = &FieldCounts{Name: name, hashLimit: math.MaxUint64, values: c.newTally(2), totals: c.newTally(1)}
		c.fields[name] = f
	}
	return f
}

// newTally returns a Tally of spans by side and, with two labels, by value. The code of a side is
// the side + 1.
func (c *Comparison) newTally(labels int) *Tally {
	t := NewTally(Spec{Func: Count, Window: c.window, Weighted: c.weighted, Labels: make([]string, labels)})
	t.Groups.EncodeValue(0, Int(Baseline))
	t.Groups.EncodeValue(0, Int(Selection))
	return t
}

// hashValue orders the values of a field for truncation.
func hashValue(v Value) uint64 {
	h := xxhash.Sum64String(v.Text)
	return mixBits(h ^ mixBits(v.Num+uint64(v.Type)<<56))
}

// GroupOf returns the group of a side's spans with this value, valid for this Generation; ok=false:
// the value is not counted.
func (f *FieldCounts) GroupOf(side int, v Value) (group uint32, ok bool) {
	if f.truncated && hashValue(v) > f.hashLimit {
		return 0, false
	}
	g := f.values.Groups
	return g.GroupOf([]uint32{uint32(side) + 1, g.EncodeValue(1, v)}), true
}

// Truncated reports whether there are more values than are counted.
func (f *FieldCounts) Truncated() bool { return f.truncated }

// CountSpans counts spans by the groups of their values, as Tally.CountSpans does. It may begin a
// new Generation.
func (f *FieldCounts) CountSpans(groups, intervals []uint32, weights []uint64) {
	f.values.CountSpans(groups, intervals, weights)
	if f.hasMoreValues(2 * maxValues) {
		f.pruneValues()
	}
}

// CountTotal counts n spans of one side and interval that have the field, or spans whose weights
// sum to n.
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

// recount keeps only the values whose hash is not above the limit.
func (f *FieldCounts) recount() {
	old := f.values
	f.values = (&Comparison{window: old.spec.Window, weighted: old.spec.Weighted}).newTally(2)
	f.Generation++
	to := make([]uint32, old.Groups.Len()) // group -> new group + 1; 0: it is not counted any more
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

// Bytes estimates the memory of the Comparison in bytes.
func (c *Comparison) Bytes() int {
	n := 0
	for _, f := range c.fields {
		n += 512 + f.values.Bytes() + f.totals.Bytes()
	}
	return n
}

// Merge adds what another Comparison of the same query has counted; its window may be another one
// with the same step. Merge reports whether the windows fit together. o stays as it is.
func (c *Comparison) Merge(o *Comparison) bool {
	u, ok := c.window.unionWith(&o.window)
	if !ok {
		return false
	}
	c.window = u
	for name, from := range o.fields {
		f := c.Field(name)
		if f.truncated || from.truncated {
			// Both must count the same values: those below the lower of the limits.
			limit := min(f.hashLimit, from.hashLimit)
			f.lowerHashLimit(limit)
			if !from.truncated || from.hashLimit != limit {
				from = from.clone()
				from.lowerHashLimit(limit)
			}
		}
		f.values.Merge(from.values.Pack())
		f.totals.Merge(from.totals.Pack())
		f.Generation++
		if f.hasMoreValues(2 * maxValues) {
			f.pruneValues()
		}
	}
	return true
}

// lowerHashLimit lets go of the values whose hash is above the limit.
func (f *FieldCounts) lowerHashLimit(limit uint64) {
	if f.truncated && f.hashLimit == limit {
		return
	}
	f.hashLimit, f.truncated = limit, true
	f.recount()
}

func (f *FieldCounts) clone() *FieldCounts {
	n := NewComparison(f.values.spec.Window, f.values.spec.Weighted).Field(f.Name)
	n.hashLimit, n.truncated = f.hashLimit, f.truncated
	n.values.Merge(f.values.Pack())
	n.totals.Merge(f.totals.Pack())
	return n
}

// hasMoreValues reports whether there are more than n values.
func (f *FieldCounts) hasMoreValues(n int) bool { return len(f.values.Groups.labels[1].values)-1 > n }

// MakeSeries makes the series of the window w: for each field and side a series of each of the top
// values, by number of spans and then by value, and a series of the total. A field with more values
// than that has one more series, without samples, that says so. The Comparison stays as it is.
func (c *Comparison) MakeSeries(w Window, top int) Set {
	s := Set{Window: w}
	for _, f := range c.fields {
		if f.hasMoreValues(maxValues) { // which values above maxValues are left depends on the order of merging
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
				s.addMeta(Label{"__meta_type", String(name)}, Label{f.Name, x.value}, x.samples)
			}
			for _, x := range totals[side] {
				s.addMeta(Label{"__meta_type", String(name + "_total")}, Label{f.Name, String("nil")}, x.samples)
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

// valueCounts is how many spans have one value, in all and by interval.
type valueCounts struct {
	value   Value
	total   uint64
	samples []float64
}

// countsBySide returns what was counted in the window w for each side, which is the first label of
// the groups, and each value, which is the last.
func (t *Tally) countsBySide(w *Window) (out [2][]*valueCounts) {
	at := make([]*valueCounts, t.Groups.Len()) // by group
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
