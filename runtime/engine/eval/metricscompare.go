package eval

import (
	"context"
	"iter"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// comparisonScan is a metricsScan of compare(). It counts the values of every field of the table,
// for the spans of the selection and for the rest, which is the baseline.
//
// Each row of a page is put into a slot once, by its interval and its side. Then the page is
// counted field by field. Values with codes, those of a dictionary and small integers, are counted
// by code and slot in an array, and each code is looked up once. The others are looked up one by
// one; of a field with very many values most are told by their hash not to be counted.
//
//	row  side       slot  span.status  code     dense = by code*2 + slot
//	 0   baseline    0     ok           0         [1 1  0 1]
//	 1   selection   1     error        1          ok   error
//	 2   selection   1     ok           0
//	 3   baseline    0     -            nowhere: it does not have the field
type comparisonScan struct {
	*metricsScan
	selection cond
	fields    []*fieldCounter

	// Of the page in hand.
	slots         []uint32      // by row: twice the interval after firstInterval, and the side
	inSlots       []uint64      // by slot: rows, or their weights
	firstInterval uint32        // the least of its rows' intervals
	everyRow      bool          // all rows of the page count
	mask, chosen  column.Bitmap // rows that count; those of them that the selection is true for

	// Of the page and field in hand.
	dense     []uint64 // by code*slots + slot: rows, or their weights; all are 0 between fields
	totals    []uint64 // by slot: rows that have the field
	groups    []uint32 // of the rows that are looked up
	intervals []uint32 // their intervals
	weights   []uint64 // their weights
}

// maxDense bounds the array in which a page of a field is counted.
const maxDense = 2 * column.PageRows

// fieldCounter counts one field of one table.
type fieldCounter struct {
	*series.FieldCounts
	e *fieldExpr

	numbers    []uint32 // by code: the number of the value; untranslated: not looked up yet
	codes      codeTable
	generation int // of FieldCounts, when numbers were looked up
}

// codeTable tells what codes stand for: the entries of a dictionary, or small integers of a kind.
type codeTable struct {
	dict *string
	size int
	kind valueKind
}

// Two numbers stand in the place of that of a value.
const (
	uncounted = untranslated - 1 // it is not among those that are counted
	valueless = untranslated - 2 // it is none to count
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
	c.dense = make([]uint64, maxDense)
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

// divideRows puts each of the page's rows into its slot.
func (c *comparisonScan) divideRows(ctx context.Context) error {
	c.mask, c.chosen = c.mask.Resize(c.view.spans.rows), c.chosen.Resize(c.view.spans.rows)
	for _, r := range c.page.rows {
		c.mask.Set(int(r))
	}
	if err := c.selection.matchRows(ctx, c.mask, c.chosen); err != nil {
		return err
	}
	if c.weighted {
		if err := c.weighRows(ctx); err != nil {
			return err
		}
	}
	c.everyRow = len(c.page.rows) == c.view.spans.rows
	c.firstInterval = slices.Min(c.page.intervals)
	n := 2 * int(slices.Max(c.page.intervals)-c.firstInterval+1)
	c.inSlots = append(c.inSlots[:0], make([]uint64, n)...)
	c.totals = append(c.totals[:0], make([]uint64, n)...)
	c.slots = c.slots[:0]
	for i, r := range c.page.rows {
		slot := 2 * (c.page.intervals[i] - c.firstInterval)
		if c.chosen.Get(int(r)) && c.startsInSelection(c.page.starts[r]) {
			slot += series.Selection
		}
		c.slots = append(c.slots, slot)
		c.inSlots[slot] += c.weightOf(i)
	}
	return nil
}

// weightOf returns for how many spans the page's i-th row counts.
func (c *comparisonScan) weightOf(i int) uint64 {
	if c.weighted {
		return c.page.weights[i]
	}
	return 1
}

// startsInSelection reports whether a span with this start may be of the selection, which can be
// restricted to a range of time.
func (s *metricsScan) startsInSelection(start int64) bool {
	c := s.stage.Compare
	return c.Args != 3 || start > c.Start && start <= c.End
}

// countField counts one field of the page's rows.
func (c *comparisonScan) countField(ctx context.Context, f *fieldCounter) error {
	if err := c.countValues(ctx, f); err != nil {
		return err
	}
	if len(c.groups) > 0 {
		f.CountSpans(c.groups, c.intervals, c.weights)
		c.groups, c.intervals, c.weights = c.groups[:0], c.intervals[:0], c.weights[:0]
	}
	for slot, n := range c.totals {
		if n > 0 {
			f.CountTotal(slot&1, c.firstInterval+uint32(slot>>1), n)
			c.totals[slot] = 0
		}
	}
	f.PruneValues()
	return nil
}

// countValues counts the values of one field, by codes where they have some.
func (c *comparisonScan) countValues(ctx context.Context, f *fieldCounter) error {
	sole, ok, err := findSoleColumn(ctx, f.e.src)
	if err != nil {
		return err
	}
	if ok && sole.column == nil && sole.missing.kind == nothing {
		return nil
	}
	if ok && sole.column != nil {
		v, err := sole.column.loadPage(ctx)
		if err != nil {
			return err
		}
		switch key := sole.column.key.Type; {
		case key == column.String && v.Dict != nil:
			c.countCodes(f, v, sole.missing)
			return nil
		case key == column.String:
			c.countTexts(f, v, sole.missing)
			return nil
		case key == column.Int:
			ints := intColumn{v: v, kind: intValue}
			if n, ok := f.e.src.(*numSource); ok {
				ints.kind, ints.clamp = n.kind, n.clamp
			}
			c.countInts(f, ints, sole.missing)
			return nil
		}
	}
	if err := f.e.computeValues(ctx, c.page.rows, &c.page.measured); err != nil {
		return err
	}
	last, number := value{kind: opaqueValue + 1}, uint32(0) // no value has this kind
	for i := range c.page.rows {
		if v := c.page.measured.at(i); v != last {
			last, number = v, f.numberOf(v)
		}
		c.countRow(i, number)
	}
	return nil
}

// countCodes counts texts by their codes in a dictionary.
func (c *comparisonScan) countCodes(f *fieldCounter, v *column.Vector, missing value) {
	f.useCodes(codeTable{unsafe.SliceData(v.Dict), len(v.Dict), stringValue})
	valueOf := func(code int) value { return value{kind: stringValue, str: v.Dict[code]} }
	n, dense, slots := uint32(len(c.totals)), c.dense, c.slots
	if len(v.Dict)*len(c.totals) > len(dense) {
		for i, d := range c.valuesOf(v.Present) {
			c.countRow(i, f.numberOfCode(int(v.Codes[d]), valueOf))
		}
		c.countMissing(f, missing)
		return
	}
	switch {
	case c.weighted || !c.everyRow:
		for i, d := range c.valuesOf(v.Present) {
			dense[v.Codes[d]*n+slots[i]] += c.weightOf(i)
		}
	case v.Present == nil:
		slots = slots[:len(v.Codes)]
		for i, code := range v.Codes {
			dense[code*n+slots[i]]++
		}
	default:
		d := 0
		for w, word := range v.Present {
			for ; word != 0; word &= word - 1 {
				dense[v.Codes[d]*n+slots[w<<6|bits.TrailingZeros64(word)]]++
				d++
			}
		}
	}
	c.takeDense(f, len(v.Dict), valueOf)
	c.countMissing(f, missing)
}

// countInts counts integers, small ones by themselves as codes.
func (c *comparisonScan) countInts(f *fieldCounter, ints intColumn, missing value) {
	n := len(c.totals)
	small := min(smallInts, maxDense/n)
	f.useCodes(codeTable{nil, small, ints.kind})
	end := 0 // of the codes that occur
	for i, d := range c.valuesOf(ints.v.Present) {
		x := ints.v.Ints[d]
		if ints.clamp {
			x = max(x, 0)
		}
		if uint64(x) < uint64(small) {
			end = max(end, int(x)+1)
			c.dense[int(x)*n+int(c.slots[i])] += c.weightOf(i)
		} else {
			c.countRow(i, f.numberOf(value{kind: ints.kind, num: x}))
		}
	}
	c.takeDense(f, end, func(code int) value { return value{kind: ints.kind, num: int64(code)} })
	c.countMissing(f, missing)
}

// countTexts counts texts one by one.
func (c *comparisonScan) countTexts(f *fieldCounter, v *column.Vector, missing value) {
	for i, d := range c.valuesOf(v.Present) {
		c.countRow(i, f.numberOf(value{kind: stringValue, str: v.Text(d)}))
	}
	c.countMissing(f, missing)
}

// valuesOf goes through the page's counted rows that have a value, with the index of each row in
// page.rows and that of its value.
func (c *comparisonScan) valuesOf(present column.Bitmap) iter.Seq2[int, int] {
	return func(yield func(i, dense int) bool) {
		ranks := column.Ranks(present)
		for i, r := range c.page.rows {
			if d, ok := ranks.At(int(r)); ok && !yield(i, d) {
				return
			}
		}
	}
}

// useCodes prepares numbers for codes.
func (f *fieldCounter) useCodes(t codeTable) {
	if f.codes == t && f.generation == f.Generation {
		return
	}
	f.codes, f.generation, f.numbers = t, f.Generation, f.numbers[:0]
	for range t.size {
		f.numbers = append(f.numbers, untranslated)
	}
}

// takeDense counts what the array has for the codes below end, and clears it.
func (c *comparisonScan) takeDense(f *fieldCounter, end int, valueOf func(code int) value) {
	n := len(c.totals)
	for at, count := range c.dense[:end*n] {
		if count == 0 {
			continue
		}
		c.dense[at] = 0
		c.countInSlot(f, f.numberOfCode(at/n, valueOf), at%n, count)
	}
}

// numberOfCode returns the number of the value that a code stands for.
func (f *fieldCounter) numberOfCode(code int, valueOf func(code int) value) uint32 {
	if f.numbers[code] == untranslated {
		f.numbers[code] = f.numberOf(valueOf(code))
	}
	return f.numbers[code]
}

// countMissing counts the rows without a value of their own, if that is a value, too.
func (c *comparisonScan) countMissing(f *fieldCounter, missing value) {
	if missing.kind == nothing {
		return
	}
	number := f.numberOf(missing)
	for slot, n := range c.inSlots {
		if n > c.totals[slot] {
			c.countInSlot(f, number, slot, n-c.totals[slot])
		}
	}
}

// numberOf returns the number of a value, or uncounted or valueless.
func (f *fieldCounter) numberOf(v value) uint32 {
	l := labelValue(v.groupKey())
	if l.Type == trace.Empty || l.Type == trace.Array {
		return valueless
	}
	if n, ok := f.NumberOf(l); ok {
		return n
	}
	return uncounted
}

// countInSlot counts rows of one slot whose value has this number.
func (c *comparisonScan) countInSlot(f *fieldCounter, number uint32, slot int, n uint64) {
	if number == valueless {
		return
	}
	c.totals[slot] += n
	if number != uncounted {
		f.CountInGroup(series.GroupOf(slot&1, number), c.firstInterval+uint32(slot>>1), n)
	}
}

// countRow counts the page's i-th row, whose value has this number.
func (c *comparisonScan) countRow(i int, number uint32) {
	if number == valueless {
		return
	}
	slot := c.slots[i]
	c.totals[slot] += c.weightOf(i)
	if number == uncounted {
		return
	}
	c.groups = append(c.groups, series.GroupOf(int(slot&1), number))
	c.intervals = append(c.intervals, c.page.intervals[i])
	if c.weighted {
		c.weights = append(c.weights, c.page.weights[i])
	}
}
