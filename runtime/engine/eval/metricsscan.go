package eval

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// metricsScan counts what one first stage of a metrics query asks for in one table, page by page.
// It belongs to one goroutine.
//
// The work on a page is a chain of steps over arrays; no object is made for a span. Of the query
//
//	{ name = "GET" } | avg_over_time(duration) by (resource.service.name)
//
// over (0, 30 s] in steps of 10 s, and a page of five rows, the steps make:
//
//	row  start  name  service  duration   selectRows        numberGroups   values
//	  0    3 s  GET   cart         5 ms   row 0, interval 0   group 0      5 ms
//	  1    4 s  PUT   cart         7 ms   not selected
//	  2   12 s  GET   user         9 ms   row 2, interval 1   group 1      9 ms
//	  3   40 s  GET   user         2 ms   not in the window
//	  4   18 s  GET   cart         4 ms   its trace has another home: a candidate
//
//	page.rows = [0 2]   page.intervals = [0 1]   page.groups = [0 1]   page.measured = [5 9] ms
//
// The tally then takes the last three arrays as they are: it adds 5 ms to (group 0, interval 0) and
// 9 ms to (group 1, interval 1).
//
// Invariants:
//
//   - Element i of every array of a page is about the span in row page.rows[i]; rows ascend.
//   - A span of a trace with several homes is never counted here. Where it may count, its trace is
//     named as a candidate, and the caller evaluates the trace from all its homes.
//   - A page is read only as far as its answer needs: not at all if it lies outside of the window,
//     nor if all of its spans count alike and in one interval (countsWholePage).
type metricsScan struct {
	view    *tableView
	scan    *scan // over view
	stage   *traceql.Metrics
	partial *MetricsPartial // where candidates are named
	window  series.Window

	pages      []int         // those that may have spans in the window
	sharedRows [][]sharedRow // by page: spans of traces with several homes; nil: there are none

	countsAll bool // the pipeline selects every span, so it need not be asked
	weighted  bool // spans count by their weights

	groupers    []*grouper   // one for each label
	labelCodes  [][]uint32   // by label: from a number of its grouper to a code of the tally
	valueExpr   expr         // of the …_over_time functions; nil: spans are counted
	shownFields []shownField // of exemplars; nil: there are to be none

	page metricsPage
}

// metricsPage is the page in hand. Its memory is used again for the next one.
type metricsPage struct {
	starts []int64 // of all rows of the page, in unix ns

	rows      []uint32   // the spans that count
	intervals []uint32   // their intervals
	columns   [][]uint32 // by label: their codes
	groups    []uint32   // their groups
	measured  values     // of valueExpr
	weights   []uint64   // nil: every span counts one

	matching []uint32      // rows that the pipeline selects
	counted  column.Bitmap // the same as rows, while shared rows are taken out
	part     typedSpans
}

// newMetricsScan compiles the first stage m for a table. Errors: ErrUnsupported, ErrLimit, those of
// the table.
func newMetricsScan(ctx context.Context, t Fetcher, r *MetricsRequest, m *traceql.Metrics, shared Set,
	out *MetricsPartial) (*metricsScan, error) {
	w, err := r.seriesWindow()
	if err != nil {
		return nil, err
	}
	s := &metricsScan{stage: m, partial: out, window: w, weighted: isExtrapolated(r.Query)}
	if s.pages = pagesIn(t, &w); len(s.pages) == 0 {
		return s, nil
	}
	within := window{uint64(max(r.Start, -1) + 1), uint64(max(r.End, 0)) + 1}
	sees := allTime // how far the other spans of a trace are seen does not matter
	if !traceql.IsSpanwise(m) {
		sees = within.widen(r.Window())
	}
	if s.scan, err = newScan(ctx, t, m.Pipeline, sees); err != nil {
		return nil, err
	}
	s.view = s.scan.view
	touches, err := s.view.findCutTraces(ctx, within)
	if err != nil {
		return nil, err
	}
	out.cutsTraces = out.cutsTraces || touches
	s.countsAll = s.scan.selector.selectsAll() && !s.view.clipped
	if s.sharedRows, err = s.view.findSharedRows(ctx, shared); err != nil {
		return nil, err
	}
	if s.scan.selector.acrossSpans {
		name := func(c Candidate, _ uint64) { out.noteCandidate(c) }
		if err := s.view.eachCandidate(ctx, s.sharedRows, r.clues(), s.pages, 0, name); err != nil {
			return nil, err
		}
	}
	return s, s.compileStage()
}

// compileStage compiles the labels and the value of the first stage.
func (s *metricsScan) compileStage() error {
	for _, f := range groupFields(s.stage) {
		e, err := s.view.compileExpr(f)
		if err != nil {
			return err
		}
		s.groupers = append(s.groupers, newGrouper(e))
	}
	s.labelCodes = make([][]uint32, len(s.groupers))
	s.page.columns = make([][]uint32, len(s.groupers))
	if s.stage.Field == nil {
		return nil
	}
	var err error
	s.valueExpr, err = s.view.compileExpr(s.stage.Field)
	return err
}

