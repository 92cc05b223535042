package eval

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// A condition has three outcomes on a row: true, false, and no boolean at all, which is the value
// of a field that is missing or has another type. matchRows tells true from the rest, and
// markBooleans tells the third from the others. Most conditions, every comparison among them, are
// never the third: they embed definite.

// cond is a boolean expression, compiled for one frame and evaluated at the frame's page.
type cond interface {
	// matchRows adds to out the rows of mask for which the condition is true. mask and out MUST be
	// different bitmaps. Rows of out that are not in mask stay as they are.
	matchRows(ctx context.Context, mask, out column.Bitmap) error
	// markBooleans adds to out the rows of mask for which the condition is true or false.
	markBooleans(ctx context.Context, mask, out column.Bitmap) error
	// isAlwaysBool reports whether the condition is true or false on every row.
	isAlwaysBool() bool
	// matchesNothing reports whether the condition is certainly true on no row of the table. It
	// reads nothing.
	matchesNothing() bool
	// eachColumn calls f for the columns that the condition reads.
	eachColumn(f func(*pageColumn))
	// estimateCost guesses the share of rows that pass, and the work for one row in arbitrary
	// units.
	estimateCost() (pass, work float64)
}

// definite is embedded in conditions that are true or false on every row.
type definite struct{}

func (definite) markBooleans(_ context.Context, mask, out column.Bitmap) error {
	out.Or(mask)
	return nil
}
func (definite) isAlwaysBool() bool { return true }

// constCond is a constant.
type constCond struct {
	truth   bool
	boolean bool // true or false; otherwise no boolean
}

func (c constCond) matchRows(_ context.Context, mask, out column.Bitmap) error {
	if c.truth {
		out.Or(mask)
	}
	return nil
}

func (c constCond) markBooleans(_ context.Context, mask, out column.Bitmap) error {
	if c.boolean {
		out.Or(mask)
	}
	return nil
}
func (c constCond) isAlwaysBool() bool           { return c.boolean }
func (c constCond) matchesNothing() bool         { return !c.truth }
func (c constCond) eachColumn(func(*pageColumn)) {}
func (c constCond) estimateCost() (p, w float64) {
	if c.truth {
		return 1, 0
	}
	return 0, 0
}

// andCond is a chain of &&. Each operand is evaluated only on the rows that the ones before have
// left, so the order decides how much work there is, but not the result. The operand that takes
// away most rows for its work comes first. At the beginning that is a guess; the shares of rows
// that were seen to pass correct it page by page.
type andCond struct {
	definite
	operands     []*operand
	left, passed column.Bitmap
	settled      int // rows seen when the order was last made
	seen         int
}

// operand is a condition of a chain, with the rows that it has passed of those it was tried on.
type operand struct {
	cond
	passed, tried float64
	work          float64
}

// newAnd returns the conjunction of conditions, which is the only one itself if it is always a
// boolean.
func newAnd(conds []cond) cond {
	if len(conds) == 1 && conds[0].isAlwaysBool() {
		return conds[0]
	}
	c := &andCond{}
	for _, o := range conds {
		p, w := o.estimateCost()
		const weight = 256 // a guess counts for as many rows
		c.operands = append(c.operands, &operand{cond: o, passed: p * weight, tried: weight, work: w})
	}
	c.sortOperands()
	return c
}

// sortOperands sorts the operands by work for each row that they take away.
func (c *andCond) sortOperands() {
	rank := func(o *operand) float64 { return o.work / max(1-o.passed/o.tried, 1e-3) }
	slices.SortStableFunc(c.operands, func(x, y *operand) int {
		switch rx, ry := rank(x), rank(y); {
		case rx < ry:
			return -1
		case rx > ry:
			return 1
		}
		return 0
	})
	c.settled = c.seen
}

func (c *andCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	if c.seen > 2*c.settled {
		c.sortOperands()
	}
	left := append(c.left[:0], mask...)
	c.left = left
	for _, o := range c.operands {
		n := left.Count()
		if n == 0 {
			return nil
		}
		c.seen += n
		c.passed = resizeWords(c.passed, len(left))
		if err := o.matchRows(ctx, left, c.passed); err != nil {
			return err
		}
		left.And(c.passed)
		o.tried += float64(n)
		o.passed += float64(left.Count())
	}
	out.Or(left)
	return nil
}

func (c *andCond) matchesNothing() bool {
	return slices.ContainsFunc(c.operands, func(o *operand) bool { return o.matchesNothing() })
}

func (c *andCond) eachColumn(f func(*pageColumn)) {
	for _, o := range c.operands {
		o.eachColumn(f)
	}
}

func (c *andCond) estimateCost() (pass, work float64) {
	pass = 1
	for _, o := range c.operands {
		work += pass * o.work
		pass *= o.passed / o.tried
	}
	return pass, work
}

// orCond is a chain of ||: true where one operand is true and all of them are booleans.
type orCond struct {
	definite
	operands     []cond
	left, passed column.Bitmap
}

func (c *orCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	left := append(c.left[:0], mask...)
	c.left = left
	for _, o := range c.operands {
		if o.isAlwaysBool() {
			continue
		}
		c.passed = resizeWords(c.passed, len(mask))
		if err := o.markBooleans(ctx, left, c.passed); err != nil {
			return err
		}
		left.And(c.passed)
	}
	for _, o := range c.operands {
		if left.Empty() {
			return nil
		}
		c.passed = resizeWords(c.passed, len(mask))
		if err := o.matchRows(ctx, left, c.passed); err != nil {
			return err
		}
		out.Or(c.passed)
		left.AndNot(c.passed)
	}
	return nil
}

