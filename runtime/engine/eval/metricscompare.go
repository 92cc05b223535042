package eval

import (
	"context"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// comparedIntrinsics are the intrinsics that compare() counts beside all attributes of span,
// resource and instrumentation.
var comparedIntrinsics = []string{"name", "status", "statusMessage", "kind", "span:childCount", "rootName", "rootServiceName", "instrumentation:name", "instrumentation:version"}

// comparisonScan counts the values of all fields of a table, for the spans that the selection is true for
// and for the rest.
type comparisonScan struct {
	*metricsScan
	selection                   cond
	fields                      []*fieldCounter
	side                        []uint8     // of the page's spans
	totals                      [2][]uint64 // of one field by interval
	firstInterval, lastInterval uint32      // intervals of the page

	mask, chosen           column.Bitmap
	numbers                []uint32
	groups, groupIntervals []uint32 // of the spans that are counted, and their intervals
	groupWeights           []uint64 // and their weights
}

// fieldCounter is a field that compare() counts, in one table.
type fieldCounter struct {
	*series.FieldCounts
	e          expr
	by         *grouper    // nil: it has so many values that most are told by their hash only
	groups     [2][]uint32 // by side and the grouper's number
	generation int
}

// What stands in the place of a group.
const (
	uncounted = untranslated - 1 // a value that is not counted
	valueless = untranslated - 2 // nothing to count
)

// countComparison counts the whole table.
func (s *metricsScan) countComparison(ctx context.Context, out *series.Comparison) error {
	fields, err := s.compileComparedFields(ctx, out)
	if err != nil {
		return err
	}
	c := &comparisonScan{metricsScan: s, selection: constCond{truth: true, boolish: true}, fields: fields}
	if e := s.stage.Compare.Selection.Expr; e != nil {
		if c.selection, err = (compiler{view: s.view}).cond(e); err != nil {
			return err
		}
	}
	for i := range c.totals {
		c.totals[i] = make([]uint64, s.window.Intervals())
	}
	for _, page := range s.pages {
		if err := s.selectRows(ctx, page); err != nil {
			return err
		}
		if len(s.rows) == 0 {
			continue
		}
		if err := c.divideRows(ctx); err != nil {
			return err
		}
		for _, f := range fields {
			if err := c.countField(ctx, f); err != nil {
				return err
			}
		}
		if err := checkSeriesMemory(out.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// divideRows puts each of the page's spans on a side.
func (c *comparisonScan) divideRows(ctx context.Context) error {
	c.mask, c.chosen = c.mask.Resize(c.view.spans.rows), c.chosen.Resize(c.view.spans.rows)
	for _, r := range c.rows {
		c.mask.Set(int(r))
	}
	if err := c.selection.match(ctx, c.mask, c.chosen); err != nil {
		return err
	}
	c.side = c.side[:0]
	for _, r := range c.rows {
		side := uint8(series.Baseline)
		if c.chosen.Get(int(r)) && c.startsInSelection(c.starts[r]) {
			side = series.Selection
		}
		c.side = append(c.side, side)
	}
	c.firstInterval, c.lastInterval = slices.Min(c.intervals), slices.Max(c.intervals)
	if c.weighted {
		return c.weighRows(ctx)
	}
	return nil
}

// startsInSelection says whether a span can be of the selection by its start.
func (s *metricsScan) startsInSelection(start int64) bool {
	c := s.stage.Compare
	return c.Args != 3 || start > c.Start && start <= c.End
}

// countField counts one field of the page's spans.
func (c *comparisonScan) countField(ctx context.Context, f *fieldCounter) error {
	c.groups, c.groupIntervals, c.groupWeights = c.groups[:0], c.groupIntervals[:0], c.groupWeights[:0]
	if f.Truncated() {
		f.by = nil
	}
	var err error
	if f.by == nil {
		err = c.countValues(ctx, f)
	} else {
		err = c.countNumbers(ctx, f)
	}
	if err != nil {
		return err
	}
	f.CountSpans(c.groups, c.groupIntervals, c.groupWeights)
	for side := range c.totals {
		for iv := c.firstInterval; iv <= c.lastInterval; iv++ {
			if n := c.totals[side][iv]; n > 0 {
				f.CountTotal(side, iv, n)
				c.totals[side][iv] = 0
			}
		}
	}
	return nil
}

func (c *comparisonScan) countNumbers(ctx context.Context, f *fieldCounter) error {
	absent, err := f.by.hasNoValues(ctx)
	if err != nil || absent {
		return err
	}
	if c.numbers, err = f.by.appendNumbers(ctx, c.rows, c.numbers[:0]); err != nil {
		return err
	}
	if f.generation != f.Generation {
		f.generation = f.Generation
		f.groups[0], f.groups[1] = f.groups[0][:0], f.groups[1][:0]
	}
	for side := range f.groups {
		for len(f.groups[side]) < len(f.by.values) {
			f.groups[side] = append(f.groups[side], untranslated)
		}
	}
	for i, n := range c.numbers {
		side := c.side[i]
		g := f.groups[side][n]
		if g == untranslated {
			g = f.groupOf(int(side), f.by.values[n])
			f.groups[side][n] = g
		}
		c.countRow(i, g)
	}
	return nil
}

func (c *comparisonScan) countValues(ctx context.Context, f *fieldCounter) error {
	if err := f.e.values(ctx, c.rows, &c.measured); err != nil {
		return err
	}
	for i := range c.rows {
		c.countRow(i, f.groupOf(int(c.side[i]), c.measured.at(i).key()))
	}
	return nil
}

// groupOf returns the group of a value, or what stands in its place.
func (f *fieldCounter) groupOf(side int, v value) uint32 {
	l := labelValue(v)
	if l.Type == trace.Empty || l.Type == trace.Array {
		return valueless
	}
	if g, ok := f.GroupOf(side, l); ok {
		return g
	}
	return uncounted
}

// countRow counts the i-th of the page's spans.
func (c *comparisonScan) countRow(i int, g uint32) {
	if g == valueless {
		return
	}
	n := uint64(1)
	if c.weighted {
		n = c.weights[i]
	}
	c.totals[c.side[i]][c.intervals[i]] += n
	if g == uncounted {
		return
	}
	c.groups, c.groupIntervals = append(c.groups, g), append(c.groupIntervals, c.intervals[i])
	if c.weighted {
		c.groupWeights = append(c.groupWeights, n)
	}
}

// compileComparedFields lists the fields of the table: the intrinsics, and every attribute that has a column
// or overflows.
func (s *metricsScan) compileComparedFields(ctx context.Context, out *series.Comparison) ([]*fieldCounter, error) {
	var list []*traceql.Field
	for _, name := range comparedIntrinsics {
		list = append(list, &traceql.Field{Scope: traceql.ScopeIntrinsic, Name: name})
	}
	for _, scope := range []struct {
		of column.Scope
		in traceql.FieldScope
	}{{column.Resource, traceql.ScopeResource}, {column.Span, traceql.ScopeSpan}, {column.Instrumentation, traceql.ScopeInstrumentation}} {
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
	fields := make([]*fieldCounter, 0, len(list))
	for _, f := range list {
		e, err := s.view.compileExpr(f)
		if err != nil {
			return nil, err
		}
		if a, ok := e.(*fieldExpr).src.(*attrSource); ok {
			a.bare = false // only what was sent is counted
		}
		fields = append(fields, &fieldCounter{FieldCounts: out.Field(f.String()), e: e, by: newGrouper(e)})
	}
	return fields, nil
}

// addOverflowNames adds the names of the attributes of a scope that have no column of their own.
func (s *metricsScan) addOverflowNames(ctx context.Context, of column.Scope, names map[string]bool) error {
	if s.view.spans.dir != nil {
		if keys, ok := s.view.spans.dir.OverflowKeys(of); ok {
			for _, k := range keys {
				names[k.Name] = true
			}
			return nil
		}
	}
	h := s.view.spans.column(overflowKey(of))
	for _, p := range s.pages {
		if err := s.view.seekPage(ctx, p); err != nil {
			return err
		}
		v, err := h.load(ctx)
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
