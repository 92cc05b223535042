package eval

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// lookup goes through the spans of a table that start in a range and satisfy a filter, for the
// functions of autocomplete.
type lookup struct {
	view  *tableView
	scan  *scan
	start window // of the start of spans
	all   bool   // there is no filter
	rows  column.Bitmap
}

// newLookup compiles the selecting part of a query; a nil query selects every span.
func newLookup(ctx context.Context, t Fetcher, q *traceql.Query, start, end uint64) (*lookup, error) {
	var p *traceql.Pipeline
	if q != nil {
		var err error
		if p, err = selectedPart(q); err != nil {
			return nil, err
		}
	}
	s, err := newScan(ctx, t, p, allTime)
	if err != nil {
		return nil, err
	}
	return &lookup{view: s.view, scan: s, start: window{start, end}, all: q == nil}, nil
}

// listsOnlyValues reports whether the dictionaries of the table list only values that some row has.
func (l *lookup) listsOnlyValues() bool { return l.view.table.TimeOrdered() }

// takesWhole reports whether every span of a page is looked at, as far as is known without reading.
func (l *lookup) takesWhole(page int) bool {
	if !l.all {
		return false
	}
	if l.start == allTime {
		return true
	}
	lo, hi, ok := l.view.startBounds(page)
	return ok && lo >= l.start.start && hi < l.start.end
}

// prefetchFilter asks in one wave for the columns that the filter reads of the pages in the range.
func (l *lookup) prefetchFilter(ctx context.Context) error {
	if l.view.hint == nil || l.all {
		return nil
	}
	var pages []int
	for p := range l.view.pageCount() {
		if lo, hi, ok := l.view.startBounds(p); !ok || lo < l.start.end && hi >= l.start.start {
			pages = append(pages, p)
		}
	}
	if len(pages) == 0 {
		return nil
	}
	return l.view.hint.Prefetch(ctx, l.scan.filterKeys(), pages)
}

// selectRows goes to a page and returns its rows that are looked at; nil: certainly none.
func (l *lookup) selectRows(ctx context.Context, page int) (column.Bitmap, error) {
	inside := l.start == allTime // the range decides on no span of the page
	if lo, hi, ok := l.view.startBounds(page); ok {
		if lo >= l.start.end || hi < l.start.start {
			return nil, nil
		}
		inside = lo >= l.start.start && hi < l.start.end
	}
	rows, err := l.scan.selectRows(ctx, page)
	if err != nil || inside || rows.Empty() {
		return rows, err
	}
	starts, err := l.view.start.loadFull(ctx)
	if err != nil {
		return nil, err
	}
	l.rows = l.rows.Resize(l.view.spans.rows)
	markInRange(starts.Ints, l.start.start, l.start.end, l.rows)
	l.rows.And(rows)
	return l.rows, nil
}

// markInRange sets out, word by word, to the rows whose start lies in [start, end).
func markInRange(starts []int64, start, end uint64, out column.Bitmap) {
	if end <= start {
		return
	}
	width := end - start
	for w := range out {
		part := starts[w<<6 : min(len(starts), w<<6+64)]
		var x uint64
		for i, n := range part {
			x |= bitOf(uint64(n)-start < width) << i
		}
		out[w] = x
	}
}
