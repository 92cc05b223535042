package live

import (
	"math"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// sparseColumn is a column in which most rows may have no value. It holds the rows that have one,
// in ascending order, and beside them the values in the array of the column's type: value i belongs
// to rows[i]. A copy of the struct is a view.
type sparseColumn struct {
	rows    vec[uint32]
	strings stringColumn
	ints    vec[int64]
	floats  vec[float64]
	typ     column.Type
}

// lastRow returns the last row that has a value, or -1.
func (c *sparseColumn) lastRow() int {
	if n := len(c.rows.tail); n > 0 {
		return int(c.rows.tail[n-1])
	}
	return -1
}

// indexOfRow returns the index of a row's value, and whether the row has one.
func (c *sparseColumn) indexOfRow(row uint32) (int, bool) {
	n := c.rows.len()
	if n > 0 && c.rows.at(n-1) == row { // a duplicate mostly repeats a recent span
		return n - 1, true
	}
	i := searchRows(&c.rows, row)
	return i, i < n && c.rows.at(i) == row
}

// wireValue returns value i as it was sent.
func (c *sparseColumn) wireValue(a *arena, i int) trace.Value {
	switch c.typ {
	case column.String:
		return trace.Value{Type: trace.String, Bytes: bytesOf(c.strings.at(a, i))}
	case column.Bytes:
		return trace.Value{Type: trace.Bytes, Bytes: bytesOf(c.strings.at(a, i))}
	case column.Int:
		return trace.Value{Type: trace.Int, Num: uint64(c.ints.at(i))}
	case column.Bool:
		return trace.Value{Type: trace.Bool, Num: uint64(c.ints.at(i))}
	case column.Float:
		return trace.Value{Type: trace.Float, Num: math.Float64bits(c.floats.at(i))}
	}
	v, _ := column.ParseAnyValue(bytesOf(c.strings.at(a, i)))
	return v
}

// bytesAt returns the text of a row, nil if it has none. The bytes alias the arena.
func (c *sparseColumn) bytesAt(a *arena, row int) []byte {
	if i, ok := c.indexOfRow(uint32(row)); ok {
		return bytesOf(c.strings.at(a, i))
	}
	return nil
}

// intAt returns the number of a row, 0 if it has none.
func (c *sparseColumn) intAt(row int) int64 {
	if i, ok := c.indexOfRow(uint32(row)); ok {
		return c.ints.at(i)
	}
	return 0
}

// readRows reads rows [from, to) into dst, which is reset to so many rows.
func (c *sparseColumn) readRows(a *arena, from, to int, dst *column.Vector) {
	i, j := searchRows(&c.rows, uint32(from)), searchRows(&c.rows, uint32(to))
	if j-i == to-from {
		dst.SetAll()
	} else {
		dst.N = j - i
		c.rows.eachPart(i, j, func(part []uint32) {
			for _, r := range part {
				dst.Present.Set(int(r) - from)
			}
		})
	}
	c.readValues(a, i, j, dst)
}

// readValues appends values [i, j) to dst.
func (c *sparseColumn) readValues(a *arena, i, j int, dst *column.Vector) {
	switch c.typ {
	case column.Int, column.Bool:
		dst.Ints = c.ints.appendTo(dst.Ints, i, j)
	case column.Float:
		dst.Floats = c.floats.appendTo(dst.Floats, i, j)
	default:
		c.strings.readValues(a, i, j, dst)
	}
}

// maxSparse is how many values a column may have to be read at once, and sparseOneIn how many rows
// of a table there must be for each of them.
const (
	maxSparse   = column.PageRows
	sparseOneIn = 16
)

// sparseMemo is memory for the values of a column that is read at once.
type sparseMemo struct {
	rows   []uint32
	values column.Vector
}

// readSparse reads rows [from, to) into dst. It returns false if not few of them have a value.
func (c *sparseColumn) readSparse(a *arena, from, to int, dst *sparseMemo) bool {
	i, j := searchRows(&c.rows, uint32(from)), searchRows(&c.rows, uint32(to))
	if n := j - i; n > maxSparse || sparseOneIn*n > to-from {
		return false
	}
	dst.rows = c.rows.appendTo(dst.rows[:0], i, j)
	for k := range dst.rows {
		dst.rows[k] -= uint32(from)
	}
	dst.values.Reset(j - i)
	dst.values.SetAll()
	c.readValues(a, i, j, &dst.values)
	return true
}

// undoRows drops the values of rows ≥ row. A writer's last view stays valid: it was taken before
// those rows came.
func (c *sparseColumn) undoRows(row int) {
	if c.lastRow() < row {
		return
	}
	n := searchRows(&c.rows, uint32(row))
	c.rows.truncate(n)
	switch c.typ {
	case column.Int, column.Bool:
		c.ints.truncate(n)
	case column.Float:
		c.floats.truncate(n)
	default:
		c.strings.truncate(n)
	}
}

// sparseWriter adds values to a sparseColumn, row by row, and hands out views of it.
type sparseWriter struct {
	*sparseColumn
	text stringWriter
	view *sparseColumn // the last view taken; nil if a value came since
}

func newSparse(typ column.Type) sparseWriter {
	w := sparseWriter{sparseColumn: &sparseColumn{typ: typ}}
	w.text.noDict = typ == column.Any
	return w
}

// noValues are empty columns, by type, that all segments share: most segments never have a value in
// the columns that rareSparse makes. They are never written.
var noValues = [...]*sparseColumn{
	column.String: {typ: column.String},
	column.Bytes:  {typ: column.Bytes},
	column.Int:    {typ: column.Int},
}

// rareSparse returns a writer that allocates its column with the first value.
func rareSparse(typ column.Type) sparseWriter {
	w := sparseWriter{sparseColumn: noValues[typ]}
	w.view = w.sparseColumn
	return w
}

// dropView forgets the last view before a value is added. A pointer that is already nil is not
// written, because a write costs a barrier while garbage is collected.
func (w *sparseWriter) dropView(m *memory) {
	if w.view == nil {
		return
	}
	if w.view == w.sparseColumn { // one of noValues
		w.sparseColumn = &sparseColumn{typ: w.typ}
		m.bytes += 2 * sparseBytes // with a view
	}
	w.view = nil
}

// sparseBytes is the memory of an empty sparseColumn, as the allocator rounds it.
const sparseBytes = int64(unsafe.Sizeof(sparseColumn{})) + 16

// addText adds the value of a row, which must lie after all rows that have one. b is copied.
func (w *sparseWriter) addText(row int, m *memory, b []byte) {
	w.dropView(m)
	w.rows.add(uint32(row), &m.bytes)
	w.text.addString(&w.strings, m, b)
}

// addInt is addText for integers and booleans.
func (w *sparseWriter) addInt(row int, m *memory, v int64) {
	w.dropView(m)
	w.rows.add(uint32(row), &m.bytes)
	w.ints.add(v, &m.bytes)
}

// addFloat is addText for floating point numbers.
func (w *sparseWriter) addFloat(row int, m *memory, v float64) {
	w.dropView(m)
	w.rows.add(uint32(row), &m.bytes)
	w.floats.add(v, &m.bytes)
}

// takeView returns a view. As long as no value is added, all views are the same one.
func (w *sparseWriter) takeView() *sparseColumn {
	if w.view == nil {
		v := *w.sparseColumn
		w.view = &v
	}
	return w.view
}
