package eval

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// source tells where the values of a field are found, for the rows of one frame at its page.
type source interface {
	// newCond returns the condition that some value of the row satisfies p.
	newCond(p *pred) cond
	// markPresent adds to out the rows of mask that have a value.
	markPresent(ctx context.Context, mask, out column.Bitmap) error
	// readValues sets the value of each of the rows, which ascend and may repeat. It leaves values
	// alone that out has already, and notes rows with several values in out.many.
	readValues(ctx context.Context, rows []uint32, out *values) error
	// eachValue calls f for every value of a row.
	eachValue(ctx context.Context, row int, f func(value)) error
	// isAbsent reports whether certainly no row of the table has a value. It reads nothing.
	isAbsent() bool
	// eachColumn calls f for the columns that the source reads.
	eachColumn(f func(*pageColumn))
}

// pred is a predicate on values: a comparison operator and the constant on its right.
type pred struct {
	op      traceql.Op
	literal value
	matcher *matcher // of =~ and !~, otherwise nil
}

// holdsFor reports whether a value satisfies the predicate.
func (p *pred) holdsFor(v value) bool { return compareValues(p.op, v, p.literal, p.matcher) }

// holdsForText is holdsFor for a string.
func (p *pred) holdsForText(s string) bool {
	if p.matcher != nil {
		return p.matcher.matchString(s) == (p.op == "=~")
	}
	if p.op == "=" {
		return s == p.literal.str
	}
	return p.holdsFor(value{kind: stringValue, str: s})
}

// comparesText reports whether the predicate looks at strings. Of the values of other types it
// holds for all if its operator is !=, and else for none.
func (p *pred) comparesText() bool { return p.literal.kind == stringValue }

// differentType returns the condition that the predicate holds for values of which none has a type
// that it looks at.
func (p *pred) differentType() cond { return constCond{truth: p.op == "!=", boolean: true} }

// guessShare returns which share of values may satisfy a predicate of this form, as long as nothing
// is known of them.
func (p *pred) guessShare() float64 {
	switch p.op {
	case "=":
		return 0.05
	case "=~":
		return 0.15
	case "!=", "!~":
		return 0.9
	}
	return 0.4
}

// values are the values of an expression for a list of rows.
type values struct {
	kinds []valueKind
	nums  []int64  // int, duration (ns), bool, status, kind; float as its bits
	strs  []string // string, array, opaque; empty while no value is one of these
	many  []int    // indices of rows with more values than one, for which see source.eachValue
}

// reset sets v to nothing for each of n rows.
func (v *values) reset(n int) {
	if cap(v.kinds) < n {
		v.kinds, v.nums = make([]valueKind, n), make([]int64, n)
	}
	v.kinds, v.nums = v.kinds[:n], v.nums[:n]
	clear(v.kinds)
	v.strs = v.strs[:0]
	v.many = v.many[:0]
}

func (v *values) at(i int) value {
	x := value{kind: v.kinds[i], num: v.nums[i]}
	if x.isTextual() {
		x.num, x.str = 0, v.strs[i]
	}
	if x.kind == nothing {
		x.num = 0
	}
	return x
}

// isTextual reports whether the value is in str rather than in num.
func (v value) isTextual() bool {
	return v.kind == stringValue || v.kind == arrayValue || v.kind == opaqueValue
}

func (v *values) set(i int, x value) {
	v.kinds[i], v.nums[i] = x.kind, x.num
	if x.isTextual() {
		v.textSlots()[i] = x.str
	}
}

// textSlots returns strs with a place for each row.
func (v *values) textSlots() []string {
	n := len(v.kinds)
	if len(v.strs) != n {
		if cap(v.strs) < n {
			v.strs = make([]string, n)
		}
		v.strs = v.strs[:n]
	}
	return v.strs
}

// rowSource is a field whose value is computed row by row.
type rowSource struct {
	valueAt func(ctx context.Context, row int) (value, error)
	cols    []*pageColumn
	cost    float64
}

func (s *rowSource) newCond(p *pred) cond { return &rowCond{s: s, p: p} }

