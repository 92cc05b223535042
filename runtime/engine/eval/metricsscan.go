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
	view   *tableView
	scan   *scan // over view
	m      *traceql.Metrics
	out    *MetricsPartial
	window series.Window
	inTime []int       // pages that may have spans in the window
	away   [][]awayRow // by page: spans of traces that have several homes; nil: the table has none

	weighted bool // spans count by their weights

	all   bool       // every span that is not away is counted, so the filter need not be asked
	by    []*grouper // one for each label
	codes [][]uint32 // by label: what the grouper's numbers are in the tally
	value expr       // of the …_over_time functions; nil: spans are counted
	shown []shownField

	// Of the current page.
	starts    []int64
	rows, ivs []uint32
	columns   [][]uint32
	groups    []uint32
	vals      values
	weights   []uint64 // nil: all count one
	some      subset
	inRange   column.Bitmap
	matching  []uint32
}

// shownField is a field that exemplars show.
type shownField struct {
	name string
	e    expr
}

// subset is a part of a page's spans: those whose value is of one type.
type subset struct {
	groups, ivs []uint32
	weights     []uint64
	ints        []int64
	floats      []float64
}

func newMetricsScan(ctx context.Context, t Fetcher, r *MetricsRequest, m *traceql.Metrics, shared Set, out *MetricsPartial) (*metricsScan, error) {
	w, err := r.window()
	if err != nil {
		return nil, err
	}
	s := &metricsScan{m: m, out: out, window: w, weighted: extrapolates(r.Query)}
	if s.inTime = pagesIn(t, &w); len(s.inTime) == 0 {
		return s, nil
	}
	sees, within := allTime, window{uint64(max(r.Start, -1) + 1), uint64(max(r.End, 0)) + 1}
	if !local(m) {
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
	out.cut = out.cut || touches
	s.all = s.scan.selector.selectsAll() && !s.view.clipped
	if err := s.findAway(ctx, shared); err != nil {
		return nil, err
	}
	for _, f := range groupFields(m) {
		e, err := s.view.compileExpr(f)
		if err != nil {
			return nil, err
		}
		s.by = append(s.by, newGrouper(e))
		s.codes = append(s.codes, nil)
		s.columns = append(s.columns, nil)
	}
	if m.Field != nil {
		if s.value, err = s.view.compileExpr(m.Field); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// local says that what a span counts for does not depend on other spans. Then it need not be known
// which of these exist for the query.
func local(m *traceql.Metrics) bool {
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

// run counts the whole table.
func (s *metricsScan) run(ctx context.Context, c counted) error {
	if len(s.inTime) == 0 {
		return nil
	}
	if s.scan.selector.acrossSpans {
		// Whether a span away from home is selected can depend on any other of its trace.
		for _, page := range s.inTime {
			if !s.hasAway(page) {
				continue
			}
			for _, a := range s.away[page] {
				if err := s.nameAway(ctx, a); err != nil {
					return err
				}
			}
		}
	}
	if s.scan.selector.selectsNothing() {
		return nil
	}
	if c.comparison != nil {
		return s.compare(ctx, c.comparison)
	}
	if c.tally.Exemplars.Wanted() {
		if err := s.show(); err != nil {
			return err
		}
	}
	if err := s.prefetch(ctx, c.tally); err != nil {
		return err
	}
	for _, page := range s.inTime {
		if err := s.page(ctx, page, c.tally); err != nil {
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

// prefetch says which columns of which pages will be read.
func (s *metricsScan) prefetch(ctx context.Context, t *series.Tally) error {
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
	for _, g := range s.by {
		g.e.columns(add)
	}
	if s.value != nil {
		s.value.columns(add)
	}
	if s.weighted {
		add(s.view.spans.column(column.TraceState))
	}
	if s.shown != nil {
		add(s.view.traceRow)
	}
	for _, f := range s.shown {
		f.e.columns(add)
	}
	var pages []int
	for _, p := range s.inTime {
		if _, ok := s.bounded(p); !ok || t.Exemplars.Wanted() {
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

// page counts one page.
func (s *metricsScan) page(ctx context.Context, page int, t *series.Tally) error {
	if iv, ok := s.bounded(page); ok {
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
		return s.pick(ctx, nil, nil, t)
	}
	if err := s.selectRows(ctx, page); err != nil || len(s.rows) == 0 {
		return err
	}
	groups, err := s.group(ctx, t)
	if err != nil {
		return err
	}
	if err := limited(t.Bytes()); err != nil {
		return err
	}
	if s.weighted {
		if err := s.weigh(ctx); err != nil {
			return err
		}
	}
	if s.value != nil {
		if err := s.value.values(ctx, s.rows, &s.vals); err != nil {
			return err
		}
		s.measure(groups, t)
	} else {
		t.CountSpans(groups, s.ivs, s.weights)
	}
	if t.Exemplars.Wanted() {
		return s.pick(ctx, s.rows, groups, t)
	}
	return nil
}

// bounded says that all spans of a page count alike and lie in one interval: then nothing of it
// need be read to count them.
func (s *metricsScan) bounded(page int) (interval int, ok bool) {
	if !s.all || s.weighted || s.hasAway(page) || s.value != nil || len(s.by) > 0 || s.view.hint == nil {
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
	s.rows, s.ivs = s.rows[:0], s.ivs[:0]
	if err := s.view.seekPage(ctx, page); err != nil {
		return err
	}
	if s.all && !s.hasAway(page) {
		return s.locate(ctx, nil)
	}
	sel, err := s.scan.selectRows(ctx, page)
	if err != nil {
		return err
	}
	s.matching = sel.AppendRows(s.matching[:0], 0)
	if len(s.matching) == 0 {
		return nil
	}
	if err := s.locate(ctx, s.matching); err != nil || !s.hasAway(page) || len(s.rows) == 0 {
		return err
	}
	// Of the spans in the window those that are at home here only.
	s.inRange = s.inRange.Resize(s.view.spans.rows)
	for _, r := range s.rows {
		s.inRange.Set(int(r))
	}
	for _, a := range s.away[page] {
		if s.inRange.Get(int(a.row)) {
			s.inRange.Clear(int(a.row))
			if err := s.nameAway(ctx, a); err != nil {
				return err
			}
		}
	}
	k := 0
	for i, r := range s.rows {
		if s.inRange.Get(int(r)) {
			s.rows[k], s.ivs[k] = r, s.ivs[i]
			k++
		}
	}
	s.rows, s.ivs = s.rows[:k], s.ivs[:k]
	return nil
}

// awayRow is a span of a trace that has several homes.
type awayRow struct {
	row   uint32 // of the page
	trace uint32
}

func (s *metricsScan) hasAway(page int) bool { return s.away != nil && len(s.away[page]) > 0 }

// findAway looks for the spans of traces that have several homes: by trace, so that spans cost
// nothing where there are none.
func (s *metricsScan) findAway(ctx context.Context, shared Set) error {
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
		if s.away == nil {
			s.away = make([][]awayRow, s.view.pageCount())
		}
		rows = s.view.table.TraceRows(i, rows[:0])
		if err := s.view.budget.take(8*len(rows), "spans of traces with several homes"); err != nil {
			return err
		}
		for _, r := range rows {
			page := r / column.PageRows
			s.away[page] = append(s.away[page], awayRow{row: r % column.PageRows, trace: uint32(i)})
		}
	}
	return nil
}

// nameAway names the trace of a span as one to look at whole.
func (s *metricsScan) nameAway(ctx context.Context, a awayRow) error {
	id, err := s.view.table.TraceID(ctx, int(a.trace))
	if err != nil {
		return err
	}
	if _, ok := s.out.candidates[id]; ok {
		return nil
	}
	info, err := s.view.describeTrace(ctx, int(a.trace))
	if err != nil {
		return err
	}
	if info.Spans > 0 {
		s.out.candidate(Candidate{ID: id, Start: info.Start})
	}
	return nil
}

func (s *metricsScan) locate(ctx context.Context, rows []uint32) error {
	v, err := s.view.start.loadFull(ctx)
	if err != nil {
		return err
	}
	s.starts = v.Ints
	s.rows, s.ivs = s.window.LocateRows(v.Ints, rows, s.rows, s.ivs)
	return nil
}

// group returns the groups of the page's spans, nil if all are of group 0.
func (s *metricsScan) group(ctx context.Context, t *series.Tally) ([]uint32, error) {
	if len(s.by) == 0 {
		return nil, nil
	}
	for i, g := range s.by {
		var err error
		if s.columns[i], err = g.codes(ctx, s.rows, s.columns[i][:0]); err != nil {
			return nil, err
		}
		for n := len(s.codes[i]); n < len(g.values); n++ {
			s.codes[i] = append(s.codes[i], t.Groups.EncodeValue(i, labelValue(g.values[n])))
		}
		codes := s.codes[i]
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

// measure adds the values of the page's spans. Mostly all are of one type.
func (s *metricsScan) measure(groups []uint32, t *series.Tally) {
	whole := true
	for _, k := range s.vals.kinds {
		whole = whole && (k == intValue || k == durationValue)
	}
	if whole {
		t.AddInts(groups, s.ivs, s.vals.nums, s.weights)
		return
	}
	o := &s.some
	for _, float := range []bool{false, true} {
		o.groups, o.ivs, o.weights, o.ints, o.floats = o.groups[:0], o.ivs[:0], o.weights[:0], o.ints[:0], o.floats[:0]
		for i, k := range s.vals.kinds {
			if !k.numeric() || (k == floatValue) != float {
				continue
			}
			if groups != nil {
				o.groups = append(o.groups, groups[i])
			}
			o.ivs = append(o.ivs, s.ivs[i])
			if s.weighted {
				o.weights = append(o.weights, s.weights[i])
			}
			if float {
				o.floats = append(o.floats, math.Float64frombits(uint64(s.vals.nums[i])))
			} else {
				o.ints = append(o.ints, s.vals.nums[i])
			}
		}
		if len(o.ivs) == 0 {
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
			t.AddFloats(g, o.ivs, o.floats, w)
		} else {
			t.AddInts(g, o.ivs, o.ints, w)
		}
	}
}

// show compiles the fields that exemplars show: those that the query mentions.
func (s *metricsScan) show() error {
	s.shown = []shownField{}
	seen := map[string]bool{"trace:id": true}
	var err error
	add := func(f *traceql.Field) {
		if name := f.String(); !seen[name] && err == nil {
			seen[name] = true
			var e expr
			e, err = s.view.compileExpr(f)
			s.shown = append(s.shown, shownField{name, e})
		}
	}
	traceql.EachField(s.m.Pipeline, add)
	for _, f := range s.m.By {
		add(f)
	}
	if s.m.Field != nil {
		add(s.m.Field)
	}
	return err
}

// pick offers rows of the page (nil: all) as exemplars, and notes what those chosen show.
func (s *metricsScan) pick(ctx context.Context, rows, groups []uint32, t *series.Tally) error {
	base := uint32(s.view.spans.page * column.PageRows)
	var one values
	return t.PickExemplars(s.starts, rows, func(i int, p *series.ExemplarSpan) (bool, error) {
		if s.value != nil {
			switch k := s.vals.kinds[i]; {
			case !k.numeric():
				return false, nil
			case k == floatValue:
				if !t.SetExemplarFloat(p, math.Float64frombits(uint64(s.vals.nums[i]))) {
					return false, nil
				}
			case !t.SetExemplarInt(p, s.vals.nums[i]):
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
		p.Labels = make([]series.Label, 0, len(s.shown))
		rows := [1]uint32{p.Row - base}
		for _, f := range s.shown {
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
