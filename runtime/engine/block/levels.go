package block

import (
	"encoding/binary"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Definition levels of a page are one run: none, all, or one bit-packed sequence, whose bytes are those of the page's bitmap.

// appendLevels appends which of the rows have a value, behind the length of that. present holds n rows; nil when n is 0 or rows.
func appendLevels(dst []byte, rows, n int, present column.Bitmap) []byte {
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	switch n {
	case 0:
		dst = append(binary.AppendUvarint(dst, uint64(rows)<<1), 0)
	case rows:
		dst = append(binary.AppendUvarint(dst, uint64(rows)<<1), 1)
	default:
		groups := (rows + 7) / 8
		dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
		for _, w := range present {
			dst = binary.LittleEndian.AppendUint64(dst, w)
		}
		dst = dst[:len(dst)-(len(present)*8-groups)]
	}
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// decodeLevels reads the levels of a page whose rows are v.Rows and sets v.Present and v.N. v was reset. It returns the values' bytes.
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
	h, levels, ok := cutUvarint(levels)
	if !ok {
		return nil, errBytes
	}
	if h&1 == 0 {
		if h>>1 != uint64(v.Rows) || len(levels) != 1 || levels[0] > 1 {
			return nil, errBytes
		}
		if levels[0] == 1 {
			v.SetAll()
		}
		return values, nil
	}
	if groups := (v.Rows + 7) / 8; h>>1 != uint64(groups) || len(levels) != groups {
		return nil, errBytes
	}
	for i := range v.Present {
		if len(levels) >= 8 {
			v.Present[i] = binary.LittleEndian.Uint64(levels)
			levels = levels[8:]
			continue
		}
		for k, b := range levels {
			v.Present[i] |= uint64(b) << (8 * k)
		}
		levels = nil
	}
	if r := v.Rows & 63; r != 0 && v.Present[len(v.Present)-1]>>r != 0 {
		return nil, errBytes
	}
	if v.N = v.Present.Count(); v.N == v.Rows {
		v.SetAll()
	}
	return values, nil
}
