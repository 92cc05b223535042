package eval

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// selectRows goes to a page and sets rows and intervals to its spans that count. Spans of traces
// with several homes are left out, and their traces named as candidates.
func (s *metricsScan) selectRows(ctx context.Context, page int) error {
	s.page.rows, s.page.intervals = s.page.rows[:0], s.page.intervals[:0]
	if err := s.view.seekPage(ctx, page); err != nil {
		return err
	}
	if s.countsAll && !s.hasShared(page) {
		return s.locateRows(ctx, nil)
	}
	selected, err := s.scan.selectRows(ctx, page)
	if err != nil {
		return err
	}
	s.page.matching = selected.AppendRows(s.page.matching[:0], 0)
	if len(s.page.matching) == 0 {
		return nil
	}
	if err := s.locateRows(ctx, s.page.matching); err != nil {
		return err
	}
	if !s.hasShared(page) || len(s.page.rows) == 0 {
		return nil
	}
	return s.removeShared(ctx, page)
}

// locateRows sets rows and intervals to those of the given rows (nil: all) that lie in the window.
func (s *metricsScan) locateRows(ctx context.Context, rows []uint32) error {
	v, err := s.view.start.loadFull(ctx)
	if err != nil {
		return err
	}
	s.page.starts = v.Ints
	s.page.rows, s.page.intervals = s.window.LocateRows(v.Ints, rows, s.page.rows, s.page.intervals)
	return nil
}

// removeShared takes the spans of traces with several homes out of rows and intervals, and names
// their traces: these spans are selected and in the window, so the traces may count.
func (s *metricsScan) removeShared(ctx context.Context, page int) error {
	p := &s.page
	p.counted = p.counted.Resize(s.view.spans.rows)
	for _, r := range p.rows {
		p.counted.Set(int(r))
	}
	for _, shared := range s.sharedRows[page] {
		if p.counted.Get(int(shared.row)) {
			p.counted.Clear(int(shared.row))
			if err := s.nameCandidate(ctx, shared.trace); err != nil {
				return err
			}
		}
	}
	k := 0
	for i, r := range p.rows {
		if p.counted.Get(int(r)) {
			p.rows[k], p.intervals[k] = r, p.intervals[i]
			k++
		}
	}
	p.rows, p.intervals = p.rows[:k], p.intervals[:k]
	return nil
}

// sharedRow is a span of a trace that has several homes.
type sharedRow struct {
	row   uint32 // of the page
	trace uint32 // ordinal in the table
}

func (s *metricsScan) hasShared(page int) bool {
	return s.sharedRows != nil && len(s.sharedRows[page]) > 0
}

// findSharedRows lists the spans of traces with several homes.
func (s *metricsScan) findSharedRows(ctx context.Context, shared Set) error {
	if shared == nil {
		return nil
	}
	traces, err := s.view.findShared(ctx, shared)
	if err != nil {
		return err
	}
	var rows []uint32
	for _, i := range traces {
		if s.sharedRows == nil {
			s.sharedRows = make([][]sharedRow, s.view.pageCount())
		}
		rows = s.view.table.TraceRows(i, rows[:0])
		if err := s.view.budget.takeBytes(8*len(rows), "spans of traces with several homes"); err != nil {
			return err
		}
		for _, r := range rows {
			page := r / column.PageRows
			s.sharedRows[page] = append(s.sharedRows[page], sharedRow{row: r % column.PageRows, trace: uint32(i)})
		}
	}
	return nil
}

// hideShared names every shared trace with a span in the pages of the window, and has the spans of
// shared traces take no part. It is for pipelines that look across spans: whether a span of such a
// trace is selected can depend on spans that lie in another home.
func (s *metricsScan) hideShared(ctx context.Context) error {
	if s.sharedRows == nil {
		return nil
	}
	named := column.NewBitmap(s.view.table.Traces())
	for _, page := range s.pages {
		for _, shared := range s.sharedRows[page] {
			if named.Get(int(shared.trace)) {
				continue
			}
			named.Set(int(shared.trace))
			if err := s.nameCandidate(ctx, shared.trace); err != nil {
				return err
			}
		}
	}
	s.scan.hidden = make([]column.Bitmap, s.view.pageCount())
	for page, list := range s.sharedRows {
		if len(list) > 0 {
			s.scan.hidden[page] = column.NewBitmap(s.view.rowsOfPage(page))
		}
		for _, shared := range list {
			s.scan.hidden[page].Set(int(shared.row))
		}
	}
	s.pages = slices.DeleteFunc(s.pages, func(page int) bool {
		hidden := s.scan.hidden[page]
		return hidden != nil && hidden.Count() == s.view.rowsOfPage(page)
	})
	return nil
}

// nameCandidate names a trace of the table as a candidate, unless none of its spans exist for the
// query.
func (s *metricsScan) nameCandidate(ctx context.Context, trace uint32) error {
	id, err := s.view.table.TraceID(ctx, int(trace))
	if err != nil {
		return err
	}
	if _, ok := s.partial.candidates[id]; ok {
		return nil
	}
	info, err := s.view.describeTrace(ctx, int(trace))
	if err != nil {
		return err
	}
	if info.Spans > 0 {
		s.partial.noteCandidate(Candidate{ID: id, Start: info.Start})
	}
	return nil
}
