package column

import (
	"context"
	"encoding/binary"
	"fmt"
	"unsafe"
)

// ReadIDs reads a page of SpanID or of ParentID as numbers, which order ids as their bytes do. ids
// has a place for each row of the page; those of rows without an id stay as they are. present,
// which MUST be empty, becomes the rows that have one. Errors: ErrCorrupt where a row lacks its
// SpanID, those of t.
func ReadIDs(ctx context.Context, t Table, k Key, page int, ids []uint64, present Bitmap) error {
	if r, ok := t.(IDReader); ok {
		return r.ReadIDs(ctx, k, page, ids, present)
	}
	var v Vector
	ok, err := t.Vector(ctx, k, page, &v)
	if err != nil {
		return err
	}
	if !ok {
		v.Reset(len(ids))
	}
	if v.Rows != len(ids) || k == SpanID && v.N != v.Rows {
		return fmt.Errorf("read column %s.%s: page %d has gaps: %w", k.Scope, k.Name, page, ErrCorrupt)
	}
	present.Copy(v.Present, v.Rows)
	for i, row := 0, present.Next(0); row >= 0; i, row = i+1, present.Next(row+1) {
		ids[row] = IDNumber(v.Text(i))
	}
	return nil
}

// IDNumber returns an id of 8 bytes as a number.
func IDNumber(id string) uint64 {
	if len(id) == 8 {
		return binary.BigEndian.Uint64(unsafe.Slice(unsafe.StringData(id), 8))
	}
	var b [8]byte
	copy(b[:], id)
	return binary.BigEndian.Uint64(b[:])
}
