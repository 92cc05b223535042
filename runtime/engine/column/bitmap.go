package column

import "math/bits"

// Bitmap is a set of row numbers, row i at bit i&63 of word i>>6. Bits behind the last row are
// zero; the functions keep them so. Its length in rows is the caller's knowledge. Two bitmaps of
// one operation must have the same number of words.
type Bitmap []uint64

// NewBitmap returns an empty bitmap for that many rows.
func NewBitmap(rows int) Bitmap { return make(Bitmap, (rows+63)>>6) }

// Resize returns an empty bitmap for that many rows, in b's memory if that is large enough.
func (b Bitmap) Resize(rows int) Bitmap {
	n := (rows + 63) >> 6
	if cap(b) < n {
		return make(Bitmap, n)
	}
	b = b[:n]
	clear(b)
	return b
}

// Get reports whether row i is set.
func (b Bitmap) Get(i int) bool { return b[i>>6]>>(i&63)&1 != 0 }

// Set adds row i.
func (b Bitmap) Set(i int) { b[i>>6] |= 1 << (i & 63) }

// Clear removes row i.
func (b Bitmap) Clear(i int) { b[i>>6] &^= 1 << (i & 63) }

// ClearAll removes all rows.
func (b Bitmap) ClearAll() { clear(b) }

// SetRange adds rows [from, to).
func (b Bitmap) SetRange(from, to int) {
	if from >= to {
		return
	}
	first, last := from>>6, (to-1)>>6
	lo, hi := ^uint64(0)<<(from&63), ^uint64(0)>>(63-(to-1)&63)
	if first == last {
		b[first] |= lo & hi
		return
	}
	b[first] |= lo
	for w := first + 1; w < last; w++ {
		b[w] = ^uint64(0)
	}
	b[last] |= hi
}

// ClearRange removes rows [from, to).
func (b Bitmap) ClearRange(from, to int) {
	if from >= to {
		return
	}
	first, last := from>>6, (to-1)>>6
	lo, hi := ^uint64(0)<<(from&63), ^uint64(0)>>(63-(to-1)&63)
	if first == last {
		b[first] &^= lo & hi
		return
	}
	b[first] &^= lo
	clear(b[first+1 : last])
	b[last] &^= hi
}

// And keeps the rows that are also in o.
func (b Bitmap) And(o Bitmap) {
	o = o[:len(b)]
	for i := range b {
		b[i] &= o[i]
	}
}

// AndNot removes the rows of o.
func (b Bitmap) AndNot(o Bitmap) {
	o = o[:len(b)]
	for i := range b {
		b[i] &^= o[i]
	}
}

// Or adds the rows of o.
func (b Bitmap) Or(o Bitmap) {
	o = o[:len(b)]
	for i := range b {
		b[i] |= o[i]
	}
}

// Not turns b into the rows of [0, rows) that it does not hold.
func (b Bitmap) Not(rows int) {
	for i := range b {
		b[i] = ^b[i]
	}
	if r := rows & 63; r != 0 && len(b) > 0 {
		b[len(b)-1] &= 1<<r - 1
	}
}

// Copy makes b hold the rows of o; a nil o stands for all of [0, rows), as in Vector.Present.
func (b Bitmap) Copy(o Bitmap, rows int) {
	if o != nil {
		copy(b, o)
		return
	}
	clear(b)
	b.SetRange(0, rows)
}

// Count returns the number of rows.
func (b Bitmap) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// CountRange returns the number of rows in [from, to).
func (b Bitmap) CountRange(from, to int) int {
	if from >= to {
		return 0
	}
	first, last := from>>6, (to-1)>>6
	lo, hi := ^uint64(0)<<(from&63), ^uint64(0)>>(63-(to-1)&63)
	if first == last {
		return bits.OnesCount64(b[first] & lo & hi)
	}
	n := bits.OnesCount64(b[first]&lo) + bits.OnesCount64(b[last]&hi)
	for _, w := range b[first+1 : last] {
		n += bits.OnesCount64(w)
	}
	return n
}

// Empty reports whether there is no row.
func (b Bitmap) Empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

// Next returns the first row ≥ i, or -1. Loop: for i := b.Next(0); i >= 0; i = b.Next(i + 1).
func (b Bitmap) Next(i int) int {
	w := i >> 6
	if w >= len(b) {
		return -1
	}
	if x := b[w] >> (i & 63); x != 0 {
		return i + bits.TrailingZeros64(x)
	}
	for w++; w < len(b); w++ {
		if b[w] != 0 {
			return w<<6 + bits.TrailingZeros64(b[w])
		}
	}
	return -1
}

// AppendRows appends its rows, plus base, to dst, ascending.
func (b Bitmap) AppendRows(dst []uint32, base uint32) []uint32 {
	for i, w := range b {
		for ; w != 0; w &= w - 1 {
			dst = append(dst, base+uint32(i<<6+bits.TrailingZeros64(w)))
		}
	}
	return dst
}

// Spread sets in dst the rows of present whose dense value is in dense: the i-th row of present is
// set iff bit i of dense is. A nil present stands for all rows. dst must be empty; it may not be
// dense. It turns a predicate's result over a Vector's dense values into rows of the page.
func Spread(dst, present, dense Bitmap) {
	if present == nil {
		copy(dst, dense)
		return
	}
	at := 0
	for i, p := range present {
		if p == 0 {
			continue
		}
		n := bits.OnesCount64(p)
		d := wordAt(dense, at)
		at += n
		if n == 64 {
			dst[i] = d
			continue
		}
		if d&(1<<n-1) == 0 {
			continue
		}
		var out uint64
		for ; p != 0; p &= p - 1 {
			if d&1 != 0 {
				out |= p & -p
			}
			d >>= 1
		}
		dst[i] = out
	}
}

// Squeeze is the inverse of Spread: bit i of dst is set iff the i-th row of present is in rows. A
// nil present stands for all rows. dst must be empty; it may not be rows.
func Squeeze(dst, present, rows Bitmap) {
	if present == nil {
		copy(dst, rows)
		return
	}
	at := 0
	for i, p := range present {
		if rows[i]&p == 0 {
			at += bits.OnesCount64(p)
			continue
		}
		for r := rows[i]; p != 0; p &= p - 1 {
			if r&(p&-p) != 0 {
				dst.Set(at)
			}
			at++
		}
	}
}

// wordAt returns the 64 bits from bit i on, with zeros behind the end.
func wordAt(b Bitmap, i int) uint64 {
	w, s := i>>6, i&63
	if w >= len(b) {
		return 0
	}
	x := b[w] >> s
	if s != 0 && w+1 < len(b) {
		x |= b[w+1] << (64 - s)
	}
	return x
}

// Ranker turns row numbers into dense indices of a Vector.
type Ranker struct {
	present Bitmap
	word    int // words counted so far
	before  int // rows in them
}

// Ranks returns a Ranker over a Vector's Present.
func Ranks(present Bitmap) Ranker { return Ranker{present: present} }

// At returns the dense index of row i and whether the row has a value. Rows asked for in ascending
// order cost one pass over the page in all; going back starts again.
func (r *Ranker) At(i int) (dense int, ok bool) {
	if r.present == nil {
		return i, true
	}
	w := i >> 6
	if w < r.word {
		r.word, r.before = 0, 0
	}
	for ; r.word < w; r.word++ {
		r.before += bits.OnesCount64(r.present[r.word])
	}
	x := r.present[w]
	if x>>(i&63)&1 == 0 {
		return 0, false
	}
	return r.before + bits.OnesCount64(x&(1<<(i&63)-1)), true
}
