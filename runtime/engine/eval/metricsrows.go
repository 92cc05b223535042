package eval

import (
	"context"

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

// findSharedRows returns the spans of traces with several homes by page, nil if there are none.
func (v *tableView) findSharedRows(ctx context.Context, shared Set) ([][]sharedRow, error) {
	traces, err := v.findShared(ctx, shared)
	if err != nil || len(traces) == 0 {
		return nil, err
	}
	out := make([][]sharedRow, v.pageCount())
	var rows []uint32
	for _, i := range traces {
		rows = v.table.TraceRows(i, rows[:0])
		if err := v.budget.takeBytes(8*len(rows), "spans of traces with several homes"); err != nil {
			return nil, err
		}
		for _, r := range rows {
			page := r / column.PageRows
			out[page] = append(out[page], sharedRow{row: r % column.PageRows, trace: uint32(i)})
		}
	}
	return out, nil
}

// hideShared has the spans of shared traces take no part. It is for pipelines that look across
// spans: whether a span of such a trace is selected can depend on spans that lie in another home.
func (s *scan) hideShared(rows [][]sharedRow) {
	if rows == nil {
		return
	}
	s.hidden = make([]column.Bitmap, len(rows))
	for page, list := range rows {
		if len(list) > 0 {
			s.hidden[page] = column.NewBitmap(s.view.rowsOfPage(page))
		}
		for _, shared := range list {
			s.hidden[page].Set(int(shared.row))
		}
	}
}

// hidesPage reports whether no row of a page takes part.
func (s *scan) hidesPage(page int) bool {
	return s.hidden != nil && s.hidden[page] != nil && s.hidden[page].Count() == s.view.rowsOfPage(page)
}

// nameCandidate names a trace of the table as a candidate, unless none of its spans exist for the
// query.
func (s *metricsScan) nameCandidate(ctx context.Context, trace uint32) error {
	id, err := s.view.table.TraceID(ctx, int(trace))
	if err != nil {
		return err
	}
	if s.partial.candidates[id].Clues == anyClues {
		return nil
	}
	info, err := s.view.describeTrace(ctx, int(trace))
	if err != nil {
		return err
	}
	if info.Spans > 0 {
		s.partial.noteCandidate(Candidate{ID: id, Start: info.Start, Clues: anyClues})
	}
	return nil
}
