package block

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// A page of ints has either codes of the chunk's dictionary or differences (delta.go):
//
//	page  values             the page has
//	0     200 200 404        codes 0 0 1; the dictionary takes values near 200 to 404
//	1     500 200            codes 2 0
//	2     none               nothing
//	3     1,000,000 200      differences: the first value is too far from the others
//	4     200 404            differences, as have all pages from there on
//
// What a dictionary saves is seldom much, so there is one only where it costs nothing to find out:
// a table has the code of each value in the range, and the first page that does not fit ends it.

// When ints have a dictionary: while they are few, and near enough to each other that a table finds
// the code of each at once.
const (
	maxIntDict = 4096    // entries
	intRange   = 1 << 16 // size of the range that the values lie in
)

// intDict is the dictionary of a chunk of ints while the chunk is encoded.
type intDict struct {
	codes   []uint16 // by value - least: code + 1; 0: not in the dictionary
	values  []int64  // by code
	least   int64    // the dictionary takes values in [least, least+intRange)
	decided bool     // whether there is a dictionary, by the first page that has values
	open    bool     // the next page may have codes
}

// begin makes the dictionary an empty one, undecided.
func (d *intDict) begin() { d.values, d.decided, d.open = d.values[:0], false, false }

// decide looks at the first page with values, which are in [lo, hi]: the dictionary, if there is to
// be one, takes values around them.
func (d *intDict) decide(lo, hi int64) {
	d.decided = true
	r := uint64(hi - lo)
	if r >= intRange {
		return
	}
	d.open = true
	d.least = lo - int64((intRange-r)/2)
	if d.least > lo { // wrapped
		d.least = math.MinInt64
	}
	if d.codes == nil {
		d.codes = make([]uint16, intRange)
	}
}

// numberPage puts the codes of a page's values, which are in [lo, hi], into out. It reports whether
// the page is to have them; if not, the dictionary is as it was.
func (d *intDict) numberPage(out []uint32, values []int64, lo, hi int64) bool {
	if !d.open || lo < d.least || uint64(hi-d.least) >= intRange {
		return false
	}
	before, fits := len(d.values), true
	codes := d.codes
	for i, v := range values {
		l := codes[uint16(v-d.least)]
		if l == 0 {
			if len(d.values) == maxIntDict {
				fits = false
				break
			}
			d.values = append(d.values, v)
			l = uint16(len(d.values))
			codes[uint16(v-d.least)] = l
		}
		out[i] = uint32(l - 1)
	}
	if n := len(d.values); before == 0 && n > 64 && codeWidth(n)+1 > uint(bits.Len64(uint64(hi-lo))) {
		fits = false // codes would be as wide as the values are
	}
	if !fits {
		d.forgetCodes(before)
		d.values = d.values[:before]
	}
	return fits
}

// forgetCodes forgets the codes from one on.
func (d *intDict) forgetCodes(from int) {
	for _, v := range d.values[from:] {
		d.codes[uint16(v-d.least)] = 0
	}
}

// encodeInts encodes ints. The first page that has values decides whether there is a dictionary;
// the first page that does not fit into it ends it for the rest of the chunk.
func (e *encoder) encodeInts(s *columnSpec, c *cells, from int, k *chunk) {
	d := &e.intDict
	d.begin()
	for at := 0; at < k.rows; at += column.PageRows {
		rows := min(column.PageRows, k.rows-at)
		n, present := e.beginPage(s, c, from+at, rows)
		values := presentValues(&e.ints, c.ints[from+at:from+at+rows], present, n)
		p := pageEntry{values: n, plain: true}
		if n == 0 {
			e.endPage(k, p, encPlain)
			continue
		}
		p.lo, p.hi = minMax(values)
		if !d.decided {
			d.decide(p.lo, p.hi)
		}
		if d.open {
			e.codes = slices.Grow(e.codes[:0], n)[:n]
		}
		if d.open = d.numberPage(e.codes, values, p.lo, p.hi); d.open {
			p.plain = false
			e.appendCodes(k, p, e.codes, len(d.values))
			continue
		}
		e.raw = appendDelta(e.raw, values)
		e.endPage(k, p, encDelta)
	}
	k.entries = len(d.values)
	d.forgetCodes(0)
	for _, v := range d.values {
		e.dict = binary.LittleEndian.AppendUint64(e.dict, uint64(v))
	}
}

// minMax returns the least and the greatest of values, of which there is one at least.
func minMax(values []int64) (lo, hi int64) {
	lo, hi = values[0], values[0]
	for _, v := range values {
		lo, hi = min(lo, v), max(hi, v)
	}
	return lo, hi
}

// encodeFixed encodes floats, bools and ids, which have one encoding each.
func (e *encoder) encodeFixed(s *columnSpec, c *cells, from int, k *chunk) {
	for at := 0; at < k.rows; at += column.PageRows {
		rows := min(column.PageRows, k.rows-at)
		lo, hi := from+at, from+at+rows
		n, present := e.beginPage(s, c, lo, rows)
		switch {
		case n == 0:
		case s.kind == kindFloat:
			for _, v := range presentValues(&e.floats, c.floats[lo:hi], present, n) {
				e.raw = binary.LittleEndian.AppendUint64(e.raw, math.Float64bits(v))
			}
		case s.kind == kindBool:
			e.appendBools(presentValues(&e.ints, c.ints[lo:hi], present, n))
		case present == nil:
			e.raw = append(e.raw, unsafe.Slice((*byte)(unsafe.Pointer(&c.ids[lo])), 8*rows)...)
		default:
			for i := present.Next(0); i >= 0; i = present.Next(i + 1) {
				e.raw = append(e.raw, unsafe.Slice((*byte)(unsafe.Pointer(&c.ids[lo+i])), 8)...)
			}
		}
		e.endPage(k, pageEntry{values: n, plain: true}, encPlain)
	}
}

// appendBools appends bools, which are 0 or 1, as one bit each.
func (e *encoder) appendBools(values []int64) {
	for i := 0; i < len(values); i += 8 {
		var b byte
		for j, v := range values[i:min(i+8, len(values))] {
			b |= byte(v&1) << j
		}
		e.raw = append(e.raw, b)
	}
}
