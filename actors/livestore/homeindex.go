package livestore

import (
	"context"
	"fmt"
	"math"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// homeIndex knows which traces of one tenant have another home than one segment: a second segment,
// or a block. Each trace is looked for in each block once for every segment that has it, when a
// query first names the block, and not again for every query.
//
// An example: trace A came to segment 0, B to segments 0 and 1, and block x was searched when the
// index had two entries.
//
//	number   entry              latest of its trace
//	0        A  first 0 last 0  yes
//	1        B  first 0 last 0  no, entry 2 is
//	2        B  first 0 last 1  yes; searched[x].entries is 2: not looked for in x yet
//
// Only the actor uses it; work on the pool gets copies.
type homeIndex struct {
	entries  []indexedTrace           // in the order in which segments got them
	latest   map[trace.ID]int         // the entry of each trace that is valid
	searched map[string]searchedBlock // by block id
	// inBlocks are the traces that blocks have, too, with the extent of their parts in blocks.
	inBlocks  map[trace.ID]catalog.Extent
	dropCount int // calls of dropSegments so far
}

// indexedTrace is a trace with the numbers of the first and last segment that have it.
type indexedTrace struct {
	id          trace.ID
	first, last int
}

// searchedBlock tells for which traces a block was searched: those of the first entries that are in
// a segment numbered from or higher.
type searchedBlock struct {
	entries int
	from    int
	named   int // homeIndex.dropCount when a query named the block last
}

// dropsToForget is after how many drops a block is forgotten that no query has named meanwhile: it
// may be gone. If a query names it again it is searched again.
const dropsToForget = 8

func newHomeIndex() *homeIndex {
	return &homeIndex{
		latest:   map[trace.ID]int{},
		searched: map[string]searchedBlock{},
		inBlocks: map[trace.ID]catalog.Extent{},
	}
}

// len returns the number of entries of all kinds, as a measure of memory.
func (h *homeIndex) len() int { return len(h.entries) + len(h.searched) }

// addTrace notes that a segment has a trace. A trace that an earlier segment has, too, gets a new
// entry, because a query that began behind the earlier segment has not looked for it.
func (h *homeIndex) addTrace(segment int, id trace.ID) {
	first := segment
	if i, ok := h.latest[id]; ok {
		first = h.entries[i].first
	}
	h.latest[id] = len(h.entries)
	h.entries = append(h.entries, indexedTrace{id: id, first: first, last: segment})
}

// isLatest reports whether an entry is the valid one of its trace.
func (h *homeIndex) isLatest(i int) bool { return h.latest[h.entries[i].id] == i }

// dropSegments forgets the segments numbered lower than below. Traces that a later segment has,
// too, are looked for again: the block that has taken the place of the dropped segments is one more
// home of theirs.
func (h *homeIndex) dropSegments(below int) {
	var kept, again []indexedTrace
	newNumber := make([]int, len(h.entries)+1) // by old number of an entry
	for i, t := range h.entries {
		newNumber[i] = len(kept)
		switch {
		case !h.isLatest(i):
		case t.last < below:
			delete(h.inBlocks, t.id)
		case t.first < below:
			t.first = below // a second segment may have it, too
			again = append(again, t)
		default:
			kept = append(kept, t)
		}
	}
	newNumber[len(h.entries)] = len(kept)
	for id, b := range h.searched {
		if h.dropCount-b.named >= dropsToForget {
			delete(h.searched, id)
			continue
		}
		b.entries = newNumber[b.entries]
		h.searched[id] = b
	}
	h.entries = append(kept, again...)
	clear(h.latest)
	for i, t := range h.entries {
		h.latest[t.id] = i
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
		b, ok := h.searched[m.GetId()]
		if ok && b.named != h.dropCount {
			b.named = h.dropCount
			h.searched[m.GetId()] = b
		}
		if !ok || b.from > from {
			b.entries = 0
		}
		if b.entries == len(h.entries) {
			continue
		}
		ids, ok := lists[b.entries]
		if !ok {
			for i, t := range h.entries[b.entries:] {
				if t.last >= from && h.isLatest(b.entries+i) {
					ids = append(ids, t.id)
				}
			}
			lists[b.entries] = ids
		}
		out = append(out, blockSearch{meta: m, ids: ids, entries: len(h.entries)})
	}
	return out
}

// noteFound takes the result of a search.
func (h *homeIndex) noteFound(from int, b blockSearch, found []catalog.Extent) {
	id := b.meta.GetId()
	if old, ok := h.searched[id]; !ok || old.from > from || b.entries > old.entries {
		h.searched[id] = searchedBlock{entries: b.entries, from: from, named: h.dropCount}
	}
	for _, e := range found {
		if old, ok := h.inBlocks[e.ID]; ok {
			e = e.Join(old)
		}
		h.inBlocks[e.ID] = e
	}
}

// sharedTraces lists the traces of the segments numbered from or higher that have another home: a
// block, a second segment, or one of which elsewhere reports true. The extents are those of the
// parts in blocks; addLiveExtents adds the live parts.
func (h *homeIndex) sharedTraces(from int, elsewhere func(trace.ID) bool) []catalog.Extent {
	var out []catalog.Extent
	for i, t := range h.entries {
		if t.last < from || !h.isLatest(i) {
			continue
		}
		if e, ok := h.inBlocks[t.id]; ok {
			out = append(out, e)
		} else if t.first != t.last || elsewhere(t.id) {
			out = append(out, catalog.Extent{ID: t.id, Start: math.MaxUint64})
		}
	}
	return out
}

// findTraces looks for the traces in the block and returns when its parts of them begin and end.
func (b blockSearch) findTraces(ctx context.Context, opener blockstore.Opener) ([]catalog.Extent, error) {
	found, err := blockstore.FindTraces(ctx, opener, b.meta, b.ids)
	if err != nil {
		return nil, err
	}
	var out []catalog.Extent
	for _, f := range found.List {
		e, err := f.Extent(ctx)
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
	return out, nil
}

func traceExtent(ctx context.Context, t column.Table, id trace.ID) (e catalog.Extent, ok bool, err error) {
	i, ok, err := t.Lookup(ctx, id)
	if err != nil || !ok {
		return e, false, err
	}
	info, err := t.Trace(ctx, i)
	return catalog.Extent{ID: id, Start: info.Start, End: info.End}, err == nil, err
}

// addLiveExtents widens the extents of the traces by their parts in the tables.
func addLiveExtents(ctx context.Context, shared []catalog.Extent, tables []column.Table) error {
	for n, e := range shared {
		if n&255 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for _, t := range tables {
			x, ok, err := traceExtent(ctx, t, e.ID)
			if err != nil {
				return fmt.Errorf("read extent of trace %s: %w", e.ID, err)
			}
			if ok {
				e = e.Join(x)
			}
		}
		shared[n] = e
	}
	return nil
}
