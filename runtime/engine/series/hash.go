package series

// phi is 2⁶⁴ divided by the golden ratio: multiplication by it spreads adjacent keys over a table.
const phi = 0x9e3779b97f4a7c15

// mixBits is a bijection that lets every bit of x affect every bit of the result.
func mixBits(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// numberTable is a hash table from keys to numbers with open addressing, for at most 2³¹ keys. It
// is never more than half full.
type numberTable struct {
	keys  []uint64
	slots []uint32 // number + 1; 0: free
	used  int
}

// findNumber returns the number of a key; ok=false: it has none.
func (t *numberTable) findNumber(key uint64) (n uint32, ok bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1)
	for i := key * phi >> 32 & mask; ; i = (i + 1) & mask {
		if t.slots[i] == 0 {
			return 0, false
		}
		if t.keys[i] == key {
			return t.slots[i] - 1, true
		}
	}
}

// forgetAll takes the numbers from all keys. The table keeps its size.
func (t *numberTable) forgetAll() {
	clear(t.slots)
	t.used = 0
}

// addNumber gives a number to a key that has none.
func (t *numberTable) addNumber(key uint64, n uint32) {
	if 2*t.used >= len(t.slots) {
		old := *t
		size := max(2*len(old.slots), 64)
		*t = numberTable{keys: make([]uint64, size), slots: make([]uint32, size)}
		for i, s := range old.slots {
			if s != 0 {
				t.addNumber(old.keys[i], s-1)
			}
		}
	}
	mask := uint64(len(t.slots) - 1)
	i := key * phi >> 32 & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.keys[i], t.slots[i] = key, n+1
	t.used++
}

// selectLeast returns the n-th least of some keys, from 0 on, and brings the lesser ones before it.
// Keys are hashes, so each step about halves what is left.
func selectLeast(keys []uint64, n int) uint64 {
	for len(keys) > 1 {
		pivot := keys[len(keys)/2]
		i, k := 0, len(keys)-1
		for i <= k {
			for keys[i] < pivot {
				i++
			}
			for keys[k] > pivot {
				k--
			}
			if i <= k {
				keys[i], keys[k] = keys[k], keys[i]
				i++
				k--
			}
		}
		switch {
		case n <= k:
			keys = keys[:k+1]
		case n >= i:
			keys, n = keys[i:], n-i
		default:
			return keys[n]
		}
	}
	return keys[n]
}
