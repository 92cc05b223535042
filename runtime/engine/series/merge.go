package series

import "math/bits"

// Merging translates: the groups of one Tally have other numbers in the other, and its intervals
// are counted from another beginning. Cells of the same labels and time are then added.
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
	shift, _ := u.intervalOffset(&t.spec.Window)
	n.mergeShifted(t, shift)
	*t = *n
	return true
}

// Merge adds what another Tally has counted. Its Spec must be the same except for the window, which
// may be another one with the same step; t's window grows to contain it. Merge reports whether the
// windows fit together, and changes nothing if they do not. o stays as it is.
func (t *Tally) Merge(o *Tally) bool {
	if !t.coverWindow(&o.spec.Window) {
		return false
	}
	shift, _ := t.spec.Window.intervalOffset(&o.spec.Window)
	t.mergeShifted(o, shift)
	return true
}

// mergeShifted adds what o has counted. Interval 0 of o is interval shift of t.
func (t *Tally) mergeShifted(o *Tally, shift int) {
	groups := t.Groups.Merge(o.Groups)
	t.mergeExemplars(&o.Exemplars, groups)
	for i, at := range o.cells.owners {
		if i == 0 {
			continue
		}
		g := groups[int(at)/o.cells.chunksPerGroup]
		iv := int(at)%o.cells.chunksPerGroup<<o.cells.chunkBits + shift
		for k := range o.cells.chunkSize() {
			if from := i<<o.cells.chunkBits + k; o.hasCounted(from) {
				t.mergeCell(t.cells.cellOf(g, uint32(iv+k)), o, from)
			}
		}
	}
}

// hasCounted reports whether a cell has counted anything.
func (t *Tally) hasCounted(cell int) bool {
	if !t.spec.Func.UsesBuckets() {
		return cell < len(t.counts) && t.counts[cell] != 0
	}
	for _, n := range t.octetsOfCell(cell) {
		if n != 0 {
			return true
		}
	}
	return false
}

// mergeCell adds cell from of o, which has counted something, to cell c.
func (t *Tally) mergeCell(c uint32, o *Tally, from int) {
	n := t.cells.len()
	if t.spec.Func.UsesBuckets() {
		t.octets = extendTo(t.octets, n*octetsPerCell)
		t.mergeBuckets(c, o, from)
		return
	}
	t.counts = extendTo(t.counts, n)
	t.counts[c] += o.counts[from]
	switch t.spec.Func {
	case Min:
		t.growExtremes(n)
		t.extremes[c] = min(t.extremes[c], o.extremes[from])
	case Max:
		t.growExtremes(n)
		t.extremes[c] = max(t.extremes[c], o.extremes[from])
	case Avg, Sum:
		t.lo, t.hi = extendTo(t.lo, n), extendTo(t.hi, n)
		if from < len(o.lo) {
			var carry uint64
			t.lo[c], carry = bits.Add64(t.lo[c], o.lo[from], 0)
			t.hi[c] += o.hi[from] + int64(carry)
		}
		if from >= len(o.exact) || o.exact[from] == nil {
			return
		}
		t.exact = extendTo(t.exact, n)
		if t.exact[c] == nil {
			t.exact[c] = o.exact[from].Clone()
			t.exacts++
		} else {
			t.exact[c].Merge(o.exact[from])
		}
	}
}

// mergeBuckets adds the octets of cell from of o to those of cell c.
func (t *Tally) mergeBuckets(c uint32, o *Tally, from int) {
	for i, octet := range o.octetsOfCell(from) {
		if octet == 0 {
			continue
		}
		code := uint32(i) << 3
		to := t.octets[c*octetsPerCell+code>>3]
		if to == 0 {
			to = t.allocateOctet(c, code)
		}
		for k, count := range o.buckets[octet<<3 : octet<<3+8] {
			t.buckets[to<<3+uint32(k)] += count
		}
	}
}
