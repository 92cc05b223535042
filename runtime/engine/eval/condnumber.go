package eval

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// These conditions look for numbers in columns that have no dictionary, see the head of
// condcolumn.go. Comparisons are chosen by type: integers with integers exactly, everything else as
// floats.

// intCond looks for numbers in an Int or Bool column, which has values of the given kind.
type intCond struct {
	definite
	col   *pageColumn
	p     *pred
	kind  valueKind
	clamp bool // negative numbers count as 0
	spreader
	ints []int64 // scratch: clamped numbers
}

// valueOf returns the value that a number of the column stands for.
func (c *intCond) valueOf(n int64) value {
	if c.clamp {
		n = max(n, 0)
	}
	return value{kind: c.kind, num: n}
}

func (c *intCond) holdsFor(n int64) bool { return c.p.holdsFor(c.valueOf(n)) }

// judgeBounds reports whether the bounds of the page tell that all of its values satisfy the
// predicate, or that none does.
func (c *intCond) judgeBounds() (all, none bool) {
	lo, hi, ok := c.col.valueBounds()
	if !ok {
		return false, false
	}
	x, y := c.holdsFor(lo), c.holdsFor(hi)
	switch c.p.op {
	case "<", "<=", ">", ">=": // the numbers that satisfy these lie at one end
		return x && y, !x && !y
	case "=":
		return x && y, liesOutside(c.p.literal, c.valueOf(lo), c.valueOf(hi))
	case "!=":
		return liesOutside(c.p.literal, c.valueOf(lo), c.valueOf(hi)), !x && !y && lo == hi
	}
	return false, false
}

// liesOutside reports whether v lies below lo or above hi.
func liesOutside(v, lo, hi value) bool {
	return compareValues("<", v, lo, nil) || compareValues(">", v, hi, nil)
}

func (c *intCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	all, none := c.judgeBounds()
	if none {
		return nil
	}
	if !all {
		switch rows, ok, err := c.col.siftRows(ctx, c.holdsFor); {
		case err != nil:
			return err
		case ok:
			addMasked(out, rows, mask)
			return nil
		}
	}
	v, err := c.col.loadPage(ctx)
	if err != nil || v.N == 0 {
		return err
	}
	if all {
		markStoredRows(v, mask, out)
		return nil
	}
	ints := v.Ints
	if c.clamp {
		ints = clampNegatives(ints, &c.ints)
	}
	dense := c.beginDense(v.N)
	if c.p.literal.kind == c.kind {
		matchInts(ints, c.p.op, c.p.literal.num, dense)
	} else {
		f := c.p.literal.toFloat()
		for w := range dense {
			part := ints[w<<6 : min(len(ints), w<<6+64)]
			var x uint64
			for i, n := range part {
				x |= bitOf(compareFloats(c.p.op, float64(n), f)) << i
			}
			dense[w] = x
		}
	}
	c.spreadRows(v, mask, out)
	return nil
}

// clampNegatives returns ints with 0 in the place of negative numbers. It uses buf, unless there
// are none.
func clampNegatives(ints []int64, buf *[]int64) []int64 {
	least := int64(0)
	for _, n := range ints {
		least = min(least, n)
	}
	if least == 0 {
		return ints
	}
	out := append((*buf)[:0], ints...)
	for i, n := range out {
		out[i] = max(n, 0)
	}
	*buf = out
	return out
}

// matchInts sets the bits of the numbers n for which n op x holds.
func matchInts(ints []int64, op traceql.Op, x int64, dense column.Bitmap) {
	// Every comparison is lo ≤ n ≤ hi or its opposite, and n - lo ≤ hi - lo as unsigned numbers is
	// one comparison.
	lo, hi, not := x, x, uint64(0)
	switch op {
	case "!=":
		not = ^uint64(0)
	case "<":
		lo, hi, not = x, 1<<63-1, ^uint64(0)
	case "<=":
		lo, hi = -1<<63, x
	case ">":
		lo, hi, not = -1<<63, x, ^uint64(0)
	case ">=":
		lo, hi = x, 1<<63-1
	}
	width := uint64(hi) - uint64(lo)
	for w := range dense {
		part := ints[w<<6 : min(len(ints), w<<6+64)]
		var b uint64
		for i, v := range part {
			b |= bitOf(uint64(v)-uint64(lo) <= width) << i
		}
		if b ^= not; len(part) < 64 {
			b &= 1<<len(part) - 1
		}
		dense[w] = b
	}
}

func (c *intCond) matchesNothing() bool           { return false }
func (c *intCond) eachColumn(f func(*pageColumn)) { f(c.col) }
func (c *intCond) estimateCost() (pass, work float64) {
	if c.kind == statusValue && c.p.op == "=" {
		return 0.1, 1
	}
	return c.p.guessShare(), 1
}

// floatCond looks for numbers in a Float column.
type floatCond struct {
	definite
	col *pageColumn
	p   *pred
	spreader
}

func (c *floatCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	v, err := c.col.loadPage(ctx)
	if err != nil || v.N == 0 {
		return err
	}
	dense, f := c.beginDense(v.N), c.p.literal.toFloat()
	for w := range dense {
		part := v.Floats[w<<6 : min(len(v.Floats), w<<6+64)]
		var x uint64
		for i, n := range part {
			x |= bitOf(compareFloats(c.p.op, n, f)) << i
		}
		dense[w] = x
	}
	c.spreadRows(v, mask, out)
	return nil
}

func (c *floatCond) matchesNothing() bool               { return false }
func (c *floatCond) eachColumn(f func(*pageColumn))     { f(c.col) }
func (c *floatCond) estimateCost() (pass, work float64) { return c.p.guessShare(), 1 }

// anyCond looks for values in an Any column, which has arrays.
type anyCond struct {
	definite
	col *pageColumn
	p   *pred
}

func (c *anyCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	v, err := c.col.loadPage(ctx)
	if err != nil || v.N == 0 {
		return err
	}
	ranks := column.Ranks(v.Present)
	for r := mask.Next(0); r >= 0; r = mask.Next(r + 1) {
		if i, ok := ranks.At(r); ok && c.p.holdsFor(parseAnyValue(v.Text(i))) {
			out.Set(r)
		}
	}
	return nil
}

func (c *anyCond) matchesNothing() bool               { return false }
func (c *anyCond) eachColumn(f func(*pageColumn))     { f(c.col) }
func (c *anyCond) estimateCost() (pass, work float64) { return c.p.guessShare(), 20 }
