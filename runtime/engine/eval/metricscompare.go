package eval

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// comparisonScan is a metricsScan of compare(). It counts the values of every field of the table,
// for the spans of the selection and for the rest, which is the baseline.
//
// Each row of a page is put on a side once. Then the page is counted field by field: a row gets the
// number of its value, and the group of its side and number. Groups are looked up once for each
// value and then found in an array.
//
//	row  side       span.status  number  group               counted
//	 0   baseline   ok              0    groups[0][0] = 0    in group 0 and the baseline's total
//	 1   selection  error           1    groups[1][1] = 1    in group 1 and the selection's total
//	 2   baseline   ok              0    groups[0][0] = 0    in group 0 and the baseline's total
//	 3   selection  -               2    valueless           nowhere: it does not have the field
//	 4   selection  one of many     3    uncounted           in the selection's total only
type comparisonScan struct {
	*metricsScan
	selection cond
	fields    []*fieldCounter

	// Of the page in hand.
	side          []uint8       // by row
	firstInterval uint32        // the least of its rows' intervals
	lastInterval  uint32        // the greatest
	mask, chosen  column.Bitmap // rows that count; those of them that the selection is true for

	// Of the page and field in hand.
	numbers        []uint32    // by row: the number of its value
	groups         []uint32    // of the rows that are counted by value
	groupIntervals []uint32    // their intervals
	groupWeights   []uint64    // their weights
	totals         [2][]uint64 // by side and interval: rows that have the field, or their weights
}

// fieldCounter counts one field of one table.
type fieldCounter struct {
	*series.FieldCounts
	e          expr
	by         *grouper    // nil: the field has so many values that most are told by their hash only
	groups     [2][]uint32 // by side and number of the value; untranslated: not looked up yet
	generation int         // of FieldCounts, when groups were looked up
}

// Two numbers stand in the place of a group.
const (
	uncounted = untranslated - 1 // the value is not among those that are counted
	valueless = untranslated - 2 // the span has no value to count
)

// countComparison counts all pages into out.
func (s *metricsScan) countComparison(ctx context.Context, out *series.Comparison) error {
	fields, err := s.compileComparedFields(ctx, out)
	if err != nil {
		return err
	}
	c := &comparisonScan{metricsScan: s, selection: constCond{truth: true, boolean: true}, fields: fields}
	if e := s.stage.Compare.Selection.Expr; e != nil {
		if c.selection, err = (compiler{view: s.view}).compileCond(e); err != nil {
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
		if len(s.page.rows) == 0 {
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

// divideRows puts each of the page's rows on a side.
func (c *comparisonScan) divideRows(ctx context.Context) error {
	c.mask, c.chosen = c.mask.Resize(c.view.spans.rows), c.chosen.Resize(c.view.spans.rows)
	for _, r := range c.page.rows {
		c.mask.Set(int(r))
	}
	if err := c.selection.matchRows(ctx, c.mask, c.chosen); err != nil {
		return err
	}
	c.side = c.side[:0]
	for _, r := range c.page.rows {
		side := uint8(series.Baseline)
		if c.chosen.Get(int(r)) && c.startsInSelection(c.page.starts[r]) {
			side = series.Selection
		}
		c.side = append(c.side, side)
	}
	c.firstInterval, c.lastInterval = slices.Min(c.page.intervals), slices.Max(c.page.intervals)
	if c.weighted {
		return c.weighRows(ctx)
	}
	return nil
}

// startsInSelection reports whether a span with this start may be of the selection, which can be
// restricted to a range of time.
func (s *metricsScan) startsInSelection(start int64) bool {
	c := s.stage.Compare
	return c.Args != 3 || start > c.Start && start <= c.End
}

// countField counts one field of the page's rows.
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

// countNumbers counts the rows of a field whose values have numbers.
func (c *comparisonScan) countNumbers(ctx context.Context, f *fieldCounter) error {
	absent, err := f.by.hasNoValues(ctx)
	if err != nil || absent {
		return err
	}
	if c.numbers, err = f.by.appendNumbers(ctx, c.page.rows, c.numbers[:0]); err != nil {
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

// countValues counts the rows of a field by the values themselves.
func (c *comparisonScan) countValues(ctx context.Context, f *fieldCounter) error {
	if err := f.e.computeValues(ctx, c.page.rows, &c.page.measured); err != nil {
		return err
	}
	for i := range c.page.rows {
		c.countRow(i, f.groupOf(int(c.side[i]), c.page.measured.at(i).groupKey()))
	}
	return nil
}

// groupOf returns the group of a value on a side, or uncounted or valueless.
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

// countRow counts the page's i-th row, whose value is of group g.
func (c *comparisonScan) countRow(i int, g uint32) {
	if g == valueless {
		return
	}
	n := uint64(1)
	if c.weighted {
		n = c.page.weights[i]
	}
	c.totals[c.side[i]][c.page.intervals[i]] += n
	if g == uncounted {
		return
	}
	c.groups, c.groupIntervals = append(c.groups, g), append(c.groupIntervals, c.page.intervals[i])
	if c.weighted {
		c.groupWeights = append(c.groupWeights, n)
	}
}
