package block

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// DELTA_BINARY_PACKED stores the first value and then the differences of neighbours, in blocks of
// 128 differences. A block has its least difference and four parts (miniblocks) of 32 differences,
// each of which stores how far they are above the least, with as many bits as its greatest needs.
//
// Five values as they are stored, after the header (128, 4 parts, 5 values):
//
//	values       100  103  104  110  112
//	first        100
//	differences       3    1    6    2
//	least        1
//	above it          2    0    5    1    (0 ... 0)      28 more that stand for no value
//	widths       3 bits, 0, 0, 0                         parts without values have no bytes
//
// Differences wrap at 64 bits, so that any values can be stored.
const (
	deltaBlock = 128
	deltaParts = 4
	deltaPart  = deltaBlock / deltaParts
)

// appendDelta appends values as DELTA_BINARY_PACKED.
func appendDelta(dst []byte, values []int64) []byte {
	dst = binary.AppendUvarint(dst, deltaBlock)
	dst = binary.AppendUvarint(dst, deltaParts)
	dst = binary.AppendUvarint(dst, uint64(len(values)))
	if len(values) == 0 {
		return binary.AppendVarint(dst, 0)
	}
	dst = binary.AppendVarint(dst, values[0])
	var d [deltaBlock]int64 // the differences of a block, then how far they are above the least
	prev := values[0]
	for values = values[1:]; len(values) > 0; {
		n := min(deltaBlock, len(values))
		least := int64(math.MaxInt64)
		for i, v := range values[:n] {
			x := v - prev
			prev = v
			d[i] = x
			least = min(least, x)
		}
		values = values[n:]
		for i := n; i < deltaBlock; i++ { // these stand for no value, and shall need no bits
			d[i] = least
		}
		dst = binary.AppendVarint(dst, least)
		widths := len(dst)
		dst = append(dst, 0, 0, 0, 0)
		for p := 0; p*deltaPart < n; p++ {
			part := d[p*deltaPart : (p+1)*deltaPart]
			var or uint64 // has the bits that the greatest of the part needs
			for i := range part {
				part[i] -= least
				or |= uint64(part[i])
			}
			if w := uint(bits.Len64(or)); w > 0 {
				dst[widths+p] = byte(w)
				dst = appendPacked64(dst, part, w)
			}
		}
	}
	return dst
}

// appendPacked64 appends 32 values, which have no more than width bits, bit-packed.
func appendPacked64(dst []byte, values []int64, width uint) []byte {
	size := len(values) * int(width) / 8
	dst = growBytes(dst, size+8)
	b := dst[len(dst):cap(dst)]
	at := 0
	var acc uint64
	var n uint
	for _, v := range values {
		acc |= uint64(v) << n
		n += width
		if n >= 64 {
			binary.LittleEndian.PutUint64(b[at:], acc)
			at += 8
			n -= 64
			acc = uint64(v) >> (width - n) // the bits that did not fit; a shift by 64 gives 0
		}
	}
	if n > 0 {
		binary.LittleEndian.PutUint64(b[at:], acc)
	}
	return dst[:len(dst)+size]
}

// decodeDelta reads exactly len(out) values and returns what follows them.
func decodeDelta(out []int64, src []byte) (rest []byte, err error) {
	size, src, ok1 := cutUvarint(src)
	parts, src, ok2 := cutUvarint(src)
	count, src, ok3 := cutUvarint(src)
	first, src, ok4 := cutUvarint(src)
	if !ok1 || !ok2 || !ok3 || !ok4 || size != deltaBlock || parts != deltaParts || count != uint64(len(out)) {
		return nil, errBytes
	}
	if len(out) == 0 {
		return src, nil
	}
	v := unzigzag(first)
	out[0] = v
	for out = out[1:]; len(out) > 0; {
		z, body, ok := cutUvarint(src)
		if !ok || len(body) < deltaParts {
			return nil, errBytes
		}
		least := unzigzag(z)
		widths := body[:deltaParts]
		src = body[deltaParts:]
		for _, w := range widths {
			if len(out) == 0 { // a part without values has no bytes, so no width either
				if w != 0 {
					return nil, errBytes
				}
				continue
			}
			size := deltaPart * int(w) / 8
			if w > 64 || size > len(src) {
				return nil, errBytes
			}
			m := min(deltaPart, len(out))
			v = unpackDelta(out[:m], src[:size:cap(src)], uint(w), v, least)
			out, src = out[m:], src[size:]
		}
	}
	return src, nil
}

// unpackDelta unpacks differences of width bits above the least, and adds them up from v on. It
// returns the last value. It may read up to 8 bytes behind src if its capacity allows.
func unpackDelta(out []int64, src []byte, width uint, v, least int64) int64 {
	wide := src[:min(cap(src), len(src)+8)]
	switch {
	case width == 0: // every difference is the least
		for i := range out {
			v += least
			out[i] = v
		}
	case width <= 57 && len(wide) == len(src)+8: // one load of 8 bytes has all bits of a value
		mask := uint64(1)<<width - 1
		i, bit := 0, uint(0)
		if width <= 28 { // two values in one load
			for ; i+2 <= len(out); i += 2 {
				x := binary.LittleEndian.Uint64(wide[bit>>3:]) >> (bit & 7)
				v += int64(x&mask) + least
				out[i] = v
				v += int64(x>>width&mask) + least
				out[i+1] = v
				bit += 2 * width
			}
		}
		for ; i < len(out); i++ {
			x := binary.LittleEndian.Uint64(wide[bit>>3:]) >> (bit & 7)
			v += int64(x&mask) + least
			out[i] = v
			bit += width
		}
	default: // wide values, and the last bytes of the page's memory
		mask := uint64(math.MaxUint64)
		if width < 64 {
			mask = 1<<width - 1
		}
		bit := uint(0)
		for i := range out {
			v += int64(loadSlow(src, bit)&mask) + least
			out[i] = v
			bit += width
		}
	}
	return v
}

// cutUvarint takes a uvarint off b.
func cutUvarint(b []byte) (v uint64, rest []byte, ok bool) {
	v, n := binary.Uvarint(b)
	if n <= 0 {
		return 0, b, false
	}
	return v, b[n:], true
}

// unzigzag returns the signed number that a zigzag varint stands for.
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }
