package extract

import (
	"context"
	"encoding/binary"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// joinedColumns are columns over the rows of several extracts.
type joinedColumns struct {
	parts []part
	order []place // by row
	keys  []column.Key
	byKey map[column.Key]*joinedColumn
}

// part is an extract, with those of its columns that are joined.
type part struct {
	extract *Extract
	columns []Column
}

// joinedColumn is one column of several extracts.
type joinedColumn struct {
	key   column.Key
	parts []*Column // by extract; nil: it has no value there

	// Of texts with a dictionary: that of all extracts, and the codes in it.
	dict       []string
	translated [][]uint32 // by extract and its code: the code in dict
}

// columnOf returns a column; nil: no extract has it.
func (c *joinedColumns) columnOf(k column.Key) *joinedColumn {
	j, ok := c.byKey[k]
	if ok {
		return j
	}
	for i := range c.parts {
		for n := range c.parts[i].columns {
			if col := &c.parts[i].columns[n]; col.Key == k {
				if j == nil {
					j = &joinedColumn{key: k, parts: make([]*Column, len(c.parts))}
				}
				j.parts[i] = col
			}
		}
	}
	if j != nil {
		j.joinTexts(len(c.order))
	}
	if c.byKey == nil {
		c.byKey = map[column.Key]*joinedColumn{}
	}
	c.byKey[k] = j
	return j
}

// joinTexts makes one dictionary of those of the extracts, where each has one and there are fewer
// texts than rows.
func (j *joinedColumn) joinTexts(rows int) {
	texts := 0
	for _, c := range j.parts {
		if c != nil && (c.Plain || c.isNumeric()) {
			return
		}
		if c != nil {
			texts += len(c.Texts)
		}
	}
	if texts > rows {
		return
	}
	j.dict, j.translated = make([]string, 0, texts), make([][]uint32, len(j.parts))
	known := make(map[string]uint32, texts)
	for i, c := range j.parts {
		if c == nil {
			continue
		}
		to := make([]uint32, len(c.Texts))
		for n, s := range c.Texts {
			code, ok := known[s]
			if !ok {
				code = uint32(len(j.dict))
				known[s] = code
				j.dict = append(j.dict, s)
			}
			to[n] = code
		}
		j.translated[i] = to
	}
}

// Rows implements column.Columns.
func (c *joinedColumns) Rows() int { return len(c.order) }

// Keys implements column.Columns.
func (c *joinedColumns) Keys() []column.Key { return c.keys }

// ShapeKeys implements column.Columns: whole spans cannot be put together of some columns.
func (c *joinedColumns) ShapeKeys() []column.Key { return nil }

// pageOf returns the rows of a page.
func (c *joinedColumns) pageOf(page int) []place {
	from := min(max(page, 0)*column.PageRows, len(c.order))
	return c.order[from:min(from+column.PageRows, len(c.order))]
}

// readColumn reads a column at some rows.
func (c *joinedColumns) readColumn(k column.Key, rows []place, dst *column.Vector) bool {
	j := c.columnOf(k)
	switch {
	case j == nil:
		return false
	case k == column.ParentID:
		ids := newIDs(len(rows), dst)
		j.eachNumber(rows, dst, func(c *Column, row int) { ids.append(uint64(c.Ints[row])) })
	case k.Type == column.Float:
		j.eachNumber(rows, dst, func(c *Column, row int) { dst.Floats = append(dst.Floats, c.Floats[row]) })
	case k.Type == column.Int || k.Type == column.Bool:
		j.eachNumber(rows, dst, func(c *Column, row int) { dst.Ints = append(dst.Ints, c.Ints[row]) })
	default:
		j.readTexts(rows, dst)
	}
	if dst.N == dst.Rows {
		dst.SetAll()
	}
	return true
}

// eachNumber marks the rows that have a value, and calls f with where it lies.
func (j *joinedColumn) eachNumber(rows []place, dst *column.Vector, f func(c *Column, row int)) {
	for i, p := range rows {
		if j.hasNumber(p) {
			dst.Present.Set(i)
			dst.N++
			f(j.parts[p.part()], p.row())
		}
	}
}

// hasNumber reports whether a row has a value in a column of numbers.
func (j *joinedColumn) hasNumber(p place) bool {
	c := j.parts[p.part()]
	return c != nil && (c.Present == nil || c.Present.Get(p.row()))
}

// readTexts reads the texts of some rows, as codes where there is a dictionary of all extracts.
func (j *joinedColumn) readTexts(rows []place, dst *column.Vector) {
	dst.Dict = j.dict
	for i, p := range rows {
		c := j.parts[p.part()]
		if c == nil {
			continue
		}
		code := c.Codes[p.row()]
		if code == 0 {
			continue
		}
		dst.Present.Set(i)
		dst.N++
		if j.dict != nil {
			dst.Codes = append(dst.Codes, j.translated[p.part()][code-1])
		} else {
			dst.Strings = append(dst.Strings, c.Texts[code-1])
		}
	}
}

// textAt returns the text of one row; ok=false: it has none.
func (c *joinedColumns) textAt(k column.Key, p place) (s string, ok bool) {
	j := c.columnOf(k)
	if j == nil || j.parts[p.part()] == nil {
		return "", false
	}
	col := j.parts[p.part()]
	code := col.Codes[p.row()]
	if code == 0 {
		return "", false
	}
	return col.Texts[code-1], true
}

// Prefetch implements column.Hinter: everything is there.
func (c *joinedColumns) Prefetch(context.Context, []column.Key, []int) error { return nil }

// Dict implements column.Hinter.
func (c *joinedColumns) Dict(_ context.Context, k column.Key, _ int) (dict []string, ok bool, err error) {
	j := c.columnOf(k)
	if j == nil || j.dict == nil {
		return nil, false, nil
	}
	return j.dict, true, nil
}

// Bounds implements column.Hinter.
func (c *joinedColumns) Bounds(column.Key, int) (lo, hi int64, ok bool) { return 0, 0, false }

// Count implements column.Hinter.
func (c *joinedColumns) Count(column.Key, int) (n int, ok bool) { return 0, false }

// MayHave implements column.Hinter.
func (c *joinedColumns) MayHave(column.Key, string) bool { return true }

// idTexts makes texts of 8 bytes of numbers.
type idTexts struct {
	kept []byte
	dst  *column.Vector
}

func newIDs(rows int, dst *column.Vector) *idTexts {
	return &idTexts{kept: make([]byte, 0, 8*rows), dst: dst}
}

func (t *idTexts) append(n uint64) {
	at := len(t.kept)
	t.kept = binary.BigEndian.AppendUint64(t.kept, n)
	t.dst.Strings = append(t.dst.Strings, unsafe.String(&t.kept[at], 8))
}

// childTable is the events, or the links, of the rows of a Table.
type childTable struct {
	joinedColumns
	refs []int64 // by row: the row of the span
}

// joinChildren joins the child tables of the extracts; nil: none has any rows.
func joinChildren(t *Table, childrenOf func(*Extract) *Children) *childTable {
	out := &childTable{}
	first := make([][]uint32, len(t.parts)) // by extract and row of spans: where its children begin
	some := false
	for i := range t.parts {
		e := t.parts[i].extract
		kids := childrenOf(e)
		out.parts = append(out.parts, part{extract: e, columns: kids.Columns})
		if len(kids.Rows) == 0 {
			continue
		}
		some = true
		begin := make([]uint32, len(e.Traces)+1)
		at := 0
		for row := range begin {
			for at < len(kids.Rows) && int(kids.Rows[at]) < row {
				at++
			}
			begin[row] = uint32(at)
		}
		first[i] = begin
	}
	if !some {
		return nil
	}
	for row, p := range t.order {
		if begin := first[p.part()]; begin != nil {
			for k := begin[p.row()]; k < begin[p.row()+1]; k++ {
				out.order = append(out.order, placeOf(p.part(), int(k)))
				out.refs = append(out.refs, int64(row))
			}
		}
	}
	if len(out.order) == 0 {
		return nil
	}
	out.keys = out.listKeys([]column.Key{column.RowRef})
	return out
}

// Vector implements column.Columns.
func (c *childTable) Vector(ctx context.Context, k column.Key, page int, dst *column.Vector) (bool, error) {
	rows := c.pageOf(page)
	dst.Reset(len(rows))
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if k == column.RowRef && len(rows) > 0 {
		dst.SetAll()
		at := page * column.PageRows
		dst.Ints = append(dst.Ints, c.refs[at:at+len(rows)]...)
		return true, nil
	}
	return c.readColumn(k, rows, dst), nil
}
