package eval

import (
	"context"
	"math"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// metricsScan counts what one first stage asks for in one table, page by page.
type metricsScan struct {
	view       *tableView
	scan       *scan // over view
	stage      *traceql.Metrics
	partial    *MetricsPartial
	window     series.Window
	pages      []int         // pages that may have spans in the window
	sharedRows [][]sharedRow // by page: spans of traces that have several homes; nil: the table has none

	weighted bool // spans count by their weights

	countsAll   bool       // every span that is not away is counted, so the filter need not be asked
	groupers    []*grouper // one for each label
	labelCodes  [][]uint32 // by label: what the grouper's numbers are in the tally
	valueExpr   expr       // of the …_over_time functions; nil: spans are counted
	shownFields []shownField

	// Of the current page.
	starts          []int64
	rows, intervals []uint32
	columns         [][]uint32
	groups          []uint32
	measured        values
	weights         []uint64 // nil: all count one
	part            typedSpans
	counted         column.Bitmap
	matching        []uint32
}

// shownField is a field that exemplars show.
type shownField struct {
	name string
	e    expr
}

// typedSpans is a part of a page's spans: those whose value is of one type.
type typedSpans struct {
	groups, intervals []uint32
	weights           []uint64
	ints              []int64
	floats            []float64
}

func newMetricsScan(ctx context.Context, t Fetcher, r *MetricsRequest, m *traceql.Metrics, shared Set, out *MetricsPartial) (*metricsScan, error) {
	w, err := r.seriesWindow()
	if err != nil {
		return nil, err
	}
	s := &metricsScan{stage: m, partial: out, window: w, weighted: isExtrapolated(r.Query)}
	if s.pages = pagesIn(t, &w); len(s.pages) == 0 {
		return s, nil
	}
	sees, within := allTime, window{uint64(max(r.Start, -1) + 1), uint64(max(r.End, 0)) + 1}
	if !needsNoOtherSpans(m) {
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
	if err := s.findSharedRows(ctx, shared); err != nil {
		return nil, err
	}
	for _, f := range groupFields(m) {
		e, err := s.view.compileExpr(f)
		if err != nil {
			return nil, err
		}
		s.groupers = append(s.groupers, newGrouper(e))
		s.labelCodes = append(s.labelCodes, nil)
		s.columns = append(s.columns, nil)
	}
	if m.Field != nil {
		if s.valueExpr, err = s.view.compileExpr(m.Field); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// needsNoOtherSpans says that what a span counts for does not depend on other spans. Then it need not be known
// which of these exist for the query.
func needsNoOtherSpans(m *traceql.Metrics) bool {
	if m.Compare != nil || m.Field != nil && readsTrace(m.Field) {
		return false
	}
	for _, f := range m.By {
		if readsTrace(f) {
			return false
		}
	}
	for _, n := range m.Pipeline.Stages {
		f, ok := n.(*traceql.Filter)
		if !ok || f.Expr != nil && readsTrace(f.Expr) {
			return false
		}
	}
	return true
}

// countTable counts the whole table.
func (s *metricsScan) countTable(ctx context.Context, c stageCounts) error {
	if len(s.pages) == 0 {
		return nil
	}
	if s.scan.selector.acrossSpans {
		// Whether a span away from home is selected can depend on any other of its trace.
		for _, page := range s.pages {
			if !s.hasShared(page) {
				continue
			}
			for _, a := range s.sharedRows[page] {
				if err := s.nameCandidate(ctx, a); err != nil {
					return err
				}
			}
		}
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

// pagesIn returns the pages of a table that may have spans in a window.
func pagesIn(t Fetcher, w *series.Window) []int {
	hint, _ := t.(column.Hinter)
	var pages []int
	start, end := w.Bounds()
	for p := range column.Pages(t.Rows()) {
		if hint != nil {
			if lo, hi, ok := hint.Bounds(column.Start, p); ok && lo >= 0 && (lo > end || hi <= start) {
				continue
			}
		}
		pages = append(pages, p)
	}
	return pages
}

// prefetchColumns says which columns of which pages will be read.
func (s *metricsScan) prefetchColumns(ctx context.Context, t *series.Tally) error {
	if s.view.hint == nil {
		return nil
	}
	keys := []column.Key{column.Start}
	seen := map[column.Key]bool{column.Start: true}
	add := func(h *pageColumn) {
		if h.f == s.view.spans && !seen[h.key] {
			seen[h.key] = true
			keys = append(keys, h.key)
		}
	}
	if s.scan.selector.filter != nil {
		s.scan.selector.filter.columns(add)
	}
	for _, g := range s.groupers {
		g.e.columns(add)
	}
	if s.valueExpr != nil {
		s.valueExpr.columns(add)
	}
	if s.weighted {
		add(s.view.spans.column(column.TraceState))
	}
	if s.shownFields != nil {
		add(s.view.traceRow)
	}
	for _, f := range s.shownFields {
		f.e.columns(add)
	}
	var pages []int
	for _, p := range s.pages {
		if _, ok := s.countsWholePage(p); !ok || t.Exemplars.Wanted() {
			pages = append(pages, p)
		}
	}
	switch len(pages) {
	case 0:
		return nil
	case s.view.pageCount():
		pages = nil
	}
	return s.view.hint.Prefetch(ctx, keys, pages)
}

// countPage counts one page.
func (s *metricsScan) countPage(ctx context.Context, page int, t *series.Tally) error {
	if iv, ok := s.countsWholePage(page); ok {
		n := s.view.rowsOfPage(page)
		t.CountInCell(0, uint32(iv), uint64(n))
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
		s.starts = v.Ints
		return s.pickExemplars(ctx, nil, nil, t)
	}
	if err := s.selectRows(ctx, page); err != nil || len(s.rows) == 0 {
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
		if err := s.valueExpr.values(ctx, s.rows, &s.measured); err != nil {
			return err
		}
		s.addValues(groups, t)
	} else {
		t.CountSpans(groups, s.intervals, s.weights)
	}
	if t.Exemplars.Wanted() {
		return s.pickExemplars(ctx, s.rows, groups, t)
	}
	return nil
}

// countsWholePage says that all spans of a page count alike and lie in one interval: then nothing of it
// need be read to count them.
func (s *metricsScan) countsWholePage(page int) (interval int, ok bool) {
	if !s.countsAll || s.weighted || s.hasShared(page) || s.valueExpr != nil || len(s.groupers) > 0 || s.view.hint == nil {
		return 0, false
	}
	lo, hi, ok := s.view.hint.Bounds(column.Start, page)
	if !ok || lo < 0 {
		return 0, false
	}
	interval = s.window.IntervalOf(lo)
	return interval, interval >= 0 && interval == s.window.IntervalOf(hi)
}

// selectRows sets rows and ivs to the page's spans that count, and their intervals.
func (s *metricsScan) selectRows(ctx context.Context, page int) error {
	s.rows, s.intervals = s.rows[:0], s.intervals[:0]
	if err := s.view.seekPage(ctx, page); err != nil {
		return err
	}
	if s.countsAll && !s.hasShared(page) {
		return s.locateRows(ctx, nil)
	}
	sel, err := s.scan.selectRows(ctx, page)
	if err != nil {
		return err
	}
	s.matching = sel.AppendRows(s.matching[:0], 0)
	if len(s.matching) == 0 {
		return nil
	}
	if err := s.locateRows(ctx, s.matching); err != nil || !s.hasShared(page) || len(s.rows) == 0 {
		return err
	}
	// Of the spans in the window those that are at home here only.
	s.counted = s.counted.Resize(s.view.spans.rows)
	for _, r := range s.rows {
		s.counted.Set(int(r))
	}
	for _, a := range s.sharedRows[page] {
		if s.counted.Get(int(a.row)) {
			s.counted.Clear(int(a.row))
			if err := s.nameCandidate(ctx, a); err != nil {
				return err
			}
		}
	}
	k := 0
	for i, r := range s.rows {
		if s.counted.Get(int(r)) {
			s.rows[k], s.intervals[k] = r, s.intervals[i]
			k++
		}
	}
	s.rows, s.intervals = s.rows[:k], s.intervals[:k]
	return nil
}

// sharedRow is a span of a trace that has several homes.
type sharedRow struct {
	row   uint32 // of the page
	trace uint32
}

func (s *metricsScan) hasShared(page int) bool {
	return s.sharedRows != nil && len(s.sharedRows[page]) > 0
}

// findSharedRows looks for the spans of traces that have several homes: by trace, so that spans cost
// nothing where there are none.
func (s *metricsScan) findSharedRows(ctx context.Context, shared Set) error {
	if shared == nil {
		return nil
	}
	var rows []uint32
	for i := range s.view.table.Traces() {
		if i&4095 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		id, err := s.view.table.TraceID(ctx, i)
		if err != nil {
			return err
		}
		if !shared.Has(id) {
			continue
		}
		if s.sharedRows == nil {
			s.sharedRows = make([][]sharedRow, s.view.pageCount())
		}
		rows = s.view.table.TraceRows(i, rows[:0])
		if err := s.view.budget.take(8*len(rows), "spans of traces with several homes"); err != nil {
			return err
		}
		for _, r := range rows {
			page := r / column.PageRows
			s.sharedRows[page] = append(s.sharedRows[page], sharedRow{row: r % column.PageRows, trace: uint32(i)})
		}
	}
	return nil
}

// nameCandidate names the trace of a span as one to look at whole.
func (s *metricsScan) nameCandidate(ctx context.Context, a sharedRow) error {
	id, err := s.view.table.TraceID(ctx, int(a.trace))
	if err != nil {
		return err
	}
	if _, ok := s.partial.candidates[id]; ok {
		return nil
	}
	info, err := s.view.describeTrace(ctx, int(a.trace))
	if err != nil {
		return err
	}
	if info.Spans > 0 {
		s.partial.noteCandidate(Candidate{ID: id, Start: info.Start})
	}
	return nil
}

func (s *metricsScan) locateRows(ctx context.Context, rows []uint32) error {
	v, err := s.view.start.loadFull(ctx)
	if err != nil {
		return err
	}
	s.starts = v.Ints
	s.rows, s.intervals = s.window.LocateRows(v.Ints, rows, s.rows, s.intervals)
	return nil
}

// numberGroups returns the groups of the page's spans, nil if all are of group 0.
func (s *metricsScan) numberGroups(ctx context.Context, t *series.Tally) ([]uint32, error) {
	if len(s.groupers) == 0 {
		return nil, nil
	}
	for i, g := range s.groupers {
		var err error
		if s.columns[i], err = g.appendNumbers(ctx, s.rows, s.columns[i][:0]); err != nil {
			return nil, err
		}
		for n := len(s.labelCodes[i]); n < len(g.values); n++ {
			s.labelCodes[i] = append(s.labelCodes[i], t.Groups.EncodeValue(i, labelValue(g.values[n])))
		}
		codes := s.labelCodes[i]
		for k, n := range s.columns[i] {
			s.columns[i][k] = codes[n]
		}
	}
	s.groups = slices.Grow(s.groups[:0], len(s.rows))[:len(s.rows)]
	t.Groups.NumberRows(s.columns, s.groups)
	return s.groups, nil
}

// labelValue is a value as a label, whose text may lie in a page: durations, status and kind are
// text, what has no value has none.
func labelValue(v value) series.Value {
	switch v.kind {
	case nothing, opaqueValue:
		return series.Value{}
	case intValue:
		return series.Int(v.num)
	case floatValue:
		return series.Float(math.Float64frombits(uint64(v.num)))
	case boolValue:
		return series.Bool(v.num != 0)
	case arrayValue:
		return series.Value{Type: trace.Array, Text: v.str}
	}
	return series.String(stringOf(v.answer().Bytes))
}

// addValues adds the values of the page's spans. Mostly all are of one type.
func (s *metricsScan) addValues(groups []uint32, t *series.Tally) {
	whole := true
	for _, k := range s.measured.kinds {
		whole = whole && (k == intValue || k == durationValue)
	}
	if whole {
		t.AddInts(groups, s.intervals, s.measured.nums, s.weights)
		return
	}
	o := &s.part
	for _, float := range []bool{false, true} {
		o.groups, o.intervals, o.weights, o.ints, o.floats = o.groups[:0], o.intervals[:0], o.weights[:0], o.ints[:0], o.floats[:0]
		for i, k := range s.measured.kinds {
			if !k.numeric() || (k == floatValue) != float {
				continue
			}
			if groups != nil {
				o.groups = append(o.groups, groups[i])
			}
			o.intervals = append(o.intervals, s.intervals[i])
			if s.weighted {
				o.weights = append(o.weights, s.weights[i])
			}
			if float {
				o.floats = append(o.floats, math.Float64frombits(uint64(s.measured.nums[i])))
			} else {
				o.ints = append(o.ints, s.measured.nums[i])
			}
		}
		if len(o.intervals) == 0 {
			continue
		}
		g, w := o.groups, o.weights
		if groups == nil {
			g = nil
		}
		if !s.weighted {
			w = nil
		}
		if float {
			t.AddFloats(g, o.intervals, o.floats, w)
		} else {
			t.AddInts(g, o.intervals, o.ints, w)
		}
	}
}

// compileShownFields compiles the fields that exemplars show: those that the query mentions.
func (s *metricsScan) compileShownFields() error {
	s.shownFields = []shownField{}
	seen := map[string]bool{"trace:id": true}
	var err error
	add := func(f *traceql.Field) {
		if name := f.String(); !seen[name] && err == nil {
			seen[name] = true
			var e expr
			e, err = s.view.compileExpr(f)
			s.shownFields = append(s.shownFields, shownField{name, e})
		}
	}
	traceql.EachField(s.stage.Pipeline, add)
	for _, f := range s.stage.By {
		add(f)
	}
	if s.stage.Field != nil {
		add(s.stage.Field)
	}
	return err
}

// pickExemplars offers rows of the page (nil: all) as exemplars, and notes what those chosen show.
func (s *metricsScan) pickExemplars(ctx context.Context, rows, groups []uint32, t *series.Tally) error {
	base := uint32(s.view.spans.page * column.PageRows)
	var one values
	return t.PickExemplars(s.starts, rows, func(i int, p *series.ExemplarSpan) (bool, error) {
		if s.valueExpr != nil {
			switch k := s.measured.kinds[i]; {
			case !k.numeric():
				return false, nil
			case k == floatValue:
				if !t.SetExemplarFloat(p, math.Float64frombits(uint64(s.measured.nums[i]))) {
					return false, nil
				}
			case !t.SetExemplarInt(p, s.measured.nums[i]):
				return false, nil
			}
		}
		p.Row = base + uint32(i)
		if rows != nil {
			p.Row = base + rows[i]
		}
		if groups != nil {
			p.Group = groups[i]
		}
		n, err := s.traceOf(ctx, p.Row-base)
		if err != nil {
			return false, err
		}
		p.Trace, err = s.view.table.TraceID(ctx, n)
		return true, err
	}, func(p *series.ExemplarSpan) error {
		p.Labels = make([]series.Label, 0, len(s.shownFields))
		rows := [1]uint32{p.Row - base}
		for _, f := range s.shownFields {
			if err := f.e.values(ctx, rows[:], &one); err != nil {
				return err
			}
			if v := labelValue(one.at(0)); v.Type != trace.Empty {
				v.Text = strings.Clone(v.Text)
				p.Labels = append(p.Labels, series.Label{Name: f.name, Value: v})
			}
		}
		return nil
	})
}

// traceOf returns the ordinal of the trace of a row of the page.
func (s *metricsScan) traceOf(ctx context.Context, row uint32) (int, error) {
	if o, ok := s.view.table.(column.Ordered); ok {
		return o.TraceOf(s.view.spans.page*column.PageRows + int(row)), nil
	}
	v, err := s.view.traceRow.loadFull(ctx)
	if err != nil {
		return 0, err
	}
	return int(v.Ints[row]), nil
}
