package adopt

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// sharing is what is known of the other homes of a new block's traces.
type sharing struct {
	blocks *blockstore.Store
	meta   *blocks.BlockMeta
	ids    []trace.ID
	own    []catalog.Extent
	others map[string]*otherHome // by block id: those that were looked in
}

// otherHome is what another block holds of the traces.
type otherHome struct {
	found   *blockstore.FoundTraces
	extents []catalog.Extent // of found
	live    bool             // in the version that was looked at last
}

func newSharing(store *blockstore.Store, m *blocks.BlockMeta, traces []block.TraceExtent) *sharing {
	s := &sharing{blocks: store, meta: m, others: map[string]*otherHome{}}
	for _, x := range traces {
		s.ids = append(s.ids, x.ID)
		s.own = append(s.own, catalog.Extent{ID: x.ID, Start: x.Start, End: x.End})
	}
	return s
}

// lookInBlocks looks for the traces in the live blocks of a version. Those of an earlier version
// are not read again. A damaged block is passed over, because nothing of it is in an answer; one
// that is gone is an error, after which a newer version tells what has replaced it.
func (s *sharing) lookInBlocks(ctx context.Context, live []*blocks.BlockMeta) error {
	for _, o := range s.others {
		o.live = false
	}
	for _, m := range live {
		o := s.others[m.GetId()]
		if o == nil {
			var err error
			if o, err = s.lookIn(ctx, m); err != nil {
				return err
			}
			s.others[m.GetId()] = o
		}
		o.live = true
	}
	return nil
}

func (s *sharing) lookIn(ctx context.Context, m *blocks.BlockMeta) (*otherHome, error) {
	o := &otherHome{}
	found, err := blockstore.FindTraces(ctx, s.blocks, m, s.ids)
	if err == nil {
		for _, f := range found.List {
			var x catalog.Extent
			if x, err = f.Extent(ctx); err != nil {
				break
			}
			o.extents = append(o.extents, x)
		}
		o.found = found
	}
	switch {
	case err == nil:
		return o, nil
	case errors.Is(err, block.ErrCorrupt):
		return &otherHome{}, nil
	case errors.Is(err, objstore.ErrNotFound):
		return nil, fmt.Errorf("%w (`troupectl blocks rm` settles a block that is gone for good)", err)
	}
	return nil, fmt.Errorf("look for traces in block %s: %w", m.GetId(), err)
}

// message returns the traces that have other homes. Where it cannot be told whether a span is in
// two of them, the trace is repeating.
func (s *sharing) message(ctx context.Context) *blocks.SharedTraces {
	shared := map[trace.ID]bool{}
	for _, o := range s.others {
		for _, x := range o.extents {
			shared[x.ID] = shared[x.ID] || o.live
		}
	}
	finder := catalog.NewSharedFinder()
	var own []catalog.Extent
	var ids []trace.ID
	for _, x := range s.own {
		if shared[x.ID] {
			own, ids = append(own, x), append(ids, x.ID)
		}
	}
	if len(own) == 0 {
		return nil
	}
	finder.Add(s.meta.GetId(), own)
	for id, o := range s.others {
		if o.live {
			finder.Add(id, o.extents)
		}
	}
	for id, o := range s.others {
		if o.live && o.found != nil {
			addSpans(ctx, finder, id, o.found, s.ids)
		}
	}
	if found, err := blockstore.FindTraces(ctx, s.blocks, s.meta, ids); err == nil {
		addSpans(ctx, finder, s.meta.GetId(), found, ids)
	} else {
		setRepeating(finder, ids)
	}
	return finder.Message(s.meta.GetTenant())
}

// addSpans adds the spans that a block holds of traces; asked is what was asked for when they were
// found.
func addSpans(
	ctx context.Context, f *catalog.SharedFinder, block string, found *blockstore.FoundTraces, asked []trace.ID,
) {
	err := found.EachSpan(ctx, func(i int, span trace.SpanID, kind int32) {
		f.AddSpan(block, asked[found.List[i].Asked], span, kind)
	})
	if err != nil {
		setRepeating(f, asked)
	}
}

func setRepeating(f *catalog.SharedFinder, ids []trace.ID) {
	for _, id := range ids {
		f.SetRepeating(id)
	}
}
