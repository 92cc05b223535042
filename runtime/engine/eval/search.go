package eval

import (
	"bytes"
	"context"
	"math"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Search evaluates a search over one home. Traces of shared are left out and named as candidates
// where they may match.
//
// It goes through the table in three phases, newest pages first: filters yield rows, rows yield
// traces, of which the newest are kept; only what is kept in the end is looked at for names and
// attributes. Pages that hold nothing newer than what is kept are not read.
func Search(ctx context.Context, t Fetcher, r *SearchRequest, shared Set) (*SearchPartial, error) {
	out := &SearchPartial{}
	p, err := selectedPart(r.Query)
	if err != nil || t.Rows() == 0 || r.Limit <= 0 {
		return out, err
	}
	w := window{r.Start, r.End}
	s, err := newScan(ctx, t, p, w.widen(r.Window()))
	if err != nil {
		return nil, err
	}
	if s.selector.acrossSpans {
		// What the trace's other homes hold decides as well.
		rows, err := s.view.findSharedRows(ctx, shared)
		if err != nil {
			return nil, err
		}
		name := func(c Candidate, end uint64) {
			if w.meets(c.Start, end) {
				out.Candidates = append(out.Candidates, c)
			}
		}
		s.hideShared(rows)
		if err := s.view.eachCandidate(ctx, rows, r.clues(), s.view.allPages(), r.Newer, name); err != nil {
			return nil, err
		}
	}
	touches, err := s.view.findCutTraces(ctx, w)
	if err != nil {
		return nil, err
	}
	out.Cut = touches && s.selector.acrossSpans
	if s.selector.selectsNothing() {
		out.cutCandidates(0)
		return out, nil
	}
	q := &search{scan: s, view: s.view, request: r, window: w, shared: shared, out: out}
	kept, err := q.findNewest(ctx)
	if err != nil {
		return nil, err
	}
	a := &answerer{scan: s, view: s.view, request: r, kept: kept}
	out.Traces, err = a.describeTraces(ctx, p)
	return out, err
}

// foundTrace is a trace that matches.
type foundTrace struct {
	trace int // in the table
	info  column.TraceInfo
}

// isNewer is the order of answers: by start, newest first, ties by id.
func isNewer(a, b *foundTrace) bool {
	if a.info.Start != b.info.Start {
		return a.info.Start > b.info.Start
	}
	return bytes.Compare(a.info.ID[:], b.info.ID[:]) < 0
}

// search is the first two phases of one search over one table: it finds the newest traces.
type search struct {
	scan    *scan
	view    *tableView // of scan
	request *SearchRequest
	window  window // the range of the request
	shared  Set
	out     *SearchPartial

	kept    topK[foundTrace]
	certain newestStarts  // of the traces that match for sure, with several homes or one
	seen    column.Bitmap // traces that were considered
	order   []int         // scratch: traces of a page, by their first picked row

	fetchedFrom int // pages from here on were asked for
	waveSize    int // pages of the next wave; 0 before the first
}

// findNewest finds the first request.Limit traces that match and meet the range, in the order of
// answers.
func (q *search) findNewest(ctx context.Context) ([]foundTrace, error) {
	q.kept = topK[foundTrace]{limit: q.request.Limit, before: isNewer}
	q.certain = newNewestStarts(q.request.Limit)
	q.seen = column.NewBitmap(q.view.table.Traces())
	read := 0
	for page := q.view.pageCount() - 1; page >= 0; page-- {
		if q.scan.hidesPage(page) {
			continue
		}
		wanted, err := q.raiseFloor(ctx, page)
		if err != nil {
			return nil, err
		}
		if !wanted {
			continue
		}
		if err := q.prefetchWave(ctx, page); err != nil {
			return nil, err
		}
		picked, err := q.scan.preparePage(ctx, page)
		if err != nil {
			return nil, err
		}
		read++
		q.out.InspectedSpans += uint64(q.view.spans.rows)
		if picked.Empty() {
			continue
		}
		if err := q.considerTracesOf(ctx, picked); err != nil {
			return nil, err
		}
	}
	q.out.InspectedTraces = uint64(q.view.table.Traces() * read / q.view.pageCount())
	q.out.cutCandidates(q.since())
	return q.kept.sorted(), nil
}

// raiseFloor sets the floor of the scan to the oldest start that is still wanted and reports
// whether a page can have a span that starts no earlier.
func (q *search) raiseFloor(ctx context.Context, page int) (wanted bool, err error) {
	since := q.since()
	if since == 0 {
		return true, nil
	}
	newest, err := q.newestStart(ctx, page)
	if err != nil || newest < since {
		return false, err // a trace starts no later than any of its spans
	}
	q.scan.floor = since
	return true, nil
}

// since returns the oldest start that is still wanted, in unix ns.
func (q *search) since() uint64 { return max(q.request.Newer, q.certain.floor()) }

// considerTracesOf considers the traces of rows of the current page that were not considered yet,
// those of the last rows first.
func (q *search) considerTracesOf(ctx context.Context, picked column.Bitmap) error {
	// Running a pipeline may go to other pages, so the traces are listed before.
	traces, err := q.view.traceRow.loadFull(ctx)
	if err != nil {
		return err
	}
	q.order = q.order[:0]
	for r := picked.Next(0); r >= 0; r = picked.Next(r + 1) {
		if n := int(traces.Ints[r]); !q.seen.Get(n) {
			q.seen.Set(n)
			q.order = append(q.order, n)
		}
	}
	for i := len(q.order) - 1; i >= 0; i-- {
		if err := q.considerTrace(ctx, q.order[i]); err != nil {
			return err
		}
	}
	return nil
}

// considerTrace keeps a trace of which a row can be in a spanset, if it matches and is among the
// newest.
func (q *search) considerTrace(ctx context.Context, trace int) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	id, err := q.view.table.TraceID(ctx, trace)
	if err != nil {
		return err
	}
	several := q.shared != nil && q.shared.Has(id)
	if several && q.scan.selector.acrossSpans {
		return nil // named already
	}
	info, err := q.view.describeTrace(ctx, trace)
	if err != nil {
		return err
	}
	if info.Start < q.since() {
		return nil // with its other homes it starts no later
	}
	if several {
		q.nameCandidate(info)
		return nil
	}
	f := foundTrace{trace: trace, info: info}
	if !q.window.meets(info.Start, info.End) || !q.kept.wouldKeep(&f) {
		return nil
	}
	if q.scan.selector.filter == nil {
		sets, err := q.scan.spansetsOf(ctx, trace)
		if err != nil || len(sets) == 0 {
			return err
		}
	}
	q.kept.add(f)
	q.certain.add(info.Start)
	return nil
}

