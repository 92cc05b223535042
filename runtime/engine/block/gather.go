package block

import (
	"context"
	"hash/maphash"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// input is one table whose rows go into the block.
type input struct {
	c     column.Columns
	slots []uint32    // of its rows
	pages []slotRange // of each page
}

// slotRange is the least and greatest slot of some rows; low > high: none of them is kept.
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

// gatherer brings the values of one column into the order of the block, one band of slots at a
// time. Each page of the inputs is read once for each band its rows go to. Its memory is used
// again.
type gatherer struct {
	ctx    context.Context
	seed   maphash.Seed
	inputs []*input
	from   uint32 // the band's slots
	slots  uint32
	rows   int // of the band; the rest is padding

	v       column.Vector
	present column.Bitmap
	codes   []uint32
	texts   []string
	ints    []int64
	floats  []float64
	known   translation
	got     int
	pages   []int // of the input being read that have rows in the band
}

// band sets the slots that are gathered from now on.
func (g *gatherer) band(from, to, rows int) {
	g.from, g.slots, g.rows = uint32(from), uint32(to-from), rows
}

// each reads the pages of a column that have rows in the band. f gets the slots of the page's rows.
func (g *gatherer) each(k column.Key, f func(in *input, v *column.Vector, slots []uint32) error) error {
	for _, in := range g.inputs {
		if err := g.eachOf(in, k, f); err != nil {
			return err
		}
	}
	return nil
}

func (g *gatherer) eachOf(in *input, k column.Key, f func(in *input, v *column.Vector, slots []uint32) error) error {
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
	if f, ok := in.c.(forgetter); ok {
		defer f.forget(k)
	}
	for _, page := range g.pages {
		ok, err := in.c.Vector(g.ctx, k, page, &g.v)
		if err != nil {
			return err
		}
		if !ok {
			return nil
		}
		at := page * column.PageRows
		slots := in.slots[at:min(at+column.PageRows, len(in.slots))]
		if g.v.Rows != len(slots) {
			return contradiction(k, page)
		}
		if g.v.N == 0 {
			continue
		}
		if err := f(in, &g.v, slots); err != nil {
			return err
		}
	}
	return nil
}

// forgetter is a table that keeps what it read: a merge reads each column once for each band.
type forgetter interface{ forget(keys ...column.Key) }

// begin empties the band.
func (g *gatherer) begin() {
	g.present = g.present.Resize(int(g.slots))
	g.got = 0
}

// end returns which slots have a value, nil for all rows.
func (g *gatherer) end() column.Bitmap {
	if g.got == g.rows {
		return nil
	}
	return g.present
}

// size returns a slice of n elements in s's memory if that is large enough.
func size[T any](s []T, n uint32) []T { return slices.Grow(s[:0], int(n))[:n] }

// scatter puts the dense values of a page to their slots.
func scatter[T any](g *gatherer, out []T, v *column.Vector, values []T, slots []uint32) {
	out = out[:g.slots]
	if v.Present == nil {
		values = values[:len(slots)]
		for i, s := range slots {
			if d := s - g.from; d < g.slots {
				out[d] = values[i]
				g.present[d>>6] |= 1 << (d & 63)
				g.got++
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
				g.got++
			}
			n++
		}
	}
}

// extra are values of one column that its inputs keep in their overflow.
type extra struct {
	slot  uint32
	value trace.Value
}

func (g *gatherer) set(slot uint32) {
	g.present.Set(int(slot - g.from))
	g.got++
}

// integers gathers a column of ints or bools.
func (g *gatherer) integers(k column.Key, extras []extra) (*cells, error) {
	g.begin()
	g.ints = size(g.ints, g.slots)
	if err := g.each(k, func(_ *input, v *column.Vector, slots []uint32) error {
		scatter(g, g.ints, v, v.Ints, slots)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, x := range extras {
		g.ints[x.slot-g.from] = int64(x.value.Num)
		g.set(x.slot)
	}
	return &cells{present: g.end(), ints: g.ints}, nil
}

func (g *gatherer) numbers(k column.Key, extras []extra) (*cells, error) {
	g.begin()
	g.floats = size(g.floats, g.slots)
	if err := g.each(k, func(_ *input, v *column.Vector, slots []uint32) error {
		scatter(g, g.floats, v, v.Floats, slots)
		return nil
	}); err != nil {
		return nil, err
	}
	for _, x := range extras {
		g.floats[x.slot-g.from] = math.Float64frombits(x.value.Num)
		g.set(x.slot)
	}
	return &cells{present: g.end(), floats: g.floats}, nil
}

// Of values that come without a dictionary, past a number of them most must have been there before,
// or the column goes on without one.
const (
	tryValues = 4096
	tryBytes  = 32 << 20 // of distinct ones
)

// text gathers a column of strings or bytes: as codes of one dictionary for all inputs, or as they
// are if they hardly repeat.
func (g *gatherer) text(k column.Key, c coding, extras []extra) (*cells, error) {
	g.begin()
	t := &textGatherer{gatherer: g, dict: newInterner(g.seed), coding: c}
	g.known = translation{to: t.dict, memo: g.known.memo}
	if c == dictNever {
		t.noDict = true
		g.texts = size(g.texts, g.slots)
	} else {
		g.codes = size(g.codes, g.slots)
	}
	if err := g.each(k, t.page); err != nil {
		return nil, err
	}
	for _, x := range extras {
		s := unsafe.String(unsafe.SliceData(x.value.Bytes), len(x.value.Bytes))
		if k.Type == column.Any {
			s = string(trace.AppendValue(nil, &x.value))
		}
		t.put(x.slot, s)
		g.set(x.slot)
	}
	if t.noDict {
		return &cells{present: g.end(), texts: g.texts}, nil
	}
	return &cells{present: g.end(), codes: g.codes, dict: t.dict}, nil
}

type textGatherer struct {
	*gatherer
	dict   *interner
	coding coding
	noDict bool
	plain  int // values that came without a dictionary
	fresh  int // those of them that were new
}

func (t *textGatherer) page(_ *input, v *column.Vector, slots []uint32) error {
	g := t.gatherer
	switch {
	case t.noDict && v.Dict == nil:
		scatter(g, g.texts, v, v.Strings, slots)
	case v.Dict != nil && !t.noDict:
		memo := g.known.use(v.Dict)
		if v.Present == nil {
			for i, s := range slots {
				if d := s - g.from; d < g.slots {
					c := v.Codes[i]
					n := memo[c]
					if n == 0 {
						n = g.known.number(v.Dict, c) + 1
					}
					g.codes[d] = n - 1
					g.present[d>>6] |= 1 << (d & 63)
					g.got++
				}
			}
			return nil
		}
		n := 0
		for i, w := range v.Present {
			for ; w != 0; w &= w - 1 {
				if d := slots[i<<6+bits.TrailingZeros64(w)] - g.from; d < g.slots {
					c := v.Codes[n]
					m := memo[c]
					if m == 0 {
						m = g.known.number(v.Dict, c) + 1
					}
					g.codes[d] = m - 1
					g.present[d>>6] |= 1 << (d & 63)
					g.got++
				}
				n++
			}
		}
	default:
		row := -1
		for i := range v.N {
			row++
			if v.Present != nil {
				row = v.Present.Next(row)
			}
			if s := slots[row]; s-g.from < g.slots {
				t.put(s, v.Text(i))
				g.set(s)
			}
		}
	}
	return nil
}

// put puts one value that has no code to its slot.
func (t *textGatherer) put(slot uint32, s string) {
	g := t.gatherer
	if t.noDict {
		g.texts[slot-g.from] = s
		return
	}
	before := len(t.dict.list)
	g.codes[slot-g.from] = t.dict.code(s, true)
	t.plain++
	t.fresh += len(t.dict.list) - before
	if t.coding == dictMay && (t.plain >= tryValues && 2*t.fresh > t.plain || t.dict.bytes > tryBytes) {
		t.noDict = true
		g.texts = size(g.texts, g.slots)
		list := t.dict.list
		for d := g.present.Next(0); d >= 0; d = g.present.Next(d + 1) {
			g.texts[d] = list[g.codes[d]]
		}
		g.texts[slot-g.from] = s
	}
}
