package block

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// shaper turns the shapes and overflows of the inputs into those of the block, band by band. An
// attribute may be in a column in one place and in the overflow in the other.
type shaper struct {
	*gatherer
	scope   column.Scope
	keys    []column.Key       // what the block's shapes index
	columns map[column.Key]int // index in keys
	listed  keyList            // attributes in the block's overflow

	dict    *interner // shapes of the block
	codes   []uint32  // by slot
	present column.Bitmap
	got     int
	extras  [][]extra // values of each of keys that come from an overflow

	// Rows whose shape in the block has attributes of the overflow.
	places  []int32 // by slot: number in layout + 1
	layout  []overflowOrder
	layouts map[string]int32 // by input and columns
	own     []ownPiece       // in the order of their rows' lists
	// by number of attributes: the layout of that many of the input's overflow, + 1; 0: not known
	alone   []int32
	first   []uint32 // by slot: its first piece
	pieces  []piece
	coded   []piece // by code of the dictionary of an input's column
	buf     []byte
	scratch []byte
}

// ownPiece is an attribute that was in the input's overflow and stays in the block's.
type ownPiece struct {
	slot uint32
	piece
}

// keyList numbers attributes in the order they come.
type keyList struct {
	keys  []column.Key
	index map[column.Key]uint32
}

// numberOf returns the number of k, whose name is only valid for now.
func (l *keyList) numberOf(k column.Key) uint32 {
	n, ok := l.index[k]
	if !ok {
		if l.index == nil {
			l.index = map[column.Key]uint32{}
		}
		k.Name = strings.Clone(k.Name)
		n = uint32(len(l.keys))
		l.keys = append(l.keys, k)
		l.index[k] = n
	}
	return n
}

// overflowOrder says which input columns of a shape go to the overflow, and at which place of the
// row's list.
type overflowOrder struct {
	columns []int32 // index in the input's ShapeKeys, -1: comes from the input's overflow
	// places in columns by what stands there, those of equal columns ascending; made when it is
	// first asked for
	sorted []uint32
}

// fewColumns is the length up to which a layout is searched from its beginning.
const fewColumns = 16

// placeOf returns the place of a column: of several the one after skip others; -1: none.
func (l *overflowOrder) placeOf(column int32, skip int) int {
	if len(l.columns) <= fewColumns {
		for j, c := range l.columns {
			if c == column {
				if skip == 0 {
					return j
				}
				skip--
			}
		}
		return -1
	}
	if l.sorted == nil {
		l.sorted = make([]uint32, len(l.columns))
		for j := range l.sorted {
			l.sorted[j] = uint32(j)
		}
		slices.SortStableFunc(l.sorted, func(a, b uint32) int { return cmp.Compare(l.columns[a], l.columns[b]) })
	}
	first, _ := slices.BinarySearchFunc(l.sorted, column, func(j uint32, c int32) int { return cmp.Compare(l.columns[j], c) })
	if at := first + skip; at < len(l.sorted) && l.columns[l.sorted[at]] == column {
		return int(l.sorted[at])
	}
	return -1
}

// shapeMemo is what a shape of an input becomes.
type shapeMemo struct {
	code   uint32
	layout int32 // + 1; 0: nothing in the overflow
	mixed  bool  // has attributes of the input's overflow: what becomes of it depends on the row
}

// translateBand translates the shapes of the band and gathers its overflow.
func (s *shaper) translateBand() error {
	g := s.gatherer
	s.dict = newInterner(g.seed)
	s.present = s.present.Resize(int(g.slots))
	s.codes = resize(s.codes, g.slots)
	s.got = 0
	s.extras = make([][]extra, len(s.keys))
	s.layout, s.own, s.layouts, s.alone, s.buf = s.layout[:0], s.own[:0], map[string]int32{}, s.alone[:0], s.buf[:0]
	s.places = resize(s.places, g.slots)
	clear(s.places)
	for n, in := range g.inputs {
		if err := s.translateInput(n, in); err != nil {
			return err
		}
	}
	return nil
}

