package block

import (
	"hash/maphash"
	"unsafe"
)

// interner numbers distinct strings in the order they come. Its hash has a secret, so that senders
// cannot make strings collide.
type interner struct {
	seed  maphash.Seed
	slots []uint64 // open hash table: upper half of the hash, number + 1; 0: empty
	list  []string // by number
	bytes int      // of all strings
	arena []byte   // memory of copies; when it is full, there is a new one
}

func newInterner(seed maphash.Seed) *interner { return &interner{seed: seed} }

// empty forgets all strings, which stay valid, and keeps the memory, unless that is large: emptying
// it takes time then.
func (t *interner) empty() {
	if len(t.slots) > 1<<12 {
		t.slots, t.list = nil, nil
	}
	clear(t.slots)
	t.list, t.bytes = t.list[:0], 0
}

// intern returns the number of s. copied: s need not stay valid, and is copied if it is new.
func (t *interner) intern(s string, copied bool) uint32 {
	if len(t.list) >= len(t.slots)/4*3 {
		t.growSlots()
	}
	h := maphash.String(t.seed, s)
	mask := uint64(len(t.slots) - 1)
	tag := h &^ (1<<32 - 1)
	for i := h; ; i++ {
		e := t.slots[i&mask]
		if e == 0 {
			if copied {
				s = t.copyString(s)
			}
			t.list = append(t.list, s)
			t.bytes += len(s)
			t.slots[i&mask] = tag | uint64(len(t.list))
			return uint32(len(t.list) - 1)
		}
		if n := uint32(e) - 1; e&^(1<<32-1) == tag && t.list[n] == s {
			return n
		}
	}
}

// copyString returns a copy of s.
func (t *interner) copyString(s string) string {
	if len(s) > cap(t.arena)-len(t.arena) {
		t.arena = make([]byte, 0, max(len(s), min(64<<10, 1<<10+2*cap(t.arena))))
	}
	at := len(t.arena)
	t.arena = append(t.arena, s...)
	return unsafe.String(unsafe.SliceData(t.arena[at:]), len(s))
}

// growSlots doubles the hash table.
func (t *interner) growSlots() {
	size := max(64, 2*len(t.slots))
	t.slots = make([]uint64, size)
	mask := uint64(size - 1)
	for n, s := range t.list {
		h := maphash.String(t.seed, s)
		i := h
		for t.slots[i&mask] != 0 {
			i++
		}
		t.slots[i&mask] = h&^(1<<32-1) | uint64(n+1)
	}
}
