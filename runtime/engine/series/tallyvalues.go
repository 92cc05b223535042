package series

import (
	"math"
	"math/bits"
)

// The code of an integer v ≥ 2 is the number of bits of v-1: values in (2^(k-1), 2^k] have code k,
// 1 to 63. A Tally counts them by code, in octets of eight adjacent codes that exist only where one
// of them occurred, because the values of a cell mostly lie close together:
//
//	values of cell 4:  3  9  12  700      codes:  2  4  4  10
//
//	codes[4]      = 1<<2 | 1<<4 | 1<<10
//	octets[4*8:]  = [1 2 0 0 0 0 0 0]     codes 0–7 are in octet 1, 8–15 in octet 2
//	buckets[1*8:] = [0 0 1 0 2 0 0 0]     one value of code 2, two of code 4
//	buckets[2*8:] = [0 0 1 0 0 0 0 0]     one value of code 10
//
// Octet 0 is no octet. Values below 2 are not counted.

// octetsPerCell is how many octets the codes of one cell can have.
const octetsPerCell = 8

// allocateOctet gives the cell a new octet for a code and its neighbours.
func (t *Tally) allocateOctet(cell, code uint32) uint32 {
	if len(t.buckets) == 0 {
		t.buckets = make([]uint32, 8, 4096)
	}
	n := uint32(len(t.buckets) >> 3)
	t.buckets = extendTo(t.buckets, len(t.buckets)+8)
	t.octets[cell*octetsPerCell+code>>3] = n
	return n
}

// growCodes makes room for the codes of n cells.
func (t *Tally) growCodes(n int) {
	if len(t.codes) < n {
		t.codes, t.octets = extendTo(t.codes, n), extendTo(t.octets, n*octetsPerCell)
	}
}

// countOf returns how many values of a cell have a code that the cell has.
func (t *Tally) countOf(cell int, code int) uint64 {
	at := t.octets[cell*octetsPerCell+code>>3]<<3 | uint32(code&7)
	n := uint64(t.buckets[at])
	if t.carries != nil {
		n += t.carries[at] << 32
	}
	return n
}

// carry adds n·2³² to the count at a place of buckets.
func (t *Tally) carry(at uint32, n uint64) {
	if t.carries == nil {
		t.carries = map[uint32]uint64{}
	}
	t.carries[at] += n
}

// SetExemplarInt sets the value of an exemplar and reports whether a span with this value may be
// one.
func (t *Tally) SetExemplarInt(p *ExemplarSpan, v int64) bool {
	p.Value = float64(v)
	if t.spec.InSeconds {
		p.Value /= 1e9
	}
	if t.spec.Func.UsesBuckets() {
		p.code = uint8(bits.Len64(uint64(v - 1)))
		return v >= 2
	}
	return true
}

// SetExemplarFloat does the same for a float.
func (t *Tally) SetExemplarFloat(p *ExemplarSpan, v float64) bool {
	p.Value = v
	return v == v && !t.spec.Func.UsesBuckets()
}

// AddInts adds an integer for each span. The other arguments are those of CountSpans, except that
// weights are nil if the Spec is not Weighted.
func (t *Tally) AddInts(groups, intervals []uint32, values []int64, weights []uint64) {
	at := t.numberCells(groups, intervals)
	values = values[:len(at)]
	switch t.spec.Func {
	case Quantile, Histogram:
		t.addToBuckets(at, values, weights)
	case Avg, Sum:
		t.addToSums(at, values, weights)
	default:
		t.addToExtremes(at, values)
	}
}

// addToBuckets adds values that are counted by their codes.
func (t *Tally) addToBuckets(at []uint32, values []int64, weights []uint64) {
	if weights == nil && t.addPending(at, values) {
		return
	}
	t.settle()
	t.countValues(at, values, weights)
}

// countValues counts values by their codes.
func (t *Tally) countValues(at []uint32, values []int64, weights []uint64) {
	t.growCodes(t.cells.len())
	codes, octets, buckets := t.codes, t.octets, t.buckets
	for i, v := range values {
		if v < 2 {
			continue
		}
		code, weight := uint32(codeOf(v)), uint64(1)
		if weights != nil {
			weight = weights[i]
		}
		codes[at[i]] |= 1 << code
		n := octets[at[i]*octetsPerCell+code>>3]
		if n == 0 {
			n = t.allocateOctet(at[i], code)
			buckets = t.buckets
		}
		n = n<<3 | code&7
		sum := uint64(buckets[n]) + weight
		if buckets[n] = uint32(sum); sum>>32 != 0 {
			t.carry(n, sum>>32)
		}
	}
}

