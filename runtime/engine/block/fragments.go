package block

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// rowWindow is a table that shows of its rows [from, to) only; the others look as if they had no
// values. A trace is a small part of the pages it lies in: so one page of memory is decoded into
// for all columns, and no more than the trace's part of each is kept.
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
	dst.Codes, dst.Strings = appendPart(dst.Codes, v.Codes, at, n), appendPart(dst.Strings, v.Strings, at, n)
	dst.Ints, dst.Floats = appendPart(dst.Ints, v.Ints, at, n), appendPart(dst.Floats, v.Floats, at, n)
	return true, nil
}

// appendPart appends n values from at on, if there are any of the type.
func appendPart[T any](dst, values []T, at, n int) []T {
	if len(values) == 0 {
		return dst
	}
	return append(dst, values[at:at+n]...)
}

// fragmentReader returns a reader of rows in [from, to): at first of no others, of all when they
// are asked for as well.
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

// AppendFragments implements column.Fragmenter: what the rows need is read in two waves.
func (t *spanTable) AppendFragments(ctx context.Context, rows []uint32, dst []trace.Fragment) ([]trace.Fragment, error) {
	if len(rows) == 0 {
		return dst, nil
	}
	if err := t.prefetchFragments(ctx, rows); err != nil {
		return dst, err
	}
	dst, err := t.fragmentReader(int(slices.Min(rows)), int(slices.Max(rows))+1).Fragments(ctx, rows, dst)
	if errors.Is(err, column.ErrCorrupt) {
		err = &corruptError{object: SpansObject, offset: 0, cause: fmt.Sprintf("rows %d to %d of row group %d: %v", rows[0], rows[len(rows)-1], t.groupTable.group, err)}
	}
	return dst, err
}

// prefetchFragments reads what the rows need: first the fixed columns, whose shapes then say which
// attributes.
func (t *spanTable) prefetchFragments(ctx context.Context, rows []uint32) error {
	var pages []int
	first, last := rows[0], rows[0]
	for _, r := range rows {
		if p := int(r) / column.PageRows; len(pages) == 0 || pages[len(pages)-1] != p {
			pages = append(pages, p)
		}
		first, last = min(first, r), max(last, r)
	}
	slices.Sort(pages)
	pages = slices.Compact(pages)
	fixed := func(list []pageRequest, v *groupTable, pages []int) []pageRequest {
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
	list := fixed(nil, &t.groupTable, pages)
	children := map[*groupTable][]int{}
	for _, v := range []*groupTable{t.events, t.links} {
		if v == nil {
			continue
		}
		for p := range column.Pages(v.rows) {
			if lo, hi, ok := v.Bounds(column.RowRef, p); ok && lo <= int64(last) && hi >= int64(first) {
				children[v] = append(children[v], p)
			}
		}
		list = fixed(list, v, children[v])
	}
	if err := t.reader.fetchPages(ctx, list); err != nil {
		return err
	}
	list = list[:0]
	needed := make([]bool, len(t.shape))
	var v column.Vector
	for _, p := range pages {
		if _, err := t.Vector(ctx, column.Shape, p, &v); err != nil {
			return err
		}
		ranks := column.Ranks(v.Present)
		for _, r := range rows {
			if int(r)/column.PageRows != p {
				continue
			}
			i, ok := ranks.At(int(r) % column.PageRows)
			if !ok || i >= v.N {
				continue
			}
			for shape := v.Text(i); shape != ""; {
				entry, rest, ok := column.NextShape(shape)
				if !ok {
					break
				}
				if shape = rest; entry > 0 && entry <= len(needed) {
					needed[entry-1] = true
				}
			}
		}
	}
	for i, k := range t.shape {
		if needed[i] {
			list = t.requestPages(list, t.dir.byKey[k], pages)
		}
	}
	for c, pages := range children {
		for _, k := range c.shape {
			list = c.requestPages(list, c.dir.byKey[k], pages)
		}
	}
	return t.reader.fetchPages(ctx, list)
}
