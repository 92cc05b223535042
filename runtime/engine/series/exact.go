package series

import (
	"encoding/binary"
	"math"
	"math/bits"
	"slices"
)

// Exact is an exact sum of floats and integers. It does not depend on the order in which they were
// added, nor on how partial sums were merged. The zero Exact is 0. NaN must not be added.
//
// The sum is a number in fixed point with digits (limbs) of 32 bits, counted upwards from the least
// bit that a float can have; only the limbs that the numbers need exist. A limb has 64 bits and a
// sign, so that 2³⁰ numbers can be added before carries must be propagated.
//
//	sum = Σ limbs[i] · 2^(32·(first+i) + lowestExponent)
//
//	limb              33: from 2^-18    34: from 2^14    35: from 2^46
//	1.5               3·2^17
//	-2^32                               -2^18
//	the sum of both   3·2^17            -2^18            0
type Exact struct {
	limbs    []int64
	first    int
	pending  uint32 // numbers added since every limb but the last was in [0, 2³²)
	inf      bool   // +Inf was added
	minusInf bool   // -Inf was added
}

const (
	lowestExponent = -1074 // of the least bit of a float
	maxPending     = 1 << 30
)

// Add adds a float.
func (s *Exact) Add(f float64) {
	b := math.Float64bits(f)
	e := int(b >> 52 & 0x7ff)
	m := b & (1<<52 - 1)
	switch e {
	case 0x7ff:
		if f > 0 {
			s.inf = true
		} else {
			s.minusInf = true
		}
		return
	case 0:
		if m == 0 {
			return
		}
		e = 1
	default:
		m |= 1 << 52
	}
	s.addScaled(0, m, e-1, b>>63 != 0)
}

// AddInt adds the integer hi·2⁶⁴ + lo: 128 bits in two's complement.
func (s *Exact) AddInt(hi int64, lo uint64) { s.addShifted(hi, lo, 0) }

// addShifted adds the integer hi·2⁶⁴ + lo divided by 2^shift.
func (s *Exact) addShifted(hi int64, lo uint64, shift int) {
	if hi == 0 && lo == 0 {
		return
	}
	h := uint64(hi)
	if hi < 0 {
		var carry uint64
		lo, carry = bits.Add64(^lo, 1, 0)
		h = ^h + carry
	}
	s.addScaled(h, lo, -lowestExponent-shift, hi < 0)
}

// addScaled adds ±(hi·2⁶⁴ + lo)·2^(p + lowestExponent), for p ≥ 0.
func (s *Exact) addScaled(hi, lo uint64, p int, negative bool) {
	k, shift := p>>5, uint(p&31) // the lowest limb, and where the number begins in it
	a := lo << shift
	b := hi<<shift | lo>>(64-shift)
	c := hi >> (64 - shift)
	n := 3 // limbs that the number reaches
	if hi != 0 {
		n = 5
	}
	if k < s.first || k+n > s.first+len(s.limbs) {
		s.growLimbs(k, k+n)
	}
	l := s.limbs[k-s.first:]
	if negative {
		l[0] -= int64(a & math.MaxUint32)
		l[1] -= int64(a >> 32)
		l[2] -= int64(b & math.MaxUint32)
		if n == 5 {
			l[3] -= int64(b >> 32)
			l[4] -= int64(c)
		}
	} else {
		l[0] += int64(a & math.MaxUint32)
		l[1] += int64(a >> 32)
		l[2] += int64(b & math.MaxUint32)
		if n == 5 {
			l[3] += int64(b >> 32)
			l[4] += int64(c)
		}
	}
	if s.pending++; s.pending >= maxPending {
		s.propagateCarries()
	}
}

// growLimbs makes room for the limbs [from, to).
func (s *Exact) growLimbs(from, to int) {
	if len(s.limbs) == 0 {
		s.first, s.limbs = from, make([]int64, to-from)
		return
	}
	if from >= s.first && to <= s.first+len(s.limbs) {
		return
	}
	lo, hi := min(from, s.first), max(to, s.first+len(s.limbs))
	l := make([]int64, hi-lo)
	copy(l[s.first-lo:], s.limbs)
	s.first, s.limbs = lo, l
}