// nameCandidate names a trace with several homes of which a row is selected here, by filters alone.
// So it matches whatever its other homes hold, and where its part here meets the range all of it
// does.
func (q *search) nameCandidate(info column.TraceInfo) {
	c := Candidate{ID: info.ID, Start: info.Start, Clues: anyClues}
	if q.window.meets(info.Start, info.End) {
		c.Earliest = q.shared.Earliest(c.ID)
		q.certain.add(c.Earliest)
	}
	q.out.Candidates = append(q.out.Candidates, c)
}

// newestStart bounds the start of the spans of a page.
func (q *search) newestStart(ctx context.Context, page int) (uint64, error) {
	if _, hi, ok := q.view.startBounds(page); ok {
		return hi, nil
	}
	if err := q.view.seekPage(ctx, page); err != nil {
		return 0, err
	}
	starts, err := q.view.start.loadFull(ctx)
	if err != nil {
		return 0, err
	}
	newest := uint64(0)
	for _, n := range starts.Ints {
		newest = max(newest, uint64(n))
	}
	return newest, nil
}

// prefetchWave asks for the columns that the filters read, in waves that grow, so that a search
// that ends early reads little.
func (q *search) prefetchWave(ctx context.Context, page int) error {
	if q.view.hint == nil {
		return nil
	}
	if q.waveSize == 0 {
		q.fetchedFrom, q.waveSize = q.view.pageCount(), 2
	}
	if page >= q.fetchedFrom {
		return nil
	}
	from := max(page+1-q.waveSize, 0)
	pages := make([]int, 0, q.waveSize)
	for p := from; p <= page; p++ {
		pages = append(pages, p)
	}
	q.fetchedFrom = from
	q.waveSize *= 4
	return q.view.hint.Prefetch(ctx, q.scan.filterKeys(), pages)
}

// NewestStart bounds the start of the spans of a table without reading it; the greatest number if
// it cannot be told.
func NewestStart(t Fetcher) uint64 {
	h, ok := t.(column.Hinter)
	if !ok {
		return math.MaxUint64
	}
	newest := uint64(0)
	for p := range column.Pages(t.Rows()) {
		lo, hi, ok := h.Bounds(column.Start, p)
		if !ok || lo < 0 {
			return math.MaxUint64
		}
		newest = max(newest, uint64(hi))
	}
	return newest
}
