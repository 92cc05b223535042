package block

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// rowWindow is a table that shows only its rows [from, to); the others look as if they had no
// values. A trace is a small part of the pages it lies in. So all columns are decoded into the
// memory of one page, and of each no more is kept than the trace's part.
type rowWindow struct {
	column.Table
	from, to int
	page     column.Vector
}

// Vector implements column.Columns.
func (w *rowWindow) Vector(ctx context.Context, k column.Key, page int, dst *column.Vector) (bool, error) {
	first := page * column.PageRows
	rows := min(column.PageRows, w.Rows()-first)
	lo, hi := max(w.from-first, 0), min(w.to-first, rows)
	if lo == 0 && hi == rows || lo >= hi {
		return w.Table.Vector(ctx, k, page, dst)
	}
	v := &w.page
	ok, err := w.Table.Vector(ctx, k, page, v)
	dst.Reset(v.Rows)
	if !ok || err != nil || v.N == 0 || hi > v.Rows {
		return ok, err
	}
	dst.Present.SetRange(lo, hi)
	at, n := lo, hi-lo
	if v.Present != nil {
		dst.Present.And(v.Present)
		at, n = v.Present.CountRange(0, lo), dst.Present.Count()
	}
	dst.N, dst.Dict = n, v.Dict
	dst.Codes = appendPart(dst.Codes, v.Codes, at, n)
	dst.Strings = appendPart(dst.Strings, v.Strings, at, n)
	dst.Ints = appendPart(dst.Ints, v.Ints, at, n)
	dst.Floats = appendPart(dst.Floats, v.Floats, at, n)
	return true, nil
}

// appendPart appends n values from at on, if the column has values of the type.
func appendPart[T any](dst, values []T, at, n int) []T {
	if len(values) == 0 {
		return dst
	}
	return append(dst, values[at:at+n]...)
}

// fragmentReader returns a reader of spans in rows [from, to). The first one shows no other rows; a
// second one, for rows that the first does not show, shows all rows, for the caller goes on.
func (t *spanTable) fragmentReader(from, to int) *column.Reader {
	if w := t.shown; w == nil || from < w.from || to > w.to {
		if w != nil {
			from, to = 0, t.groupTable.rows
		}
		t.shown = &rowWindow{Table: t, from: from, to: to}
		t.fragments = column.NewReader(t.shown)
	}
	return t.fragments
}

// AppendFragments implements column.Fragmenter. What the rows need is read in two waves.
func (t *spanTable) AppendFragments(
	ctx context.Context, rows []uint32, dst []trace.Fragment,
) ([]trace.Fragment, error) {
	if len(rows) == 0 {
		return dst, nil
	}
	first, last := slices.Min(rows), slices.Max(rows)
	if err := t.prefetchFragments(ctx, rows, int64(first), int64(last)); err != nil {
		return dst, err
	}
	dst, err := t.fragmentReader(int(first), int(last)+1).Fragments(ctx, rows, dst)
	if errors.Is(err, column.ErrCorrupt) {
		cause := fmt.Sprintf("rows %d to %d of row group %d: %v", rows[0], rows[len(rows)-1], t.groupTable.group, err)
		err = &corruptError{object: SpansObject, offset: 0, cause: cause}
	}
	return dst, err
}

// prefetchFragments reads what the rows, which lie in [first, last], need: first the fixed columns,
// whose shapes then tell which attributes are needed.
func (t *spanTable) prefetchFragments(ctx context.Context, rows []uint32, first, last int64) error {
	pages := pagesOf(rows)
	list := t.requestFixed(nil, pages)
	children := map[*groupTable][]int{} // the pages that have children of the rows
	for _, v := range []*groupTable{t.events, t.links} {
		if v == nil {
			continue
		}
		for p := range column.Pages(v.rows) {
			if lo, hi, ok := v.Bounds(column.RowRef, p); ok && lo <= last && hi >= first {
				children[v] = append(children[v], p)
			}
		}
		list = v.requestFixed(list, children[v])
	}
	if err := t.reader.fetchPages(ctx, list); err != nil {
		return err
	}
	needed, err := t.shapeKeysOf(ctx, rows, pages)
	if err != nil {
		return err
	}
	list = list[:0]
	for i, k := range t.dir.shapeKeys {
		if !needed[i] {
			continue
		}
		if c, ok := t.dir.byKey[k]; ok {
			list = t.requestPages(list, c, pages)
		} else if n, ok := t.sparse.find(k); ok {
			list = t.sparse.request(list, n)
		}
	}
	for c, pages := range children {
		for _, k := range c.dir.shapeKeys {
			list = c.requestPages(list, c.dir.byKey[k], pages)
		}
	}
	return t.reader.fetchPages(ctx, list)
}

// pagesOf returns the pages that the rows lie in, ascending.
func pagesOf(rows []uint32) []int {
	var pages []int
	for _, r := range rows {
		if p := int(r) / column.PageRows; len(pages) == 0 || pages[len(pages)-1] != p {
			pages = append(pages, p)
		}
	}
	slices.Sort(pages)
	return slices.Compact(pages)
}

// requestFixed appends requests for the pages of the fixed columns that spans are made of.
func (v *groupTable) requestFixed(list []pageRequest, pages []int) []pageRequest {
	for c := range v.dir.columns {
		switch k := v.dir.columns[c].key; k {
		case keyTraceID, column.ResourceOverflow, column.ScopeOverflow, column.ScopeName, column.ScopeVersion:
		default:
			if k.Scope == column.Intrinsic {
				list = v.requestPages(list, c, pages)
			}
		}
	}
	return list
}

// shapeKeysOf returns which of the table's shape keys the shapes of the rows name. pages are those
// of the rows.
func (t *spanTable) shapeKeysOf(ctx context.Context, rows []uint32, pages []int) ([]bool, error) {
	needed := make([]bool, len(t.dir.shapeKeys))
	var v column.Vector
	for _, p := range pages {
		if _, err := t.Vector(ctx, column.Shape, p, &v); err != nil {
			return nil, err
		}
		ranks := column.Ranks(v.Present)
		for _, r := range rows {
			if int(r)/column.PageRows != p {
				continue
			}
			if i, ok := ranks.At(int(r) % column.PageRows); ok && i < v.N {
				markEntries(needed, v.Text(i))
			}
		}
	}
	return needed, nil
}

// markEntries marks what a shape names. Of a damaged one it marks what comes before the damage.
func markEntries(needed []bool, shape string) {
	for shape != "" {
		entry, rest, ok := column.NextShape(shape)
		if !ok {
			return
		}
		if shape = rest; entry > 0 && entry <= len(needed) {
			needed[entry-1] = true
		}
	}
}
