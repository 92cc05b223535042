package block

import (
	"encoding/binary"
	"math/bits"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Definition levels of a page are a sequence of RLE runs, or one bit-packed sequence, whose bytes
// are those of the page's bitmap.

// appendLevels appends which of the rows have a value, behind the length of that. present holds n
// rows; it is not looked at when n is 0 or rows.
func appendLevels(dst []byte, rows, n int, present column.Bitmap) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	groups := (rows + 7) / 8
	switch {
	case n == 0:
		dst = appendRun(dst, rows, 0, 1)
	case n == rows:
		dst = appendRun(dst, rows, 1, 1)
	case 4*countRuns(present) < groups:
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

// countRuns counts how often neighbours differ.
func countRuns(b column.Bitmap) int {
	n, last := 0, uint64(0)
	for _, w := range b {
		n += bits.OnesCount64(w ^ (w<<1 | last))
		last = w >> 63
	}
	return n
}

// decodeLevels reads the levels of a page whose rows are v.Rows and sets v.Present and v.N. v was
// reset. It returns the values' bytes.
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
		if groups := (v.Rows + 7) / 8; h>>1 != uint64(groups) || len(rest) != groups || !unpackBitmap(v.Present, v.Rows, rest) {
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

// unpackBitmap copies the bytes of a bitmap of that many rows.
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

// decodeRuns sets the rows of RLE runs, which cover all rows and use all of src.
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
