package livestore

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// homes knows which traces of one tenant have another home than one segment: a second segment, or a
// block. Each trace is looked for in each block once for every segment that holds it, when a query
// first names the block, and not again for every query. Only the actor uses it; jobs get copies.
type homes struct {
	// traces in the order in which segments began to hold them; a trace's last entry counts
	order   []held
	at      map[trace.ID]int            // index in order of the entry that counts
	checked map[string]checked          // by block id
	found   map[trace.ID]catalog.Extent // traces that blocks hold too, with the extent of the blocks' parts
	drops   int                         // how often order was made anew
}

// held is a trace and the first and last segment that hold it, by number.
type held struct {
	id          trace.ID
	first, last int
}

// checked says that the traces of order[:n] that a segment from number `from` on holds were looked
// for in a block. A query named the block last when there had been so many drops.
type checked struct{ n, from, named int }

// forgetAfter is after how many drops a block is forgotten that no query has named meanwhile: it
// may be gone. One that is named again is looked at again.
const forgetAfter = 8

func newHomes() *homes {
	return &homes{at: map[trace.ID]int{}, checked: map[string]checked{}, found: map[trace.ID]catalog.Extent{}}
}

// enter notes that a segment holds a trace. One that an earlier segment holds is entered anew: a
// query that began behind that segment has not looked for it.
func (h *homes) enter(segment int, id trace.ID) {
	first := segment
	if i, ok := h.at[id]; ok {
		first = h.order[i].first
	}
	h.at[id] = len(h.order)
	h.order = append(h.order, held{id: id, first: first, last: segment})
}

// counts reports whether order[i] is its trace's entry that counts.
func (h *homes) counts(i int) bool { return h.at[h.order[i].id] == i }

// drop forgets the segments below a number. Traces that a later segment holds too are looked for
// again: the block that has covered the dropped segments is one more home of theirs.
func (h *homes) drop(below int) {
	var kept, again []held
	index := make([]int, len(h.order)+1) // of order in kept
	for i, t := range h.order {
		index[i] = len(kept)
		switch {
		case !h.counts(i):
		case t.last < below:
			delete(h.found, t.id)
		case t.first < below:
			t.first = below // a second segment may hold it, too
			again = append(again, t)
		default:
			kept = append(kept, t)
		}
	}
	index[len(h.order)] = len(kept)
	for b, c := range h.checked {
		if h.drops-c.named >= forgetAfter {
			delete(h.checked, b)
			continue
		}
		c.n = index[c.n]
		h.checked[b] = c
	}
	h.order = append(kept, again...)
	clear(h.at)
	for i, t := range h.order {
		h.at[t.id] = i
	}
	h.drops++
}

// check is a block and the traces to be looked for in it: those of order up to upTo.
type check struct {
	meta *blocks.BlockMeta
	ids  []trace.ID
	upTo int
}

// unchecked returns what the blocks have not been asked yet, for a query over the segments from
// number `from` on.
func (h *homes) unchecked(metas []*blocks.BlockMeta, from int) []check {
	var out []check
	lists := map[int][]trace.ID{} // blocks that came together are asked the same
	for _, m := range metas {
		c, ok := h.checked[m.GetId()]
		if ok && c.named != h.drops {
			c.named = h.drops
			h.checked[m.GetId()] = c
		}
		if !ok || c.from > from {
			c.n = 0
		}
		if c.n == len(h.order) {
			continue
		}
		ids, ok := lists[c.n]
		if !ok {
			for i, t := range h.order[c.n:] {
				if t.last >= from && h.counts(c.n+i) {
					ids = append(ids, t.id)
				}
			}
			lists[c.n] = ids
		}
		out = append(out, check{meta: m, ids: ids, upTo: len(h.order)})
	}
	return out
}

// note takes what was found in a block.
func (h *homes) note(from int, c check, found []catalog.Extent) {
	id := c.meta.GetId()
	old, ok := h.checked[id]
	switch {
	case !ok || old.from > from:
		h.checked[id] = checked{n: c.upTo, from: from, named: h.drops}
	case c.upTo > old.n:
		h.checked[id] = checked{n: c.upTo, from: from, named: h.drops}
	}
	for _, e := range found {
		if old, ok := h.found[e.ID]; ok {
			e = e.Join(old)
		}
		h.found[e.ID] = e
	}
}

// shared lists the traces that segments from number `from` on hold and that have another home: a
// block, a second segment, or elsewhere says so. The extents are those of the blocks' parts; extend
// adds the live ones.
func (h *homes) shared(from int, elsewhere func(trace.ID) bool) []catalog.Extent {
	var out []catalog.Extent
	for i, t := range h.order {
		if t.last < from || !h.counts(i) {
			continue
		}
		if e, ok := h.found[t.id]; ok {
			out = append(out, e)
		} else if t.first != t.last || elsewhere(t.id) {
			out = append(out, catalog.Extent{ID: t.id, Start: math.MaxUint64})
		}
	}
	return out
}

// failureOf says of a block that it could not be read because of err.
func failureOf(m *blocks.BlockMeta, err error) jobs.BlockFailure {
	class := status.Of(err).Class
	if errors.Is(err, objstore.ErrNotFound) {
		class = status.NotFound
	}
	return jobs.BlockFailure{Block: m, Class: class.String(), Reason: err.Error()}
}

// run looks for the traces in the block and returns when its parts of them begin and end.
func (c check) run(ctx context.Context, opener blockstore.Opener) ([]catalog.Extent, error) {
	found, err := blockstore.FindTraces(ctx, opener, c.meta, c.ids)
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

func extent(ctx context.Context, t column.Table, id trace.ID) (e catalog.Extent, ok bool, err error) {
	i, ok, err := t.Lookup(ctx, id)
	if err != nil || !ok {
		return e, false, err
	}
	info, err := t.Trace(ctx, i)
	return catalog.Extent{ID: id, Start: info.Start, End: info.End}, err == nil, err
}

// extend widens the extents by what the tables hold.
func extend(ctx context.Context, shared []catalog.Extent, tables []column.Table) error {
	for n, e := range shared {
		if n&255 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		for _, t := range tables {
			x, ok, err := extent(ctx, t, e.ID)
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
