package eval

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// MatchesRequest asks which spans of one trace a query selects.
type MatchesRequest struct {
	Trace trace.ID
	Query *traceql.Query
}

// SpanMatches are the spans of one trace that a query selects.
type SpanMatches struct {
	Spans  int      // of the trace
	Places []uint32 // of those that are selected, in the order of the trace, ascending
	// Several reports that more than one tenant has the trace, so that places mean nothing.
	Several bool
}

// Merge adds what another tenant's query has found.
func (m *SpanMatches) Merge(o *SpanMatches) {
	if m.Spans > 0 && o.Spans > 0 {
		m.Several = true
		return
	}
	if o.Spans > 0 {
		*m = *o
	}
}

// MatchesColumns returns the columns that Matches reads. Errors: ErrUnsupported, those of regular
// expressions.
func MatchesColumns(r *MatchesRequest) (*extract.Asked, error) {
	p, err := selectedPart(r.Query)
	if err != nil {
		return nil, err
	}
	v := newTableView(blank{}, allTime)
	if _, err := compileSelector(v, p); err != nil {
		return nil, err
	}
	if traceql.IsSpanwise(r.Query.Root) {
		return v.askedColumns(), nil
	}
	return v.askedColumns(column.ParentID, column.Kind, column.Name, column.Status), nil
}

// Matches evaluates a query over a table that holds one trace, whose rows are in the order of the
// trace.
func Matches(ctx context.Context, t Fetcher, r *MatchesRequest) (*SpanMatches, error) {
	out := &SpanMatches{Spans: t.Rows()}
	p, err := selectedPart(r.Query)
	if err != nil || t.Rows() == 0 {
		return out, err
	}
	s, err := newScan(ctx, t, p, allTime)
	if err != nil || s.selector.selectsNothing() {
		return out, err
	}
	for page := range s.view.pageCount() {
		rows, err := s.selectRows(ctx, page)
		if err != nil {
			return nil, err
		}
		out.Places = rows.AppendRows(out.Places, uint32(page*column.PageRows))
	}
	return out, nil
}
