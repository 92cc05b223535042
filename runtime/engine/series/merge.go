package series

import (
	"math"
	"math/bits"
)

// Merging translates: the groups of what is merged have other numbers in the Tally, and its
// intervals are counted from another beginning. Cells of the same labels and time are then added,
// in place, so that the work is that of the cells that are merged.
//
//	o: window (10, 40], step 10             t: window (0, 30] becomes (0, 40], so shift = 1
//
//	group 0 = cart   counts 2 0 1           group 0 = user   counts 5 0 0 0
//	group 1 = user   counts 0 3 0           group 1 = cart   counts 0 2 0 1    (new in t)
//	groups = [1 0]                          group 0 becomes         5 0 3 0

// coverWindow extends the Tally's window so that it contains w. It reports whether that is
// possible: whether the intervals of both are parts of one grid, and not too many.
func (t *Tally) coverWindow(w *Window) bool {
	if t.spec.Window.containsWindow(w) {
		return true
	}
	u, ok := t.spec.Window.unionWith(w)
	if !ok {
		return false
	}
	spec := t.spec
	spec.Window = u
	n := NewTally(spec)
	n.mergeInside(t.Pack())
	*t = *n
	return true
}

// Merge adds what another Tally has counted. Its Spec must be the same except for the window, which
// may be another one with the same step; t's window grows to contain it. Merge reports whether the
// windows fit together, and changes nothing if they do not.
func (t *Tally) Merge(o *Packed) bool {
	if !t.coverWindow(&o.spec.Window) {
		return false
	}
	t.mergeInside(o)
	return true
}

// mergeInside adds what o has counted, whose window lies in that of t.
func (t *Tally) mergeInside(o *Packed) {
	t.settle()
	r := unpacker{data: o.data}
	groups := t.Groups.merge(&r)
	t.mergeExemplars(o.exemplars, o.spec.BinWidth, groups)
	shift, _ := t.spec.Window.intervalOffset(&o.spec.Window)
	for _, g := range groups {
		iv := shift - 1
		for d := r.uvarint(); d != 0; d = r.uvarint() {
			iv += int(d)
			t.mergeCell(t.cells.cellOf(g, uint32(iv)), &r)
		}
	}
}

// merge adds the groups that r reads. It returns, for each of them, the group of the same values
// here.
func (g *Groups) merge(r *unpacker) []uint32 {
	groups := make([]uint32, r.uvarint())
	columns := make([][]uint32, len(g.labels))
	for i := range columns {
		codes := make([]uint32, 1+r.uvarint())
		for k := range codes[1:] {
			codes[1+k] = g.EncodeValue(i, r.value())
		}
		columns[i] = make([]uint32, len(groups))
		for k := range columns[i] {
			columns[i][k] = codes[r.uvarint()]
		}
	}
	g.NumberRows(columns, groups)
	return groups
}

// mergeCell adds the cell that r reads to cell c.
func (t *Tally) mergeCell(c uint32, r *unpacker) {
	if t.spec.Func.UsesBuckets() {
		t.mergeCodes(c, r)
		return
	}
	n := t.cells.len()
	t.counts = extendTo(t.counts, n)
	t.counts[c] += r.uvarint()
	switch t.spec.Func {
	case Min, Max:
		t.growExtremes(n)
		v := math.Float64frombits(bits.ReverseBytes64(r.uvarint()))
		if t.spec.Func == Min {
			t.extremes[c] = min(t.extremes[c], v)
		} else {
			t.extremes[c] = max(t.extremes[c], v)
		}
	case Avg, Sum:
		t.mergeSums(c, r)
	}
}

// mergeCodes adds values by their codes. It is most of the work of quantiles, so what it reads and
// writes for each code is in variables of its own.
func (t *Tally) mergeCodes(c uint32, r *unpacker) {
	t.growCodes(t.cells.len())
	octets := (*[octetsPerCell]uint32)(t.octets[c*octetsPerCell:])
	codes, buckets := uint64(0), t.buckets
	data, at := r.data, r.at
	for {
		b := data[at]
		at++
		n := uint64(1)
		if b&packedMany != 0 {
			n = uint64(data[at])
			at++
			if n >= 0x80 {
				r.at = at
				n = r.longUvarint(byte(n))
				at = r.at
			}
		}
		codes |= 1 << (b & packedCode)
		to := octets[b&packedCode>>3]
		if to == 0 {
			to = t.allocateOctet(c, uint32(b&packedCode))
			buckets = t.buckets
		}
		to = to<<3 | uint32(b&7)
		sum := uint64(buckets[to]) + n&math.MaxUint32
		if buckets[to] = uint32(sum); sum>>32+n>>32 != 0 {
			t.carry(to, sum>>32+n>>32)
		}
		if b&packedLast != 0 {
			t.codes[c] |= codes
			r.at = at
			return
		}
	}
}

// mergeSums adds sums of integers and of floats.
func (t *Tally) mergeSums(c uint32, r *unpacker) {
	what := r.byte()
	if what&(packedInt|packedWide) != 0 {
		t.lo, t.hi = extendTo(t.lo, t.cells.len()), extendTo(t.hi, t.cells.len())
		var lo uint64
		var hi int64
		if what&packedWide != 0 {
			lo = r.uvarint()
			hi = r.varint()
		} else {
			lo = uint64(r.varint())
			hi = int64(lo) >> 63
		}
		var carry uint64
		t.lo[c], carry = bits.Add64(t.lo[c], lo, 0)
		t.hi[c] += hi + int64(carry)
	}
	if what&packedFloat == 0 {
		return
	}
	t.exact = extendTo(t.exact, t.cells.len())
	if t.exact[c] == nil {
		t.exact[c] = new(Exact)
		t.exacts++
	}
	t.exact[c].Merge(r.exact())
}
