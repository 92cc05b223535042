package block

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Parquet's hybrid encoding of small numbers is a sequence of runs and bit-packed groups. A run is
// its length << 1, and its value in as few bytes as hold width bits. A bit-packed sequence is its
// number of groups << 1 | 1, and groups of eight values of width bits each, the last one filled up
// with zeros.
//
// Values with width 2, and how they are stored if runs of 8 were worth it:
//
//	values   3 1 0 2 1 1 1 1 1 1 1 1 1 1 1 1 0
//	          packed: 1 group    run of 8        packed: 1 group
//	stored   3 | 3 1 0 2 1 1 1 1   16 | 1   3 | 0 0 0 0 0 0 0 0
//
// A run begins where a group ends: its first values fill up the group before it.

// errBytes is what the decoders of this package say of bytes they cannot read; the caller adds
// where they lie.
var errBytes = errors.New("bytes do not decode")

// minRun is the length of the shortest run that is worth leaving a bit-packed sequence for. Wide
// values pay the cost of a run back sooner.
const (
	minRun     = 16
	minRunWide = 8 // of values with more than eight bits
)

// appendHybrid appends values, each of which fits in width bits, in the hybrid encoding.
func appendHybrid(dst []byte, values []uint32, width uint) []byte {
	n, least := len(values), minRun
	packed := 0 // values before it are written, those from it on wait for their groups
	if width > 8 {
		least = minRunWide
	}
	for i := 0; i < n; {
		v := values[i]
		j := i + 1
		for j < n && values[j] == v {
			j++
		}
		// A run may begin where a group ends.
		need := (8 - (i-packed)%8) % 8 // values of the run that fill the last group before it
		if j-i-need >= least {
			if i+need > packed {
				dst = appendPacked(dst, values[packed:i+need], width)
			}
			dst = appendRun(dst, j-i-need, v, width)
			packed = j
		}
		i = j
	}
	if packed < n {
		dst = appendPacked(dst, values[packed:], width)
	}
	return dst
}

// appendRun appends a run of n times v.
func appendRun(dst []byte, n int, v uint32, width uint) []byte {
	dst = binary.AppendUvarint(dst, uint64(n)<<1)
	for k := uint(0); k < width; k += 8 {
		dst = append(dst, byte(v>>k))
	}
	return dst
}

