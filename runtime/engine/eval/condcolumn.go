package eval

import (
	"context"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// The conditions of this file look for values that satisfy a predicate in one column. They are
// evaluated over whole pages of dense values: over dictionaries first, each distinct value once,
// then over codes, 64 rows to a word.

// verdict is what a predicate says of the values of a dictionary.
type verdict struct {
	dict     *string // identifies the dictionary
	size     int
	accepted column.Bitmap // by code
	count    int
	only     uint32 // the code, if count is 1
}

func (d *verdict) judgeDict(ctx context.Context, dict []string, p *pred) error {
	if d.dict == unsafe.SliceData(dict) && d.size == len(dict) && d.accepted != nil {
		return nil
	}
	d.dict, d.size, d.count = unsafe.SliceData(dict), len(dict), 0
	d.accepted = d.accepted.Resize(max(len(dict), 1))
	for i, s := range dict {
		if i&1023 == 1023 {
			if err := ctx.Err(); err != nil {
				d.dict = nil
				return err
			}
		}
		if p.holdsForText(s) {
			d.accepted.Set(i)
			d.count++
			d.only = uint32(i)
		}
	}
	return nil
}

// markCodes sets in dense the values whose code satisfies the predicate.
func (d *verdict) markCodes(codes []uint32, dense column.Bitmap) {
	if d.count == 1 {
		equalCodes(codes, d.only, dense)
		return
	}
	for w := range dense {
		part := codes[w<<6 : min(len(codes), w<<6+64)]
		var x uint64
		for i, c := range part {
			x |= d.accepted[c>>6] >> (c & 63) & 1 << i
		}
		dense[w] = x
	}
}

func equalCodes(codes []uint32, code uint32, dense column.Bitmap) {
	for w := range dense {
		part := codes[w<<6 : min(len(codes), w<<6+64)]
		var x uint64
		for i, c := range part {
			x |= bitOf(c == code) << i
		}
		dense[w] = x
	}
}

func bitOf(b bool) uint64 {
	var x uint64
	if b {
		x = 1
	}
	return x
}

// spreader turns a result over dense values into rows of mask.
type spreader struct{ dense, rows column.Bitmap }

func (s *spreader) beginDense(n int) column.Bitmap {
	s.dense = s.dense.Resize(n)
	return s.dense
}

func (s *spreader) spreadRows(v *column.Vector, mask, out column.Bitmap) {
	if v.Present == nil {
		addMasked(out, s.dense, mask)
		return
	}
	s.rows = resizeWords(s.rows, len(mask))
	column.Spread(s.rows, v.Present, s.dense)
	addMasked(out, s.rows, mask)
}

// markStoredRows adds the rows of mask that have a value.
func markStoredRows(v *column.Vector, mask, out column.Bitmap) {
	if v.Present == nil {
		out.Or(mask)
		return
	}
	addMasked(out, v.Present, mask)
}

// textCond looks in a String or Bytes column.
type textCond struct {
	definite
	col *pageColumn
	p   *pred
	verdict
	spreader
}

func (c *textCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	dict, ok, err := c.col.loadDict(ctx)
	if err != nil {
		return err
	}
	if ok {
		if err := c.judgeDict(ctx, dict, c.p); err != nil || c.count == 0 {
			return err
		}
	}
	v, err := c.col.loadPage(ctx)
	if err != nil || v.N == 0 {
		return err
	}
	if v.Dict == nil {
		return c.matchStrings(ctx, v, mask, out)
	}
	if err := c.judgeDict(ctx, v.Dict, c.p); err != nil {
		return err
	}
	switch c.count {
	case 0:
		return nil
	case len(v.Dict):
		markStoredRows(v, mask, out)
		return nil
	}
	c.markCodes(v.Codes, c.beginDense(v.N))
	c.spreadRows(v, mask, out)
	return nil
}

// matchStrings tests values one by one: all of them, unless few of the rows are in mask.
func (c *textCond) matchStrings(ctx context.Context, v *column.Vector, mask, out column.Bitmap) error {
	if c.p.matcher == nil && 4*mask.Count() > v.Rows {
		dense := c.beginDense(v.N)
		for w := range dense {
			part := v.Strings[w<<6 : min(len(v.Strings), w<<6+64)]
			var x uint64
			for i, s := range part {
				x |= bitOf(c.p.holdsForText(s)) << i
			}
			dense[w] = x
		}
		c.spreadRows(v, mask, out)
		return nil
	}
	ranks := column.Ranks(v.Present)
	tested := 0
	for r := mask.Next(0); r >= 0; r = mask.Next(r + 1) {
		if tested++; tested&1023 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
		if i, ok := ranks.At(r); ok && c.p.holdsForText(v.Strings[i]) {
			out.Set(r)
		}
	}
	return nil
}

func (c *textCond) matchesNothing() bool {
	return c.p.op == "=" && c.col.key.Type == column.String && c.col.frame.hint != nil && !c.col.frame.hint.MayHave(c.col.key, c.p.literal.str)
}
func (c *textCond) eachColumn(f func(*pageColumn))     { f(c.col) }
func (c *textCond) estimateCost() (pass, work float64) { return c.p.guessShare(), 2 }

// intCond looks in an Int column, which holds values of the given kind.
type intCond struct {
	definite
	col   *pageColumn
	p     *pred
	kind  valueKind
	clamp bool
	spreader
	ints []int64
}

// valueOf returns the value of a number of the column.
func (c *intCond) valueOf(n int64) value {
	if c.clamp {
		n = max(n, 0)
	}
	return value{kind: c.kind, num: n}
}

func (c *intCond) holdsFor(n int64) bool { return c.p.holdsFor(c.valueOf(n)) }

// judgeBounds says what bounds tell: every value of the page satisfies the predicate, or none does.
func (c *intCond) judgeBounds() (all, none bool) {
	lo, hi, ok := c.col.valueBounds()
	if !ok {
		return false, false
	}
	x, y := c.holdsFor(lo), c.holdsFor(hi)
	switch c.p.op {
	case "<", "<=", ">", ">=": // the share that satisfies lies at one end
		return x && y, !x && !y
	case "=":
		return x && y, liesOutside(c.p.literal, c.valueOf(lo), c.valueOf(hi))
	case "!=":
		return liesOutside(c.p.literal, c.valueOf(lo), c.valueOf(hi)), !x && !y && lo == hi
	}
	return false, false
}

// liesOutside says whether v lies below lo or above hi.
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

// clampNegatives returns ints with 0 for negative numbers.
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

// matchInts sets in dense the numbers for which n op x.
func matchInts(ints []int64, op traceql.Op, x int64, dense column.Bitmap) {
	// v op x is lo ≤ v ≤ hi, or its opposite.
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

// floatCond looks in a Float column.
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

// anyCond looks in an Any column: arrays.
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
