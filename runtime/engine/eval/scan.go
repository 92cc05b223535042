package eval

import (
	"context"
	"math"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// scan evaluates one pipeline over one table, page by page. It belongs to one goroutine.
type scan struct {
	t      Fetcher
	hint   column.Hinter // nil: knows nothing
	w      window
	spans  *frame
	events *children // nil: the table has none
	links  *children

	traceRow, start, duration *pageColumn

	stages []stage
	filter cond // of a plain pipeline: its filters together
	// whole says that whether a span is selected depends on the other spans of its trace.
	whole bool

	clipped   bool          // some spans of the table lie outside of the window
	cutTraces column.Bitmap // of a clipped scan, once asked for: traces that have such spans
	mask      column.Bitmap
	out       column.Bitmap
	trees     *forest
	treed     bool   // deciding on a span needs the tree of its trace
	side      *frame // the span table at a page of its own

	leaves    []*leaf
	perRows   []*perRow
	picked    []column.Bitmap // by page: rows that can be in a spanset; nil: not prepared
	passed    []column.Bitmap // by page: rows that leave the stages
	traceRows []uint32
	current   int // the trace that the stages are run over
	order     []int
	// floor is a start below which no trace is wanted any more: spans that start before it are not
	// looked at.
	floor  uint64
	recent column.Bitmap

	fetched int // pages from here on were asked for
	waves   int // number of pages of the next wave
	budget  budget
}

// newScan compiles a pipeline for one table. Errors: ErrUnsupported, ErrLimit, those of the table.
func newScan(ctx context.Context, t Fetcher, p *traceql.Pipeline, w window) (*scan, error) {
	s := unclipped(t, w)
	if err := s.compile(p); err != nil || s.never() && !s.whole {
		return s, err
	}
	return s, s.clip(ctx)
}

// newTableScan is a scan without a pipeline: it selects every span.
func newTableScan(ctx context.Context, t Fetcher, w window) (*scan, error) {
	s := unclipped(t, w)
	return s, s.clip(ctx)
}

func unclipped(t Fetcher, w window) *scan {
	s := &scan{t: t, w: w, spans: newFrame(t), filter: constCond{truth: true, boolish: true}}
	s.hint, _ = t.(column.Hinter)
	s.events = newChildren(t.Events(), s.spans)
	s.links = newChildren(t.Links(), s.spans)
	s.traceRow, s.start, s.duration = s.spans.column(column.TraceRow), s.spans.column(column.Start), s.spans.column(column.Duration)
	return s
}

// kids returns the child table of a family, nil if there is none.
func (s *scan) kids(f family) *children {
	switch f {
	case ofEvents:
		return s.events
	case ofLinks:
		return s.links
	}
	return nil
}

func (s *scan) pages() int { return column.Pages(s.t.Rows()) }

// seek goes to a page.
func (s *scan) seek(ctx context.Context, page int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.spans.seekPage(page)
	return nil
}

// vector returns a column of spans at the current page.
func (s *scan) vector(ctx context.Context, k column.Key) (*column.Vector, error) {
	return s.spans.column(k).load(ctx)
}

// expr compiles an expression on spans.
func (s *scan) expr(e traceql.Expr) (expr, error) { return compiler{s: s}.expr(e) }

// never says that certainly no span of the table is selected. It reads nothing.
func (s *scan) never() bool {
	if s.filter != nil {
		return s.filter.never()
	}
	return len(s.stages) > 0 && s.stages[0].never()
}

// clip learns whether spans lie outside of the window.
func (s *scan) clip(ctx context.Context) error {
	if s.w == allTime {
		return nil
	}
	for p := range s.pages() {
		if s.hint != nil {
			if lo, hi, ok := s.hint.Bounds(column.Start, p); ok && lo >= 0 && uint64(lo) >= s.w.start && uint64(hi) < s.w.end {
				continue
			}
		}
		if err := s.seek(ctx, p); err != nil {
			return err
		}
		v, err := s.start.loadFull(ctx)
		if err != nil {
			return err
		}
		for _, n := range v.Ints {
			if uint64(n) < s.w.start || uint64(n) >= s.w.end {
				s.clipped = true
				return nil
			}
		}
	}
	return nil
}

// within sets s.mask to the rows of the page that exist for the scan.
func (s *scan) within(ctx context.Context) error {
	s.mask = s.mask.Resize(s.spans.rows)
	if !s.clipped {
		s.mask.SetRange(0, s.spans.rows)
		return nil
	}
	starts, err := s.start.loadFull(ctx)
	if err != nil {
		return err
	}
	durations, err := s.duration.loadFull(ctx)
	if err != nil {
		return err
	}
	for i, n := range starts.Ints {
		if s.w.meets(uint64(n), uint64(n)+uint64(durations.Ints[i])) {
			s.mask.Set(i)
		}
	}
	return nil
}

// above removes from s.mask the rows that start before the floor.
func (s *scan) above(ctx context.Context) error {
	if s.floor == 0 {
		return nil
	}
	if s.hint != nil {
		if lo, _, ok := s.hint.Bounds(column.Start, s.spans.page); ok && lo >= 0 && uint64(lo) >= s.floor {
			return nil
		}
	}
	v, err := s.start.loadFull(ctx)
	if err != nil {
		return err
	}
	s.recent = s.recent.Resize(s.spans.rows)
	inRange(v.Ints, s.floor, math.MaxUint64, s.recent)
	s.mask.And(s.recent)
	return nil
}

// rows goes to a page and returns its rows that leave the pipeline, of all spansets of all traces
// together. They are valid until the next call.
func (s *scan) rows(ctx context.Context, page int) (column.Bitmap, error) {
	if err := s.seek(ctx, page); err != nil {
		return nil, err
	}
	if s.filter == nil {
		return s.pipelined(ctx, page)
	}
	if err := s.within(ctx); err != nil {
		return nil, err
	}
	s.out = s.out.Resize(s.spans.rows)
	return s.out, s.filter.match(ctx, s.mask, s.out)
}

// trace describes a trace by those of its spans that exist for the scan.
func (s *scan) trace(ctx context.Context, i int) (column.TraceInfo, error) {
	if !s.clipped {
		info, err := s.t.Trace(ctx, i)
		info.End = max(info.Start, info.End)
		return info, err
	}
	return s.forest().describeTrace(ctx, i)
}

// sharedTraces names every trace with several homes, with its end here.
func (s *scan) sharedTraces(ctx context.Context, shared Set, f func(c Candidate, end uint64)) error {
	if shared == nil {
		return nil
	}
	for i := range s.t.Traces() {
		if i&4095 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		id, err := s.t.TraceID(ctx, i)
		if err != nil {
			return err
		}
		if !shared.Has(id) {
			continue
		}
		info, err := s.trace(ctx, i)
		if err != nil {
			return err
		}
		if info.Spans > 0 {
			f(Candidate{ID: id, Start: info.Start}, info.End)
		}
	}
	return nil
}

// existing returns the rows of a trace that exist for the scan, ascending. They are valid until the
// next call.
func (s *scan) existing(ctx context.Context, i int) ([]uint32, error) {
	if s.clipped {
		return s.forest().existingRows(ctx, i)
	}
	s.traceRows = s.t.TraceRows(i, s.traceRows[:0])
	return s.traceRows, nil
}

// beside returns the span table at a page that need not be the current one.
func (s *scan) beside(page int) *frame {
	if s.side == nil {
		s.side = newFrame(s.t)
	}
	s.side.seekPage(page)
	return s.side
}

// fragment returns a whole span as it was sent.
func (s *scan) fragment(ctx context.Context, row int) (trace.Fragment, error) {
	out, err := column.Fragments(ctx, s.t, []uint32{uint32(row)}, nil)
	if err != nil {
		return trace.Fragment{}, err
	}
	return out[0], nil
}
