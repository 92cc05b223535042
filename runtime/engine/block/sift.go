package block

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// siftMost is how many distinct numbers of a chunk are asked for, each page anew: as many as one
// word has bits.
const siftMost = 64

// Sift implements column.Sifter.
func (v *groupTable) Sift(ctx context.Context, k column.Key, page int, holds func(int64) bool, rows column.Bitmap) (ok bool, err error) {
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
	if col.kind != kindInt || p.plain || p.values == 0 || chunk.entries > siftMost {
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

// siftCodes sets in dense which of the n codes of src are hits. Codes are below entries.
func (r *Reader) siftCodes(dense column.Bitmap, n int, src []byte, width uint, entries int, hits uint64) error {
	for at := 0; at < n; {
		m, code, packed, rest, ok := cutHybrid(src, n-at, width)
		src = rest
		switch {
		case !ok:
			return errBytes
		case packed == nil:
			if uint64(code) >= uint64(entries) {
				return errBytes
			}
			if hits>>code&1 != 0 {
				dense.SetRange(at, at+m)
			}
		default:
			r.codes = slices.Grow(r.codes[:0], m)[:m]
			unpackBits(r.codes, packed, width)
			if uint64(1)<<width > uint64(entries) && int64(slices.Max(r.codes)) >= int64(entries) {
				return errBytes
			}
			for i := 0; i < m; {
				shift := (at + i) & 63
				part := r.codes[i:min(m, i+64-shift)]
				var x uint64
				for k, c := range part {
					x |= hits >> (c & 63) & 1 << (k & 63)
				}
				dense[(at+i)>>6] |= x << shift
				i += len(part)
			}
		}
		at += m
	}
	if len(src) != 0 {
		return errBytes
	}
	return nil
}
