package block

import (
	"context"
	"hash/maphash"
	"math"
	"math/bits"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Gathering brings the values of one column from the order of the inputs into that of the block.
//
// The slots of the block are cut into bands of about bandRows rows, which are whole row groups. For
// each band, and in it for each column, the pages of the inputs that have rows in the band are read
// one after the other, and their values are scattered: value i of a page goes to the slot of its
// row. So each page is read once for each band that its rows go to. As most tables are in the order
// of time, that is seldom more than two.
//
// The page of an input, whose third row has no value, and the band of slots [64, 128) that it is
// scattered to:
//
//	row    present  value   slot          slot   d = slot-64  present  out
//	0      1        "a"     66            64     0            1        "c"
//	1      1        "b"     noSlot        65     1            0        anything
//	2      0                65            66     2            1        "a"
//	3      1        "c"     64            67     3            0        anything
//	4      1        "d"     200           68     4            0        anything
//
// A Vector is dense: value i is the one of the i-th present row. What is gathered is not: it is in
// the place of its slot, and `present` says where there is a value. Row 1 is a duplicate that is
// left out, and row 4 belongs to a later band: for both, slot-64 is beyond the band as an unsigned
// number, so that one comparison sorts them out.
//
// Invariants: each slot is the slot of at most one input row; presentCount is the number of bits in
// present; slots of the padding have no value.

// input is one table whose rows go into the block.
type input struct {
	c     column.Columns
	slots []uint32    // by row; noSlot: the row is left out
	pages []slotRange // by page
}

// slotRange is the least and greatest slot of some rows; low > high: all of them are left out.
type slotRange struct{ low, high uint32 }

func newInput(c column.Columns, slots []uint32) *input {
	in := &input{c: c, slots: slots, pages: make([]slotRange, column.Pages(len(slots)))}
	for i := range in.pages {
		r := slotRange{low: noSlot}
		for _, s := range slots[i*column.PageRows : min((i+1)*column.PageRows, len(slots))] {
			if s != noSlot {
				r.low, r.high = min(r.low, s), max(r.high, s)
			}
		}
		in.pages[i] = r
	}
	return in
}

// gatherer gathers one column after the other, one band of slots at a time. Its memory is used
// again: what it returns is valid until the next column is gathered.
type gatherer struct {
	ctx    context.Context
	seed   maphash.Seed
	inputs []*input
	band
	marks

	vector     column.Vector
	rowSlots   []uint32 // the slots of the rows of a column that is read at once
	codes      []uint32
	dict       *interner // of the codes
	texts      []string
	ints       []int64
	floats     []float64
	translated translation
	pages      []int // of the input being read that have rows in the band
}

// band is the slots that are gathered.
type band struct {
	from  uint32 // the first
	slots uint32 // how many
	rows  int    // how many are no padding
}

// marks say which slots of the band have a value.
type marks struct {
	present      column.Bitmap // by slot
	presentCount int
	words        column.Bitmap // which words of present have bits, if few is set
	few          bool          // no value of the column was read page by page
	isClear      bool          // present and words have no bits
}

// setBand sets the slots that are gathered from now on: [from, to), of which rows are no padding.
func (g *gatherer) setBand(from, to, rows int) {
	g.from, g.slots, g.rows = uint32(from), uint32(to-from), rows
}

// pageFunc takes a page of a column of an input, which has at least one value, and the slots of its
// rows. Of a column that the input reads at once, it takes the rows that have a value; page is -1.
type pageFunc func(page int, v *column.Vector, slots []uint32) error

// eachPage reads the pages of a column that have rows in the band, input by input.
func (g *gatherer) eachPage(k column.Key, f pageFunc) error {
	for _, in := range g.inputs {
		if err := g.eachPageOf(in, k, f); err != nil {
			return err
		}
	}
	return nil
}

// eachPageOf reads the pages of a column of one input.
func (g *gatherer) eachPageOf(in *input, k column.Key, f pageFunc) error {
	if f, ok := in.c.(forgetter); ok {
		defer f.forgetColumns(k)
	}
	if done, err := g.readAtOnce(in, k, f); done || err != nil {
		return err
	}
	g.pages = g.pages[:0]
	for page, r := range in.pages {
		if r.low <= r.high && r.high >= g.from && r.low < g.from+g.slots {
			g.pages = append(g.pages, page)
		}
	}
	if len(g.pages) == 0 {
		return nil
	}
	if h, ok := in.c.(column.Hinter); ok {
		if err := h.Prefetch(g.ctx, []column.Key{k}, g.pages); err != nil {
			return err
		}
	}
	g.few = false
	for _, page := range g.pages {
		ok, err := in.c.Vector(g.ctx, k, page, &g.vector)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		at := page * column.PageRows
		slots := in.slots[at:min(at+column.PageRows, len(in.slots))]
		if g.vector.Rows != len(slots) {
			return corruptColumn(k, page)
		}
		if g.vector.N == 0 {
			continue
		}
		if err := f(page, &g.vector, slots); err != nil {
			return err
		}
	}
	return nil
}

// readAtOnce reads a column of one input if the input can read it at once.
func (g *gatherer) readAtOnce(in *input, k column.Key, f pageFunc) (done bool, err error) {
	r, ok := in.c.(column.SparseReader)
	if !ok || k.Scope == column.Intrinsic {
		return false, nil
	}
	return r.EachSparse(g.ctx, k, func(rows []uint32, values *column.Vector) error {
		g.rowSlots = resize(g.rowSlots, uint32(len(rows)))
		for i, r := range rows {
			g.rowSlots[i] = in.slots[r]
		}
		for _, s := range g.rowSlots {
			if d := s - g.from; d < g.slots {
				g.words.Set(int(d >> 6))
			}
		}
		return f(-1, values, g.rowSlots)
	})
}

// forgetter is a table that keeps what it has read. A merge reads each column once for each band,
// so it lets the table forget what it read as soon as that is gathered.
type forgetter interface{ forgetColumns(keys ...column.Key) }

// beginColumn empties the band for the next column.
func (g *gatherer) beginColumn() {
	g.presentCount, g.few = 0, true
	if n := int(g.slots+63) >> 6; !g.isClear || len(g.present) != n {
		g.present, g.words = g.present.Resize(int(g.slots)), g.words.Resize(n)
	}
	g.isClear = false
}

// appendSlots appends which of the slots [from, from+rows), counted from the beginning of the band,
// have a value; from is a multiple of 64. A band is large beside the values of a sparse attribute,
// so only words with bits are looked at where they are known.
func (g *gatherer) appendSlots(dst []uint32, from, rows int) []uint32 {
	first, end := from>>6, (from+rows+63)>>6
	if !g.few {
		return g.present[first:end].AppendRows(dst, uint32(from))
	}
	for i := g.words.Next(first); i >= 0 && i < end; i = g.words.Next(i + 1) {
		for w := g.present[i]; w != 0; w &= w - 1 {
			dst = append(dst, uint32(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return dst
}

// clearSlots empties the band after a column whose values were in these slots.
func (g *gatherer) clearSlots(slots []uint32) {
	for _, d := range slots {
		g.present[d>>6] = 0
		g.words[d>>12] = 0
	}
	g.isClear = true
}

// endColumn returns which slots have a value; nil stands for all rows.
func (g *gatherer) endColumn() column.Bitmap {
	if g.presentCount == g.rows {
		return nil
	}
	return g.present
}

// resize returns a slice of n elements, with any content, in s's memory if that is large enough.
func resize[T any](s []T, n uint32) []T { return slices.Grow(s[:0], int(n))[:n] }

// scatterValues puts the dense values of a page in the places of their slots.
func scatterValues[T any](g *gatherer, out []T, v *column.Vector, values []T, slots []uint32) {
	out = out[:g.slots]
	if v.Present == nil {
		values = values[:len(slots)]
		for i, s := range slots {
			if d := s - g.from; d < g.slots {
				out[d] = values[i]
				g.present[d>>6] |= 1 << (d & 63)
				g.presentCount++
			}
		}
		return
	}
	n := 0
	for i, w := range v.Present {
		for ; w != 0; w &= w - 1 {
			if d := slots[i<<6+bits.TrailingZeros64(w)] - g.from; d < g.slots {
				out[d] = values[n]
				g.present[d>>6] |= 1 << (d & 63)
				g.presentCount++
			}
			n++
		}
	}
}

// extra is a value of a column of the block that its input keeps in an overflow.
type extra struct {
	slot  uint32
	value trace.Value
}

// markPresent notes that a slot of the band has a value.
func (g *gatherer) markPresent(slot uint32) {
	g.present.Set(int(slot - g.from))
	g.words.Set(int(slot-g.from) >> 6)
	g.presentCount++
}

// gatherInts gathers a column of ints or bools, and of extras, which are all in the band.
func (g *gatherer) gatherInts(k column.Key, extras []extra) (*cells, error) {
	g.beginColumn()
	g.ints = resize(g.ints, g.slots)
	if err := g.eachPage(k, func(_ int, v *column.Vector, slots []uint32) error {
		scatterValues(g, g.ints, v, v.Ints, slots)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, x := range extras {
		g.ints[x.slot-g.from] = int64(x.value.Num)
		g.markPresent(x.slot)
	}
	return &cells{present: g.endColumn(), ints: g.ints}, nil
}

// gatherFloats gathers a column of floats.
func (g *gatherer) gatherFloats(k column.Key, extras []extra) (*cells, error) {
	g.beginColumn()
	g.floats = resize(g.floats, g.slots)
	if err := g.eachPage(k, func(_ int, v *column.Vector, slots []uint32) error {
		scatterValues(g, g.floats, v, v.Floats, slots)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, x := range extras {
		g.floats[x.slot-g.from] = math.Float64frombits(x.value.Num)
		g.markPresent(x.slot)
	}
	return &cells{present: g.endColumn(), floats: g.floats}, nil
}
