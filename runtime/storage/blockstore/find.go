package blockstore

import (
	"context"
	"fmt"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// FoundTrace says where a block holds a trace.
type FoundTrace struct {
	Asked   int // index of the trace among the ids that were asked for
	Table   column.Table
	Ordinal int // of the trace in Table
}

// Extent returns when the block's spans of the trace begin and end.
func (f FoundTrace) Extent(ctx context.Context) (catalog.Extent, error) {
	info, err := f.Table.Trace(ctx, f.Ordinal)
	if err != nil {
		return catalog.Extent{}, err
	}
	return catalog.Extent{ID: info.ID, Start: info.Start, End: info.End}, nil
}

// FoundTraces are the traces of a list that one block holds, in the order of the list.
type FoundTraces struct {
	List   []FoundTrace
	reader *block.Reader // nil: the list is empty
}

// BytesRead returns how many bytes were read of the block through the tables of the list.
func (f *FoundTraces) BytesRead() int64 {
	if f.reader == nil {
		return 0
	}
	return f.reader.Stats().Bytes
}

// EachSpan calls visit with the span id and the kind of every span of the traces; i is the index of
// the trace in the list. Each page that has some of them is read once.
func (f *FoundTraces) EachSpan(ctx context.Context, visit func(i int, id trace.SpanID, kind int32)) error {
	type part struct{ ordinals, of []int }
	parts := map[column.Table]*part{}
	var tables []column.Table // in the order of the list, so that reads have an order
	for i, x := range f.List {
		p := parts[x.Table]
		if p == nil {
			p = &part{}
			parts[x.Table] = p
			tables = append(tables, x.Table)
		}
		p.ordinals, p.of = append(p.ordinals, x.Ordinal), append(p.of, i)
	}
	for _, t := range tables {
		p := parts[t]
		visitRow := func(n int, id trace.SpanID, kind int32) { visit(p.of[n], id, kind) }
		if err := column.EachSpan(ctx, t, p.ordinals, visitRow); err != nil {
			return fmt.Errorf("read span ids: %w", err)
		}
	}
	return nil
}

// checkEvery is after how many ids FindTraces looks whether it was cancelled.
const checkEvery = 4096

// FindTraces finds out which of ids a block holds. Three questions are asked of each id, the
// cheapest first: whether a record of the trace can have been routed to the block's partition,
// whether it is in the filter of the block's index, and whether it is in the index. Only the last
// one is exact. A block that none of the ids can have been routed to is not opened.
//
// Errors are those of the Opener.
func FindTraces(ctx context.Context, from Opener, m *blocks.BlockMeta, ids []trace.ID) (*FoundTraces, error) {
	found := &FoundTraces{}
	var b *block.Block
	for i, id := range ids {
		if i%checkEvery == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if b != nil && !b.MayHold(id) || !jobs.MayHold(m, id) {
			continue
		}
		if b == nil {
			var err error
			if b, err = from.Open(ctx, m); err != nil {
				return nil, err
			}
			if !b.MayHold(id) {
				continue
			}
		}
		if found.reader == nil {
			found.reader = b.Reader()
		}
		t, ordinal, ok, err := found.reader.Find(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("find trace %s: %w", id, err)
		}
		if ok {
			found.List = append(found.List, FoundTrace{Asked: i, Table: t, Ordinal: ordinal})
		}
	}
	return found, nil
}
