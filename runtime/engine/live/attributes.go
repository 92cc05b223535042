package live

import (
	"math"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// attributeWriter writes the attribute columns of one scope, one for each key and type. Columns
// have numbers in the order in which they came. An attribute that gets no column goes to the
// overflow of its row: when the columns have run out, or when the row has a value in that column
// already.
type attributeWriter struct {
	scope   column.Scope
	max     int // columns at most
	first   int // columns that there may be before there are rows
	columns []*attributeColumn
	keys    []column.Key // of columns, by number: the list that shapes index
	order   []uint32     // numbers of columns, sorted by key; made by takeView and shared with views
	index   hashIndex    // numbers of columns, by key and type
}

type attributeColumn struct {
	sparseWriter
	name   string
	newest int // lastRow(), kept here because every attribute asks for it
	next   int // the column of the attribute that followed this one last time; -1: none yet
}

// columnBytes is about what a column takes beside its values: itself, a view, and its places in the
// lists of columns.
const columnBytes = int64(unsafe.Sizeof(attributeColumn{})+unsafe.Sizeof(column.Key{})) + 2*sparseBytes + 120

// firstColumns is the default of Limits.FirstColumns. A column costs a kilobyte however few values
// it has, so a segment may have only few before it has rows. Until then attributes without a column
// go to the overflow; those of later rows may get one.
const firstColumns = 64

func newAttributeWriter(scope column.Scope, limits Limits) attributeWriter {
	return attributeWriter{scope: scope, max: limits.MaxColumns, first: limits.FirstColumns}
}

// columnFor returns the number of the column for an attribute, which may be a new one, or -1 if it
// can have none. previous is the column of the attribute before it in the row, or -1: since spans
// of one kind have the same attributes in the same order, the column that followed last time is
// tried first, without hashing.
func (t *attributeWriter) columnFor(row int, key []byte, typ column.Type, previous int, m *memory) int {
	if previous >= 0 {
		if n := t.columns[previous].next; n >= 0 {
			if c := t.columns[n]; c.typ == typ && c.name == string(key) {
				return n
			}
		}
	}
	h := m.hash.hashBytes(key) + uint64(typ)*0x9e3779b97f4a7c15
	n := -1
	for i, at := t.index.findNext(h, 0); at != 0; i, at = t.index.findNext(h, at) {
		if c := t.columns[i]; c.typ == typ && c.name == string(key) {
			n = int(i)
			break
		}
	}
	if n < 0 {
		if len(t.columns) >= min(t.max, t.first+row) {
			return -1
		}
		n = len(t.columns)
		_, name := m.arena.addString(key, &m.bytes)
		t.columns = append(t.columns, &attributeColumn{sparseWriter: newSparse(typ), name: name, newest: -1, next: -1})
		t.keys = append(t.keys, column.Key{Scope: t.scope, Name: name, Type: typ})
		t.index.addNumber(h, uint32(n), &m.bytes)
		m.bytes += columnBytes
	}
	if previous >= 0 {
		t.columns[previous].next = n
	}
	return n
}

// addRow appends the attributes of a row. It leaves their shape in x.shape (for each attribute its
// column's number plus 1, or 0), and those without a column in x.overflow.
func (t *attributeWriter) addRow(row int, list []trace.Attribute, m *memory, x *Scratch) {
	shape, overflow := x.shape[:0], x.overflow[:0]
	previous := -1
	for i := range list {
		a := &list[i]
		n := t.columnFor(row, a.Key, column.TypeOf(a.Value.Type), previous, m)
		if n < 0 || t.columns[n].newest == row { // no column, or a key that the row has twice
			shape = column.AppendShape(shape, 0)
			overflow = column.AppendKeyValue(overflow, a)
			continue
		}
		previous = n
		shape = column.AppendShape(shape, n+1)
		c := t.columns[n]
		c.newest = row
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
	x.shape, x.overflow = shape, overflow
}

// undoRows drops the values of rows ≥ row. The columns stay, if need be without values.
func (t *attributeWriter) undoRows(row int) {
	for _, c := range t.columns {
		c.undoRows(row)
		c.newest = c.lastRow()
	}
}

// columnAt returns column n as the writer sees it.
func (t *attributeWriter) columnAt(n int) *sparseColumn { return t.columns[n].sparseColumn }

// attributeView is a reader's view of the columns that an attributeWriter had at one moment.
type attributeView struct {
	columns []*sparseColumn
	keys    []column.Key
	order   []uint32 // numbers of columns, sorted by key
}

func (t *attributeWriter) takeView() attributeView {
	if len(t.order) != len(t.columns) {
		t.order = make([]uint32, len(t.columns))
		for i := range t.order {
			t.order[i] = uint32(i)
		}
		slices.SortFunc(t.order, func(a, b uint32) int { return t.keys[a].Compare(t.keys[b]) })
	}
	v := attributeView{
		columns: make([]*sparseColumn, len(t.columns)),
		keys:    t.keys[:len(t.keys):len(t.keys)],
		order:   t.order,
	}
	for i, c := range t.columns {
		v.columns[i] = c.takeView()
	}
	return v
}

// columnOf returns the column of a key, nil if there is none.
func (v *attributeView) columnOf(k column.Key) *sparseColumn {
	i, ok := slices.BinarySearchFunc(v.order, k, func(n uint32, k column.Key) int { return v.keys[n].Compare(k) })
	if !ok {
		return nil
	}
	return v.columns[v.order[i]]
}

// columnAt returns column n.
func (v *attributeView) columnAt(n int) *sparseColumn { return v.columns[n] }

// readRows reads rows [from, to) of the column of a key; false if there is none.
func (v *attributeView) readRows(a *arena, k column.Key, from, to int, dst *column.Vector) bool {
	c := v.columnOf(k)
	if c == nil {
		return false
	}
	c.readRows(a, from, to, dst)
	return true
}

// shapedRow is what puts the attributes of one row together again, in the order in which they were
// sent.
type shapedRow struct {
	row      int
	shape    string
	overflow *sparseColumn
	columnAt func(n int) *sparseColumn
	keys     []column.Key // of the columns
}

// appendAttributes appends the row's attributes to dst. Keys and values alias the segment's memory.
func (r shapedRow) appendAttributes(a *arena, dst []trace.Attribute) []trace.Attribute {
	shape := r.shape
	var rest []byte // of the row's overflow
	if shape != "" {
		rest = r.overflow.bytesAt(a, r.row)
	}
	for shape != "" {
		entry, more, _ := column.NextShape(shape)
		shape = more
		var at trace.Attribute
		if entry == 0 {
			rest, _, _ = column.NextKeyValue(rest, &at)
		} else {
			c := r.columnAt(entry - 1)
			at.Key = bytesOf(r.keys[entry-1].Name)
			if i, ok := c.indexOfRow(uint32(r.row)); ok {
				at.Value = c.wireValue(a, i)
			}
		}
		dst = append(dst, at)
	}
	return dst
}
