package eval

import (
	"context"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// grouper numbers the values of an expression, from 0 on in order of appearance: by() and the
// labels of metrics count by these numbers and look at values[n] only once for each.
//
// If a page has all values of the field in one column, rows are not looked at value by value. A
// string is looked up once for each entry of a dictionary, a small integer once for all:
//
//	page: a column of strings with the dictionary [cart user], whose entries have codes 0 and 1
//
//	row  code   number
//	 0   1      0        "user" is looked up in texts: it is new, translated[1] = 0
//	 1   0      1        "cart" likewise, translated[0] = 1
//	 2   -      2        the span lacks the field: looked up once for the page
//	 3   1      0        translated[1]
//	 4   0      1        translated[0]
//
//	values = ["user" "cart" nil]
//
// Pages of a row group share a dictionary, so translated serves all of them.
//
// Invariants: a number keeps its value as long as the grouper lives; equal values (value.key) have
// one number, in whatever column or page they lie; values are given numbers only when a row has
// them, so the numbers are dense in what occurs.
type grouper struct {
	e        expr
	values   []value           // by number; nothing stands for nil and for opaque values
	known    map[value]uint32  // numbers of values other than strings
	texts    map[string]uint32 // numbers of strings
	small    [][]uint32        // by kind and integer below smallInts: its number + 1; 0: none yet
	computed values            // scratch

	// Of the dictionary seen last. It is told from others by its address and length; a growing one
	// keeps its codes, but is translated again.
	translated []uint32 // by code: the number
	dict       *string
	dictLen    int
}

const (
	untranslated = ^uint32(0)
	smallInts    = 1024
)

func newGrouper(e expr) *grouper {
	return &grouper{
		e:     e,
		known: map[value]uint32{},
		texts: map[string]uint32{},
		small: make([][]uint32, opaqueValue+1),
	}
}

// numberValue returns the number of a value, a new one if need be.
func (g *grouper) numberValue(v value) uint32 {
	if v.kind == stringValue {
		return g.numberText(v.str)
	}
	v = v.groupKey()
	n, ok := g.known[v]
	if !ok {
		n = uint32(len(g.values))
		g.known[v] = n
		g.values = append(g.values, v)
	}
	return n
}

// numberText returns the number of a string, a new one if need be.
func (g *grouper) numberText(s string) uint32 {
	n, ok := g.texts[s]
	if !ok {
		n = uint32(len(g.values))
		g.texts[s] = n
		g.values = append(g.values, value{kind: stringValue, str: s})
	}
	return n
}

// appendNumbers appends to dst the number of the value of each of the given rows of the current
// page, which ascend.
func (g *grouper) appendNumbers(ctx context.Context, rows []uint32, dst []uint32) ([]uint32, error) {
	if f, ok := g.e.(*fieldExpr); ok {
		c, ok, err := findSoleColumn(ctx, f.src)
		if err != nil {
			return dst, err
		}
		if ok && c.column == nil {
			n := g.numberValue(c.missing)
			for range rows {
				dst = append(dst, n)
			}
			return dst, nil
		}
		if ok {
			if out, ok, err := g.appendFromColumn(ctx, c, f.src, rows, dst); ok || err != nil {
				return out, err
			}
		}
	}
	if err := g.e.computeValues(ctx, rows, &g.computed); err != nil {
		return dst, err
	}
	last, number := value{kind: opaqueValue + 1}, uint32(0) // no value has this kind
	for i := range rows {
		if v := g.computed.at(i); v != last {
			last, number = v, g.numberValue(v)
		}
		dst = append(dst, number)
	}
	return dst, nil
}

// appendFromColumn is appendNumbers for values that lie in one column. ok=false: it does nothing
// for columns of this type.
func (g *grouper) appendFromColumn(ctx context.Context, c soleColumn, src source, rows, dst []uint32) (out []uint32,
	ok bool, err error) {
	v, err := c.column.loadPage(ctx)
	if err != nil {
		return dst, false, err
	}
	switch {
	case c.column.key.Type == column.String && v.Dict != nil:
		return g.appendCoded(v, c.missing, rows, dst), true, nil
	case c.column.key.Type == column.String:
		return g.appendTexts(v, c.missing, rows, dst), true, nil
	case c.column.key.Type == column.Int:
		ints := intColumn{v: v, kind: intValue}
		if n, ok := src.(*numSource); ok {
			ints.kind, ints.clamp = n.kind, n.clamp
		}
		return g.appendInts(ints, c.missing, rows, dst), true, nil
	}
	return dst, false, nil
}

// appendCoded appends the numbers of strings with a dictionary.
func (g *grouper) appendCoded(v *column.Vector, missing value, rows, dst []uint32) []uint32 {
	if g.dict != unsafe.SliceData(v.Dict) || g.dictLen != len(v.Dict) {
		g.dict, g.dictLen = unsafe.SliceData(v.Dict), len(v.Dict)
		g.translated = g.translated[:0]
		for range v.Dict {
			g.translated = append(g.translated, untranslated)
		}
	}
	to := g.translated
	if v.Present == nil { // every row has a value
		for _, r := range rows {
			c := v.Codes[r]
			if to[c] == untranslated {
				to[c] = g.numberText(v.Dict[c])
			}
			dst = append(dst, to[c])
		}
		return dst
	}
	none := untranslated // the number of missing
	ranks := column.Ranks(v.Present)
	for _, r := range rows {
		d, ok := ranks.At(int(r))
		if !ok {
			if none == untranslated {
				none = g.numberValue(missing)
			}
			dst = append(dst, none)
			continue
		}
		c := v.Codes[d]
		if to[c] == untranslated {
			to[c] = g.numberText(v.Dict[c])
		}
		dst = append(dst, to[c])
	}
	return dst
}

// appendTexts appends the numbers of strings without a dictionary.
func (g *grouper) appendTexts(v *column.Vector, missing value, rows, dst []uint32) []uint32 {
	none := untranslated
	ranks := column.Ranks(v.Present)
	for _, r := range rows {
		if d, ok := ranks.At(int(r)); ok {
			dst = append(dst, g.numberText(v.Strings[d]))
			continue
		}
		if none == untranslated {
			none = g.numberValue(missing)
		}
		dst = append(dst, none)
	}
	return dst
}

// intColumn is a column of integers and what they are to the language.
type intColumn struct {
	v     *column.Vector
	kind  valueKind
	clamp bool // negative integers count as 0
}

// appendInts appends the numbers of integers.
func (g *grouper) appendInts(c intColumn, missing value, rows, dst []uint32) []uint32 {
	if g.small[c.kind] == nil {
		g.small[c.kind] = make([]uint32, smallInts)
	}
	small := g.small[c.kind]
	none := untranslated
	ranks := column.Ranks(c.v.Present)
	for _, r := range rows {
		d, ok := ranks.At(int(r))
		if !ok {
			if none == untranslated {
				none = g.numberValue(missing)
			}
			dst = append(dst, none)
			continue
		}
		n := c.v.Ints[d]
		if c.clamp {
			n = max(n, 0)
		}
		if uint64(n) >= smallInts {
			dst = append(dst, g.numberValue(value{kind: c.kind, num: n}))
			continue
		}
		if small[n] == 0 {
			small[n] = g.numberValue(value{kind: c.kind, num: n}) + 1
		}
		dst = append(dst, small[n]-1)
	}
	return dst
}