func (s *shaper) translateInput(number int, in *input) error {
	g := s.gatherer
	t := &shapeInput{shaper: s, number: number, targets: make([]int, len(in.c.ShapeKeys())), spilled: overflowReader{c: in.c, scope: s.scope}}
	for i, k := range in.c.ShapeKeys() {
		if n, ok := s.columns[k]; ok {
			t.targets[i] = n + 1
		}
	}
	return g.eachPageOf(in, column.Shape, func(_ *input, v *column.Vector, slots []uint32) error {
		page := 0
		for &slots[0] != &in.slots[page*column.PageRows] {
			page++
		}
		var ranks column.Ranker
		read := false
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
				m, err = t.memoOfText(v.Strings[i])
			}
			if err != nil {
				return err
			}
			if m.mixed {
				if !read {
					if _, err := t.spilled.readPage(g.ctx, page); err != nil {
						return err
					}
					ranks, read = column.Ranks(t.spilled.v.Present), true
				}
				at, ok := ranks.At(row)
				if !ok || at >= t.spilled.v.N {
					return corruptColumn(column.Overflow, page)
				}
				if m, err = t.translateRow(slot, v.Text(i), textBytes(t.spilled.v.Text(at))); err != nil {
					return err
				}
			}
			s.codes[d] = m.code
			s.places[d] = m.layout
			s.present.Set(int(d))
			s.got++
		}
		return nil
	})
}

// shapeInput translates the shapes of one input.
type shapeInput struct {
	*shaper
	number  int   // of the input
	targets []int // by ShapeKeys: number in the block's shapes, 0: none
	dict    *string
	memo    []shapeMemo
	has     []bool
	texts   map[string]shapeMemo
	out     []byte
	used    []uint32 // by number in the block's shapes: the last row that has the attribute, by count of rows
	rows    uint32   // that were translated one by one
	over    []int32

	spilled overflowReader
	places  []overflowTarget // by number of the key in spilled
}

// overflowTarget is where an attribute of an input's overflow goes.
type overflowTarget struct {
	known  bool
	target int    // number in the block's shapes, 0: none
	listed uint32 // its number in the block's overflow + 1; 0: not there yet
}

// targetOf returns where attributes of the key go.
func (t *shapeInput) targetOf(key uint32) *overflowTarget {
	for int(key) >= len(t.places) {
		t.places = append(t.places, overflowTarget{})
	}
	p := &t.places[key]
	if !p.known {
		p.known = true
		if n, ok := t.columns[t.spilled.keys[key]]; ok {
			p.target = n + 1
		}
	}
	return p
}

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

func (t *shapeInput) memoOfText(shape string) (shapeMemo, error) {
	if m, ok := t.texts[shape]; ok {
		return m, nil
	}
	m, err := t.translateShape(shape)
	if err == nil {
		if t.texts == nil || len(t.texts) > maxDict {
			t.texts = map[string]shapeMemo{}
		}
		t.texts[shape] = m
	}
	return m, err
}