// allBooleans reports whether every operand is always a boolean.
func (c *orCond) allBooleans() bool {
	return !slices.ContainsFunc(c.operands, func(o cond) bool { return !o.isAlwaysBool() })
}

func (c *orCond) matchesNothing() bool {
	return !slices.ContainsFunc(c.operands, func(o cond) bool { return !o.matchesNothing() })
}

func (c *orCond) eachColumn(f func(*pageColumn)) {
	for _, o := range c.operands {
		o.eachColumn(f)
	}
}

func (c *orCond) estimateCost() (pass, work float64) {
	miss := 1.0
	for _, o := range c.operands {
		p, w := o.estimateCost()
		work += w * miss
		miss *= 1 - p
	}
	return 1 - miss, work
}

// notCond is !c: it is a boolean where c is one.
type notCond struct {
	of               cond
	booleans, passed column.Bitmap
}

func (c *notCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	left := mask
	if !c.of.isAlwaysBool() {
		c.booleans = resizeWords(c.booleans, len(mask))
		if err := c.of.markBooleans(ctx, mask, c.booleans); err != nil {
			return err
		}
		left = c.booleans
	}
	c.passed = resizeWords(c.passed, len(mask))
	if err := c.of.matchRows(ctx, left, c.passed); err != nil {
		return err
	}
	for i, w := range c.passed {
		out[i] |= left[i] &^ w
	}
	return nil
}

func (c *notCond) markBooleans(ctx context.Context, mask, out column.Bitmap) error {
	return c.of.markBooleans(ctx, mask, out)
}
func (c *notCond) isAlwaysBool() bool             { return c.of.isAlwaysBool() }
func (c *notCond) matchesNothing() bool           { return false }
func (c *notCond) eachColumn(f func(*pageColumn)) { c.of.eachColumn(f) }
func (c *notCond) estimateCost() (pass, work float64) {
	p, w := c.of.estimateCost()
	return 1 - p, w
}

// existsCond is field != nil or, with not, field = nil.
type existsCond struct {
	definite
	src     source
	not     bool
	present column.Bitmap
}

func (c *existsCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	if !c.not {
		return c.src.markPresent(ctx, mask, out)
	}
	c.present = resizeWords(c.present, len(mask))
	if err := c.src.markPresent(ctx, mask, c.present); err != nil {
		return err
	}
	for i, w := range c.present {
		out[i] |= mask[i] &^ w
	}
	return nil
}

func (c *existsCond) matchesNothing() bool           { return !c.not && c.src.isAbsent() }
func (c *existsCond) eachColumn(f func(*pageColumn)) { c.src.eachColumn(f) }
func (c *existsCond) estimateCost() (pass, work float64) {
	if c.not {
		return 0.6, 2
	}
	return 0.5, 2
}

// fieldCond is a field that stands as a condition. Where its value is not a boolean, neither is the
// condition.
type fieldCond struct {
	src            source
	truth, boolean cond // some value of the field is true; some value is a boolean
	some           column.Bitmap
	rows           []uint32
	vals           values
}

func newFieldCond(src source) *fieldCond {
	yes := src.newCond(&pred{op: "=", literal: boolValueOf(true)})
	no := src.newCond(&pred{op: "=", literal: boolValueOf(false)})
	return &fieldCond{src: src, truth: yes, boolean: &orCond{operands: []cond{yes, no}}}
}

func (c *fieldCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	return c.checkValues(ctx, c.truth, mask, out, func(v value) bool { return v.kind == boolValue && v.num != 0 })
}

func (c *fieldCond) markBooleans(ctx context.Context, mask, out column.Bitmap) error {
	return c.checkValues(ctx, c.boolean, mask, out, func(v value) bool { return v.kind == boolValue })
}

// checkValues adds to out the rows of mask whose value satisfies ok. A row may have several values,
// of which the first one counts; some is a condition that holds if any of them satisfies ok.
func (c *fieldCond) checkValues(ctx context.Context, some cond, mask, out column.Bitmap, ok func(value) bool) error {
	c.some = resizeWords(c.some, len(mask))
	if err := some.matchRows(ctx, mask, c.some); err != nil {
		return err
	}
	c.rows = c.some.AppendRows(c.rows[:0], 0)
	c.vals.reset(len(c.rows))
	if err := c.src.readValues(ctx, c.rows, &c.vals); err != nil {
		return err
	}
	for i, r := range c.rows {
		if ok(c.vals.at(i)) {
			out.Set(int(r))
		}
	}
	return nil
}

func (c *fieldCond) isAlwaysBool() bool                 { return false }
func (c *fieldCond) matchesNothing() bool               { return c.src.isAbsent() }
func (c *fieldCond) eachColumn(f func(*pageColumn))     { c.src.eachColumn(f) }
func (c *fieldCond) estimateCost() (pass, work float64) { return c.truth.estimateCost() }

// resizeWords returns an empty bitmap of as many words, in b's memory if it is large enough.
func resizeWords(b column.Bitmap, words int) column.Bitmap { return b.Resize(words << 6) }

// addMasked adds rows ∩ mask to out.
func addMasked(out, rows, mask column.Bitmap) {
	rows, mask = rows[:len(out)], mask[:len(out)]
	for i := range out {
		out[i] |= rows[i] & mask[i]
	}
}
