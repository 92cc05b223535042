package series

import "math/bits"

// cover makes the Tally count in all intervals of a window as well; false: the steps do not fit
// together.
func (t *Tally) cover(w *Window) bool {
	if t.spec.Window.covers(w) {
		return true
	}
	u, ok := t.spec.Window.union(w)
	if !ok {
		return false
	}
	spec := t.spec
	spec.Window = u
	n := NewTally(spec)
	shift, _ := u.offset(&t.spec.Window)
	n.merge(t, shift)
	*t = *n
	return true
}

// Merge adds what another Tally of the same Spec has counted, except that its window may be another
// one with the same step. It reports whether the steps fit together. o stays as it is.
func (t *Tally) Merge(o *Tally) bool {
	if !t.cover(&o.spec.Window) {
		return false
	}
	shift, _ := t.spec.Window.offset(&o.spec.Window)
	t.merge(o, shift)
	return true
}

// merge adds what o has counted; its first interval is our interval shift.
func (t *Tally) merge(o *Tally, shift int) {
	groups := t.Groups.Merge(o.Groups)
	t.mergeExemplars(&o.Exemplars, groups)
	for i, at := range o.cells.owners {
		if i == 0 {
			continue
		}
		g := groups[int(at)/o.cells.per]
		iv := int(at)%o.cells.per<<o.cells.bits + shift
		for k := range o.cells.chunk() {
			if from := i<<o.cells.bits + k; o.counted(from) {
				t.mergeCell(t.cells.at(g, uint32(iv+k)), o, from)
			}
		}
	}
}

// octetsAt returns where the counts of a cell's buckets are.
func (t *Tally) octetsAt(cell int) []uint32 {
	if (cell+1)*octetsOf > len(t.octets) {
		return nil
	}
	return t.octets[cell*octetsOf : (cell+1)*octetsOf]
}

// counted says whether a cell has counted anything.
func (t *Tally) counted(cell int) bool {
	if !t.spec.Func.Bucketed() {
		return cell < len(t.counts) && t.counts[cell] != 0
	}
	for _, n := range t.octetsAt(cell) {
		if n != 0 {
			return true
		}
	}
	return false
}

// mergeCell adds a cell of another Tally that has counted something.
func (t *Tally) mergeCell(c uint32, o *Tally, from int) {
	n := t.cells.len()
	if t.spec.Func.Bucketed() {
		t.octets = longer(t.octets, n*octetsOf)
		for i, from := range o.octetsAt(from) {
			if from == 0 {
				continue
			}
			code := uint32(i) << 3
			to := t.octets[c*octetsOf+code>>3]
			if to == 0 {
				to = t.octet(c, code)
			}
			for k, count := range o.buckets[from<<3 : from<<3+8] {
				t.buckets[to<<3+uint32(k)] += count
			}
		}
		return
	}
	t.counts = longer(t.counts, n)
	t.counts[c] += o.counts[from]
	switch t.spec.Func {
	case Min:
		t.extremesTo(n)
		t.extremes[c] = min(t.extremes[c], o.extremes[from])
	case Max:
		t.extremesTo(n)
		t.extremes[c] = max(t.extremes[c], o.extremes[from])
	case Avg, Sum:
		t.lo, t.hi = longer(t.lo, n), longer(t.hi, n)
		if from < len(o.lo) {
			var carry uint64
			t.lo[c], carry = bits.Add64(t.lo[c], o.lo[from], 0)
			t.hi[c] += o.hi[from] + int64(carry)
		}
		if from >= len(o.exact) || o.exact[from] == nil {
			return
		}
		t.exact = longer(t.exact, n)
		if t.exact[c] == nil {
			t.exact[c] = o.exact[from].Clone()
			t.exacts++
		} else {
			t.exact[c].Merge(o.exact[from])
		}
	}
}
