package eval

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// spanIndex finds the spans of one trace by their ids.
type spanIndex struct {
	ids    []indexedID // in the order in which they came
	shared []sharedID
	slots  []uint32 // by hash of the id: place in ids + 1; 0: free
	shift  int      // of a hash
	seed   uint64   // of the hash: ids are the sender's, and chosen ones must not meet
}

// indexedID is an id and its first span.
type indexedID struct {
	id     uint64
	row    uint32
	shared uint32 // place in shared + 1; 0: no other span has the id
	kind   uint8
}

// sharedID are the spans that share an id. However many they are, it takes the same memory.
type sharedID struct{ all, servers, clients someRows }

// someRows counts rows up to three, and keeps the first two.
type someRows struct {
	rows  [2]uint32
	count uint8
}

// Kinds of spans, as OTLP numbers them.
const (
	serverKind = 2
	clientKind = 3
)

// clear empties the index and makes room for n spans.
func (x *spanIndex) clear(n int) {
	if x.seed == 0 {
		// tidy: the seed spreads the ids; no answer depends on it
		x.seed = maphash.Bytes(maphash.MakeSeed(), nil) | 1
	}
	x.ids, x.shared = slices.Grow(x.ids[:0], n), x.shared[:0]
	b := bits.Len(uint(2 * n))
	x.shift = 64 - b
	if cap(x.slots) < 1<<b {
		x.slots = make([]uint32, 1<<b)
	}
	x.slots = x.slots[:1<<b]
	clear(x.slots)
}

// add adds the span in a row, with its id and its kind.
func (x *spanIndex) add(id uint64, row uint32, kind uint8) {
	slot := x.locate(id)
	n := x.slots[slot]
	if n == 0 {
		x.ids = append(x.ids, indexedID{id: id, row: row, kind: kind})
		x.slots[slot] = uint32(len(x.ids))
		return
	}
	e := &x.ids[n-1]
	if e.shared == 0 {
		x.shared = append(x.shared, sharedID{})
		e.shared = uint32(len(x.shared))
		x.shared[e.shared-1].add(e.row, e.kind)
	}
	x.shared[e.shared-1].add(row, kind)
}

// locate returns the slot of an id, or the free one that it would get.
func (x *spanIndex) locate(id uint64) int {
	const phi = 0x9e3779b97f4a7c15 // 2⁶⁴ divided by the golden ratio
	h := (id ^ x.seed) * phi
	h = (h ^ h>>32) * x.seed
	slot := int(h >> x.shift)
	for x.slots[slot] != 0 && x.ids[x.slots[slot]-1].id != id {
		slot = (slot + 1) & (len(x.slots) - 1)
	}
	return slot
}

// parentOf returns the row of the parent of a span of some kind in row child, or unknown. The
// parent is the other span with the given id. If several have it, it is the only server among them,
// or, if the child is a server, the only client.
func (x *spanIndex) parentOf(id uint64, child uint32, kind uint8) int32 {
	n := x.slots[x.locate(id)]
	if n == 0 {
		return unknown
	}
	e := &x.ids[n-1]
	if e.shared == 0 {
		if e.row == child {
			return unknown
		}
		return int32(e.row)
	}
	s := &x.shared[e.shared-1]
	if r := s.all.onlyOther(child); r >= 0 {
		return r
	}
	if kind == serverKind {
		return s.clients.onlyOther(child)
	}
	return s.servers.onlyOther(child)
}

func (s *sharedID) add(row uint32, kind uint8) {
	s.all.add(row)
	switch kind {
	case serverKind:
		s.servers.add(row)
	case clientKind:
		s.clients.add(row)
	}
}

func (s *someRows) add(row uint32) {
	if s.count < 2 {
		s.rows[s.count] = row
	}
	s.count = min(s.count+1, 3)
}

// onlyOther returns the only row beside that of the child, unknown if there is none or more than
// one.
func (s *someRows) onlyOther(child uint32) int32 {
	switch {
	case s.count == 1 && s.rows[0] != child, s.count == 2 && s.rows[1] == child:
		return int32(s.rows[0])
	case s.count == 2 && s.rows[0] == child:
		return int32(s.rows[1])
	}
	return unknown
}
