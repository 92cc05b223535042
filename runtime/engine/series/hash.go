package series

const phi = 0x9e3779b97f4a7c15

// mixBits spreads the bits of a number; different numbers stay different.
func mixBits(x uint64) uint64 {
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// numberTable is a table from keys to numbers with open addressing, for at most 2³¹ keys.
type numberTable struct {
	keys  []uint64
	slots []uint32 // number + 1; 0: free
	used  int
}

// findNumber returns the number of a key, if it has one.
func (t *numberTable) findNumber(key uint64) (uint32, bool) {
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

// addNumber gives a key that has none a number.
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
