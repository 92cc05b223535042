package block

import (
	"encoding/binary"
	"math/bits"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Definition levels say which rows of a page have a value. They are stored behind their length, as
// a sequence of runs or as one bit-packed sequence, whichever is shorter. The bytes of the latter
// are those of the page's bitmap.
//
//	rows 0 to 4   1 1 0 0 1
//	runs          4: 1   4: 0   2: 1      a run is its length << 1, and a byte with its level
//	bit-packed    3      0b00010011       one group of eight levels << 1 | 1, and their bits

// appendLevels appends which of the rows have a value. present holds n rows; it is not looked at
// when n is 0 or rows.
func appendLevels(dst []byte, rows, n int, present column.Bitmap) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	groups := (rows + 7) / 8
	switch {
	case n == 0:
		dst = appendRun(dst, rows, 0, 1)
	case n == rows:
		dst = appendRun(dst, rows, 1, 1)
	case 4*countRuns(present) < groups: // runs take less than bits
		for row := 0; row < rows; {
			next := present.Next(row)
			if next < 0 {
				next = rows
			}
			if next > row {
				dst = appendRun(dst, next-row, 0, 1)
			}
			for row = next; row < rows && present.Get(row); row++ {
			}
			if row > next {
				dst = appendRun(dst, row-next, 1, 1)
			}
		}
	default:
		dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
		for _, w := range present {
			dst = binary.LittleEndian.AppendUint64(dst, w)
		}
		dst = dst[:len(dst)-(len(present)*8-groups)]
	}
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// countRuns returns how often neighbours differ.
func countRuns(b column.Bitmap) int {
	n, last := 0, uint64(0)
	for _, w := range b {
		n += bits.OnesCount64(w ^ (w<<1 | last))
		last = w >> 63
	}
	return n
}

// decodeLevels reads the levels of a page of v.Rows rows and sets v.Present and v.N. v must have
// been reset. It returns the bytes of the values, which follow.
func decodeLevels(v *column.Vector, src []byte) (values []byte, err error) {
	if len(src) < 4 {
		return nil, errBytes
	}
	size := binary.LittleEndian.Uint32(src)
	src = src[4:]
	if uint64(size) > uint64(len(src)) {
		return nil, errBytes
	}
	levels, values := src[:size], src[size:]
	if h, rest, ok := cutUvarint(levels); ok && h&1 == 1 {
		groups := (v.Rows + 7) / 8
		if h>>1 != uint64(groups) || len(rest) != groups || !unpackBitmap(v.Present, v.Rows, rest) {
			return nil, errBytes
		}
	} else if !decodeRuns(v.Present, v.Rows, levels) {
		return nil, errBytes
	}
	if v.N = v.Present.Count(); v.N == v.Rows {
		v.SetAll()
	}
	return values, nil
}

// unpackBitmap copies the bytes of a bitmap of that many rows. It reports whether only those are
// set.
func unpackBitmap(b column.Bitmap, rows int, src []byte) bool {
	for i := range b {
		if len(src) >= 8 {
			b[i] = binary.LittleEndian.Uint64(src)
			src = src[8:]
			continue
		}
		for k, c := range src {
			b[i] |= uint64(c) << (8 * k)
		}
		src = nil
	}
	return rows&63 == 0 || b[len(b)-1]>>(rows&63) == 0
}

// decodeRuns sets the rows of runs. It reports whether they cover all rows and use all of src.
func decodeRuns(b column.Bitmap, rows int, src []byte) bool {
	at := 0
	for at < rows {
		h, rest, ok := cutUvarint(src)
		if !ok || h&1 == 1 || h == 0 || h>>1 > uint64(rows-at) || len(rest) == 0 || rest[0] > 1 {
			return false
		}
		n := int(h >> 1)
		if rest[0] == 1 {
			b.SetRange(at, at+n)
		}
		at, src = at+n, rest[1:]
	}
	return len(src) == 0
}
