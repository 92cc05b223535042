package block

import (
	"fmt"
	"math"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// shaper turns the shapes and overflows of the inputs into those of the block, band by band. An attribute may be in a column in one place and
// in the overflow in the other.
type shaper struct {
	*gatherer
	scope   column.Scope
	columns map[column.Key]int // number in the block's shapes - 1

	dict    *interner // shapes of the block
	codes   []uint32  // by slot
	present column.Bitmap
	got     int
	extras  map[column.Key][]extra // values of columns that come from an overflow

	// Rows whose shape in the block has attributes of the overflow.
	places []int32 // by slot: number in layouts + 1
	layout []overLayout
	own    []ownPiece // in the order of their rows' lists
	buf    []byte
}

// ownPiece is an attribute that was in the input's overflow and stays in the block's.
type ownPiece struct {
	slot uint32
	kv   []byte
}

// overLayout says which input columns of a shape go to the overflow, and at which place of the row's list.
type overLayout struct {
	input   *input
	columns []int32 // index in the input's ShapeKeys, -1: comes from the input's overflow
}

// shapeMemo is what a shape of an input becomes.
type shapeMemo struct {
	code   uint32
	layout int32 // + 1; 0: nothing in the overflow
	mixed  bool  // has attributes of the input's overflow: what becomes of it depends on the row
}

// band translates the shapes of the band and gathers its overflow.
func (s *shaper) band() error {
	g := s.gatherer
	s.dict = newInterner(g.seed)
	s.present = s.present.Resize(int(g.slots))
	s.codes = size(s.codes, g.slots)
	s.got = 0
	s.extras = map[column.Key][]extra{}
	s.layout, s.own = s.layout[:0], s.own[:0]
	s.places = size(s.places, g.slots)
	clear(s.places)
	for _, in := range g.inputs {
		if err := s.input(in); err != nil {
			return err
		}
	}
	return nil
}

func (s *shaper) input(in *input) error {
	g := s.gatherer
	t := &shapeInput{shaper: s, in: in, targets: make([]int, len(in.c.ShapeKeys()))}
	for i, k := range in.c.ShapeKeys() {
		if n, ok := s.columns[k]; ok {
			t.targets[i] = n + 1
		}
	}
	only := *g
	only.inputs = []*input{in}
	var over column.Vector
	return only.each(column.Shape, func(_ *input, v *column.Vector, slots []uint32) error {
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
				m, err = t.coded(v.Dict, v.Codes[i])
			} else {
				m, err = t.memoOf(v.Strings[i])
			}
			if err != nil {
				return err
			}
			if m.mixed {
				if !read {
					if _, err := in.c.Vector(g.ctx, column.Overflow, page, &over); err != nil {
						return err
					}
					ranks, read = column.Ranks(over.Present), true
				}
				at, ok := ranks.At(row)
				if !ok || at >= over.N {
					return contradiction(column.Overflow, page)
				}
				if m, err = t.row(slot, v.Text(i), textBytes(over.Text(at))); err != nil {
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
	in      *input
	targets []int // by ShapeKeys: number in the block's shapes, 0: none
	dict    *string
	memo    []shapeMemo
	has     []bool
	texts   map[string]shapeMemo
	out     []byte
	used    []int
}

func (t *shapeInput) coded(dict []string, c uint32) (shapeMemo, error) {
	if first := unsafe.SliceData(dict); first != t.dict || len(dict) != len(t.memo) {
		t.dict, t.memo, t.has = first, make([]shapeMemo, len(dict)), make([]bool, len(dict))
	}
	if !t.has[c] {
		m, err := t.translate(dict[c])
		if err != nil {
			return m, err
		}
		t.memo[c], t.has[c] = m, true
	}
	return t.memo[c], nil
}

func (t *shapeInput) memoOf(shape string) (shapeMemo, error) {
	if m, ok := t.texts[shape]; ok {
		return m, nil
	}
	m, err := t.translate(shape)
	if err == nil {
		if t.texts == nil || len(t.texts) > maxDict {
			t.texts = map[string]shapeMemo{}
		}
		t.texts[shape] = m
	}
	return m, err
}

// translate works out what becomes of a shape.
func (t *shapeInput) translate(shape string) (m shapeMemo, err error) {
	out := t.out[:0]
	l := overLayout{input: t.in}
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
			l.columns = append(l.columns, int32(entry-1))
		}
	}
	t.out = out
	m.code = t.shaper.dict.code(unsafe.String(unsafe.SliceData(out), len(out)), true)
	if l.columns != nil {
		t.layout = append(t.layout, l)
		m.layout = int32(len(t.layout))
	}
	return m, nil
}

// row translates the shape of one row that has attributes in the input's overflow.
func (t *shapeInput) row(slot uint32, shape string, overflow []byte) (m shapeMemo, err error) {
	out, used := t.out[:0], t.used[:0]
	l := overLayout{input: t.in}
	for shape != "" {
		entry, rest, ok := column.NextShape(shape)
		if !ok || entry > len(t.targets) {
			return m, fmt.Errorf("read shape: %w", column.ErrCorrupt)
		}
		shape = rest
		if entry > 0 {
			n := t.targets[entry-1]
			if out = column.AppendShape(out, n); n == 0 {
				l.columns = append(l.columns, int32(entry-1))
			} else {
				used = append(used, n)
			}
			continue
		}
		var a trace.Attribute
		more, ok, err := column.NextKeyValue(overflow, &a)
		if err != nil || !ok {
			return m, fmt.Errorf("read overflow: %w", column.ErrCorrupt)
		}
		raw := overflow[:len(overflow)-len(more)]
		overflow = more
		k := column.Key{Scope: t.scope, Name: unsafe.String(unsafe.SliceData(a.Key), len(a.Key)), Type: column.TypeOf(a.Value.Type)}
		n, ok := t.columns[k]
		if n++; !ok || contains(used, n) {
			out = column.AppendShape(out, 0)
			l.columns = append(l.columns, -1)
			t.own = append(t.own, ownPiece{slot, raw})
			continue
		}
		used = append(used, n)
		out = column.AppendShape(out, n)
		k.Name = string(a.Key)
		t.extras[k] = append(t.extras[k], extra{slot: slot, value: a.Value})
	}
	t.out, t.used = out, used
	m.code = t.shaper.dict.code(unsafe.String(unsafe.SliceData(out), len(out)), true)
	if l.columns != nil {
		t.layout = append(t.layout, l)
		m.layout = int32(len(t.layout))
	}
	return m, nil
}

func contains(list []int, n int) bool {
	for _, x := range list {
		if x == n {
			return true
		}
	}
	return false
}

// cells returns the band's shapes.
func (s *shaper) cells() *cells {
	c := &cells{codes: s.codes, dict: s.dict, present: s.present}
	if s.got == s.rows {
		c.present = nil
	}
	return c
}

// pieceAt is where a row's attributes lie in the buffer.
type pieceAt struct{ from, to int }

// overflow returns the band's overflow; nil if there is none.
func (s *shaper) overflow() (*cells, error) {
	if len(s.layout) == 0 {
		return nil, nil
	}
	g := s.gatherer
	first := make([]int, g.slots) // of each slot's pieces
	total := 0
	for d, p := range s.places {
		first[d] = total
		if p > 0 {
			total += len(s.layout[p-1].columns)
		}
	}
	pieces := make([]pieceAt, total)
	buf := s.buf[:0]
	put := func(d uint32, column int32, skip int) *pieceAt {
		for j, c := range s.layout[s.places[d]-1].columns {
			if c == column {
				if skip == 0 {
					return &pieces[first[d]+j]
				}
				skip--
			}
		}
		return nil
	}
	skip := 0
	for i, o := range s.own {
		if skip++; i == 0 || s.own[i-1].slot != o.slot {
			skip = 0
		}
		p := put(o.slot-g.from, -1, skip)
		p.from = len(buf)
		buf = append(buf, o.kv...)
		p.to = len(buf)
	}
	for _, in := range g.inputs {
		only := *g
		only.inputs = []*input{in}
		for n, k := range in.c.ShapeKeys() {
			if _, ok := s.columns[k]; ok {
				continue
			}
			a := trace.Attribute{Key: textBytes(k.Name)}
			if err := only.each(k, func(_ *input, v *column.Vector, slots []uint32) error {
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
					if s.places[d] == 0 {
						return contradiction(k, 0)
					}
					p := put(d, int32(n), 0)
					if p == nil {
						return contradiction(k, 0)
					}
					var ok bool
					if a.Value, ok = valueOf(v, k.Type, i); !ok {
						return contradiction(k, 0)
					}
					p.from = len(buf)
					buf = column.AppendKeyValue(buf, &a)
					p.to = len(buf)
				}
				return nil
			}); err != nil {
				return nil, err
			}
		}
	}
	s.buf = buf
	g.begin()
	g.texts = size(g.texts, g.slots)
	out := make([]byte, 0, len(buf))
	for d, p := range s.places {
		if p == 0 {
			continue
		}
		at := len(out)
		for _, q := range pieces[first[d] : first[d]+len(s.layout[p-1].columns)] {
			if q.from == q.to {
				return nil, contradiction(column.Overflow, 0)
			}
			out = append(out, buf[q.from:q.to]...)
		}
		g.texts[d] = unsafe.String(unsafe.SliceData(out[at:]), len(out)-at)
		g.present.Set(d)
		g.got++
	}
	return &cells{present: g.end(), texts: g.texts}, nil
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