func (s *rowSource) markPresent(ctx context.Context, mask, out column.Bitmap) error {
	for r := mask.Next(0); r >= 0; r = mask.Next(r + 1) {
		v, err := s.valueAt(ctx, r)
		if err != nil {
			return err
		}
		if v.kind != nothing {
			out.Set(r)
		}
	}
	return nil
}

func (s *rowSource) readValues(ctx context.Context, rows []uint32, out *values) error {
	for i, r := range rows {
		if out.kinds[i] != nothing {
			continue
		}
		v, err := s.valueAt(ctx, int(r))
		if err != nil {
			return err
		}
		out.set(i, v)
	}
	return nil
}

func (s *rowSource) eachValue(ctx context.Context, row int, f func(value)) error {
	v, err := s.valueAt(ctx, row)
	if err == nil && v.kind != nothing {
		f(v)
	}
	return err
}

func (s *rowSource) isAbsent() bool { return false }

func (s *rowSource) eachColumn(f func(*pageColumn)) {
	for _, h := range s.cols {
		f(h)
	}
}

// rowCond compares the values of a rowSource.
type rowCond struct {
	definite
	s *rowSource
	p *pred
}

func (c *rowCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	for r := mask.Next(0); r >= 0; r = mask.Next(r + 1) {
		v, err := c.s.valueAt(ctx, r)
		if err != nil {
			return err
		}
		if c.p.holdsFor(v) {
			out.Set(r)
		}
	}
	return nil
}

func (c *rowCond) matchesNothing() bool               { return false }
func (c *rowCond) eachColumn(f func(*pageColumn))     { c.s.eachColumn(f) }
func (c *rowCond) estimateCost() (pass, work float64) { return c.p.guessShare(), c.s.cost }

// numSource is a fixed Int column, which has a value on every row.
type numSource struct {
	col   *pageColumn
	kind  valueKind
	clamp bool // negative numbers count as 0
}

func (s *numSource) newCond(p *pred) cond {
	if p.literal.kind != s.kind && !(p.literal.kind.isNumeric() && s.kind.isNumeric()) {
		return p.differentType()
	}
	return &intCond{col: s.col, p: p, kind: s.kind, clamp: s.clamp}
}

func (s *numSource) markPresent(_ context.Context, mask, out column.Bitmap) error {
	out.Or(mask)
	return nil
}

func (s *numSource) readValues(ctx context.Context, rows []uint32, out *values) error {
	if n, ok := s.col.sameValue(rows); ok {
		if s.clamp {
			n = max(n, 0)
		}
		for i := range rows {
			if out.kinds[i] == nothing {
				out.kinds[i], out.nums[i] = s.kind, n
			}
		}
		return nil
	}
	v, err := s.col.loadFull(ctx)
	if err != nil {
		return err
	}
	for i, r := range rows {
		if out.kinds[i] == nothing {
			out.kinds[i], out.nums[i] = s.kind, v.Ints[r]
			if s.clamp && out.nums[i] < 0 {
				out.nums[i] = 0
			}
		}
	}
	return nil
}

func (s *numSource) eachValue(ctx context.Context, row int, f func(value)) error {
	v, err := s.col.loadFull(ctx)
	if err == nil {
		n := v.Ints[row]
		if s.clamp {
			n = max(n, 0)
		}
		f(value{kind: s.kind, num: n})
	}
	return err
}

func (s *numSource) isAbsent() bool                 { return false }
func (s *numSource) eachColumn(f func(*pageColumn)) { f(s.col) }

// textSource is a fixed String column. Rows without a value have the empty string.
type textSource struct {
	col *pageColumn
}

func (s *textSource) newCond(p *pred) cond {
	if !p.comparesText() {
		return p.differentType()
	}
	c := &textCond{col: s.col, p: p}
	if p.holdsForText("") {
		return &emptyCond{textCond: c}
	}
	return c
}

func (s *textSource) markPresent(_ context.Context, mask, out column.Bitmap) error {
	out.Or(mask)
	return nil
}

func (s *textSource) readValues(ctx context.Context, rows []uint32, out *values) error {
	v, err := s.col.loadPage(ctx)
	if err != nil {
		return err
	}
	strs, ranks := out.textSlots(), column.Ranks(v.Present)
	for i, r := range rows {
		if out.kinds[i] != nothing {
			continue
		}
		out.kinds[i], strs[i] = stringValue, ""
		if d, ok := ranks.At(int(r)); ok {
			strs[i] = v.Text(d)
		}
	}
	return nil
}

