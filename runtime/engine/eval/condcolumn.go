package eval

import (
	"context"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// The conditions of this file look for values of one column that satisfy a predicate. They work on
// whole pages, without a branch for a row, in three steps:
//
//  1. The predicate is asked for each value of the page's dictionary, once. If none satisfies it,
//     the page is done, and its codes are not read.
//  2. The codes of the values that the page has, the dense values, become a bitmap of dense values,
//     64 of them to a word.
//  3. Bits of dense values are spread to the rows that have a value, and rows outside of mask are
//     taken away.
//
// Here is name = "GET" over five rows, of which row 1 has no name, and mask leaves out row 4:
//
//	row        0      1      2      3      4
//	value      GET    none   POST   GET    GET
//	Present    1      0      1      1      1
//	codes      0             1      0      0       Dict = [GET, POST]
//
//	accepted   [1, 0]: GET satisfies the predicate, POST does not        step 1
//	dense      1             0      1      1       by code               step 2
//	rows       1      0      0      1      1       spread by Present     step 3
//	mask       1      1      1      1      0
//	out       +1      0      0     +1      0
//
// Columns of numbers have no dictionary: step 1 looks at the bounds of the page instead, or lets
// the table sift the page where it lies, and step 2 compares the numbers themselves.
//
// These hold for all of them: out only gains rows, and only rows of mask; a row without a value
// never matches; bitmaps have no bits beyond the last row.

// verdict tells which values of a dictionary satisfy a predicate. It stays valid from page to page
// as long as pages share their dictionary.
type verdict struct {
	dict     *string // the first value of the dictionary, which identifies it
	size     int     // of the dictionary
	accepted column.Bitmap
	count    int    // of accepted values
	only     uint32 // the code of the accepted value, if count is 1
}

// judgeDict asks the predicate for every value of a dictionary, unless it is the last one judged.
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

// markCodes sets the bits of the codes that are accepted.
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

// equalCodes sets the bits of the codes that are equal to one code.
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

// bitOf returns 1 for true and 0 for false. It compiles to code without a branch.
func bitOf(b bool) uint64 {
	var x uint64
	if b {
		x = 1
	}
	return x
}

// spreader turns a bitmap of dense values into rows of mask.
type spreader struct{ dense, rows column.Bitmap }

// beginDense returns an empty bitmap for n dense values.
func (s *spreader) beginDense(n int) column.Bitmap {
	s.dense = s.dense.Resize(n)
	return s.dense
}

// spreadRows adds to out the rows of mask whose dense values are set since beginDense.
func (s *spreader) spreadRows(v *column.Vector, mask, out column.Bitmap) {
	if v.Present == nil {
		addMasked(out, s.dense, mask)
		return
	}
	s.rows = resizeWords(s.rows, len(mask))
	column.Spread(s.rows, v.Present, s.dense)
	addMasked(out, s.rows, mask)
}

// markStoredRows adds to out the rows of mask that have a value.
func markStoredRows(v *column.Vector, mask, out column.Bitmap) {
	if v.Present == nil {
		out.Or(mask)
		return
	}
	addMasked(out, v.Present, mask)
}

// textCond looks for texts in a String or Bytes column.
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

// matchStrings compares values of a page without a dictionary one by one: all of them, unless few
// of the rows are in mask or the comparison is a slow one.
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
	hint := c.col.frame.hint
	return c.p.op == "=" && c.col.key.Type == column.String && hint != nil &&
		!hint.MayHave(c.col.key, c.p.literal.str)
}
func (c *textCond) eachColumn(f func(*pageColumn))     { f(c.col) }
func (c *textCond) estimateCost() (pass, work float64) { return c.p.guessShare(), 2 }
