package block

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// plainRows hides AppendFragments from column.Reader.
type plainRows struct{ column.Table }

// AppendFragments implements column.Fragmenter: what the rows need is read in two waves.
func (t *rows) AppendFragments(ctx context.Context, rows []uint32, dst []trace.Fragment) ([]trace.Fragment, error) {
	if len(rows) == 0 {
		return dst, nil
	}
	if t.fragments == nil {
		t.fragments = column.NewReader(plainRows{t})
	}
	if err := t.prefetchFragments(ctx, rows); err != nil {
		return dst, err
	}
	dst, err := t.fragments.Fragments(ctx, rows, dst)
	if errors.Is(err, column.ErrCorrupt) {
		err = &corruptError{object: spansObject, offset: 0, cause: fmt.Sprintf("rows %d to %d of row group %d: %v", rows[0], rows[len(rows)-1], t.view.group, err)}
	}
	return dst, err
}

// prefetchFragments reads what the rows need: first the fixed columns, whose shapes then say which attributes.
func (t *rows) prefetchFragments(ctx context.Context, rows []uint32) error {
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
	fixed := func(list []want, v *view, pages []int) []want {
		for c := range v.dir.columns {
			switch k := v.dir.columns[c].key; k {
			case keyTraceID, column.ResourceOverflow, column.ScopeOverflow, column.ScopeName, column.ScopeVersion:
			default:
				if k.Scope == column.Intrinsic {
					list = v.wants(list, c, pages)
				}
			}
		}
		return list
	}
	list := fixed(nil, &t.view, pages)
	children := map[*view][]int{}
	for _, v := range []*view{t.events, t.links} {
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
	if err := t.reader.fetch(ctx, list); err != nil {
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
			list = t.wants(list, t.dir.byKey[k], pages)
		}
	}
	for c, pages := range children {
		for _, k := range c.shape {
			list = c.wants(list, c.dir.byKey[k], pages)
		}
	}
	return t.reader.fetch(ctx, list)
}
