package livestore

import (
	"context"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Blocks opens blocks; opened blocks are kept by whoever implements it.
type Blocks interface {
	Open(ctx context.Context, m *blocks.BlockMeta) (*block.Block, error)
}

// homes lists the traces of the tables that have another home: a second table, or one of the blocks. The blocks' filters propose
// and their exact indexes decide, and say the extent of the block's part.
func homes(ctx context.Context, opener Blocks, tables []column.Table, metas []*blocks.BlockMeta) ([]plan.Extent, error) {
	extents := map[trace.ID]plan.Extent{}
	shared := map[trace.ID]bool{}
	for _, t := range tables {
		for i := range t.Traces() {
			info, err := t.Trace(ctx, i)
			if err != nil {
				return nil, err
			}
			e, ok := extents[info.ID]
			if ok {
				shared[info.ID] = true
				e.Start, e.End = min(e.Start, info.Start), max(e.End, info.End)
			} else {
				e = plan.Extent{ID: info.ID, Start: info.Start, End: info.End}
			}
			extents[info.ID] = e
		}
	}
	for _, m := range metas {
		if len(extents) == 0 {
			break
		}
		b, err := opener.Open(ctx, m)
		if err != nil {
			// A block that cannot be opened hides what it holds; its own job says so in the answer.
			continue
		}
		var r column.Table
		for id, e := range extents {
			if !b.MayHold(id) || !plan.MayHold(m, id) {
				continue
			}
			if r == nil {
				r = b.Table()
			}
			i, ok, err := r.Lookup(ctx, id)
			if err != nil || !ok {
				continue
			}
			info, err := r.Trace(ctx, i)
			if err != nil {
				continue
			}
			shared[id] = true
			e.Start, e.End = min(e.Start, info.Start), max(e.End, info.End)
			extents[id] = e
		}
	}
	out := make([]plan.Extent, 0, len(shared))
	for id := range shared {
		out = append(out, extents[id])
	}
	return out, nil
}
