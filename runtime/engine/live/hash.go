package live

import (
	"encoding/binary"
	"math/bits"
)

// hasher hashes strings with a secret, so that a sender cannot choose strings that collide.
type hasher struct{ a, b uint64 }

func newHasher(seed uint64) hasher {
	mix := func(x uint64) uint64 { // splitmix64
		x += 0x9e3779b97f4a7c15
		x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
		x = (x ^ x>>27) * 0x94d049bb133111eb
		return x ^ x>>31
	}
	a := mix(seed)
	return hasher{a: a, b: mix(a)}
}

// foldProduct returns both halves of a product, mixed.
func foldProduct(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}

// hashBytes hashes a string of any length; 16 bytes take one multiplication.
func (h hasher) hashBytes(b []byte) uint64 {
	x := h.a ^ uint64(len(b))
	for ; len(b) > 16; b = b[16:] {
		x = foldProduct(binary.LittleEndian.Uint64(b)^h.b, binary.LittleEndian.Uint64(b[8:])^x)
	}
	var u, v uint64
	switch n := len(b); {
	case n >= 8:
		u, v = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[n-8:])
	case n >= 4:
		u, v = uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[n-4:]))
	case n > 0:
		u = uint64(b[0])<<16 | uint64(b[n>>1])<<8 | uint64(b[n-1])
	}
	return foldProduct(foldProduct(u^h.b, v^x)^h.a, h.b)
}

// hashPair hashes two numbers.
func (h hasher) hashPair(x, y uint64) uint64 { return foldProduct(foldProduct(x^h.a, y^h.b)^h.b, h.a) }

// hashIndex is a hash table of numbers below 2^32-1. It keeps the upper half of a hash beside each
// number, and the caller compares what the number stands for. Entries are never removed: the caller
// MUST notice by itself that a number is out of date, such as a row of a record that was undone.
type hashIndex struct {
	slots []uint64 // hash>>32<<32 | number+1; 0: empty. A search begins at the upper bits of the hash.
	shift uint     // 64 - log2(len(slots))
	n     int      // numbers entered
}

// findNext returns a number that was entered with this hash, or another hash that has the same
// upper half. at is 0 for the first search, and then the next that the call before returned. next
// is 0 if there are no more.
func (t *hashIndex) findNext(hash uint64, at uint64) (number uint32, next uint64) {
	if t.n == 0 {
		return 0, 0
	}
	mask := uint64(len(t.slots) - 1)
	if at == 0 {
		at = hash>>t.shift + 1
	}
	for ; ; at++ {
		s := t.slots[(at-1)&mask]
		if s == 0 {
			return 0, 0
		}
		if s>>32 == hash>>32 {
			return uint32(s) - 1, at + 1
		}
	}
}

// addNumber enters a number. memory grows by the bytes that the table grows by.
func (t *hashIndex) addNumber(hash uint64, number uint32, memory *int64) {
	if t.n >= len(t.slots)/4*3 {
		old := t.slots
		size := max(16, 2*len(old))
		t.slots = make([]uint64, size)
		t.shift = 64 - uint(bits.TrailingZeros(uint(size)))
		*memory += int64(size-len(old)) * 8
		for _, s := range old {
			if s != 0 {
				t.putSlot(s)
			}
		}
	}
	t.putSlot(hash>>32<<32 | uint64(number+1))
	t.n++
}

// putSlot writes a slot to the first empty place from where its search begins.
func (t *hashIndex) putSlot(slot uint64) {
	mask := uint64(len(t.slots) - 1)
	i := slot >> t.shift
	for t.slots[i&mask] != 0 {
		i++
	}
	t.slots[i&mask] = slot
}
