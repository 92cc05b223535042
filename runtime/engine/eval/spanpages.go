package eval

import (
	"cmp"
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// spanPages holds the columns that trees and the order of spans need, page by page, independent of
// the view's current page.
type spanPages struct {
	view  *tableView
	pages []*spanPage // nil: not read
	rows  []uint32    // scratch for the rows of one trace
}

// spanPage holds some columns of one page of the span table.
type spanPage struct {
	ids, parents []uint64 // span ids as numbers; 0 without a parent id
	kinds        []uint8
	hasParent    column.Bitmap // rows with a parent id
	exists       column.Bitmap // rows that exist for the query; nil: all
	starts       []int64       // unix ns; nil: not read
	durations    []int64       // ns
}

// loadPage returns a page. Unless the view is clipped its times are not read.
func (t *spanPages) loadPage(ctx context.Context, n int) (*spanPage, error) {
	if p := t.pages[n]; p != nil {
		return p, nil
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f := t.view.seekBeside(n)
	// The page itself takes 17 bytes a row, the trees over it up to 21.
	if err := t.view.budget.takeBytes(f.rows*17+column.PageRows*21, "trees of traces"); err != nil {
		return nil, err
	}
	p, err := readSpanPage(ctx, f)
	if err != nil {
		return nil, err
	}
	t.pages[n] = p
	if !t.view.clipped {
		return p, nil
	}
	if err := t.loadTimes(ctx, n); err != nil {
		return nil, err
	}
	p.exists = column.NewBitmap(f.rows)
	for i := range p.starts {
		start := uint64(p.starts[i])
		if t.view.window.meets(start, start+uint64(p.durations[i])) {
			p.exists.Set(i)
		}
	}
	return p, nil
}

// readSpanPage reads ids, parents and kinds at the frame's page.
func readSpanPage(ctx context.Context, f *frame) (*spanPage, error) {
	p := &spanPage{
		ids:       make([]uint64, f.rows),
		parents:   make([]uint64, f.rows),
		kinds:     make([]uint8, f.rows),
		hasParent: column.NewBitmap(f.rows),
	}
	t := f.columns.(Fetcher)
	if err := column.ReadIDs(ctx, t, column.SpanID, f.page, p.ids, column.NewBitmap(f.rows)); err != nil {
		return nil, err
	}
	if err := column.ReadIDs(ctx, t, column.ParentID, f.page, p.parents, p.hasParent); err != nil {
		return nil, err
	}
	v, err := f.column(column.Kind).loadFull(ctx)
	if err != nil {
		return nil, err
	}
	for i, k := range v.Ints {
		if k >= 0 && k < 256 {
			p.kinds[i] = uint8(k)
		}
	}
	return p, nil
}

// loadTimes reads the times of a page that loadPage has read.
func (t *spanPages) loadTimes(ctx context.Context, n int) error {
	p := t.pages[n]
	if p.starts != nil {
		return nil
	}
	f := t.view.seekBeside(n)
	if err := t.view.budget.takeBytes(f.rows*16, "times of spans"); err != nil {
		return err
	}
	v, err := f.column(column.Duration).loadFull(ctx)
	if err != nil {
		return err
	}
	p.durations = slices.Clone(v.Ints)
	if v, err = f.column(column.Start).loadFull(ctx); err != nil {
		return err
	}
	p.starts = slices.Clone(v.Ints)
	return nil
}

// loadTimesOf reads the times of rows whose pages are read.
func (t *spanPages) loadTimesOf(ctx context.Context, rows []uint32) error {
	for _, r := range rows {
		if err := t.loadTimes(ctx, int(r)/column.PageRows); err != nil {
			return err
		}
	}
	return nil
}

// locate returns the page of a row, which must be read, and the row's number there.
func (t *spanPages) locate(row uint32) (*spanPage, int) {
	return t.pages[row/column.PageRows], int(row % column.PageRows)
}

// existingRows returns the rows of a trace that exist for the query, ascending, and reads their
// pages, but not the times. The rows are valid until the next call.
func (t *spanPages) existingRows(ctx context.Context, trace int) ([]uint32, error) {
	t.rows = t.view.table.TraceRows(trace, t.rows[:0])
	out := t.rows[:0]
	for _, r := range t.rows {
		p, err := t.loadPage(ctx, int(r)/column.PageRows)
		if err != nil {
			return nil, err
		}
		if p.exists == nil || p.exists.Get(int(r)%column.PageRows) {
			out = append(out, r)
		}
	}
	return out, nil
}

// compareSpans is the total order of spans of one trace, whose times are read: by start, by span id
// and then by everything they hold.
//
// Source: docs/traceql-differences.md.
func (t *spanPages) compareSpans(ctx context.Context, a, b uint32) (int, error) {
	if c := t.compareStarts(a, b); c != 0 || a == b {
		return c, nil
	}
	return t.view.compareContents(ctx, a, b)
}

// compareStarts orders spans by start and by span id. It returns 0 for spans that share both.
func (t *spanPages) compareStarts(a, b uint32) int {
	p, i := t.locate(a)
	q, j := t.locate(b)
	return cmp.Or(cmp.Compare(uint64(p.starts[i]), uint64(q.starts[j])), cmp.Compare(p.ids[i], q.ids[j]))
}

// sortSpans puts rows of one trace, whose pages are read, into the order of spans.
func (t *spanPages) sortSpans(ctx context.Context, rows []uint32) error {
	if err := t.loadTimesOf(ctx, rows); err != nil {
		return err
	}
	slices.SortFunc(rows, t.compareStarts)
	return t.view.sortTies(ctx, rows, t.compareStarts)
}
