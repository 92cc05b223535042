package eval

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"

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
	p, err := selection(r.Query)
	if err != nil || t.Rows() == 0 || r.Limit <= 0 {
		return out, err
	}
	w := window{r.Start, r.End}
	s, err := newScan(ctx, t, p, w.widen(r.Window()))
	if err != nil {
		return nil, err
	}
	if s.whole {
		// What the trace's other homes hold decides as well.
		err := s.sharedTraces(ctx, shared, func(c Candidate, end uint64) {
			if w.meets(c.Start, end) {
				out.Candidates = append(out.Candidates, c)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	touches, err := s.findCut(ctx, w)
	if err != nil {
		return nil, err
	}
	out.Cut = touches && s.whole
	if s.never() {
		return out, nil
	}
	kept, err := s.newest(ctx, w, r, shared, out)
	if err != nil {
		return nil, err
	}
	out.Traces, err = s.answer(ctx, kept, p, r)
	return out, err
}

// found is a trace that matches.
type found struct {
	trace int // in the table
	info  column.TraceInfo
}

// newer is the order of answers: by start, newest first, ties by id.
func newer(a, b *found) bool {
	if a.info.Start != b.info.Start {
		return a.info.Start > b.info.Start
	}
	return bytes.Compare(a.info.ID[:], b.info.ID[:]) < 0
}

// newest finds the first r.Limit traces that match and meet w, in the order of answers.
func (s *scan) newest(ctx context.Context, w window, r *SearchRequest, shared Set, out *SearchPartial) ([]found, error) {
	top := &topK[found]{limit: r.Limit, before: newer}
	seen := column.NewBitmap(s.t.Traces())
	read := 0
	for page := s.pages() - 1; page >= 0; page-- {
		since := r.Newer
		if top.full() {
			since = max(since, top.last().info.Start)
		}
		if since > 0 {
			start, err := s.newestStart(ctx, page)
			if err != nil {
				return nil, err
			}
			if start < since {
				continue // a trace starts no later than any of its spans
			}
			s.floor = since
		}
		if err := s.prefetch(ctx, page); err != nil {
			return nil, err
		}
		picked, err := s.prepare(ctx, page)
		if err != nil {
			return nil, err
		}
		read++
		out.InspectedSpans += uint64(s.spans.rows)
		if picked.Empty() {
			continue
		}
		// Running a pipeline may go to other pages.
		rows, err := s.traceRow.loadFull(ctx)
		if err != nil {
			return nil, err
		}
		s.order = s.order[:0]
		for r := picked.Next(0); r >= 0; r = picked.Next(r + 1) {
			if n := int(rows.Ints[r]); !seen.Get(n) {
				seen.Set(n)
				s.order = append(s.order, n)
			}
		}
		for i := len(s.order) - 1; i >= 0; i-- {
			if err := s.consider(ctx, s.order[i], w, r.Newer, shared, top, out); err != nil {
				return nil, err
			}
		}
	}
	out.InspectedTraces = uint64(s.t.Traces() * read / s.pages())
	return top.sorted(), nil
}

// consider adds a trace of which a row can be in a spanset to what is kept, if it matches.
func (s *scan) consider(ctx context.Context, i int, w window, since uint64, shared Set, top *topK[found], out *SearchPartial) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	id, err := s.t.TraceID(ctx, i)
	if err != nil {
		return err
	}
	several := shared != nil && shared.Has(id)
	if several && s.whole {
		return nil // named already
	}
	info, err := s.trace(ctx, i)
	if err != nil {
		return err
	}
	if info.Start < since {
		return nil // with its other homes it starts no later
	}
	if several {
		out.Candidates = append(out.Candidates, Candidate{ID: id, Start: info.Start})
		return nil
	}
	f := found{trace: i, info: info}
	if !w.meets(info.Start, info.End) || !top.wants(&f) {
		return nil
	}
	if s.filter == nil {
		sets, err := s.spansets(ctx, i)
		if err != nil || len(sets) == 0 {
			return err
		}
	}
	top.add(f)
	return nil
}

// newestStart bounds the start of the spans of a page.
func (s *scan) newestStart(ctx context.Context, page int) (uint64, error) {
	if s.hint != nil {
		if lo, hi, ok := s.hint.Bounds(column.Start, page); ok && lo >= 0 {
			return uint64(hi), nil
		}
	}
	if err := s.seek(ctx, page); err != nil {
		return 0, err
	}
	v, err := s.start.loadFull(ctx)
	if err != nil {
		return 0, err
	}
	newest := uint64(0)
	for _, n := range v.Ints {
		newest = max(newest, uint64(n))
	}
	return newest, nil
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

// prefetch asks for the columns that the filters read, in waves that grow, so that a search that
// ends early reads little.
func (s *scan) prefetch(ctx context.Context, page int) error {
	if s.hint == nil {
		return nil
	}
	if s.waves == 0 {
		s.fetched, s.waves = s.pages(), 2
	}
	if page >= s.fetched {
		return nil
	}
	from := max(page+1-s.waves, 0)
	pages := make([]int, 0, s.waves)
	for p := from; p <= page; p++ {
		pages = append(pages, p)
	}
	s.fetched = from
	s.waves *= 4
	return s.hint.Prefetch(ctx, s.filterKeys(), pages)
}

// filterKeys returns the columns of the span table that deciding on a span reads.
func (s *scan) filterKeys() []column.Key {
	keys := []column.Key{column.TraceRow}
	add := func(h *pageColumn) {
		if h.f == s.spans && !slices.Contains(keys, h.key) {
			keys = append(keys, h.key)
		}
	}
	if s.filter != nil {
		s.filter.columns(add)
	}
	for _, l := range s.leaves {
		l.cond.columns(add)
	}
	for _, p := range s.perRows {
		p.e.columns(add)
	}
	more := func(list ...column.Key) {
		for _, k := range list {
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	if s.treed {
		more(column.SpanID, column.ParentID, column.Kind)
	}
	if s.clipped {
		more(column.Start, column.Duration)
	}
	if s.floor > 0 {
		more(column.Start)
	}
	return keys
}

// Merge adds the partial result of another home and keeps the newest limit traces. It does not
// change o.
func (p *SearchPartial) Merge(o *SearchPartial, limit int) {
	traces := make([]TraceMatch, 0, min(len(p.Traces)+len(o.Traces), max(limit, 0)))
	a, b := p.Traces, o.Traces
	for len(traces) < limit && (len(a) > 0 || len(b) > 0) {
		if len(b) == 0 || len(a) > 0 && compareMatches(&a[0], &b[0]) <= 0 {
			traces, a = append(traces, a[0]), a[1:]
		} else {
			traces, b = append(traces, b[0]), b[1:]
		}
	}
	p.Traces = traces
	p.Candidates = append(p.Candidates[:len(p.Candidates):len(p.Candidates)], o.Candidates...)
	p.Cut = p.Cut || o.Cut
	p.InspectedTraces += o.InspectedTraces
	p.InspectedSpans += o.InspectedSpans
}

func compareMatches(a, b *TraceMatch) int {
	return cmp.Or(cmp.Compare(b.Start, a.Start), bytes.Compare(a.ID[:], b.ID[:]))
}

// Size is roughly the memory it takes, in bytes.
func (p *SearchPartial) Size() int64 {
	attributes := func(list []Attribute) int64 {
		n := int64(len(list)) * 64
		for i := range list {
			n += int64(len(list[i].Value.Bytes))
		}
		return n
	}
	n := int64(len(p.Candidates))*24 + 128
	for i := range p.Traces {
		t := &p.Traces[i]
		n += 160 + int64(len(t.RootName)+len(t.RootService)) + int64(len(t.Services))*32
		for j := range t.SpanSets {
			set := &t.SpanSets[j]
			n += 64 + attributes(set.Attributes)
			for k := range set.Spans {
				n += 72 + int64(len(set.Spans[k].Name)) + attributes(set.Spans[k].Attributes)
			}
		}
	}
	return n
}
