package livestore

import (
	"context"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// partsRead is a block and the traces of which the block's spans are to be read, or were read.
type partsRead struct {
	meta   *blocks.BlockMeta
	block  sharedBlock
	ids    []trace.ID
	places []int32 // of the traces
	spans  []sharedSpan
}

// pendingReads returns which parts of traces in blocks are in doubt. Blocks that the question does
// not name are not read for it.
func (h *homeIndex) pendingReads(metas []*blocks.BlockMeta) []*partsRead {
	s := &h.shared
	var out []*partsRead
	var byBlock map[int32]*partsRead
	for _, place := range s.doubted {
		t := s.list.at(place)
		for i := t.part; i != 0; i = s.parts.at(i).next {
			if s.parts.at(i).state != isInDoubt {
				continue
			}
			if byBlock == nil {
				byBlock = h.partsByBlock(metas)
			}
			r := byBlock[s.parts.at(i).block.number]
			if r == nil {
				continue
			}
			if len(r.ids) == 0 {
				out = append(out, r)
			}
			r.ids, r.places = append(r.ids, t.id), append(r.places, place)
		}
	}
	return out
}

// partsByBlock returns an empty partsRead for each block that was searched, by its number.
func (h *homeIndex) partsByBlock(metas []*blocks.BlockMeta) map[int32]*partsRead {
	out := make(map[int32]*partsRead, len(metas))
	for _, m := range metas {
		if b := h.searched[m.GetId()]; b != nil {
			out[b.block.number] = &partsRead{meta: m, block: b.block}
		}
	}
	return out
}

// readSpans reads the ids and kinds of the traces' spans in the block.
func (r *partsRead) readSpans(ctx context.Context, opener blockstore.Opener) error {
	found, err := blockstore.FindTraces(ctx, opener, r.meta, r.ids)
	if err != nil {
		return err
	}
	return found.EachSpan(ctx, func(i int, id trace.SpanID, kind int32) {
		r.spans = append(r.spans, sharedSpan{id: id, place: r.places[found.List[i].Asked], kind: kind})
	})
}

// noteRead takes the spans of parts that were read.
func (s *sharedTraces) noteRead(r *partsRead) {
	for _, place := range r.places {
		for i := s.list.at(place).part; i != 0; i = s.parts.at(i).next {
			if p := s.parts.at(i); p.block == r.block {
				p.state = isKnown
			}
		}
	}
	for _, span := range r.spans {
		if ownTo, ok := s.inBlocks[span]; !ok || r.block.ownTo < ownTo {
			s.inBlocks[span] = r.block.ownTo
		}
		if at, ok := s.live[span]; ok && at >= r.block.ownTo {
			s.noteRepeat(span.place, at)
		}
	}
	s.listed = sharedList{}
}
