package eval

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// tableView is one table as a query sees it: its columns at the page in hand, its child tables, and
// of its spans only those that meet the window. Everything compiled for a table reads through its
// view. A view belongs to one goroutine.
type tableView struct {
	table  Fetcher
	hint   column.Hinter // nil: the table knows nothing about its pages in advance
	window window        // spans that do not meet it do not exist for the query

	spans  *frame
	events *children // nil: the table has none
	links  *children

	traceRow, start, duration *pageColumn // of spans

	clipped   bool          // some spans of the table lie outside of the window
	cutTraces column.Bitmap // of a clipped view, after findCutTraces: traces that have such spans

	side   *frame   // the span table at a page of its own
	trees  *forest  // nil: not asked for yet
	rows   []uint32 // scratch for one trace
	budget budget
}

// newTableView returns a view that takes every span of the table to meet the window until
// detectClipping has looked.
func newTableView(t Fetcher, w window) *tableView {
	v := &tableView{table: t, window: w, spans: newFrame(t)}
	v.hint, _ = t.(column.Hinter)
	v.events = newChildren(t.Events(), v.spans)
	v.links = newChildren(t.Links(), v.spans)
	v.traceRow = v.spans.column(column.TraceRow)
	v.start = v.spans.column(column.Start)
	v.duration = v.spans.column(column.Duration)
	return v
}

// childTable returns the child table of a family, nil if the table has none.
func (v *tableView) childTable(f family) *children {
	switch f {
	case ofEvents:
		return v.events
	case ofLinks:
		return v.links
	}
	return nil
}

func (v *tableView) pageCount() int { return column.Pages(v.table.Rows()) }

// allPages returns the numbers of all pages.
func (v *tableView) allPages() []int {
	pages := make([]int, v.pageCount())
	for i := range pages {
		pages[i] = i
	}
	return pages
}

// rowsOfPage returns the number of rows of a page, which need not be the current one.
func (v *tableView) rowsOfPage(page int) int {
	return min(v.table.Rows()-page*column.PageRows, column.PageRows)
}

// seekPage makes a page the current one.
func (v *tableView) seekPage(ctx context.Context, page int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	v.spans.seekPage(page)
	return nil
}

// startBounds returns bounds of the starts of a page's spans, in unix ns, if the table knows them
// without reading.
func (v *tableView) startBounds(page int) (lo, hi uint64, ok bool) {
	if v.hint == nil {
		return 0, 0, false
	}
	l, h, ok := v.hint.Bounds(column.Start, page)
	return uint64(l), uint64(h), ok && l >= 0
}

// detectClipping learns whether spans of the table lie outside of the window. It reads only pages
// of which the bounds do not tell.
func (v *tableView) detectClipping(ctx context.Context) error {
	if v.window == allTime {
		return nil
	}
	for p := range v.pageCount() {
		if lo, hi, ok := v.startBounds(p); ok && lo >= v.window.start && hi < v.window.end {
			continue
		}
		if err := v.seekPage(ctx, p); err != nil {
			return err
		}
		starts, err := v.start.loadFull(ctx)
		if err != nil {
			return err
		}
		for _, n := range starts.Ints {
			if uint64(n) < v.window.start || uint64(n) >= v.window.end {
				v.clipped = true
				return nil
			}
		}
	}
	return nil
}

// markExisting adds to mask, which is empty, the rows of the page that exist for the query.
func (v *tableView) markExisting(ctx context.Context, mask column.Bitmap) error {
	if !v.clipped {
		mask.SetRange(0, v.spans.rows)
		return nil
	}
	starts, err := v.start.loadFull(ctx)
	if err != nil {
		return err
	}
	durations, err := v.duration.loadFull(ctx)
	if err != nil {
		return err
	}
	for i, n := range starts.Ints {
		if v.window.meets(uint64(n), uint64(n)+uint64(durations.Ints[i])) {
			mask.Set(i)
		}
	}
	return nil
}

// describeTrace describes a trace by those of its spans that exist for the query.
func (v *tableView) describeTrace(ctx context.Context, trace int) (column.TraceInfo, error) {
	if !v.clipped {
		info, err := v.table.Trace(ctx, trace)
		info.End = max(info.Start, info.End)
		return info, err
	}
	return v.forest().describeTrace(ctx, trace)
}

// findShared returns the traces of the table that have several homes, ascending. Where the table
// has fewer traces than the set it asks the set for each of them, else the other way round.
func (v *tableView) findShared(ctx context.Context, shared Set) (traces []int, err error) {
	if shared == nil {
		return nil, nil
	}
	n, ids := v.table.Traces(), shared.IDs()
	for k := range min(n, len(ids)) {
		if k&4095 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		i, ok := k, false
		if n <= len(ids) {
			id, err := v.table.TraceID(ctx, k)
			if err != nil {
				return nil, err
			}
			ok = shared.Has(id)
		} else if i, ok, err = v.table.Lookup(ctx, ids[k]); err != nil {
			return nil, err
		}
		if ok {
			traces = append(traces, i)
		}
	}
	slices.Sort(traces)
	return slices.Compact(traces), nil
}

// existingRows returns the rows of a trace that exist for the query, ascending. They are valid
// until the next call.
func (v *tableView) existingRows(ctx context.Context, trace int) ([]uint32, error) {
	if v.clipped {
		return v.forest().existingRows(ctx, trace)
	}
	return v.traceRows(trace), nil
}

// traceRows returns the rows of a trace, ascending. They are valid until the next call, and that of
// existingRows.
func (v *tableView) traceRows(trace int) []uint32 {
	v.rows = v.table.TraceRows(trace, v.rows[:0])
	return v.rows
}

// seekBeside returns the span table at a page that need not be the current one, which stays.
func (v *tableView) seekBeside(page int) *frame {
	if v.side == nil {
		v.side = newFrame(v.table)
	}
	v.side.seekPage(page)
	return v.side
}

// readFragment returns a whole span as it was sent.
func (v *tableView) readFragment(ctx context.Context, row uint32) (trace.Fragment, error) {
	out, err := column.Fragments(ctx, v.table, []uint32{row}, nil)
	if err != nil {
		return trace.Fragment{}, err
	}
	return out[0], nil
}

// forest returns the trees of the table's traces.
func (v *tableView) forest() *forest {
	if v.trees == nil {
		v.trees = newForest(v)
	}
	return v.trees
}

// compileExpr compiles an expression on spans.
func (v *tableView) compileExpr(e traceql.Expr) (expr, error) {
	return compiler{view: v}.compileExpr(e)
}

// eachPageOf goes to the pages of rows, which ascend, and calls f with the rows there, counted
// within the page, and the index of the first of them.
func (v *tableView) eachPageOf(ctx context.Context, rows []uint32, f func(at int, local []uint32) error) error {
	var local []uint32
	for from := 0; from < len(rows); from += len(local) {
		page := int(rows[from]) / column.PageRows
		local = local[:0]
		for i := from; i < len(rows) && int(rows[i])/column.PageRows == page; i++ {
			local = append(local, rows[i]%column.PageRows)
		}
		if err := v.seekPage(ctx, page); err != nil {
			return err
		}
		if err := f(from, local); err != nil {
			return err
		}
	}
	return nil
}
