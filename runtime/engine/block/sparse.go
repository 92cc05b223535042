package block

import (
	"context"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// sparseColumns are the sparse attributes of a row group, whose values lie in the attributes table.
// The span table shows them as columns. The values of one are read and decoded once, whatever pages
// of it are asked for, and the pages are cut out of them:
//
//	rows    7  8191  8192  20000      page 0: rows 7 and 8191, values a and b
//	values  a  b     c     d          page 1: row 0, value c      page 2: row 3616, value d
type sparseColumns struct {
	table *groupTable // attributes.parquet
	index *sparseIndex
	spans int             // rows of the span table
	read  []*sparseValues // by number of the attribute; nil: not decoded

	// Neighbours among the attributes share pages, so the last ones that were decoded are kept.
	rows, values decodedPage
	spanRows     []uint32 // what is in rows, as rows of the span table
	dict         localDict
}

// decodedPage is a page of a column of the attributes table.
type decodedPage struct {
	column, page int
	ok           bool // v holds the page
	v            column.Vector
}

// isOf reports whether p holds a page of a column.
func (p *decodedPage) isOf(c, page int) bool { return p.ok && p.column == c && p.page == page }

// sparseValues are the values of one attribute in a row group.
type sparseValues struct {
	rows   []uint32      // of the spans that have one, ascending
	values column.Vector // a page of which each row has one
}

// sparseColumns returns the sparse attributes of the spans in row group g; nil: there are none.
func (r *Reader) sparseColumns(g int) *sparseColumns {
	t := r.childTable(&r.block.attributes, column.Intrinsic, g)
	if t == nil {
		return nil
	}
	return &sparseColumns{
		table: t,
		index: &r.block.sparse,
		spans: r.block.groups[g].rows,
		read:  make([]*sparseValues, len(r.block.sparse.keys)),
	}
}

// find returns the number of an attribute that has values in the row group.
func (s *sparseColumns) find(k column.Key) (n int, ok bool) {
	if s == nil {
		return 0, false
	}
	if n, ok = s.index.byKey[k]; !ok {
		return 0, false
	}
	from, to := s.index.rowsOf(s.table.group, n)
	return n, from < to
}

// request appends requests for the pages that hold the values of attribute n, unless they are
// decoded.
func (s *sparseColumns) request(list []pageRequest, n int) []pageRequest {
	if s.read[n] != nil {
		return list
	}
	from, to := s.index.rowsOf(s.table.group, n)
	var pages []int
	for p := from / column.PageRows; p*column.PageRows < to; p++ {
		pages = append(pages, p)
	}
	list = s.table.requestPages(list, s.table.dir.byKey[column.RowRef], pages)
	return s.table.requestPages(list, s.table.dir.byKey[keyAttributeValue[s.index.keys[n].Type]], pages)
}

// load returns the values of attribute n.
func (s *sparseColumns) load(ctx context.Context, n int) (*sparseValues, error) {
	if s.read[n] != nil {
		return s.read[n], nil
	}
	from, to := s.index.rowsOf(s.table.group, n)
	out := &sparseValues{rows: make([]uint32, 0, to-from)}
	out.values.Rows, out.values.N = to-from, to-from
	s.dict.begin()
	err := s.eachPart(ctx, n, func(rows []uint32, v *column.Vector) error {
		out.rows = append(out.rows, rows...)
		s.addValues(&out.values, v)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.dict.end(&out.values)
	s.read[n] = out
	s.table.reader.keptBytes += sparseBytes(out)
	return out, nil
}

// addValues appends the values of a part to dst.
func (s *sparseColumns) addValues(dst, v *column.Vector) {
	switch {
	case v.Dict != nil:
		s.dict.addCodes(dst, v.Dict, v.Codes)
	case len(v.Strings) > 0:
		s.dict.becomePlain(dst)
		dst.Strings = append(dst.Strings, v.Strings...)
	default:
		dst.Ints = append(dst.Ints, v.Ints...)
		dst.Floats = append(dst.Floats, v.Floats...)
	}
}

// eachPart calls f for the values of attribute n that lie in one page of the table, page by page:
// with the rows of the span table, which ascend, and the values as the page has them. Both are
// valid until f returns.
func (s *sparseColumns) eachPart(
	ctx context.Context, n int, f func(rows []uint32, values *column.Vector) error,
) error {
	from, to := s.index.rowsOf(s.table.group, n)
	value := s.table.dir.byKey[keyAttributeValue[s.index.keys[n].Type]]
	last := -1
	for at := from; at < to; {
		page := at / column.PageRows
		end := min((page+1)*column.PageRows, to)
		rows, err := s.readRows(ctx, at, end, last)
		if err != nil {
			return err
		}
		part, err := s.readValues(ctx, value, at, end)
		if err != nil {
			return err
		}
		if err := f(rows, &part); err != nil {
			return err
		}
		at, last = end, int(rows[len(rows)-1])
	}
	return nil
}

// decode returns a page of a column of the table, which p may hold already.
func (s *sparseColumns) decode(ctx context.Context, p *decodedPage, c, page int) (*column.Vector, error) {
	if !p.isOf(c, page) {
		p.ok = false
		p.v.Reset(s.table.pageRows(page))
		if err := s.table.decodePage(ctx, c, page, &p.v); err != nil {
			return nil, err
		}
		p.column, p.page, p.ok = c, page, true
	}
	return &p.v, nil
}

// readRows returns which spans the rows [from, to) of the table are about, which lie in one page.
// All of them must be behind last.
func (s *sparseColumns) readRows(ctx context.Context, from, to, last int) ([]uint32, error) {
	c := s.table.dir.byKey[column.RowRef]
	page := from / column.PageRows
	if !s.rows.isOf(c, page) {
		v, err := s.decode(ctx, &s.rows, c, page)
		if err != nil {
			return nil, err
		}
		s.spanRows = s.spanRows[:0]
		for _, row := range v.Ints {
			if row -= s.table.base; row < 0 || row >= int64(s.spans) {
				s.rows.ok = false
				return nil, s.table.corruptPage(c, page, "rows of an attribute")
			}
			s.spanRows = append(s.spanRows, uint32(row))
		}
	}
	first := page * column.PageRows
	rows := s.spanRows[from-first : to-first]
	for _, row := range rows {
		if int(row) <= last {
			return nil, s.table.corruptPage(c, page, "rows of an attribute")
		}
		last = int(row)
	}
	return rows, nil
}

// readValues returns the values of the rows [from, to) of the table, which lie in one page.
func (s *sparseColumns) readValues(ctx context.Context, c, from, to int) (part column.Vector, err error) {
	page := from / column.PageRows
	v, err := s.decode(ctx, &s.values, c, page)
	if err != nil {
		return part, err
	}
	at, n := from-page*column.PageRows, to-from
	if v.Present != nil {
		lo := at
		at = v.Present.CountRange(0, lo)
		if v.Present.CountRange(lo, lo+n) != n {
			return part, s.table.corruptPage(c, page, "values of an attribute")
		}
	}
	part.Rows, part.N, part.Dict = n, n, v.Dict
	part.Codes, part.Strings = partOf(v.Codes, at, n), partOf(v.Strings, at, n)
	part.Ints, part.Floats = partOf(v.Ints, at, n), partOf(v.Floats, at, n)
	return part, nil
}

// partOf returns n values from at on, if the column has values of the type.
func partOf[T any](values []T, at, n int) []T {
	if len(values) == 0 {
		return nil
	}
	return values[at : at+n]
}

// cutPage reads a page of the column of attribute n into dst, which must have been reset.
func (s *sparseColumns) cutPage(ctx context.Context, n, page int, dst *column.Vector) error {
	all, err := s.load(ctx, n)
	if err != nil {
		return err
	}
	at, count := rowsIn(all.rows, page)
	if count == 0 {
		return nil
	}
	if dst.N = count; count == dst.Rows {
		dst.SetAll()
	} else {
		first := uint32(page * column.PageRows)
		for _, r := range all.rows[at : at+count] {
			dst.Present.Set(int(r - first))
		}
	}
	values := &all.values
	dst.Dict = values.Dict
	dst.Codes = appendPart(dst.Codes, values.Codes, at, count)
	dst.Strings = appendPart(dst.Strings, values.Strings, at, count)
	dst.Ints = appendPart(dst.Ints, values.Ints, at, count)
	dst.Floats = appendPart(dst.Floats, values.Floats, at, count)
	return nil
}

// rowsIn returns which of the rows lie in a page: n of them, from rows[at] on.
func rowsIn(rows []uint32, page int) (at, n int) {
	first := uint32(page * column.PageRows)
	from, _ := slices.BinarySearch(rows, first)
	to, _ := slices.BinarySearch(rows, first+column.PageRows)
	return from, to - from
}

// countPage returns how many values of attribute n lie in a page. ok=false: they are not decoded.
func (s *sparseColumns) countPage(n, page int) (count int, ok bool) {
	if s.read[n] == nil {
		return 0, false
	}
	_, inPage := rowsIn(s.read[n].rows, page)
	return inPage, true
}

// forget forgets the values of attribute n.
func (s *sparseColumns) forget(n int) {
	if s.read[n] != nil {
		s.table.reader.keptBytes -= sparseBytes(s.read[n])
		s.read[n] = nil
	}
}

// EachSparse implements column.SparseReader.
func (v *groupTable) EachSparse(
	ctx context.Context, k column.Key, f func(rows []uint32, values *column.Vector) error,
) (ok bool, err error) {
	n, ok := v.sparse.find(k)
	if !ok {
		return false, ctx.Err()
	}
	return true, v.sparse.eachPart(ctx, n, f)
}

// sparseBytes returns about how many bytes s takes, but for the bytes of its texts.
func sparseBytes(s *sparseValues) int64 {
	v := &s.values
	return int64(unsafe.Sizeof(*s)) + 4*int64(len(s.rows)+len(v.Codes)) + 8*int64(len(v.Ints)+len(v.Floats)) +
		16*int64(len(v.Strings)+len(v.Dict))
}