// codeOf returns the code of a value of 2 or more.
func codeOf(v int64) uint8 { return uint8(bits.Len64(uint64(v-1))) & packedCode }

// addToSums adds values, times their weights if there are any, in 128 bits.
func (t *Tally) addToSums(at []uint32, values []int64, weights []uint64) {
	n := t.cells.len()
	t.counts, t.lo, t.hi = extendTo(t.counts, n), extendTo(t.lo, n), extendTo(t.hi, n)
	counts, lo, hi := t.counts, t.lo, t.hi
	if weights != nil {
		for i, v := range values {
			c := at[i]
			h, l := multiply128(v, weights[i])
			var carry uint64
			lo[c], carry = bits.Add64(lo[c], l, 0)
			hi[c] += h + int64(carry)
			counts[c] += weights[i]
		}
		return
	}
	for i, v := range values {
		c := at[i]
		sum, carry := bits.Add64(lo[c], uint64(v), 0)
		lo[c] = sum
		hi[c] += v>>63 + int64(carry) // v>>63 is the upper half of v: 0 or -1
		counts[c]++
	}
}

// addToExtremes takes values into the least or greatest. An extreme is not weighted.
func (t *Tally) addToExtremes(at []uint32, values []int64) {
	t.growExtremes(t.cells.len())
	counts, ext := t.counts, t.extremes
	if t.spec.Func == Min {
		for i, v := range values {
			c := at[i]
			ext[c] = min(ext[c], float64(v))
			counts[c]++
		}
		return
	}
	for i, v := range values {
		c := at[i]
		ext[c] = max(ext[c], float64(v))
		counts[c]++
	}
}

// multiply128 returns v·w in 128 bits.
func multiply128(v int64, w uint64) (hi int64, lo uint64) {
	h, lo := bits.Mul64(uint64(v), w)
	if v < 0 {
		h -= w // read as unsigned, v is 2⁶⁴ too large
	}
	return int64(h), lo
}

// AddFloats adds a float for each span; the other arguments are those of AddInts. NaN is passed
// over. Quantiles and histograms are of integers only and ignore floats.
func (t *Tally) AddFloats(groups, intervals []uint32, values []float64, weights []uint64) {
	if t.spec.Func.UsesBuckets() {
		return
	}
	at := t.numberCells(groups, intervals)
	if t.spec.Func == Avg || t.spec.Func == Sum {
		t.addFloatsToSums(at, values, weights)
		return
	}
	t.growExtremes(t.cells.len())
	for i, v := range values {
		if v != v {
			continue
		}
		c := at[i]
		if t.spec.Func == Min {
			t.extremes[c] = min(t.extremes[c], v)
		} else {
			t.extremes[c] = max(t.extremes[c], v)
		}
		t.counts[c]++
	}
}

// addFloatsToSums adds values, times their weights if there are any, to exact sums.
func (t *Tally) addFloatsToSums(at []uint32, values []float64, weights []uint64) {
	n := t.cells.len()
	t.counts, t.exact = extendTo(t.counts, n), extendTo(t.exact, n)
	for i, v := range values {
		if v != v {
			continue
		}
		c := at[i]
		if t.exact[c] == nil {
			t.exact[c] = new(Exact)
			t.exacts++
		}
		n := uint64(1)
		if weights != nil {
			n = weights[i]
			v *= float64(n) / UnitWeight
		}
		t.exact[c].Add(v)
		t.counts[c] += n
	}
}

// growExtremes makes room for n cells of min or max.
func (t *Tally) growExtremes(n int) {
	t.counts = extendTo(t.counts, n)
	from := len(t.extremes)
	t.extremes = extendTo(t.extremes, n)
	none := math.Inf(1)
	if t.spec.Func == Max {
		none = math.Inf(-1)
	}
	for i := from; i < n; i++ {
		t.extremes[i] = none
	}
}
