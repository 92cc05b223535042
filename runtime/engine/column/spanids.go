package column

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// RowsOf returns which of rows, which ascend, have one of the span ids, which ascend, too. Only the
// column of span ids is read. Errors: ErrCorrupt, or those of t.
func RowsOf(ctx context.Context, t Table, rows []uint32, ids []trace.SpanID) (out []uint32, err error) {
	var pages []int
	for _, row := range rows {
		if p := int(row) / PageRows; len(pages) == 0 || pages[len(pages)-1] != p {
			pages = append(pages, p)
		}
	}
	if h, ok := t.(Hinter); ok && len(pages) > 0 {
		if err := h.Prefetch(ctx, []Key{SpanID}, pages); err != nil {
			return nil, err
		}
	}
	wanted := make(map[uint64]bool, len(ids))
	for _, id := range ids {
		wanted[binary.BigEndian.Uint64(id[:])] = true
	}
	numbers, present := make([]uint64, PageRows), NewBitmap(PageRows)
	for _, page := range pages {
		n := min(t.Rows()-page*PageRows, PageRows)
		clear(present)
		if err := ReadIDs(ctx, t, SpanID, page, numbers[:n], present); err != nil {
			return nil, err
		}
		for ; len(rows) > 0 && int(rows[0])/PageRows == page; rows = rows[1:] {
			if wanted[numbers[int(rows[0])%PageRows]] {
				out = append(out, rows[0])
			}
		}
	}
	return out, nil
}

// EachSpan calls visit with the span id and the kind of every row of some traces of t, which are
// named by their ordinals; n is the index of the row's trace in traces. Two stored spans of a trace
// can be the same span only if they have both in common. Only the columns of the two are read, and
// each of their pages once for all traces. Errors: ErrCorrupt, or those of t.
func EachSpan(ctx context.Context, t Table, traces []int, visit func(n int, id trace.SpanID, kind int32)) error {
	type numbered struct{ row, n uint32 }
	var list []numbered
	var rows []uint32
	for n, i := range traces {
		rows = t.TraceRows(i, rows[:0])
		for _, r := range rows {
			list = append(list, numbered{r, uint32(n)})
		}
	}
	byRow := func(a, b numbered) int { return cmp.Compare(a.row, b.row) }
	if !slices.IsSortedFunc(list, byRow) {
		slices.SortFunc(list, byRow)
	}
	var pages []int
	for _, x := range list {
		if page := int(x.row) / PageRows; len(pages) == 0 || pages[len(pages)-1] != page {
			pages = append(pages, page)
		}
	}
	if h, ok := t.(Hinter); ok && len(pages) > 0 {
		if err := h.Prefetch(ctx, []Key{SpanID, Kind}, pages); err != nil {
			return err
		}
	}
	var ids, kinds pageCursor
	p := pageReader{c: t}
	for _, page := range pages {
		for _, c := range []struct {
			key Key
			to  *pageCursor
		}{{SpanID, &ids}, {Kind, &kinds}} {
			c.to.page = -1
			if err := p.loadPage(ctx, c.key, page, c.to); err != nil {
				return err
			}
		}
		for ; len(list) > 0 && int(list[0].row)/PageRows == page; list = list[1:] {
			i, hasID := ids.r.At(int(list[0].row) % PageRows)
			k, hasKind := kinds.r.At(int(list[0].row) % PageRows)
			if !hasID || !hasKind || len(ids.v.Text(i)) != len(trace.SpanID{}) {
				return fmt.Errorf("read span id and kind of row %d: %w", list[0].row, ErrCorrupt)
			}
			visit(int(list[0].n), trace.SpanID([]byte(ids.v.Text(i))), int32(kinds.v.Ints[k]))
		}
	}
	return nil
}
