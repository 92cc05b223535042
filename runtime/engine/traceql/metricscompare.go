package traceql

import (
	"context"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
)

// sidedField is a field that compare() counts, in one table.
type sidedField struct {
	*series.Compared
	by         *grouper
	codes      []uint32 // the grouper's numbers as codes of values; untranslated, uncounted
	generation int
}

const uncounted = untranslated - 1

// comparedIntrinsics are the intrinsics that compare() counts beside all attributes of span, resource and instrumentation.
var comparedIntrinsics = []string{"name", "status", "statusMessage", "kind", "span:childCount", "rootName", "rootServiceName", "instrumentation:name", "instrumentation:version"}

// compare counts the values of all fields, for the spans that the selection is true for and for the rest.
func (s *metricsScan) compare(ctx context.Context, out *series.Comparison) error {
	selection := cond(constCond{truth: true, boolish: true})
	if e := s.m.Compare.Selection.Expr; e != nil {
		var err error
		if selection, err = (compiler{s: s.scan}).cond(e); err != nil {
			return err
		}
	}
	pages := s.inTime()
	fields, err := s.sidedFields(ctx, pages, out)
	if err != nil {
		return err
	}
	var mask, chosen column.Bitmap
	var sides [2]struct{ at []int } // indices into rows
	var codes, ivs, total []uint32
	for _, page := range pages {
		if err := s.selectRows(ctx, page); err != nil {
			return err
		}
		if len(s.rows) == 0 {
			continue
		}
		mask, chosen = mask.Resize(s.spans.rows), chosen.Resize(s.spans.rows)
		for _, r := range s.rows {
			mask.Set(int(r))
		}
		if err := selection.match(ctx, mask, chosen); err != nil {
			return err
		}
		sides[0].at, sides[1].at = sides[0].at[:0], sides[1].at[:0]
		for i, r := range s.rows {
			side := series.Baseline
			if chosen.Get(int(r)) && s.selected(s.starts[r]) {
				side = series.Selection
			}
			sides[side].at = append(sides[side].at, i)
		}
		for _, f := range fields {
			if s.groups, err = f.by.codes(ctx, s.rows, s.groups[:0]); err != nil {
				return err
			}
			f.translate()
			for side := range sides {
				codes, ivs, total = codes[:0], ivs[:0], total[:0]
				for _, i := range sides[side].at {
					v := f.by.values[s.groups[i]].kind
					if v == nothing || v == arrayValue {
						continue
					}
					total = append(total, s.ivs[i])
					if c := f.codes[s.groups[i]]; c != uncounted {
						codes, ivs = append(codes, c), append(ivs, s.ivs[i])
					}
				}
				if len(total) > 0 {
					f.Values(side, codes, ivs)
					f.Totals(side, total)
					f.translate()
				}
			}
		}
		if err := limited(out.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// selected says whether a span can be of the selection by its start.
func (s *metricsScan) selected(start int64) bool {
	c := s.m.Compare
	return c.Args != 3 || start > c.Start && start <= c.End
}

// translate makes codes of the grouper's values.
func (f *sidedField) translate() {
	if f.generation != f.Generation {
		f.generation, f.codes = f.Generation, f.codes[:0]
	}
	for n := len(f.codes); n < len(f.by.values); n++ {
		v := f.by.values[n]
		code, ok := uint32(uncounted), false
		if v.kind != nothing && v.kind != arrayValue {
			if code, ok = f.Code(labelValue(v)); !ok {
				code = uncounted
			}
		}
		f.codes = append(f.codes, code)
	}
}

// sidedFields lists the fields of the table: the intrinsics, and every attribute that has a column or overflows.
func (s *metricsScan) sidedFields(ctx context.Context, pages []int, out *series.Comparison) ([]*sidedField, error) {
	var list []*Field
	for _, name := range comparedIntrinsics {
		list = append(list, &Field{Scope: ScopeIntrinsic, Name: name})
	}
	scopes := []struct {
		of column.Scope
		in FieldScope
	}{{column.Resource, ScopeResource}, {column.Span, ScopeSpan}, {column.Instrumentation, ScopeInstrumentation}}
	for _, sc := range scopes {
		names := map[string]bool{}
		for _, k := range s.t.Keys() {
			if k.Scope == sc.of {
				names[k.Name] = true
			}
		}
		if err := s.overflowing(ctx, sc.of, pages, names); err != nil {
			return nil, err
		}
		for name := range names {
			list = append(list, &Field{Scope: sc.in, Name: name})
		}
	}
	slices.SortFunc(list, func(a, b *Field) int { return strings.Compare(a.String(), b.String()) })
	fields := make([]*sidedField, 0, len(list))
	for _, f := range list {
		e, err := s.expr(f)
		if err != nil {
			return nil, err
		}
		fields = append(fields, &sidedField{Compared: out.Field(f.String()), by: newGrouper(e)})
	}
	return fields, nil
}

// overflowing adds the names of the attributes of a scope that have no column of their own.
func (s *metricsScan) overflowing(ctx context.Context, of column.Scope, pages []int, names map[string]bool) error {
	if s.spans.dir != nil {
		if keys, ok := s.spans.dir.OverflowKeys(of); ok {
			for _, k := range keys {
				names[k.Name] = true
			}
			return nil
		}
	}
	h := s.spans.column(overflowKey(of))
	for _, p := range pages {
		if err := s.seek(ctx, p); err != nil {
			return err
		}
		v, err := h.vector(ctx)
		if err != nil {
			return err
		}
		for i := range v.N {
			err := eachOverflowing(v.Text(i), func(name []byte, _ column.Type, _ value) {
				if !names[string(name)] {
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
