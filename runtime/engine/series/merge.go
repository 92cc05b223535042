package series

import "math/bits"

// coverWindow makes the Tally count in all intervals of a window as well; false: the steps do not fit
// together.
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

// Merge adds what another Tally of the same Spec has counted, except that its window may be another
// one with the same step. It reports whether the steps fit together. o stays as it is.
func (t *Tally) Merge(o *Tally) bool {
	if !t.coverWindow(&o.spec.Window) {
		return false
	}
	shift, _ := t.spec.Window.intervalOffset(&o.spec.Window)
	t.mergeShifted(o, shift)
	return true
}

// mergeShifted adds what o has counted; its first interval is our interval shift.
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

// octetsOfCell returns where the counts of a cell's buckets are.
func (t *Tally) octetsOfCell(cell int) []uint32 {
	if (cell+1)*octetsPerCell > len(t.octets) {
		return nil
	}
	return t.octets[cell*octetsPerCell : (cell+1)*octetsPerCell]
}

// hasCounted says whether a cell has counted anything.
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

// mergeCell adds a cell of another Tally that has counted something.
func (t *Tally) mergeCell(c uint32, o *Tally, from int) {
	n := t.cells.len()
	if t.spec.Func.UsesBuckets() {
		t.octets = extendTo(t.octets, n*octetsPerCell)
		for i, from := range o.octetsOfCell(from) {
			if from == 0 {
				continue
			}
			code := uint32(i) << 3
			to := t.octets[c*octetsPerCell+code>>3]
			if to == 0 {
				to = t.allocateOctet(c, code)
			}
			for k, count := range o.buckets[from<<3 : from<<3+8] {
				t.buckets[to<<3+uint32(k)] += count
			}
		}
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