func (s *textSource) eachValue(ctx context.Context, row int, f func(value)) error {
	v, err := s.col.loadPage(ctx)
	if err != nil {
		return err
	}
	x := value{kind: stringValue}
	ranks := column.Ranks(v.Present)
	if d, ok := ranks.At(row); ok {
		x.str = v.Text(d)
	}
	f(x)
	return nil
}

func (s *textSource) isAbsent() bool                 { return false }
func (s *textSource) eachColumn(f func(*pageColumn)) { f(s.col) }

// emptyCond is a textCond that also holds for rows without a value.
type emptyCond struct{ *textCond }

func (c *emptyCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	v, err := c.col.loadPage(ctx)
	if err != nil {
		return err
	}
	if v.Present != nil {
		for i, w := range v.Present {
			out[i] |= mask[i] &^ w
		}
	}
	return c.textCond.matchRows(ctx, mask, out)
}

func (c *emptyCond) matchesNothing() bool               { return false }
func (c *emptyCond) estimateCost() (pass, work float64) { return 0.9, 2 }

// parentOf is a field of spans as a field of their events, or links.
type parentOf struct {
	src  source
	kids *children
	rows []uint32
}

func (s *parentOf) newCond(p *pred) cond {
	return &exprCond{op: p.op, left: &fieldExpr{src: s}, right: constExpr{p.literal}, matcher: p.matcher}
}

// spanRowOf returns the row of the span that a child row belongs to, in the current page of spans.
func (s *parentOf) spanRowOf(ctx context.Context, row int) (int, error) {
	v, err := s.kids.spanRef.loadFull(ctx)
	if err != nil {
		return 0, err
	}
	return s.kids.spanRow(v.Ints[row])
}

func (s *parentOf) markPresent(ctx context.Context, mask, out column.Bitmap) error {
	return markHavingValue(ctx, s, mask, out)
}

// markHavingValue is markPresent for sources that must be read to know.
func markHavingValue(ctx context.Context, s source, mask, out column.Bitmap) error {
	var v values
	rows := mask.AppendRows(nil, 0)
	v.reset(len(rows))
	if err := s.readValues(ctx, rows, &v); err != nil {
		return err
	}
	for i, r := range rows {
		if v.kinds[i] != nothing {
			out.Set(int(r))
		}
	}
	return nil
}

func (s *parentOf) readValues(ctx context.Context, rows []uint32, out *values) error {
	s.rows = s.rows[:0]
	for _, r := range rows {
		n, err := s.spanRowOf(ctx, int(r))
		if err != nil {
			return err
		}
		s.rows = append(s.rows, uint32(n))
	}
	return s.src.readValues(ctx, s.rows, out)
}

func (s *parentOf) eachValue(ctx context.Context, row int, f func(value)) error {
	n, err := s.spanRowOf(ctx, row)
	if err != nil {
		return err
	}
	return s.src.eachValue(ctx, n, f)
}

func (s *parentOf) isAbsent() bool                 { return s.src.isAbsent() }
func (s *parentOf) eachColumn(f func(*pageColumn)) { s.src.eachColumn(f) }

// fixedSource has the same value on every row.
type fixedSource struct{ v value }

func (s *fixedSource) newCond(p *pred) cond { return constCond{truth: p.holdsFor(s.v), boolean: true} }

func (s *fixedSource) markPresent(_ context.Context, mask, out column.Bitmap) error {
	if s.v.kind != nothing {
		out.Or(mask)
	}
	return nil
}

func (s *fixedSource) readValues(_ context.Context, rows []uint32, out *values) error {
	for i := range rows {
		if out.kinds[i] == nothing {
			out.set(i, s.v)
		}
	}
	return nil
}

func (s *fixedSource) eachValue(_ context.Context, _ int, f func(value)) error {
	if s.v.kind != nothing {
		f(s.v)
	}
	return nil
}

func (s *fixedSource) isAbsent() bool               { return s.v.kind == nothing }
func (s *fixedSource) eachColumn(func(*pageColumn)) {}
