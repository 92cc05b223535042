package livestore

import (
	"context"
	"hash/maphash"
	"math"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// homeIndex knows which traces of one tenant have another home than one segment: a second segment,
// or a block. It learns nothing before a query asks, and nothing twice: each trace of a segment is
// entered once, each block is searched once for each entry, and whether a shared trace is disjoint
// is found out as its spans come (sharedTraces).
//
// An example: trace A came to segment 0, B to segments 0 and 1, and block x was searched when the
// index had two entries.
//
//	number   entry          valid
//	0        A  segment 0   yes
//	1        B  segment 0   no, entry 2 is
//	2        B  segment 1   yes; searched[x].entries is 2: not looked for in x yet
//
// Only the actor uses it; work on the pool gets copies.
type homeIndex struct {
	traces   places[indexedTrace]
	table    traceTable // finds the places of traces by their ids
	entries  []int32    // places of traces, in the order of the segments that have them
	dropped  int        // entries before the first of entries
	segments []indexedSegment
	searched map[string]*searchedBlock

	shared    sharedTraces
	dropCount int // calls of dropSegments so far
}

// indexedTrace is a trace as the last segment has it that has it.
type indexedTrace struct {
	id      trace.ID
	entry   int32 // number of its valid entry, modulo 2^32
	segment int32 // number of the segment
	number  int32 // of the trace in the segment
	shared  int32 // place in sharedTraces; 0: no other home is known
}

// indexedSegment says which is the first entry of a segment.
type indexedSegment struct{ number, entry int }

// searchedBlock tells for which traces a block was searched: those of the entries numbered lower
// than entries that are in a segment numbered from or higher.
type searchedBlock struct {
	block   sharedBlock
	entries int
	from    int
	named   int // homeIndex.dropCount when a query named the block last
}

// dropsToForget is after how many drops a block is forgotten that no query has named meanwhile: it
// may be gone. If a query names it again it is searched again.
const dropsToForget = 8

func newHomeIndex() *homeIndex {
	return &homeIndex{
		table:    traceTable{seed: maphash.MakeSeed()},
		searched: map[string]*searchedBlock{},
		shared:   newSharedTraces(),
	}
}

// searchedBlockBytes is about the memory of a searchedBlock, in bytes.
const searchedBlockBytes = 160

// bytes returns about how much memory the index takes, in bytes.
func (h *homeIndex) bytes() int64 {
	return h.traces.bytes() + int64(cap(h.entries))*4 + int64(len(h.table.slots))*8 +
		int64(len(h.searched))*searchedBlockBytes + h.shared.bytes()
}

// count is the number of entries so far, which is the number of the next one.
func (h *homeIndex) count() int { return h.dropped + len(h.entries) }

// isValid reports whether an entry is the valid one of its trace.
func (h *homeIndex) isValid(entry int, t *indexedTrace) bool { return t.entry == int32(entry) }

// addTrace notes that a segment has a trace, under the segment's number of it. Segments are entered
// in their order. A trace that an earlier segment has, too, gets a new entry, because a query that
// began behind the earlier segment has not looked for it.
func (h *homeIndex) addTrace(segment, number int, id trace.ID) {
	if n := len(h.segments); n == 0 || h.segments[n-1].number != segment {
		h.segments = append(h.segments, indexedSegment{segment, h.count()})
	}
	place := h.table.find(&h.traces, id)
	if place == 0 {
		place = h.traces.add(indexedTrace{id: id})
		h.table.add(id, place)
	} else {
		h.share(place)
	}
	t := h.traces.at(place)
	t.entry, t.segment, t.number = int32(h.count()), int32(segment), int32(number)
	if t.shared != 0 {
		h.shared.addSegment(t)
	}
	h.entries = append(h.entries, place)
}

// share notes that a trace has several homes.
func (h *homeIndex) share(place int32) *indexedTrace {
	t := h.traces.at(place)
	if t.shared == 0 {
		t.shared = h.shared.addTrace(t.id)
		h.shared.addSegment(t)
	}
	return t
}

// dropSegments forgets the segments numbered lower than below, and the records below floor.
func (h *homeIndex) dropSegments(below int, floor int64) {
	kept := h.count() // the first entry that is
	for len(h.segments) > 0 && h.segments[0].number < below {
		h.segments = h.segments[1:]
	}
	if len(h.segments) > 0 {
		kept = h.segments[0].entry
	}
	for i, place := range h.entries[:kept-h.dropped] {
		if t := h.traces.at(place); h.isValid(h.dropped+i, t) {
			h.shared.dropTrace(t.shared)
			h.traces.drop(place)
		}
	}
	h.entries = h.entries[kept-h.dropped:]
	h.dropped = kept
	h.table.clear()
	for i, place := range h.entries {
		if t := h.traces.at(place); h.isValid(kept+i, t) {
			h.table.add(t.id, place)
		}
	}
	h.shared.dropSegments(below, floor)
	h.traces.trim()
	for id, b := range h.searched {
		if h.dropCount-b.named >= dropsToForget {
			delete(h.searched, id)
		}
	}
	h.dropCount++
}

// blockSearch is a block and the traces to look for in it.
type blockSearch struct {
	meta    *blocks.BlockMeta
	ids     []trace.ID
	entries int // of the index, when the search began
}

// pendingSearches returns the searches that are left to do for a query over the blocks and the
// segments numbered from or higher.
func (h *homeIndex) pendingSearches(metas []*blocks.BlockMeta, from int) []blockSearch {
	var out []blockSearch
	lists := map[int][]trace.ID{} // blocks that came together are searched for the same traces
	for _, m := range metas {
		first := h.dropped
		if b := h.searched[m.GetId()]; b != nil {
			b.named = h.dropCount
			if b.from <= from {
				first = max(first, b.entries)
			}
		}
		if first == h.count() {
			continue
		}
		ids, ok := lists[first]
		if !ok {
			ids = make([]trace.ID, 0, h.count()-first)
			for i, place := range h.entries[first-h.dropped:] {
				if t := h.traces.at(place); int(t.segment) >= from && h.isValid(first+i, t) {
					ids = append(ids, t.id)
				}
			}
			lists[first] = ids
		}
		out = append(out, blockSearch{meta: m, ids: ids, entries: h.count()})
	}
	return out
}

// foundPart is what a block has of a trace that it was searched for.
type foundPart struct {
	catalog.Extent
	spans int
}

// noteFound takes the result of a search for traces of the segments numbered from or higher. The
// records below ownTo that live-stores hold are the block's own.
func (h *homeIndex) noteFound(from int, s blockSearch, found []foundPart, ownTo int64) {
	id := s.meta.GetId()
	b := h.searched[id]
	if b == nil {
		b = &searchedBlock{block: h.shared.newBlock(ownTo), from: math.MaxInt}
		h.searched[id] = b
	}
	if b.from > from || s.entries > b.entries {
		b.entries, b.from, b.named = s.entries, from, h.dropCount
	}
	for _, f := range found {
		if place := h.table.find(&h.traces, f.ID); place != 0 {
			h.shared.addPart(h.share(place).shared, b.block, f)
		}
	}
}

// findTraces looks for the traces in the block and returns what the block has of them.
func (s blockSearch) findTraces(ctx context.Context, opener blockstore.Opener) ([]foundPart, error) {
	found, err := blockstore.FindTraces(ctx, opener, s.meta, s.ids)
	if err != nil {
		return nil, err
	}
	out := make([]foundPart, 0, len(found.List))
	for _, f := range found.List {
		info, err := f.Table.Trace(ctx, f.Ordinal)
		if err != nil {
			return nil, err
		}
		out = append(out, foundPart{catalog.Extent{ID: info.ID, Start: info.Start, End: info.End}, info.Spans})
	}
	return out, nil
}
