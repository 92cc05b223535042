package block

import (
	"fmt"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Shapes keep the order in which the attributes of a row were sent (column.AppendShape). Those of
// an input name columns of the input; those of the block name columns of the block. An attribute
// may have a column in one of them and lie in the overflow in the other, so there are four ways
// that it can go:
//
//	column of the input   -> column of the block    the gatherer brings the values over
//	column of the input   -> overflow of the block  its values become pieces (overflowwrite.go)
//	overflow of the input -> column of the block    an extra that the gatherer adds to the column
//	overflow of the input -> overflow of the block  a kept piece
//
// Five rows of an input with the columns a, b, c, for a block with the columns a, d:
//
//	row  sent   shape of the input  overflow  shape of the block  overflow
//	0    a b    1 2                           1 0                 b
//	1    b a    2 1                           0 1                 b
//	2    a      1                             1
//	3    d a    0 1                 d         2 1                           d is an extra
//	4    e c d  0 3 0               e d       0 0 2               e c       d is an extra
//
// What becomes of a shape without overflow (rows 0 to 2) depends on the shape alone. It is worked
// out once for each entry of the input's dictionary, and remembered as a shapeMemo. A shape with
// overflow is mixed: what becomes of it depends on the attributes of each row, so it is translated
// row by row.
//
// Together with its shape in the block a row gets an overflowOrder, which says where each attribute
// of its overflow comes from. In the example there are two: [b], and [-1, c].
//
// Invariants: a shape has as many entries as the row has attributes, in the input as in the block;
// no n > 0 stands twice in a shape, so the second of two equal keys stays in the overflow; the
// zeros of a row's shape in the block are as many as the columns of its overflowOrder.

// shaper turns the shapes and overflows of the inputs into those of the block, band by band.
type shaper struct {
	*gatherer
	scope   column.Scope
	keys    []column.Key       // columns of the block that its shapes name: n stands for keys[n-1]
	columns map[column.Key]int // index in keys

	// Of the band, by slot.
	dict       *interner // shapes of the block
	codes      []uint32
	present    column.Bitmap
	shapeCount int       // bits in present
	extras     [][]extra // by index in keys
	overflow   overflowBuilder
}

// addKey adds a column of the block.
func (s *shaper) addKey(k column.Key) {
	if s.columns == nil {
		s.columns = map[column.Key]int{}
	}
	s.columns[k] = len(s.keys)
	s.keys = append(s.keys, k)
}

// shapeMemo is what a shape of an input becomes.
type shapeMemo struct {
	code  uint32 // of the shape of the block
	order int32  // number of its overflowOrder + 1; 0: nothing is in the overflow
	mixed bool   // the shape has attributes of the input's overflow: see translateRow
}

// translateBand translates the shapes of the band. What goes to the overflow is gathered later.
func (s *shaper) translateBand() error {
	g := s.gatherer
	s.dict = newInterner(g.seed)
	s.present = s.present.Resize(int(g.slots))
	s.codes = resize(s.codes, g.slots)
	s.shapeCount = 0
	s.extras = make([][]extra, len(s.keys))
	s.overflow.begin(g.slots)
	for n, in := range g.inputs {
		if err := s.translateInput(n, in); err != nil {
			return err
		}
	}
	return nil
}

func (s *shaper) translateInput(number int, in *input) error {
	t := &shapeInput{
		shaper:       s,
		number:       number,
		targets:      make([]int, len(in.c.ShapeKeys())),
		reader:       overflowReader{c: in.c, scope: s.scope},
		overflowPage: -1,
	}
	for i, k := range in.c.ShapeKeys() {
		if n, ok := s.columns[k]; ok {
			t.targets[i] = n + 1
		}
	}
	return s.gatherer.eachPageOf(in, column.Shape, t.translatePage)
}

// shapeCells returns the band's shapes.
func (s *shaper) shapeCells() *cells {
	c := &cells{codes: s.codes, dict: s.dict, present: s.present}
	if s.shapeCount == s.rows {
		c.present = nil
	}
	return c
}

// shapeInput translates the shapes of one input.
type shapeInput struct {
	*shaper
	number  int   // of the input
	targets []int // by index in ShapeKeys: entry in shapes of the block, 0: the overflow

	// What shapes become: of the dictionary in use, by code, and of shapes without dictionary.
	dict    *string
	memo    []shapeMemo
	has     []bool // memo is known
	byShape map[string]shapeMemo

	// The translation of rows with attributes in the input's overflow.
	reader       overflowReader
	overflowPage int // the page that reader has read; -1: none
	ranks        column.Ranker
	moves        []overflowMove // by number of the key in reader
	used         []uint32       // by entry in shapes of the block: the last of rows that has it
	rows         uint32         // rows translated so far

	out  []byte  // memory of the shape being made
	over []int32 // memory of its overflowOrder
}

// overflowMove is where the attributes of a key go from the input's overflow.
type overflowMove struct {
	known  bool
	target int    // entry in shapes of the block, 0: none
	listed uint32 // its number in the block's overflow + 1; 0: not there yet
}

// moveOf returns where attributes of the key go.
func (t *shapeInput) moveOf(key uint32) *overflowMove {
	for int(key) >= len(t.moves) {
		t.moves = append(t.moves, overflowMove{})
	}
	p := &t.moves[key]
	if !p.known {
		p.known = true
		if n, ok := t.columns[t.reader.keys[key]]; ok {
			p.target = n + 1
		}
	}
	return p
}

// translatePage is the pageFunc of the column of shapes.
func (t *shapeInput) translatePage(page int, v *column.Vector, slots []uint32) error {
	g := t.gatherer
	row := -1
	for i := range v.N {
		row++
		if v.Present != nil {
			row = v.Present.Next(row)
		}
		slot := slots[row]
		d := slot - g.from
		if d >= g.slots {
			continue
		}
		var m shapeMemo
		var err error
		if v.Dict != nil {
			m, err = t.memoOfCode(v.Dict, v.Codes[i])
		} else {
			m, err = t.memoOfShape(v.Strings[i])
		}
		if err == nil && m.mixed {
			m, err = t.translateMixed(page, row, slot, v.Text(i))
		}
		if err != nil {
			return err
		}
		t.shaper.codes[d] = m.code
		t.overflow.orderOf[d] = m.order
		t.shaper.present.Set(int(d))
		t.shapeCount++
	}
	return nil
}

// memoOfCode returns what the shape with code c of a dictionary becomes.
func (t *shapeInput) memoOfCode(dict []string, c uint32) (shapeMemo, error) {
	if first := unsafe.SliceData(dict); first != t.dict || len(dict) != len(t.memo) {
		t.dict, t.memo, t.has = first, make([]shapeMemo, len(dict)), make([]bool, len(dict))
	}
	if !t.has[c] {
		m, err := t.translateShape(dict[c])
		if err != nil {
			return m, err
		}
		t.memo[c], t.has[c] = m, true
	}
	return t.memo[c], nil
}

// memoOfShape returns what a shape without code becomes.
func (t *shapeInput) memoOfShape(shape string) (shapeMemo, error) {
	if m, ok := t.byShape[shape]; ok {
		return m, nil
	}
	m, err := t.translateShape(shape)
	if err == nil {
		if t.byShape == nil || len(t.byShape) > maxDict {
			t.byShape = map[string]shapeMemo{}
		}
		t.byShape[shape] = m
	}
	return m, err
}

// nextEntry takes one entry off a shape of the input.
func (t *shapeInput) nextEntry(shape string) (entry int, rest string, err error) {
	entry, rest, ok := column.NextShape(shape)
	if !ok || entry > len(t.targets) {
		return 0, "", fmt.Errorf("read shape: %w", column.ErrCorrupt)
	}
	return entry, rest, nil
}

// translateShape works out what becomes of a shape, unless it is mixed.
func (t *shapeInput) translateShape(shape string) (m shapeMemo, err error) {
	out, over := t.out[:0], t.over[:0]
	for shape != "" {
		var entry int
		if entry, shape, err = t.nextEntry(shape); err != nil {
			return m, err
		}
		if entry == 0 {
			m.mixed = true
			return m, nil
		}
		n := t.targets[entry-1]
		if out = column.AppendShape(out, n); n == 0 {
			over = append(over, int32(entry-1))
		}
	}
	t.out, t.over = out, over
	m.code = t.internShape(out)
	m.order = t.overflow.numberOrder(t.number, over)
	return m, nil
}

func (t *shapeInput) internShape(shape []byte) uint32 {
	return t.shaper.dict.intern(unsafe.String(unsafe.SliceData(shape), len(shape)), true)
}

// translateMixed translates the shape of a row with its overflow, which it reads with the page of
// which the row is one.
func (t *shapeInput) translateMixed(page, row int, slot uint32, shape string) (m shapeMemo, err error) {
	if t.overflowPage != page {
		if _, err := t.reader.readPage(t.ctx, page); err != nil {
			return m, err
		}
		t.overflowPage, t.ranks = page, column.Ranks(t.reader.v.Present)
	}
	at, ok := t.ranks.At(row)
	if !ok || at >= t.reader.v.N {
		return m, corruptColumn(column.Overflow, page)
	}
	return t.translateRow(slot, shape, textBytes(t.reader.v.Text(at)))
}

// translateRow translates the shape of one row that has attributes in the input's overflow.
func (t *shapeInput) translateRow(slot uint32, shape string, overflow []byte) (m shapeMemo, err error) {
	out, over := t.out[:0], t.over[:0]
	if t.used == nil {
		t.used = make([]uint32, len(t.keys)+1)
	}
	t.rows++
	for shape != "" {
		var entry int
		if entry, shape, err = t.nextEntry(shape); err != nil {
			return m, err
		}
		target, from := 0, int32(-1)
		if entry > 0 {
			target, from = t.targets[entry-1], int32(entry-1)
			t.used[target] = t.rows
		} else {
			if len(over)%checkEvery == checkEvery-1 && t.ctx.Err() != nil {
				return m, t.ctx.Err()
			}
			if target, overflow, err = t.moveAttribute(slot, overflow); err != nil {
				return m, err
			}
		}
		if out = column.AppendShape(out, target); target == 0 {
			over = append(over, from)
		}
	}
	t.out, t.over = out, over
	m.code = t.internShape(out)
	if slices.ContainsFunc(over, func(c int32) bool { return c >= 0 }) {
		m.order = t.overflow.numberOrder(t.number, over)
	} else {
		m.order = t.overflow.numberKeptOrder(t.number, over)
	}
	return m, nil
}

// moveAttribute takes the first attribute off a row's overflow and brings it to where it goes. It
// returns the attribute's entry in the row's shape of the block.
func (t *shapeInput) moveAttribute(slot uint32, overflow []byte) (target int, rest []byte, err error) {
	a, rest, ok := t.reader.nextAttribute(overflow)
	if !ok {
		return 0, nil, fmt.Errorf("read overflow: %w", column.ErrCorrupt)
	}
	p := t.moveOf(a.key)
	if p.target > 0 && t.used[p.target] != t.rows {
		value, ok := column.ParseAnyValue(a.value)
		if !ok || column.TypeOf(value.Type) != t.reader.keys[a.key].Type {
			return 0, nil, fmt.Errorf("read overflow: %w", column.ErrCorrupt)
		}
		t.used[p.target] = t.rows
		t.extras[p.target-1] = append(t.extras[p.target-1], extra{slot: slot, value: value})
		return p.target, rest, nil
	}
	o := &t.overflow
	if p.listed == 0 {
		p.listed = o.listed.numberOf(t.reader.keys[a.key]) + 1
	}
	o.kept = append(o.kept, keptPiece{slot, o.appendPiece(p.listed-1, a.value)})
	return 0, rest, nil
}