// countTable counts the whole table into c.
func (s *metricsScan) countTable(ctx context.Context, c stageCounts) error {
	if len(s.pages) == 0 {
		return nil
	}
	if s.scan.selector.acrossSpans {
		s.scan.hideShared(s.sharedRows)
		s.pages = slices.DeleteFunc(s.pages, s.scan.hidesPage)
	}
	if s.scan.selector.selectsNothing() {
		return nil
	}
	if c.comparison != nil {
		return s.countComparison(ctx, c.comparison)
	}
	if c.tally.Exemplars.Wanted() {
		if err := s.compileShownFields(); err != nil {
			return err
		}
	}
	if err := s.prefetchColumns(ctx, c.tally); err != nil {
		return err
	}
	for _, page := range s.pages {
		if err := s.countPage(ctx, page, c.tally); err != nil {
			return err
		}
	}
	return nil
}

// pagesIn returns the pages of a table that may have spans in a window. If the table has no bounds
// of a page in advance, the page is among them.
func pagesIn(t Fetcher, w *series.Window) []int {
	hint, _ := t.(column.Hinter)
	start, end := w.Bounds()
	n := column.Pages(t.Rows())
	pages := make([]int, 0, n)
	for p := range n {
		if hint != nil {
			if lo, hi, ok := hint.Bounds(column.Start, p); ok && lo >= 0 && (lo > end || hi <= start) {
				continue
			}
		}
		pages = append(pages, p)
	}
	return pages
}

// prefetchColumns tells the table which columns of which pages will be read, so that it can read
// them in large pieces.
func (s *metricsScan) prefetchColumns(ctx context.Context, t *series.Tally) error {
	if s.view.hint == nil {
		return nil
	}
	keys := append(make([]column.Key, 0, 8), column.Start)
	seen := map[column.Key]bool{column.Start: true}
	add := func(h *pageColumn) {
		if h.frame == s.view.spans && !seen[h.key] {
			seen[h.key] = true
			keys = append(keys, h.key)
		}
	}
	if s.scan.selector.filter != nil {
		s.scan.selector.filter.eachColumn(add)
	}
	for _, g := range s.groupers {
		g.e.eachColumn(add)
	}
	if s.valueExpr != nil {
		s.valueExpr.eachColumn(add)
	}
	if s.weighted {
		add(s.view.spans.column(column.TraceState))
	}
	if s.shownFields != nil {
		add(s.view.traceRow)
	}
	for _, f := range s.shownFields {
		f.e.eachColumn(add)
	}
	pages := make([]int, 0, len(s.pages))
	for _, p := range s.pages {
		if _, ok := s.countsWholePage(p); !ok || t.Exemplars.Wanted() {
			pages = append(pages, p)
		}
	}
	switch len(pages) {
	case 0:
		return nil
	case s.view.pageCount():
		pages = nil // all of them
	}
	return s.view.hint.Prefetch(ctx, keys, pages)
}

// countPage counts one page into the tally and offers its spans as exemplars.
func (s *metricsScan) countPage(ctx context.Context, page int, t *series.Tally) error {
	if iv, ok := s.countsWholePage(page); ok {
		return s.countUnread(ctx, page, iv, t)
	}
	if err := s.selectRows(ctx, page); err != nil || len(s.page.rows) == 0 {
		return err
	}
	groups, err := s.numberGroups(ctx, t)
	if err != nil {
		return err
	}
	if err := checkSeriesMemory(t.Bytes()); err != nil {
		return err
	}
	if s.weighted {
		if err := s.weighRows(ctx); err != nil {
			return err
		}
	}
	if s.valueExpr != nil {
		if err := s.valueExpr.computeValues(ctx, s.page.rows, &s.page.measured); err != nil {
			return err
		}
		s.addValues(groups, t)
	} else {
		t.CountSpans(groups, s.page.intervals, s.page.weights)
	}
	if t.Exemplars.Wanted() {
		return s.pickExemplars(ctx, s.page.rows, groups, t)
	}
	return nil
}

// countsWholePage reports whether all spans of a page count alike and lie in one interval. To count
// them nothing of the page need be read.
func (s *metricsScan) countsWholePage(page int) (interval int, ok bool) {
	if !s.countsAll || s.weighted || s.hasShared(page) || s.valueExpr != nil || len(s.groupers) > 0 {
		return 0, false
	}
	if s.view.hint == nil {
		return 0, false
	}
	lo, hi, ok := s.view.hint.Bounds(column.Start, page)
	if !ok || lo < 0 {
		return 0, false
	}
	interval = s.window.IntervalOf(lo)
	return interval, interval >= 0 && interval == s.window.IntervalOf(hi)
}

// countUnread counts a page by its number of rows. Only exemplars need its starts.
func (s *metricsScan) countUnread(ctx context.Context, page, interval int, t *series.Tally) error {
	t.CountInCell(0, uint32(interval), uint64(s.view.rowsOfPage(page)))
	if !t.Exemplars.Wanted() {
		return nil
	}
	if err := s.view.seekPage(ctx, page); err != nil {
		return err
	}
	v, err := s.view.start.loadFull(ctx)
	if err != nil {
		return err
	}
	s.page.starts = v.Ints
	return s.pickExemplars(ctx, nil, nil, t)
}
