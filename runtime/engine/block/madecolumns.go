package block

import (
	"context"
	"encoding/binary"
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

// readParents makes a page of ParentID.
func (v *groupTable) readParents(ctx context.Context, page int, dst *column.Vector) error {
	err := v.eachParent(ctx, page, func(row int, id []byte) {
		dst.Strings = append(dst.Strings, unsafe.String(&id[0], len(id)))
		dst.Present.Set(row)
	})
	if dst.N = len(dst.Strings); dst.N == dst.Rows {
		dst.SetAll()
	}
	return err
}

// eachParent calls f for the rows of a page that have a parent, with its id: the span id of the row
// that parent_distance leads to, or what parent_id holds.
func (v *groupTable) eachParent(ctx context.Context, page int, f func(row int, id []byte)) error {
	r := v.reader
	distance := v.dir.byKey[keyParentDistance]
	outside, distances := &r.outside, &r.distances
	outside.Reset(v.pageRows(page))
	distances.Reset(v.pageRows(page))
	if c, ok := v.dir.byKey[column.ParentID]; ok {
		if err := v.decodePage(ctx, c, page, outside); err != nil {
			return err
		}
	}
	if err := v.decodePage(ctx, distance, page, distances); err != nil {
		return err
	}
	if outside.N > 0 && outside.Present == nil { // no row has a parent in the block
		outside.Present = column.NewBitmap(outside.Rows)
		outside.Present.SetRange(0, outside.Rows)
	}
	var ids []byte
	idsPage := -1 // the page whose span ids are in ids
	base := page * column.PageRows
	n := 0 // values of outside so far
	for i, d := range distances.Ints {
		if outside.N > 0 && outside.Present.Get(i) {
			if d != 0 {
				return v.corruptPage(distance, page, "row with two parents")
			}
			f(i, textBytes(outside.Strings[n]))
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
		at := 8 * (parent % column.PageRows)
		f(i, ids[at:at+8:at+8])
	}
	return nil
}

// ReadIDs implements column.IDReader.
func (t *spanTable) ReadIDs(ctx context.Context, k column.Key, page int, ids []uint64, present column.Bitmap) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(ids) != t.pageRows(page) {
		return t.corruptPage(t.dir.byKey[column.SpanID], page, "page rows")
	}
	if k == column.ParentID {
		return t.eachParent(ctx, page, func(row int, id []byte) {
			ids[row] = binary.BigEndian.Uint64(id)
			present.Set(row)
		})
	}
	body, err := t.readIDPage(ctx, page)
	if err != nil {
		return err
	}
	for i := range ids {
		ids[i] = binary.BigEndian.Uint64(body[8*i:])
	}
	present.SetRange(0, len(ids))
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
