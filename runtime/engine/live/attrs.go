package live

import (
	"math"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// sparse is a column of which most rows may have no value: the rows that have one, ascending, and
// the values. Its copy is a view.
type sparse struct {
	rows   vec[uint32]
	strs   strs
	ints   vec[int64]
	floats vec[float64]
	typ    column.Type
}

// last returns the last row that has a value, or -1.
func (c *sparse) last() int {
	if n := len(c.rows.tail); n > 0 {
		return int(c.rows.tail[n-1])
	}
	return -1
}

// find returns the dense index of a row's value.
func (c *sparse) find(row uint32) (int, bool) {
	n := c.rows.len()
	if n > 0 && c.rows.at(n-1) == row { // duplicates mostly repeat something recent
		return n - 1, true
	}
	i := search(&c.rows, row)
	return i, i < n && c.rows.at(i) == row
}

// value returns dense value i as a wire value.
func (c *sparse) value(a *arena, i int) trace.Value {
	switch c.typ {
	case column.String:
		return trace.Value{Type: trace.String, Bytes: bytesOf(c.strs.at(a, i))}
	case column.Bytes:
		return trace.Value{Type: trace.Bytes, Bytes: bytesOf(c.strs.at(a, i))}
	case column.Int:
		return trace.Value{Type: trace.Int, Num: uint64(c.ints.at(i))}
	case column.Bool:
		return trace.Value{Type: trace.Bool, Num: uint64(c.ints.at(i))}
	case column.Float:
		return trace.Value{Type: trace.Float, Num: math.Float64bits(c.floats.at(i))}
	}
	v, _ := column.ParseAnyValue(bytesOf(c.strs.at(a, i)))
	return v
}

// truncate drops the values of rows ≥ row.
func (c *sparse) truncate(row int) {
	if c.last() < row {
		return
	}
	n := search(&c.rows, uint32(row))
	c.rows.truncate(n)
	switch c.typ {
	case column.Int, column.Bool:
		c.ints.truncate(n)
	case column.Float:
		c.floats.truncate(n)
	default:
		c.strs.truncate(n)
	}
}

// sparseWriter is how a sparse is written.
type sparseWriter struct {
	*sparse
	text text
	view *sparse // the last view taken, nil if a value came since
}

func newSparse(typ column.Type) sparseWriter {
	w := sparseWriter{sparse: &sparse{typ: typ}}
	w.text.noDict = typ == column.Any
	return w
}

// noValues are the columns of which most segments have no value, by type: all share them until a
// value comes. They are never written.
var noValues = [...]*sparse{column.String: {typ: column.String}, column.Bytes: {typ: column.Bytes}, column.Int: {typ: column.Int}}

// rareSparse is newSparse for a column that most segments have no value of.
func rareSparse(typ column.Type) sparseWriter {
	w := sparseWriter{sparse: noValues[typ]}
	w.view = w.sparse
	return w
}

// changed drops the view. A pointer that is nil already is not written, since that costs a barrier
// while garbage is collected.
func (w *sparseWriter) changed(m *memory) {
	if w.view == nil {
		return
	}
	if w.view == w.sparse {
		w.sparse = &sparse{typ: w.typ}
		m.bytes += 2 * sparseBytes // with a view
	}
	w.view = nil
}

// sparseBytes is what a sparse takes as it is allocated.
const sparseBytes = int64(unsafe.Sizeof(sparse{})) + 16

func (w *sparseWriter) addText(row int, m *memory, b []byte) {
	w.changed(m)
	w.rows.add(uint32(row), &m.bytes)
	w.text.add(&w.strs, m, b)
}

func (w *sparseWriter) addInt(row int, m *memory, v int64) {
	w.changed(m)
	w.rows.add(uint32(row), &m.bytes)
	w.ints.add(v, &m.bytes)
}

func (w *sparseWriter) addFloat(row int, m *memory, v float64) {
	w.changed(m)
	w.rows.add(uint32(row), &m.bytes)
	w.floats.add(v, &m.bytes)
}

// undo drops the values of rows ≥ row. The view stays as it is: it was made before those rows.
func (w *sparseWriter) undo(row int) { w.truncate(row) }

// snapshot returns a view; columns nothing was added to share theirs.
func (w *sparseWriter) snapshot() *sparse {
	if w.view == nil {
		v := *w.sparse
		w.view = &v
	}
	return w.view
}

// attrs writes the attribute columns of one scope.
type attrs struct {
	scope column.Scope
	max   int // columns
	first int // columns without rows
	cols  []*attr
	keys  []column.Key // of cols: the list that shapes index
	order []uint32     // of cols, by key; made by snapshot, shared with views
	index index
}

type attr struct {
	sparseWriter
	name string
	row  int // the last that has a value, -1: none; here, since every attribute asks for it
	next int // column of the attribute that followed this one last time, -1: none yet
}

// columnBytes is about what a column takes beside its values, with a view of it and its places in
// the lists of columns.
const columnBytes = int64(unsafe.Sizeof(attr{})+unsafe.Sizeof(column.Key{})) + 2*sparseBytes + 120

// A column costs a kilobyte, however few values it has: so a segment has few of them until it has
// rows. Attributes without a column lie in the overflow meanwhile, and those of rows that come
// later may have one.
const firstColumns = 64

func newAttrs(scope column.Scope, limits Limits) attrs {
	return attrs{scope: scope, max: limits.MaxColumns, first: limits.FirstColumns}
}

// col returns the number of the column for an attribute, -1 if there can be none. prev is the
// column of the row's attribute before it, or -1: spans of one kind have the same attributes in the
// same order.
func (t *attrs) col(row int, key []byte, typ column.Type, prev int, m *memory) int {
	if prev >= 0 {
		if n := t.cols[prev].next; n >= 0 {
			if c := t.cols[n]; c.typ == typ && c.name == string(key) {
				return n
			}
		}
	}
	h := m.hash.bytes(key) + uint64(typ)*0x9e3779b97f4a7c15
	n := -1
	for i, at := t.index.find(h, 0); at != 0; i, at = t.index.find(h, at) {
		if c := t.cols[i]; c.typ == typ && c.name == string(key) {
			n = int(i)
			break
		}
	}
	if n < 0 {
		if len(t.cols) >= min(t.max, t.first+row) {
			return -1
		}
		n = len(t.cols)
		_, name := m.arena.add(key, &m.bytes)
		t.cols = append(t.cols, &attr{sparseWriter: newSparse(typ), name: name, row: -1, next: -1})
		t.keys = append(t.keys, column.Key{Scope: t.scope, Name: name, Type: typ})
		t.index.add(h, uint32(n), &m.bytes)
		m.bytes += columnBytes
	}
	if prev >= 0 {
		t.cols[prev].next = n
	}
	return n
}

// add appends the attributes of a row. It leaves their shape in x.shape, and those without a column
// in x.over.
func (t *attrs) add(row int, list []trace.Attribute, m *memory, x *Scratch) {
	shape, overflow := x.shape[:0], x.over[:0]
	prev := -1
	for i := range list {
		a := &list[i]
		n := t.col(row, a.Key, column.TypeOf(a.Value.Type), prev, m)
		if n < 0 || t.cols[n].row == row {
			shape = column.AppendShape(shape, 0)
			overflow = column.AppendKeyValue(overflow, a)
			continue
		}
		prev = n
		shape = column.AppendShape(shape, n+1)
		c := t.cols[n]
		c.row = row
		switch c.typ {
		case column.Int, column.Bool:
			c.addInt(row, m, int64(a.Value.Num))
		case column.Float:
			c.addFloat(row, m, math.Float64frombits(a.Value.Num))
		case column.Any:
			x.value = trace.AppendValue(x.value[:0], &a.Value)
			c.addText(row, m, x.value)
		default:
			c.addText(row, m, a.Value.Bytes)
		}
	}
	x.shape, x.over = shape, overflow
}

func (t *attrs) undo(row int) {
	for _, c := range t.cols {
		c.undo(row)
		c.row = c.last()
	}
}

// attrsView is what a reader sees of attrs.
type attrsView struct {
	cols  []*sparse
	keys  []column.Key
	order []uint32 // of both, by key
}

// find returns a column, nil if there is none.
func (v *attrsView) find(k column.Key) *sparse {
	i, ok := slices.BinarySearchFunc(v.order, k, func(n uint32, k column.Key) int { return v.keys[n].Compare(k) })
	if !ok {
		return nil
	}
	return v.cols[v.order[i]]
}

func (t *attrs) snapshot() attrsView {
	if len(t.order) != len(t.cols) {
		t.order = make([]uint32, len(t.cols))
		for i := range t.order {
			t.order[i] = uint32(i)
		}
		slices.SortFunc(t.order, func(a, b uint32) int { return t.keys[a].Compare(t.keys[b]) })
	}
	v := attrsView{cols: make([]*sparse, len(t.cols)), keys: t.keys[:len(t.keys):len(t.keys)], order: t.order}
	for i, c := range t.cols {
		v.cols[i] = c.snapshot()
	}
	return v
}

// at returns a column as the writer sees it.
func (t *attrs) at(n int) *sparse { return t.cols[n].sparse }
