package eval

import (
	"context"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// comparedIntrinsics are the intrinsics that compare() counts, besides all attributes of span,
// resource and instrumentation.
var comparedIntrinsics = []string{
	"name", "status", "statusMessage", "kind", "span:childCount",
	"rootName", "rootServiceName",
	"instrumentation:name", "instrumentation:version",
}

// compileComparedFields compiles all fields of the table for compare(), and takes their counts from
// out.
func (s *metricsScan) compileComparedFields(ctx context.Context, out *series.Comparison) ([]*fieldCounter, error) {
	list, err := s.listComparedFields(ctx)
	if err != nil {
		return nil, err
	}
	fields := make([]*fieldCounter, 0, len(list))
	for _, f := range list {
		e, err := s.view.compileExpr(f)
		if err != nil {
			return nil, err
		}
		if a, ok := e.(*fieldExpr).src.(*attrSource); ok {
			a.emptyIfMissing = false // only what was sent is counted
		}
		fields = append(fields, &fieldCounter{FieldCounts: out.Field(f.String()), e: e.(*fieldExpr)})
	}
	return fields, nil
}

// listComparedFields returns the intrinsics and every attribute that has a column or overflows,
// ordered by their texts.
func (s *metricsScan) listComparedFields(ctx context.Context) ([]*traceql.Field, error) {
	var list []*traceql.Field
	for _, name := range comparedIntrinsics {
		list = append(list, &traceql.Field{Scope: traceql.ScopeIntrinsic, Name: name})
	}
	for _, scope := range []struct {
		of column.Scope
		in traceql.FieldScope
	}{
		{column.Resource, traceql.ScopeResource},
		{column.Span, traceql.ScopeSpan},
		{column.Instrumentation, traceql.ScopeInstrumentation},
	} {
		names := map[string]bool{}
		for _, k := range s.view.table.Keys() {
			if k.Scope == scope.of {
				names[k.Name] = true
			}
		}
		if err := s.addOverflowNames(ctx, scope.of, names); err != nil {
			return nil, err
		}
		for name := range names {
			list = append(list, &traceql.Field{Scope: scope.in, Name: name})
		}
	}
	slices.SortFunc(list, func(a, b *traceql.Field) int { return strings.Compare(a.String(), b.String()) })
	return list, nil
}

// addOverflowNames adds the names of the attributes of a scope that have no column of their own. A
// block lists them; of a table that does not, the overflow of every page is read.
func (s *metricsScan) addOverflowNames(ctx context.Context, of column.Scope, names map[string]bool) error {
	if s.view.spans.directory != nil {
		if keys, ok := s.view.spans.directory.OverflowKeys(of); ok {
			for _, k := range keys {
				names[k.Name] = true
			}
			return nil
		}
	}
	h := s.view.spans.column(column.OverflowOf(of))
	for _, p := range s.pages {
		if err := s.view.seekPage(ctx, p); err != nil {
			return err
		}
		v, err := h.loadPage(ctx)
		if err != nil {
			return err
		}
		for i := range v.N {
			err := eachOverflowAttribute(v.Text(i), func(name []byte, _ column.Type, _ value) {
				if !names[string(name)] { // the look-up alone does not allocate a string
					names[string(name)] = true
				}
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
