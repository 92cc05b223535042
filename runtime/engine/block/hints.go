package block

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Dict implements column.Hinter.
func (v *groupTable) Dict(ctx context.Context, k column.Key, page int) (dict []string, ok bool, err error) {
	c, ok := v.dir.byKey[k]
	if !ok || v.dir.columns[c].kind != kindText || v.pageRows(page) == 0 {
		return nil, false, nil
	}
	if p := &v.dir.columns[c].chunks[v.group].pages[page]; p.plain || p.values == 0 {
		return nil, false, nil
	}
	h := v.chunkOf(c)
	if !h.decoded {
		if h, err = v.loadPage(ctx, c, page); err != nil {
			return nil, false, err
		}
		if err := v.loadDictionary(c, h); err != nil {
			return nil, false, err
		}
	}
	return h.texts, true, nil
}

// Bounds implements column.Hinter.
func (v *groupTable) Bounds(k column.Key, page int) (lo, hi int64, ok bool) {
	c, ok := v.dir.byKey[k]
	if !ok || v.dir.columns[c].kind != kindInt || v.pageRows(page) == 0 || k == keyParentDistance {
		return 0, 0, false
	}
	p := &v.dir.columns[c].chunks[v.group].pages[page]
	if k == column.RowRef {
		return p.lo - v.base, p.hi - v.base, p.values > 0
	}
	return p.lo, p.hi, p.values > 0
}

// Count implements column.Hinter.
func (v *groupTable) Count(k column.Key, page int) (n int, ok bool) {
	rows := v.pageRows(page)
	if k == column.TraceRow && v.spans {
		return rows, true
	}
	c, ok := v.dir.byKey[k]
	if rows == 0 || k == column.ParentID && v.spans {
		return 0, false
	}
	if !ok {
		if n, ok := v.sparse.find(k); ok {
			return v.sparse.countPage(n, page)
		}
		return 0, k.Scope != column.Intrinsic
	}
	return v.dir.columns[c].chunks[v.group].pages[page].values, true
}

// OverflowKeys implements column.Directory.
func (v *groupTable) OverflowKeys(s column.Scope) (keys []column.Key, ok bool) {
	return v.reader.block.overflow[min(s, column.Link)], true
}

// MayHave implements column.Hinter. Only columns of the span table are in the filter.
func (v *groupTable) MayHave(k column.Key, value string) bool {
	if k == column.ParentID && v.spans {
		return true // distances lead to parents, too
	}
	if !v.hasValues(k) {
		return false
	}
	return k.Type != column.String || !v.spans || v.reader.block.values.mayHave(hashValue(k, value))
}

// hasValues reports whether a row of the row group has a value in a column of the object, or of a
// sparse attribute.
func (v *groupTable) hasValues(k column.Key) bool {
	if c, ok := v.dir.byKey[k]; ok {
		return v.dir.columns[c].chunks[v.group].values > 0
	}
	_, ok := v.sparse.find(k)
	return ok
}
