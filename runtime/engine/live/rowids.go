package live

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// ReadIDs implements column.IDReader.
func (s *Snapshot) ReadIDs(ctx context.Context, k column.Key, page int, ids []uint64, present column.Bitmap) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	from, to := pageRange(s.first, s.last, max(page, 0))
	if len(ids) != to-from {
		return fmt.Errorf("read ids of page %d: it has %d rows, not %d: %w", page, to-from, len(ids), column.ErrCorrupt)
	}
	of := &s.id
	if k == column.ParentID {
		of = &s.parent
		row := 0
		s.head.eachPart(from, to, func(part []uint32) {
			for _, h := range part {
				if s.heads[h].hasParent {
					present.Set(row)
				}
				row++
			}
		})
	} else {
		present.SetRange(0, len(ids))
	}
	row := 0
	of.eachPart(from, to, func(part []trace.SpanID) {
		for i := range part {
			ids[row] = binary.BigEndian.Uint64(part[i][:])
			row++
		}
	})
	return nil
}
