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
	fields   map[string]*Compared
}

// NewComparison returns an empty Comparison. If it is weighted, a span stands for as many as its
// weight says.
func NewComparison(w Window, weighted bool) *Comparison {
	return &Comparison{window: w, weighted: weighted, fields: map[string]*Compared{}}
}

// Empty returns a Comparison of the same window that has counted nothing.
func (c *Comparison) Empty() *Comparison { return NewComparison(c.window, c.weighted) }

// Compared is one field of a Comparison.
type Compared struct {
	Name   string
	values *Tally // by side and value
	totals *Tally // by side
	least  uint64 // values with a greater hash are not counted
	cut    bool
	// Generation changes when the groups do.
	Generation int
}

// Field returns the field with a name, such as span.x.
func (c *Comparison) Field(name string) *Compared {
	f := c.fields[name]
	if f == nil {
		f = &Compared{Name: name, least: math.MaxUint64, values: c.tally(2), totals: c.tally(1)}
		c.fields[name] = f
	}
	return f
}

func (c *Comparison) tally(labels int) *Tally {
	t := NewTally(Spec{Func: Count, Window: c.window, Weighted: c.weighted, Labels: make([]string, labels)})
	t.Groups.Code(0, Int(Baseline)) // code 1
	t.Groups.Code(0, Int(Selection))
	return t
}

func hashValue(v Value) uint64 {
	h := xxhash.Sum64String(v.Text)
	return mix(h ^ mix(v.Num+uint64(v.Type)<<56))
}

// Group returns the group of a side's spans with a value; ok=false: they are not counted.
func (f *Compared) Group(side int, v Value) (group uint32, ok bool) {
	if f.cut && hashValue(v) > f.least {
		return 0, false
	}
	g := f.values.Groups
	return g.Of([]uint32{uint32(side) + 1, g.Code(1, v)}), true
}

// Cut says that there are so many values that not all are counted.
func (f *Compared) Cut() bool { return f.cut }

// Spans counts spans by the groups of their values; weights are as in Tally.Spans. Groups are other
// ones after it if the Generation is.
func (f *Compared) Spans(groups, intervals []uint32, weights []uint64) {
	f.values.Spans(groups, intervals, weights)
	if f.many(2 * maxValues) {
		f.prune()
	}
}

// Total counts n spans, or spans of weight n, of one side and interval that have the field.
func (f *Compared) Total(side int, interval uint32, n uint64) {
	f.totals.SpansIn(f.totals.Groups.Of([]uint32{uint32(side) + 1}), interval, n)
}

// prune keeps the maxValues values with the least hashes.
func (f *Compared) prune() {
	values := f.values.Groups.labels[1].values[1:]
	hashes := make([]uint64, len(values))
	for i, v := range values {
		hashes[i] = hashValue(v)
	}
	slices.Sort(hashes)
	f.least, f.cut = min(f.least, hashes[maxValues-1]), true
	f.keep()
}

// keep counts anew only what has a hash up to the least.
func (f *Compared) keep() {
	old := f.values
	f.values = (&Comparison{window: old.spec.Window, weighted: old.spec.Weighted}).tally(2)
	f.Generation++
	to := make([]uint32, old.Groups.Len())
	var v []Value
	for g := range to {
		v = old.Groups.Values(g, v[:0])
		if n, ok := f.Group(int(v[0].Num), v[1]); ok {
			to[g] = n + 1
		}
	}
	for c, n := range old.counts {
		if n == 0 {
			continue
		}
		if g, iv := old.cells.of(uint32(c)); to[g] != 0 {
			f.values.SpansIn(to[g]-1, uint32(iv), n)
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
	u, ok := c.window.union(&o.window)
	if !ok {
		return false
	}
	c.window = u
	for name, from := range o.fields {
		f := c.Field(name)
		if f.cut || from.cut {
			// What one side has let go, the other must.
			least := min(f.least, from.least)
			if !f.cut || f.least != least {
				f.least, f.cut = least, true
				f.keep()
			}
			if !from.cut || from.least != least {
				from = from.clone()
				from.least, from.cut = least, true
				from.keep()
			}
		}
		f.values.Merge(from.values)
		f.totals.Merge(from.totals)
		f.Generation++
		if f.many(2 * maxValues) {
			f.prune()
		}
	}
	return true
}

func (f *Compared) clone() *Compared {
	n := NewComparison(f.values.spec.Window, f.values.spec.Weighted).Field(f.Name)
	n.least, n.cut = f.least, f.cut
	n.values.Merge(f.values)
	n.totals.Merge(f.totals)
	return n
}

// many says whether there are more than n values.
func (f *Compared) many(n int) bool { return len(f.values.Groups.labels[1].values)-1 > n }

// Set makes the series in a window: for each field and side the top values by number of spans, ties
// by value, and the total; a field with more values than that is named by a series without samples.
// The Comparison stays as it is.
func (c *Comparison) Set(w Window, top int) Set {
	s := Set{Window: w}
	for _, f := range c.fields {
		if f.many(maxValues) { // which of those above are still there depends on the order of things
			f = f.clone()
			f.prune()
		}
		many := f.cut
		values, totals := f.values.sides(&w), f.totals.sides(&w)
		for side, name := range []string{"baseline", "selection"} {
			list := values[side]
			slices.SortFunc(list, func(a, b *counted) int {
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
			s.Series = append(s.Series, Series{Labels: []Label{{"__meta_error", String("__too_many_values__")}, {f.Name, String("nil")}}, Values: samples(&w, math.NaN())})
		}
	}
	s.sort()
	return s
}

// counted is how many spans have a value, in all and by interval.
type counted struct {
	value   Value
	total   uint64
	samples []float64
}

// sides returns what was counted in a window for each side: the first label of the groups.
func (t *Tally) sides(w *Window) (out [2][]*counted) {
	at := make([]*counted, t.Groups.Len())
	shift, _ := w.offset(&t.spec.Window)
	var v []Value
	for cell, n := range t.counts {
		if n == 0 {
			continue
		}
		g, iv := t.cells.of(uint32(cell))
		if iv += shift; iv < 0 || iv >= w.n {
			continue
		}
		if at[g] == nil {
			v = t.Groups.Values(g, v[:0])
			at[g] = &counted{value: v[len(v)-1], samples: samples(w, 0)}
			side := v[0].Num
			out[side] = append(out[side], at[g])
		}
		at[g].total += n
		at[g].samples[iv] = float64(n) / t.spec.one()
	}
	return out
}
