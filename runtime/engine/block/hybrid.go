package block

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// errBytes is what the decoders of this package say of bytes they cannot read; the caller adds
// where they lie.
var errBytes = errors.New("bytes do not decode")

// Shortest run of equal values that is worth leaving a bit-packed sequence for: what a run costs,
// wide values pay back sooner.
const (
	minRun     = 16
	minRunWide = 8 // of values of more than a byte
)

// appendHybrid appends values as Parquet's hybrid of runs and bit-packed groups of eight. Every
// value fits in width bits.
func appendHybrid(dst []byte, values []uint32, width uint) []byte {
	packed, n, least := 0, len(values), minRun // values before packed are written
	if width > 8 {
		least = minRunWide
	}
	for i := 0; i < n; {
		v := values[i]
		j := i + 1
		for j < n && values[j] == v {
			j++
		}
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

func appendRun(dst []byte, n int, v uint32, width uint) []byte {
	dst = binary.AppendUvarint(dst, uint64(n)<<1)
	for k := uint(0); k < width; k += 8 {
		dst = append(dst, byte(v>>k))
	}
	return dst
}

// appendPacked appends values as one bit-packed sequence, filled up with zeros to a multiple of
// eight.
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
		var acc uint64
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
	clear(b[at:max(at, end)])
	return b[:end]
}

// growBytes makes room for n more bytes behind dst.
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
		n, v, packed, rest, ok := cutHybrid(src, len(out), width)
		if !ok {
			return errBytes
		}
		if packed != nil {
			unpackBits(out[:n], packed, width)
		} else {
			fillValues(out[:n], v)
		}
		out, src = out[n:], rest
	}
	if len(src) != 0 {
		return errBytes
	}
	return nil
}

// cutHybrid cuts off what stands for the next n of left values, which fit in width bits: a run of
// v, or packed, which is not nil then.
func cutHybrid(src []byte, left int, width uint) (n int, v uint32, packed, rest []byte, ok bool) {
	h, k := binary.Uvarint(src)
	if k <= 0 || width > 32 {
		return 0, 0, nil, nil, false
	}
	src = src[k:]
	count := h >> 1
	if h&1 == 0 {
		size := int(width+7) / 8
		if count == 0 || count > uint64(left) || len(src) < size {
			return 0, 0, nil, nil, false
		}
		for k := range size {
			v |= uint32(src[k]) << (8 * k)
		}
		if uint64(v)>>width != 0 {
			return 0, 0, nil, nil, false
		}
		return int(count), v, nil, src[size:], true
	}
	if count == 0 || count > uint64(left+7)/8 || count*uint64(width) > uint64(len(src)) {
		return 0, 0, nil, nil, false
	}
	size := int(count) * int(width)
	return min(int(count)*8, left), 0, src[:size:cap(src)], src[size:], true
}

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
	i, bit := 0, uint(0)
	if width <= 14 { // four values in one load: 7 + 4*14 ≤ 64
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

// codeWidth returns the bits of the codes of a dictionary with n entries.
func codeWidth(n int) uint { return uint(bits.Len32(uint32(max(n-1, 0)))) }
