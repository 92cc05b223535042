package series

import (
	"encoding/binary"
	"maps"
	"slices"
)

// PackedComparison is what a Comparison has counted, as Packed is what a Tally has counted.
//
// data is a sequence of fields, and a field a sequence of numbers, as varints:
//
//	name     length, text
//	limit    of the hashes; 1 if there are values above it, else 0
//	totals   counts of the baseline, of the selection
//	values   how many, then for each the value and its counts on both sides
//	counts   for each interval with any the intervals since the one before, at least 1, and the
//	         count; then 0
type PackedComparison struct {
	window   Window
	weighted bool
	data     string
}

// Bytes estimates the memory in bytes.
func (p *PackedComparison) Bytes() int { return 128 + len(p.data) }

// NewComparison returns a Comparison of the same query that has counted nothing.
func (p *PackedComparison) NewComparison() *Comparison { return NewComparison(p.window, p.weighted) }

// EmptyCopy returns a Comparison of the same window that has counted nothing.
func (c *Comparison) EmptyCopy() *Comparison { return NewComparison(c.window, c.weighted) }

// Pack returns what the Comparison has counted.
func (c *Comparison) Pack() *PackedComparison {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(c.fields)) {
		b = c.fields[name].appendPacked(b)
	}
	return &PackedComparison{window: c.window, weighted: c.weighted, data: string(b)}
}

// appendPacked appends the field. Of too many values those that are counted in no case are left
// out.
func (f *FieldCounts) appendPacked(b []byte) []byte {
	limit := f.leastLimit()
	truncated := byte(0)
	if f.truncated || limit < f.hashLimit {
		truncated = 1
	}
	b = append(binary.AppendUvarint(appendText(b, f.Name), limit), truncated)
	b = f.totals.appendPacked(f.totals.appendPacked(b, Baseline), Selection)
	n := 0
	for _, h := range f.hashes {
		if h <= limit {
			n++
		}
	}
	b = binary.AppendUvarint(b, uint64(n))
	for i, v := range f.values {
		if f.hashes[i] <= limit {
			b = v.appendPacked(b)
			for side := range 2 {
				b = f.counts.appendPacked(b, int(GroupOf(side, uint32(i))))
			}
		}
	}
	return b
}

// appendPacked appends the counts of a group.
func (c *cellCounts) appendPacked(b []byte, group int) []byte {
	before := -1
	for iv, n := range c.eachCount(group) {
		b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(iv-before)), n)
		before = iv
	}
	return append(b, 0)
}

// Merge adds what another Comparison of the same query has counted; its window may be another one
// with the same step. Merge reports whether the windows fit together.
func (c *Comparison) Merge(o *PackedComparison) bool {
	if !c.coverWindow(&o.window) {
		return false
	}
	shift, _ := c.window.intervalOffset(&o.window)
	for r := (unpacker{data: o.data}); r.at < len(r.data); {
		c.Field(r.text()).merge(&r, shift)
	}
	return true
}

// coverWindow extends the window so that it contains w. It reports whether that is possible.
func (c *Comparison) coverWindow(w *Window) bool {
	if c.window.containsWindow(w) {
		return true
	}
	u, ok := c.window.unionWith(w)
	if !ok {
		return false
	}
	shift, _ := u.intervalOffset(&c.window)
	for _, f := range c.fields {
		f.counts, f.totals = f.counts.moved(u.intervals, shift), f.totals.moved(u.intervals, shift)
	}
	c.window = u
	return true
}

// moved returns the same counts in a window of so many intervals, of which interval 0 of c is
// interval shift.
func (c *cellCounts) moved(intervals, shift int) cellCounts {
	m := cellCounts{cells: newCells(intervals)}
	for group := range c.cells.groups() {
		for iv, n := range c.eachCount(group) {
			m.CountInCell(uint32(group), uint32(iv+shift), n)
		}
	}
	return m
}

// merge adds the field that r reads, the name of which has been read. Both must count the same
// values: those below the lower of the limits.
func (f *FieldCounts) merge(r *unpacker, shift int) {
	limit := r.uvarint()
	if r.byte() != 0 {
		f.lowerHashLimit(limit)
	}
	for side := range 2 {
		f.totals.merge(r, uint32(side), shift)
	}
	for n := r.uvarint(); n > 0; n-- {
		number, ok := f.NumberOf(r.value())
		for side := range 2 {
			if ok {
				f.counts.merge(r, GroupOf(side, number), shift)
			} else {
				r.skipCounts()
			}
		}
	}
	f.PruneValues()
}

// merge adds the counts that r reads to those of a group. Interval 0 there is interval shift here.
func (c *cellCounts) merge(r *unpacker, group uint32, shift int) {
	iv := shift - 1
	for d := r.uvarint(); d != 0; d = r.uvarint() {
		iv += int(d)
		c.CountInCell(group, uint32(iv), r.uvarint())
	}
}

// skipCounts passes over the counts of a group.
func (r *unpacker) skipCounts() {
	for r.uvarint() != 0 {
		r.uvarint()
	}
}
