package eval

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// A query is compiled for a table without columns and rows to learn what it will read of tables
// that have some: the frames note what compiling asks them for. Beside that an evaluation reads
// what the trees of traces are made of, and what every search shows.

// SearchColumns returns the columns that a search reads. Errors: ErrUnsupported, those of regular
// expressions.
func SearchColumns(r *SearchRequest) (*extract.Asked, error) {
	p, err := selectedPart(r.Query)
	if err != nil {
		return nil, err
	}
	v := newTableView(blank{}, allTime)
	if _, err := compileSelector(v, p); err != nil {
		return nil, err
	}
	a := answerer{view: v, request: r}
	if err := a.listShown(listMentions(p)); err != nil {
		return nil, err
	}
	return v.askedColumns(column.ParentID, column.Kind, column.Name, column.Status), nil
}

// MetricsColumns returns the columns that a metrics query reads. Errors: ErrUnsupported, those of
// regular expressions.
func MetricsColumns(r *MetricsRequest) (*extract.Asked, error) {
	v := newTableView(blank{}, allTime)
	var more []column.Key
	if isExtrapolated(r.Query) {
		more = append(more, column.TraceState)
	}
	all := false
	for _, m := range firstStages(r.Query.Root) {
		s := &metricsScan{view: v, stage: m}
		if _, err := compileSelector(v, m.Pipeline); err != nil {
			return nil, err
		}
		if err := s.compileStage(); err != nil {
			return nil, err
		}
		if r.wantedExemplars() > 0 {
			if err := s.compileShownFields(); err != nil {
				return nil, err
			}
		}
		if !traceql.IsSpanwise(m) {
			more = append(more, column.ParentID, column.Kind) // of trees, and of traces that the window cuts
		}
		if m.Compare != nil {
			all = true
			if e := m.Compare.Selection.Expr; e != nil {
				if _, err := (compiler{view: v}).compileCond(e); err != nil {
					return nil, err
				}
			}
			for _, name := range comparedIntrinsics {
				if _, err := v.compileExpr(&traceql.Field{Scope: traceql.ScopeIntrinsic, Name: name}); err != nil {
					return nil, err
				}
			}
		}
	}
	asked := v.askedColumns(more...)
	asked.Spans.All = all
	return asked, nil
}

// askedColumns returns what was compiled for the view, and more columns of spans.
func (v *tableView) askedColumns(more ...column.Key) *extract.Asked {
	v.spans.column(column.SpanID)
	for _, k := range more {
		v.spans.column(k)
	}
	return &extract.Asked{
		Spans:  v.spans.askedFields(),
		Events: v.events.frame.askedFields(),
		Links:  v.links.frame.askedFields(),
	}
}

// askedFields returns what was compiled for the frame, in an order of its own.
func (f *frame) askedFields() (out extract.Fields) {
	for _, c := range f.opened {
		if c.key.Scope == column.Intrinsic && c.key != column.RowRef && c.key != column.TraceRow {
			out.Fixed = append(out.Fixed, c.key)
		}
	}
	slices.SortFunc(out.Fixed, column.Key.Compare)
	out.Attributes = slices.Clone(f.named)
	slices.SortFunc(out.Attributes, extract.Attribute.Compare)
	out.Attributes = slices.Compact(out.Attributes)
	return out
}

// blank is a table without rows and columns, which has both child tables.
type blank struct{}

func (blank) Rows() int                                      { return 0 }
func (blank) Keys() []column.Key                             { return nil }
func (blank) ShapeKeys() []column.Key                        { return nil }
func (blank) Traces() int                                    { return 0 }
func (blank) TraceRows(_ int, dst []uint32) []uint32         { return dst }
func (blank) TimeOrdered() bool                              { return false }
func (blank) Events() column.Columns                         { return blank{} }
func (blank) Links() column.Columns                          { return blank{} }
func (blank) TraceID(context.Context, int) (trace.ID, error) { return trace.ID{}, column.ErrCorrupt }
func (blank) Trace(context.Context, int) (column.TraceInfo, error) {
	return column.TraceInfo{}, column.ErrCorrupt
}
func (blank) Lookup(context.Context, trace.ID) (i int, ok bool, err error) { return 0, false, nil }
func (blank) Vector(_ context.Context, _ column.Key, _ int, dst *column.Vector) (bool, error) {
	dst.Reset(0)
	return false, nil
}
