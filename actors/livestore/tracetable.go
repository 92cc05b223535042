package livestore

import (
	"hash/maphash"
	"math/bits"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// traceTable is a hash table of the places of traces, by their ids, which lie with the traces. A
// slot has the upper half of an id's hash and the trace's place; 0: it is empty. A search begins at
// the upper bits of the hash.
type traceTable struct {
	seed  maphash.Seed // so that a sender cannot choose ids that collide
	slots []uint64     // as many as a power of two
	shift int          // 64 - log2(len(slots))
	used  int
}

// find returns the place of a trace; 0: it has none.
func (x *traceTable) find(traces *places[indexedTrace], id trace.ID) int32 {
	if x.used == 0 {
		return 0
	}
	hash, mask := maphash.Comparable(x.seed, id), uint64(len(x.slots)-1)
	for i := hash >> x.shift; ; i++ {
		switch slot := x.slots[i&mask]; {
		case slot == 0:
			return 0
		case slot>>32 == hash>>32 && traces.at(int32(slot)).id == id:
			return int32(slot)
		}
	}
}

// add enters a trace that is not in the table.
func (x *traceTable) add(id trace.ID, place int32) {
	if x.used >= len(x.slots)/8*5 {
		old := x.slots
		x.slots = make([]uint64, max(16, 2*len(old)))
		x.shift = 65 - bits.Len(uint(len(x.slots)))
		for _, slot := range old {
			if slot != 0 {
				x.put(slot)
			}
		}
	}
	x.put(maphash.Comparable(x.seed, id)>>32<<32 | uint64(place))
	x.used++
}

// put writes a slot to the first empty one from where its search begins.
func (x *traceTable) put(slot uint64) {
	i, mask := slot>>x.shift, uint64(len(x.slots)-1)
	for x.slots[i&mask] != 0 {
		i++
	}
	x.slots[i&mask] = slot
}

// clear removes all traces.
func (x *traceTable) clear() { x.slots, x.used = nil, 0 }
