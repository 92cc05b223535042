package block

import (
	"context"
	"slices"
	"sort"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// TraceRow and ParentID are columns of a table, but not of the object: they are made of what the
// index and other columns hold.

// readTraceRows makes a page of TraceRow out of the index.
func (v *groupTable) readTraceRows(page int, dst *column.Vector) {
	dst.SetAll()
	bl := v.reader.block
	g := &bl.groups[v.group]
	row := uint32(g.row + page*column.PageRows)
	end := row + uint32(dst.Rows)
	first := bl.traces.first
	i := sort.Search(g.traces, func(i int) bool { return first[g.trace+i+1] > row })
	dst.Ints = slices.Grow(dst.Ints[:0], dst.Rows)
	for ; row < end; i++ {
		for stop := min(first[g.trace+i+1], end); row < stop; row++ {
			dst.Ints = append(dst.Ints, int64(i))
		}
	}
}

// readParents makes a page of ParentID: the span id of the row that parent_distance leads to, or
// what parent_id holds.
func (v *groupTable) readParents(ctx context.Context, page int, dst *column.Vector) error {
	r := v.reader
	distance := v.dir.byKey[keyParentDistance]
	outside := &r.outside
	outside.Reset(dst.Rows)
	if c, ok := v.dir.byKey[column.ParentID]; ok {
		if err := v.decodePage(ctx, c, page, outside); err != nil {
			return err
		}
	}
	ints := dst.Ints
	if err := v.decodePage(ctx, distance, page, dst); err != nil {
		return err
	}
	if outside.N > 0 && outside.Present == nil { // no row has a parent in the block
		outside.Present = column.NewBitmap(dst.Rows)
		outside.Present.SetRange(0, dst.Rows)
	}
	r.distances, dst.Ints = append(r.distances[:0], dst.Ints...), ints[:0]
	dst.Reset(dst.Rows)
	var ids []byte
	idsPage := -1 // the page whose span ids are in ids
	base := page * column.PageRows
	n := 0 // values of outside so far
	for i, d := range r.distances {
		if outside.N > 0 && outside.Present.Get(i) {
			if d != 0 {
				return v.corruptPage(distance, page, "row with two parents")
			}
			dst.Strings = append(dst.Strings, outside.Strings[n])
			dst.Present.Set(i)
			n++
			continue
		}
		if d == 0 {
			continue
		}
		parent := int64(base+i) - d
		if parent < 0 || parent >= int64(v.rows) {
			return v.corruptPage(distance, page, "distance")
		}
		if p := int(parent / column.PageRows); p != idsPage {
			var err error
			if ids, err = v.readIDPage(ctx, p); err != nil {
				return err
			}
			idsPage = p
		}
		dst.Strings = append(dst.Strings, unsafe.String(&ids[8*(parent%column.PageRows)], 8))
		dst.Present.Set(i)
	}
	if dst.N = len(dst.Strings); dst.N == dst.Rows {
		dst.SetAll()
	}
	return nil
}

// readIDPage returns the span ids of a page, one behind the other.
func (v *groupTable) readIDPage(ctx context.Context, page int) ([]byte, error) {
	c := v.dir.byKey[column.SpanID]
	h, err := v.loadPage(ctx, c, page)
	if err != nil {
		return nil, err
	}
	_, body, err := v.openPage(c, page, h.pages[page], true)
	if err != nil {
		return nil, err
	}
	if len(body) != 8*v.pageRows(page) {
		return nil, v.corruptPage(c, page, "values")
	}
	return body, nil
}
