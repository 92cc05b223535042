package eval

import "math/bits"

// spanIndex finds the spans of one trace by their ids, where no two of them share one.
type spanIndex struct {
	spans []spanID
	slots []uint32 // by hash of the id: place in spans + 1; 0: free
	shift int
}

// maxProbes bounds the slots that are looked at for one id. Ids are the sender's: chosen ones could
// all have the same hash.
const maxProbes = 16

// fill makes the index of these spans. It reports whether it can: if spans share an id, or too many
// have the same hash, it cannot.
func (x *spanIndex) fill(spans []spanID) bool {
	n := bits.Len(uint(2 * len(spans)))
	x.spans, x.shift = spans, 64-n
	if cap(x.slots) < 1<<n {
		x.slots = make([]uint32, 1<<n)
	}
	x.slots = x.slots[:1<<n]
	clear(x.slots)
	for i := range spans {
		at, found := x.locate(spans[i].id)
		if at < 0 || found {
			return false
		}
		x.slots[at] = uint32(i) + 1
	}
	return true
}

// locate returns the slot of an id, or the one that it would get (found=false); -1: there is none
// for it.
func (x *spanIndex) locate(id uint64) (slot int, found bool) {
	const phi = 0x9e3779b97f4a7c15 // 2⁶⁴ divided by the golden ratio
	at := int(id * phi >> x.shift)
	for range maxProbes {
		n := x.slots[at]
		if n == 0 {
			return at, false
		}
		if x.spans[n-1].id == id {
			return at, true
		}
		at = (at + 1) & (len(x.slots) - 1)
	}
	return -1, false
}

// parentOf returns the row of the span that has an id and is not in row child, or unknown.
func (x *spanIndex) parentOf(id uint64, child uint32) int32 {
	at, found := x.locate(id)
	if !found {
		return unknown
	}
	if row := x.spans[x.slots[at]-1].row; row != child {
		return int32(row)
	}
	return unknown
}