// appendPacked appends values as one bit-packed sequence.
func appendPacked(dst []byte, values []uint32, width uint) []byte {
	groups := (len(values) + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	end := len(dst) + groups*int(width)
	dst = growBytes(dst, groups*int(width)+8)
	b := dst[:cap(dst)]
	at := len(dst)
	switch width {
	case 0:
		return dst
	case 8:
		for i, v := range values {
			b[at+i] = byte(v)
		}
		at += len(values)
	case 16:
		for _, v := range values {
			binary.LittleEndian.PutUint16(b[at:], uint16(v))
			at += 2
		}
	default:
		var acc uint64 // bits that are not written yet, n of them
		var n uint
		for _, v := range values {
			acc |= uint64(v) << n
			n += width
			if n >= 32 {
				binary.LittleEndian.PutUint32(b[at:], uint32(acc))
				at += 4
				acc >>= 32
				n -= 32
			}
		}
		if n > 0 {
			binary.LittleEndian.PutUint64(b[at:], acc)
			at += int(n+7) / 8
		}
	}
	clear(b[at:max(at, end)]) // what fills up the last group
	return b[:end]
}

// growBytes returns dst with room for n more bytes behind it.
func growBytes(dst []byte, n int) []byte {
	if cap(dst)-len(dst) >= n {
		return dst
	}
	out := make([]byte, len(dst), 2*cap(dst)+n)
	copy(out, dst)
	return out
}

// decodeHybrid reads exactly len(out) values and uses all of src.
func decodeHybrid(out []uint32, src []byte, width uint) error {
	for len(out) > 0 {
		part, rest, ok := cutHybrid(src, len(out), width)
		if !ok {
			return errBytes
		}
		if part.packed != nil {
			unpackBits(out[:part.n], part.packed, width)
		} else {
			fillValues(out[:part.n], part.value)
		}
		out, src = out[part.n:], rest
	}
	if len(src) != 0 {
		return errBytes
	}
	return nil
}

// hybridPart is what stands for the next n values: a run of value, or, where it is not nil, packed.
type hybridPart struct {
	n      int
	value  uint32
	packed []byte
}

// cutHybrid takes one part off src. left is how many values are to come, of width bits each.
func cutHybrid(src []byte, left int, width uint) (part hybridPart, rest []byte, ok bool) {
	h, k := binary.Uvarint(src)
	if k <= 0 || width > 32 {
		return part, nil, false
	}
	src = src[k:]
	// The count is bounded by left before anything is made of it: the bytes may be anybody's.
	count := h >> 1
	if h&1 == 0 {
		size := int(width+7) / 8
		if count == 0 || count > uint64(left) || len(src) < size {
			return part, nil, false
		}
		v := uint32(0)
		for k := range size {
			v |= uint32(src[k]) << (8 * k)
		}
		if uint64(v)>>width != 0 {
			return part, nil, false
		}
		return hybridPart{n: int(count), value: v}, src[size:], true
	}
	if count == 0 || count > uint64(left+7)/8 || count*uint64(width) > uint64(len(src)) {
		return part, nil, false
	}
	size := int(count) * int(width)
	return hybridPart{n: min(int(count)*8, left), packed: src[:size:cap(src)]}, src[size:], true
}

// fillValues sets all of out to v.
func fillValues(out []uint32, v uint32) {
	for i := range out {
		out[i] = v
	}
}

// unpackBits reads bit-packed values; src holds at least len(out)*width bits. It may read up to 8
// bytes behind src if its capacity allows.
func unpackBits(out []uint32, src []byte, width uint) {
	switch width {
	case 0:
		clear(out)
		return
	case 8:
		src = src[:len(out)]
		for i, b := range src {
			out[i] = uint32(b)
		}
		return
	case 16:
		src = src[:2*len(out)]
		for i := range out {
			out[i] = uint32(binary.LittleEndian.Uint16(src[2*i:]))
		}
		return
	}
	mask := uint64(1)<<width - 1
	wide := src[:min(cap(src), len(src)+8)]
	safe := 0 // values that one load of 8 bytes reads
	if len(wide) >= 8 {
		safe = min(int((uint(len(wide)-8)*8+7)/width), len(out))
	}
	i, bit := 0, uint(0) // value i begins at bit
	if width <= 14 {     // four values in one load: 7 + 4*14 ≤ 64
		for ; i+4 <= safe; i += 4 {
			x := binary.LittleEndian.Uint64(wide[bit>>3:]) >> (bit & 7)
			o := out[i : i+4 : i+4]
			o[0] = uint32(x & mask)
			o[1] = uint32(x >> width & mask)
			o[2] = uint32(x >> (2 * width) & mask)
			o[3] = uint32(x >> (3 * width) & mask)
			bit += 4 * width
		}
	}
	for ; i < safe; i++ {
		out[i] = uint32(binary.LittleEndian.Uint64(wide[bit>>3:]) >> (bit & 7) & mask)
		bit += width
	}
	for ; i < len(out); i++ {
		out[i] = uint32(loadSlow(src, bit) & mask)
		bit += width
	}
}

// loadSlow returns the 64 bits from bit on, with zeros behind the end.
func loadSlow(src []byte, bit uint) uint64 {
	at, shift := int(bit>>3), bit&7
	var x uint64
	for k := 0; k < 8 && at+k < len(src); k++ {
		x |= uint64(src[at+k]) << (8 * k)
	}
	x >>= shift
	if shift > 0 && at+8 < len(src) {
		x |= uint64(src[at+8]) << (64 - shift)
	}
	return x
}

// codeWidth returns how many bits the codes of a dictionary with n entries have.
func codeWidth(n int) uint { return uint(bits.Len32(uint32(max(n-1, 0)))) }
