package eval

import (
	"context"
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// scan evaluates the selecting part of a query over one table, page by page: it holds what is known
// so far of the rows that a selector selects in a view. It belongs to one goroutine.
type scan struct {
	view     *tableView
	selector *selector

	// floor is a start in unix ns: spans that start before it are not wanted any more.
	floor uint64

	hidden []column.Bitmap // by page: rows that take no part; nil: none
	picked []column.Bitmap // by page: rows that can be in a spanset; nil: not prepared
	passed []column.Bitmap // by page: rows that leave the stages; nil: the stages have not run

	mask, out, recent column.Bitmap // scratch for one page
}

// newScan compiles a pipeline for one table; nil selects every span. Errors: ErrUnsupported,
// ErrLimit, those of the table.
func newScan(ctx context.Context, t Fetcher, p *traceql.Pipeline, w window) (*scan, error) {
	v := newTableView(t, w)
	sel, err := compileSelector(v, p)
	if err != nil {
		return nil, err
	}
	s := &scan{view: v, selector: sel}
	if sel.selectsNothing() && !sel.acrossSpans {
		return s, nil
	}
	return s, v.detectClipping(ctx)
}

// selectRows goes to a page and returns its rows that leave the pipeline, of all spansets of all
// traces together. They are valid until the next call.
func (s *scan) selectRows(ctx context.Context, page int) (column.Bitmap, error) {
	if err := s.view.seekPage(ctx, page); err != nil {
		return nil, err
	}
	if s.selector.filter == nil {
		return s.selectByStages(ctx, page)
	}
	if err := s.maskExisting(ctx); err != nil {
		return nil, err
	}
	s.out = s.out.Resize(s.view.spans.rows)
	return s.out, s.selector.filter.matchRows(ctx, s.mask, s.out)
}

// maskExisting sets s.mask to the rows of the page that exist for the query and take part.
func (s *scan) maskExisting(ctx context.Context) error {
	s.mask = s.mask.Resize(s.view.spans.rows)
	if err := s.view.markExisting(ctx, s.mask); err != nil {
		return err
	}
	if s.hidden != nil && s.hidden[s.view.spans.page] != nil {
		s.mask.AndNot(s.hidden[s.view.spans.page])
	}
	return nil
}

// unmaskOld removes from s.mask the rows that start before the floor.
func (s *scan) unmaskOld(ctx context.Context) error {
	if s.floor == 0 {
		return nil
	}
	if lo, _, ok := s.view.startBounds(s.view.spans.page); ok && lo >= s.floor {
		return nil
	}
	starts, err := s.view.start.loadFull(ctx)
	if err != nil {
		return err
	}
	s.recent = s.recent.Resize(s.view.spans.rows)
	markInRange(starts.Ints, s.floor, math.MaxUint64, s.recent)
	s.mask.And(s.recent)
	return nil
}

// preparePage evaluates at a page what the selector reads of it, once, and leaves that page the
// current one the first time. It returns the rows that can be in a spanset.
func (s *scan) preparePage(ctx context.Context, page int) (column.Bitmap, error) {
	if s.picked == nil {
		s.picked = make([]column.Bitmap, s.view.pageCount())
	}
	if s.picked[page] != nil {
		return s.picked[page], nil
	}
	if err := s.view.seekPage(ctx, page); err != nil {
		return nil, err
	}
	if err := s.maskExisting(ctx); err != nil {
		return nil, err
	}
	if err := s.unmaskOld(ctx); err != nil {
		return nil, err
	}
	n := s.view.spans.rows
	if err := s.view.budget.takeBytes((len(s.selector.leaves)+1)*n/8, "selected spans"); err != nil {
		return nil, err
	}
	picked := column.NewBitmap(n)
	var err error
	switch {
	case s.mask.Empty():
		for _, l := range s.selector.leaves {
			l.bits[page] = picked
		}
	case s.selector.filter != nil:
		err = s.selector.filter.matchRows(ctx, s.mask, picked)
	default:
		err = s.prepareStages(ctx, page, picked)
	}
	if err != nil {
		return nil, err
	}
	s.picked[page] = picked
	return picked, nil
}

// prepareStages evaluates the filters and expressions of the stages at the current page and adds
// to picked the rows that can be in a spanset.
func (s *scan) prepareStages(ctx context.Context, page int, picked column.Bitmap) error {
	leading := s.selector.leadingLeaves()
	for i, l := range s.selector.leaves {
		l.bits[page] = column.NewBitmap(s.view.spans.rows)
		if err := l.cond.matchRows(ctx, s.mask, l.bits[page]); err != nil {
			return err
		}
		if i < leading {
			picked.Or(l.bits[page])
		}
	}
	if leading == 0 {
		picked.Or(s.mask)
	}
	rows := picked.AppendRows(nil, 0)
	for _, p := range s.selector.perRows {
		v := newRowValues(picked)
		if err := p.expr.computeValues(ctx, rows, &v.vals); err != nil {
			return err
		}
		size := 9*len(v.vals.kinds) + 16*len(v.vals.strs)
		if err := s.view.budget.takeBytes(size, "values of by() and aggregates"); err != nil {
			return err
		}
		p.pages[page] = v
	}
	return nil
}

// spansetsOf runs the pipeline over one trace.
func (s *scan) spansetsOf(ctx context.Context, trace int) ([]spanset, error) {
	rows := s.view.traceRows(trace)
	all := make([]uint32, 0, len(rows))
	for _, r := range rows {
		picked, err := s.preparePage(ctx, int(r)/column.PageRows)
		if err != nil {
			return nil, err
		}
		// Only rows that a filter of the first stage lets through can be in a spanset.
		if picked.Get(int(r) % column.PageRows) {
			all = append(all, r)
		}
	}
	sets := []spanset{{rows: all}}
	for _, st := range s.selector.stages {
		if len(sets) == 0 || len(sets[0].rows) == 0 {
			return nil, nil
		}
		var err error
		if sets, err = st.runStage(ctx, trace, sets); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// selectByStages is selectRows of a pipeline with stages other than filters. The stages run over
// all traces at the first call.
func (s *scan) selectByStages(ctx context.Context, page int) (column.Bitmap, error) {
	if s.passed == nil {
		if err := s.runStages(ctx); err != nil {
			return nil, err
		}
		if err := s.view.seekPage(ctx, page); err != nil {
			return nil, err
		}
	}
	s.out = append(s.out[:0], s.passed[page]...)
	return s.out, nil
}

// runStages runs the stages over all traces and notes in s.passed the rows that leave them.
func (s *scan) runStages(ctx context.Context) error {
	passed := make([]column.Bitmap, s.view.pageCount())
	for p := range passed {
		passed[p] = column.NewBitmap(s.view.rowsOfPage(p))
	}
	err := s.eachPickedTrace(ctx, func(trace int) error {
		sets, err := s.spansetsOf(ctx, trace)
		for _, set := range sets {
			for _, r := range set.rows {
				passed[r/column.PageRows].Set(int(r % column.PageRows))
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	s.passed = passed
	return nil
}

// eachPickedTrace prepares all pages and then calls f once for every trace of which a row can be in
// a spanset.
func (s *scan) eachPickedTrace(ctx context.Context, f func(trace int) error) error {
	traces := column.NewBitmap(s.view.table.Traces())
	for p := range s.view.pageCount() {
		picked, err := s.preparePage(ctx, p)
		if err != nil {
			return err
		}
		if picked.Empty() {
			continue
		}
		v, err := s.view.traceRow.loadFull(ctx)
		if err != nil {
			return err
		}
		for r := picked.Next(0); r >= 0; r = picked.Next(r + 1) {
			traces.Set(int(v.Ints[r]))
		}
	}
	for i := traces.Next(0); i >= 0; i = traces.Next(i + 1) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// filterKeys returns the columns of the span table that deciding on a span reads.
func (s *scan) filterKeys() []column.Key {
	keys := keySet{column.TraceRow}
	s.selector.eachColumn(func(c *pageColumn) { keys.addColumn(s.view.spans, c) })
	if s.selector.needsTrees {
		keys.addKeys(column.SpanID, column.ParentID, column.Kind)
	}
	if s.view.clipped {
		keys.addKeys(column.Start, column.Duration)
	}
	if s.floor > 0 {
		keys.addKeys(column.Start)
	}
	return keys
}

// keySet is a list of columns, each once.
type keySet []column.Key

func (s *keySet) addKeys(keys ...column.Key) {
	for _, k := range keys {
		if !slices.Contains(*s, k) {
			*s = append(*s, k)
		}
	}
}

// addColumn adds a column if it belongs to a frame.
func (s *keySet) addColumn(f *frame, c *pageColumn) {
	if c.frame == f {
		s.addKeys(c.key)
	}
}