// propagateCarries brings every limb but the last into [0, 2³²); the last has the sign of the sum.
func (s *Exact) propagateCarries() {
	s.pending = 1
	n := len(s.limbs)
	if n == 0 {
		return
	}
	if top := s.limbs[n-1]; top > math.MaxInt32 || top < math.MinInt32 {
		s.growLimbs(s.first, s.first+n+2)
	}
	c := int64(0)
	for i := range s.limbs[:len(s.limbs)-1] {
		v := s.limbs[i] + c
		s.limbs[i] = v & math.MaxUint32
		c = v >> 32
	}
	s.limbs[len(s.limbs)-1] += c
}

// Clone returns a copy that shares nothing with s.
func (s *Exact) Clone() *Exact {
	c := *s
	c.limbs = slices.Clone(s.limbs)
	return &c
}

// Merge adds another sum, which stays as it is.
func (s *Exact) Merge(o *Exact) {
	s.inf, s.minusInf = s.inf || o.inf, s.minusInf || o.minusInf
	if len(o.limbs) == 0 {
		return
	}
	if s.pending+o.pending >= maxPending {
		s.propagateCarries()
	}
	if s.pending+o.pending >= maxPending {
		o = o.Clone()
		o.propagateCarries()
	}
	s.growLimbs(o.first, o.first+len(o.limbs))
	for i, v := range o.limbs {
		s.limbs[o.first-s.first+i] += v
	}
	s.pending += o.pending
}

// appendPacked appends the sum as unpacker.exact reads it.
func (s *Exact) appendPacked(b []byte) []byte {
	infinities := byte(0)
	if s.inf {
		infinities |= 1
	}
	if s.minusInf {
		infinities |= 2
	}
	b = binary.AppendUvarint(append(b, infinities), uint64(s.pending))
	b = binary.AppendUvarint(b, uint64(s.first))
	b = binary.AppendUvarint(b, uint64(len(s.limbs)))
	for _, l := range s.limbs {
		b = binary.AppendVarint(b, l)
	}
	return b
}

// exact reads a sum.
func (r *unpacker) exact() *Exact {
	infinities := r.byte()
	s := &Exact{inf: infinities&1 != 0, minusInf: infinities&2 != 0}
	s.pending = uint32(r.uvarint())
	s.first = int(r.uvarint())
	s.limbs = make([]int64, r.uvarint())
	for i := range s.limbs {
		s.limbs[i] = r.varint()
	}
	return s
}

// Float returns the sum, rounded once to the nearest float, ties to even. If both +Inf and -Inf
// were added it is NaN.
func (s *Exact) Float() float64 {
	switch {
	case s.inf && s.minusInf:
		return math.NaN()
	case s.inf:
		return math.Inf(1)
	case s.minusInf:
		return math.Inf(-1)
	case len(s.limbs) == 0:
		return 0
	}
	s = s.Clone()
	s.propagateCarries()
	negative := s.limbs[len(s.limbs)-1] < 0
	if negative {
		for i := range s.limbs {
			s.limbs[i] = -s.limbs[i]
		}
		s.propagateCarries()
	}
	top := len(s.limbs) - 1
	for top >= 0 && s.limbs[top] == 0 {
		top--
	}
	if top < 0 {
		return 0
	}
	limb := func(i int) uint64 {
		if i < 0 {
			return 0
		}
		return uint64(s.limbs[i])
	}
	// m is the 64 bits from the highest one on. Of the bits below only matters whether all are
	// zero: if not, the lowest bit of m is set, so that Ldexp does not see a tie where there is
	// none.
	hi, lo := limb(top), limb(top-1)<<32|limb(top-2)
	shift := uint(bits.LeadingZeros64(hi))
	m := hi<<shift | lo>>(64-shift)
	rest := lo << shift
	for i := top - 3; i >= 0 && rest == 0; i-- {
		rest |= uint64(s.limbs[i])
	}
	if rest != 0 {
		m |= 1
	}
	f := math.Ldexp(float64(m), 32*(s.first+top-2)+64-int(shift)+lowestExponent)
	if negative {
		return -f
	}
	return f
}
