package extract

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Parts is what all homes of some traces hold of them.
type Parts struct {
	IDs      []trace.ID // those that were asked for
	Extracts []*Extract
	// Named are the spans of which the contents are there, in extracts of their own. The rows that
	// other extracts have of them take no part.
	Named []Span
	// ByDigest has spans that share start and id in the order of the checksums of their contents,
	// as in an outline (long.Index.EachByStart), and not of the contents themselves.
	ByDigest bool
}

// Join makes a table of the traces that are set in which, by their places in IDs. A trace with
// spans that share start and id, of which the contents are not there, is left out; these spans are
// returned.
func Join(ctx context.Context, p *Parts, which column.Bitmap) (*Table, []Span, error) {
	j := joiner{parts: p, which: which, table: newTable(p)}
	if len(p.Named) > 0 {
		j.named = make(map[Span]struct{}, len(p.Named))
		for _, s := range p.Named {
			j.named[s] = struct{}{}
		}
	}
	if err := j.collectRows(ctx); err != nil {
		return nil, nil, err
	}
	for i := len(p.IDs) - 1; i >= 0; i-- { // the newest candidates come first, and the newest traces last
		if i&1023 == 0 && ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		j.addTrace(uint32(i))
	}
	t := j.table
	t.first = append(t.first, uint32(len(t.order)))
	t.events = joinChildren(t, func(e *Extract) *Children { return &e.Events })
	t.links = joinChildren(t, func(e *Extract) *Children { return &e.Links })
	return t, j.ties, nil
}

// place is a row of an extract.
type place uint64

func placeOf(part, row int) place { return place(part)<<32 | place(row) }

func (p place) part() int { return int(p >> 32) }
func (p place) row() int  { return int(uint32(p)) }

// joiner makes one table.
type joiner struct {
	parts  *Parts
	which  column.Bitmap
	named  map[Span]struct{}
	table  *Table
	ties   []Span
	starts []uint32 // by trace: where its rows begin in rows, and the end of the last
	rows   []place  // by trace
	spans  []span   // scratch: those of one trace
}

// span is a row with what it is ordered by.
type span struct {
	start uint64
	id    uint64
	place place
}

// compareSpans is written out, because sorting calls it more often than anything else.
func compareSpans(a, b span) int {
	switch {
	case a.start < b.start:
		return -1
	case a.start > b.start:
		return 1
	case a.id < b.id:
		return -1
	case a.id > b.id:
		return 1
	}
	return 0
}

// collectRows sorts the rows of all extracts by trace, by counting.
func (j *joiner) collectRows(ctx context.Context) error {
	j.starts = make([]uint32, len(j.parts.IDs)+2)
	next := j.starts[1:]
	err := j.eachRow(ctx, func(trace uint32, _ place) { next[trace+1]++ })
	if err != nil {
		return err
	}
	for i := 1; i < len(next); i++ {
		next[i] += next[i-1]
	}
	j.rows = make([]place, next[len(next)-1])
	j.table.order = make([]place, 0, len(j.rows))
	return j.eachRow(ctx, func(trace uint32, p place) {
		j.rows[next[trace]] = p
		next[trace]++
	})
}

// eachRow calls f for every row that takes part.
func (j *joiner) eachRow(ctx context.Context, f func(trace uint32, p place)) error {
	for n, e := range j.parts.Extracts {
		if err := ctx.Err(); err != nil {
			return err
		}
		replaced := j.named != nil && e.Contents == nil
		for row, trace := range e.Traces {
			if !j.which.Get(int(trace)) {
				continue
			}
			if replaced {
				if _, ok := j.named[Span{trace, e.IDs[row]}]; ok {
					continue
				}
			}
			f(trace, placeOf(n, row))
		}
	}
	return nil
}

// addTrace adds a trace to the table, its rows in the order of spans.
func (j *joiner) addTrace(trace uint32) {
	rows := j.rows[j.starts[trace]:j.starts[trace+1]]
	if len(rows) == 0 {
		return
	}
	j.spans = slices.Grow(j.spans[:0], len(rows))
	for _, p := range rows {
		e := j.parts.Extracts[p.part()]
		j.spans = append(j.spans, span{uint64(e.Starts[p.row()]), uint64(e.IDs[p.row()]), p})
	}
	sortSpans(j.spans)
	ties := len(j.ties)
	spans := j.settleTies(trace)
	if len(j.ties) > ties {
		return
	}
	t := j.table
	t.traces = append(t.traces, trace)
	t.first = append(t.first, uint32(len(t.order)))
	for i := range spans {
		t.addRow(spans[i])
	}
}

// settleTies puts spans that share start and id into the order of their contents, and leaves out
// those that are there twice. Without their contents it names them.
func (j *joiner) settleTies(trace uint32) []span {
	all := j.spans
	k := 0
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && compareSpans(all[from], all[to]) == 0 {
			to++
		}
		tied := all[from:to]
		if len(tied) > 1 {
			if slices.ContainsFunc(tied, func(s span) bool { return j.contentOf(s) == nil }) {
				j.ties = append(j.ties, Span{trace, int64(tied[0].id)})
			} else {
				slices.SortFunc(tied, j.compareContents)
				equal := func(a, b span) bool { return j.compareContents(a, b) == 0 }
				tied = slices.CompactFunc(tied, equal)
			}
		}
		k += copy(all[k:], tied)
		from = to
	}
	return all[:k]
}

// compareContents compares spans whose contents are there.
func (j *joiner) compareContents(a, b span) int {
	if j.parts.ByDigest {
		return long.CompareDigests(j.contentOf(a), j.contentOf(b))
	}
	return j.contentOf(a).Compare(j.contentOf(b))
}

// contentOf returns the content of a span; nil if it is not there.
func (j *joiner) contentOf(s span) *trace.Fragment {
	e := j.parts.Extracts[s.place.part()]
	if e.Contents == nil {
		return nil
	}
	return &e.Contents[s.place.row()]
}

// fewSpans is the number of spans up to which comparing is the faster way to sort them.
const fewSpans = 2048

// sortSpans sorts by start and id.
func sortSpans(spans []span) {
	switch {
	case slices.IsSortedFunc(spans, compareSpans):
	case len(spans) <= fewSpans:
		slices.SortFunc(spans, compareSpans)
	default:
		sortByStart(spans)
		for from := 0; from < len(spans); {
			to := from + 1
			for to < len(spans) && spans[to].start == spans[from].start {
				to++
			}
			if to-from > 1 {
				slices.SortFunc(spans[from:to], compareSpans)
			}
			from = to
		}
	}
}

// sortByStart sorts by start, by 16 bits at a time, the lowest first.
func sortByStart(spans []span) {
	least, most := spans[0].start, spans[0].start
	for i := range spans {
		least, most = min(least, spans[i].start), max(most, spans[i].start)
	}
	from, to := spans, make([]span, len(spans))
	for shift := 0; shift < 64 && (most-least)>>shift > 0; shift += 16 {
		var next [1 << 16]uint32
		for i := range from {
			next[uint16((from[i].start-least)>>shift)]++
		}
		sum := uint32(0)
		for i, n := range next {
			next[i] = sum
			sum += n
		}
		for i := range from {
			at := &next[uint16((from[i].start-least)>>shift)]
			to[*at] = from[i]
			*at++
		}
		from, to = to, from
	}
	copy(spans, from)
}