// translateShape works out what becomes of a shape.
func (t *shapeInput) translateShape(shape string) (m shapeMemo, err error) {
	out := t.out[:0]
	over := t.over[:0]
	for shape != "" {
		entry, rest, ok := column.NextShape(shape)
		if !ok || entry > len(t.targets) {
			return m, fmt.Errorf("read shape: %w", column.ErrCorrupt)
		}
		shape = rest
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
	m.code = t.shaper.dict.intern(unsafe.String(unsafe.SliceData(out), len(out)), true)
	m.layout = t.numberOrder(over)
	return m, nil
}

// translateRow translates the shape of one row that has attributes in the input's overflow.
func (t *shapeInput) translateRow(slot uint32, shape string, overflow []byte) (m shapeMemo, err error) {
	out, over := t.out[:0], t.over[:0]
	if t.used == nil {
		t.used = make([]uint32, len(t.keys)+1)
	}
	t.rows++
	for shape != "" {
		entry, rest, ok := column.NextShape(shape)
		if !ok || entry > len(t.targets) {
			return m, fmt.Errorf("read shape: %w", column.ErrCorrupt)
		}
		shape = rest
		if entry > 0 {
			n := t.targets[entry-1]
			if out = column.AppendShape(out, n); n == 0 {
				over = append(over, int32(entry-1))
			} else {
				t.used[n] = t.rows
			}
			continue
		}
		if len(over)%checkEvery == checkEvery-1 && t.ctx.Err() != nil {
			return m, t.ctx.Err()
		}
		key, message, more, ok := t.spilled.nextAttribute(overflow)
		if !ok {
			return m, fmt.Errorf("read overflow: %w", column.ErrCorrupt)
		}
		overflow = more
		p := t.targetOf(key)
		if p.target > 0 && t.used[p.target] != t.rows {
			value, ok := column.ParseAnyValue(message)
			if !ok || column.TypeOf(value.Type) != t.spilled.keys[key].Type {
				return m, fmt.Errorf("read overflow: %w", column.ErrCorrupt)
			}
			t.used[p.target] = t.rows
			out = column.AppendShape(out, p.target)
			t.extras[p.target-1] = append(t.extras[p.target-1], extra{slot: slot, value: value})
			continue
		}
		if p.listed == 0 {
			p.listed = t.listed.numberOf(t.spilled.keys[key]) + 1
		}
		out = column.AppendShape(out, 0)
		over = append(over, -1)
		t.own = append(t.own, ownPiece{slot, t.appendPiece(p.listed-1, message)})
	}
	t.out, t.over = out, over
	m.code = t.shaper.dict.intern(unsafe.String(unsafe.SliceData(out), len(out)), true)
	if slices.ContainsFunc(over, func(c int32) bool { return c >= 0 }) {
		m.layout = t.numberOrder(over)
		return m, nil
	}
	for len(over) >= len(t.alone) {
		t.alone = append(t.alone, 0)
	}
	if t.alone[len(over)] == 0 {
		t.alone[len(over)] = t.numberOrder(over)
	}
	m.layout = t.alone[len(over)]
	return m, nil
}

// numberOrder returns the number of a layout, + 1; 0 if it is empty.
func (t *shapeInput) numberOrder(over []int32) int32 {
	if len(over) == 0 {
		return 0
	}
	key := binary.LittleEndian.AppendUint32(t.scratch[:0], uint32(t.number))
	for _, c := range over {
		key = binary.LittleEndian.AppendUint32(key, uint32(c))
	}
	t.scratch = key
	n, ok := t.layouts[string(key)]
	if !ok {
		t.layout = append(t.layout, overflowOrder{columns: slices.Clone(over)})
		n = int32(len(t.layout))
		t.layouts[string(key)] = n
	}
	return n
}

// shapeCells returns the band's shapes.
func (s *shaper) shapeCells() *cells {
	c := &cells{codes: s.codes, dict: s.dict, present: s.present}
	if s.got == s.rows {
		c.present = nil
	}
	return c
}

// piece is one attribute of a row's overflow, as a range of the buffer.
type piece struct{ from, to uint32 }

// gatherOverflow returns the band's overflow; nil if there is none. In the object an attribute is
// the number of its key, the length of its value, and its value as AnyValue message.
func (s *shaper) gatherOverflow() (*cells, error) {
	if len(s.layout) == 0 {
		return nil, nil
	}
	g := s.gatherer
	s.first = resize(s.first, g.slots+1)
	total := 0
	for d, p := range s.places {
		s.first[d] = uint32(total)
		if p > 0 {
			total += len(s.layout[p-1].columns)
		}
	}
	s.first[g.slots] = uint32(total)
	s.pieces = resize(s.pieces, uint32(total))
	clear(s.pieces)
	skip := 0
	for i, o := range s.own {
		if i%checkEvery == 0 && g.ctx.Err() != nil {
			return nil, g.ctx.Err()
		}
		if skip++; i == 0 || s.own[i-1].slot != o.slot {
			skip = 0
		}
		p := s.pieceOf(o.slot-g.from, -1, skip)
		if p == nil {
			return nil, corruptColumn(column.Overflow, 0)
		}
		*p = o.piece
	}
	for _, in := range g.inputs {
		for n, k := range in.c.ShapeKeys() {
			if _, ok := s.columns[k]; ok {
				continue
			}
			key, known := uint32(0), false
			var dict *string // whose values have pieces already
			s.coded = s.coded[:0]
			if err := g.eachPageOf(in, k, func(_ *input, v *column.Vector, slots []uint32) error {
				if !known {
					key, known = s.listed.numberOf(k), true
				}
				share := v.Dict != nil && len(v.Dict) <= max(maxShared, v.N)
				if share {
					if first := unsafe.SliceData(v.Dict); first != dict {
						dict, s.coded = first, s.coded[:0]
					}
					if more := len(v.Dict) - len(s.coded); more > 0 {
						s.coded = append(s.coded, make([]piece, more)...)
					}
				}
				row := -1
				for i := range v.N {
					row++
					if v.Present != nil {
						row = v.Present.Next(row)
					}
					d := slots[row] - g.from
					if d >= g.slots {
						continue
					}
					p := s.pieceOf(d, int32(n), 0)
					if p == nil {
						return corruptColumn(k, 0)
					}
					if share {
						if *p = s.coded[v.Codes[i]]; p.to > 0 {
							continue
						}
					}
					value, ok := valueOf(v, k.Type, i)
					if !ok {
						return corruptColumn(k, 0)
					}
					s.scratch = trace.AppendValue(s.scratch[:0], &value)
					*p = s.appendPiece(key, s.scratch)
					if share {
						s.coded[v.Codes[i]] = *p
					}
				}
				return nil
			}); err != nil {
				return nil, err
			}
		}
	}
	if len(s.buf) > math.MaxUint32 {
		return nil, fmt.Errorf("gather overflow of %d bytes: merge fewer tables: %w", len(s.buf), ErrTooLarge)
	}
	g.beginColumn()
	for d, p := range s.places {
		if p != 0 {
			g.present.Set(d)
			g.presentCount++
		}
	}
	for _, p := range s.pieces {
		if p.from == p.to {
			return nil, corruptColumn(column.Overflow, 0)
		}
	}
	return &cells{present: g.endColumn(), pieces: s.pieces, first: s.first, buf: s.buf}, nil
}

// maxShared is how many entries a dictionary may have for its values to be encoded once, however
// few of them a page uses.
const maxShared = 1024

// pieceOf returns where in the row's list the attribute of the column lies: of several the one
// after skip others; nil: nowhere.
func (s *shaper) pieceOf(d uint32, column int32, skip int) *piece {
	if s.places[d] == 0 {
		return nil
	}
	j := s.layout[s.places[d]-1].placeOf(column, skip)
	if j < 0 {
		return nil
	}
	return &s.pieces[s.first[d]+uint32(j)]
}

// appendPiece appends an attribute to the buffer as it is stored. message is its value.
func (s *shaper) appendPiece(key uint32, message []byte) piece {
	from := len(s.buf)
	s.buf = binary.AppendUvarint(s.buf, uint64(key))
	s.buf = binary.AppendUvarint(s.buf, uint64(len(message)))
	s.buf = append(s.buf, message...)
	return piece{uint32(from), uint32(len(s.buf))}
}

// valueOf returns the dense value i of a column of attributes.
func valueOf(v *column.Vector, t column.Type, i int) (trace.Value, bool) {
	switch t {
	case column.String:
		return trace.Value{Type: trace.String, Bytes: textBytes(v.Text(i))}, true
	case column.Bytes:
		return trace.Value{Type: trace.Bytes, Bytes: textBytes(v.Text(i))}, true
	case column.Int:
		return trace.Value{Type: trace.Int, Num: uint64(v.Ints[i])}, true
	case column.Bool:
		return trace.Value{Type: trace.Bool, Num: uint64(v.Ints[i])}, true
	case column.Float:
		return trace.Value{Type: trace.Float, Num: math.Float64bits(v.Floats[i])}, true
	}
	return column.ParseAnyValue(textBytes(v.Text(i)))
}
