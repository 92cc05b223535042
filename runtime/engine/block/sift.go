package block

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// maxSifted is how many distinct numbers a chunk may have for Sift to ask for each of them, for
// each page anew. It is the number of bits of a word: one says which of the codes are hits.
const maxSifted = 64

// Sift implements column.Sifter.
func (v *groupTable) Sift(
	ctx context.Context, k column.Key, page int, holds func(int64) bool, rows column.Bitmap,
) (ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	c, ok := v.dir.byKey[k]
	if !ok || v.pageRows(page) == 0 || k == column.RowRef || k == keyParentDistance {
		return false, nil
	}
	col := &v.dir.columns[c]
	chunk := &col.chunks[v.group]
	p := &chunk.pages[page]
	if col.kind != kindInt || p.plain || p.values == 0 || chunk.entries > maxSifted {
		return false, nil
	}
	h, err := v.loadPage(ctx, c, page)
	if err != nil {
		return false, err
	}
	if err := v.loadDictionary(c, h); err != nil {
		return false, err
	}
	hits := uint64(0) // by code
	for i, n := range h.ints {
		if holds(n) {
			hits |= 1 << i
		}
	}
	if hits == 0 {
		return true, nil
	}
	r := v.reader
	levels := &r.sifted
	levels.Reset(v.pageRows(page))
	body, err := v.openLevels(c, page, h, false, levels)
	if err != nil {
		return false, err
	}
	if body.encoding != encDictionary || len(body.values) == 0 {
		return false, v.corruptPage(c, page, "values")
	}
	r.dense = r.dense.Resize(levels.N)
	if err := r.siftCodes(r.dense, levels.N, body.values[1:], uint(body.values[0]), len(h.ints), hits); err != nil {
		return false, v.corruptPage(c, page, "values")
	}
	column.Spread(rows, levels.Present, r.dense)
	return true, nil
}

// siftCodes sets in dense which of the n codes of src, of width bits each, are hits. It returns
// errBytes if a code is not below entries.
func (r *Reader) siftCodes(dense column.Bitmap, n int, src []byte, width uint, entries int, hits uint64) error {
	for at := 0; at < n; {
		part, rest, ok := cutHybrid(src, n-at, width)
		src = rest
		m := part.n
		switch {
		case !ok:
			return errBytes
		case part.packed == nil:
			if uint64(part.value) >= uint64(entries) {
				return errBytes
			}
			if hits>>part.value&1 != 0 {
				dense.SetRange(at, at+m)
			}
		default:
			r.codes = slices.Grow(r.codes[:0], m)[:m]
			unpackBits(r.codes, part.packed, width)
			if uint64(1)<<width > uint64(entries) && int64(slices.Max(r.codes)) >= int64(entries) {
				return errBytes
			}
			for i := 0; i < m; {
				shift := (at + i) & 63
				codes := r.codes[i:min(m, i+64-shift)] // those of one word of dense
				var x uint64
				for k, c := range codes {
					x |= hits >> (c & 63) & 1 << (k & 63)
				}
				dense[(at+i)>>6] |= x << shift
				i += len(codes)
			}
		}
		at += m
	}
	if len(src) != 0 {
		return errBytes
	}
	return nil
}
