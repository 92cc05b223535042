package block

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Dict implements column.Hinter.
func (v *view) Dict(ctx context.Context, k column.Key, page int) (dict []string, ok bool, err error) {
	c, ok := v.dir.byKey[k]
	if !ok || v.dir.columns[c].kind != kindText || v.pageRows(page) == 0 {
		return nil, false, nil
	}
	if p := &v.dir.columns[c].chunks[v.group].pages[page]; p.plain || p.n == 0 {
		return nil, false, nil
	}
	h := v.held(c)
	if !h.known {
		if h, err = v.load(ctx, c, page); err != nil {
			return nil, false, err
		}
		if err := v.dictionary(c, h); err != nil {
			return nil, false, err
		}
	}
	return h.texts, true, nil
}

// Bounds implements column.Hinter.
func (v *view) Bounds(k column.Key, page int) (lo, hi int64, ok bool) {
	c, ok := v.dir.byKey[k]
	if !ok || v.dir.columns[c].kind != kindInt || v.pageRows(page) == 0 || k == keyParentDistance {
		return 0, 0, false
	}
	p := &v.dir.columns[c].chunks[v.group].pages[page]
	if k == column.RowRef {
		return p.lo - v.base, p.hi - v.base, p.n > 0
	}
	return p.lo, p.hi, p.n > 0
}

// Count implements column.Hinter.
func (v *view) Count(k column.Key, page int) (n int, ok bool) {
	rows := v.pageRows(page)
	if k == column.TraceRow && v.spans {
		return rows, true
	}
	c, ok := v.dir.byKey[k]
	if rows == 0 || k == column.ParentID && v.spans {
		return 0, false
	}
	if !ok {
		return 0, k.Scope != column.Intrinsic
	}
	return v.dir.columns[c].chunks[v.group].pages[page].n, true
}

// OverflowKeys implements column.Directory.
func (v *view) OverflowKeys(s column.Scope) (keys []column.Key, ok bool) {
	return v.reader.block.overflow[min(s, column.Link)], true
}

// MayHave implements column.Hinter. Only columns of the span table are in the filter.
func (v *view) MayHave(k column.Key, value string) bool {
	if k == column.ParentID && v.spans {
		return true // distances lead to parents, too
	}
	c, ok := v.dir.byKey[k]
	if !ok {
		return false
	}
	if k.Type != column.String || !v.spans {
		return true
	}
	return v.dir.columns[c].chunks[v.group].n > 0 && v.reader.block.values.has(valueHash(k, value))
}
