package blockbuilder

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// findShared lists the traces of a new block that have another home within the window, and proves
// of most that no span is in two of their homes. tables are what the block was written from.
//
// A block that cannot be read must not keep new ones from being made. One that is damaged or gone
// is passed over, because nothing of it is in an answer. One that could not be read in several
// attempts is taken to have every trace that it may have, and every span of those.
func (b *cutBuild) findShared(
	ctx context.Context, m *blocks.BlockMeta, traces []block.TraceExtent, tables []column.Table,
) (*blocks.SharedTraces, error) {
	s := newSharing(m.GetId(), traces)
	window := jobs.Range{Start: m.GetMinStartUnixNano(), End: m.GetMaxEndUnixNano()}.Widen(b.cfg.SharedWindow)
	for _, other := range b.job.view.Blocks(m.GetTenant(), window.Start, window.End) {
		if !jobs.MayShare(other, m.GetPartition(), m.GetParts()) {
			continue
		}
		err := s.findIn(ctx, b.deps.Blocks, other)
		if err == nil {
			continue
		}
		if err := b.passOver(ctx, other, err); err != nil {
			return nil, err
		}
		if !isDamaged(err) {
			s.addPossible(other)
		}
	}
	if err := b.compareSpans(ctx, s, tables); err != nil {
		return nil, err
	}
	return s.message(m.GetTenant(), b.job.view.Shared(m.GetTenant())), nil
}

// isDamaged reports whether the error is of a block that is damaged or gone.
func isDamaged(err error) bool {
	return errors.Is(err, block.ErrCorrupt) || errors.Is(err, objstore.ErrNotFound)
}

// passOver goes on after another block could not be read. It returns an error if the build should
// rather be tried again.
func (b *cutBuild) passOver(ctx context.Context, other *blocks.BlockMeta, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !isDamaged(err) && !b.job.lenient {
		return fmt.Errorf("block %s: %w", other.GetId(), err)
	}
	b.deps.Metrics.unread.Inc()
	b.deps.Logger.Error("block cannot be read; what the new traces share with it is not known",
		"kind", kinds.BlockBuilder, "tenant", other.GetTenant(), "partition", b.job.partition,
		"block", other.GetId(), "err", err)
	return nil
}

// compareSpans finds out which of the shared traces may have a span in the new block and in another
// one. It reads the ids and kinds of their spans, which equal spans have in common.
func (b *cutBuild) compareSpans(ctx context.Context, s *sharing, tables []column.Table) error {
	own, err := s.spansOf(ctx, tables)
	if err != nil {
		return err
	}
	repeating := make([][]int, len(s.others)) // traces, by the other block
	err = work.Each(ctx, b.deps.Writers, len(s.others), func(ctx context.Context, _, i int) error {
		o := &s.others[i]
		last := -1
		err := o.found.EachSpan(ctx, func(n int, id trace.SpanID, kind int32) {
			t := o.found.List[n].Asked
			if t != last && own.has(t, spanKey{id, kind}) {
				repeating[i] = append(repeating[i], t)
				last = t
			}
		})
		if err == nil {
			return nil
		}
		for _, f := range o.found.List {
			repeating[i] = append(repeating[i], f.Asked)
		}
		return b.passOver(ctx, o.meta, err)
	})
	for _, list := range repeating {
		for _, t := range list {
			s.traces[t].Disjoint = false
		}
	}
	return err
}

// sharing is what is known of the other homes of a new block's traces.
type sharing struct {
	asked  []trace.ID
	traces []catalog.Extent // by trace of the new block: over all homes found
	homes  []uint32         // by trace: number in sets
	sets   [][]string       // ids of blocks; the first one is the new block alone
	others []otherBlock     // that were read and hold some of the traces
}

// otherBlock is a block that holds traces of the new one.
type otherBlock struct {
	meta  *blocks.BlockMeta
	found *blockstore.FoundTraces
}

func newSharing(id string, traces []block.TraceExtent) *sharing {
	s := &sharing{
		asked:  make([]trace.ID, len(traces)),
		traces: make([]catalog.Extent, len(traces)),
		homes:  make([]uint32, len(traces)),
		sets:   [][]string{{id}},
	}
	for i, x := range traces {
		s.asked[i] = x.ID
		s.traces[i] = catalog.Extent{ID: x.ID, Start: x.Start, End: x.End, Disjoint: true}
	}
	return s
}

// findIn looks for the traces in another block. Errors are those of blockstore.FindTraces.
func (s *sharing) findIn(ctx context.Context, opener blockstore.Opener, other *blocks.BlockMeta) error {
	found, err := blockstore.FindTraces(ctx, opener, other, s.asked)
	if err != nil || len(found.List) == 0 {
		return err
	}
	there := make([]catalog.Extent, len(found.List))
	for i, f := range found.List {
		if there[i], err = f.Extent(ctx); err != nil {
			return err
		}
	}
	add := s.beginHome(other.GetId())
	for i, f := range found.List {
		x := &s.traces[f.Asked]
		x.Start, x.End = min(x.Start, there[i].Start), max(x.End, there[i].End)
		add(f.Asked)
	}
	s.others = append(s.others, otherBlock{other, found})
	return nil
}

// addPossible adds a block that cannot be read as a home of every trace that it may have.
func (s *sharing) addPossible(other *blocks.BlockMeta) {
	add := s.beginHome(other.GetId())
	for i, id := range s.asked {
		if jobs.MayHold(other, id) {
			s.traces[i].Disjoint = false
			add(i)
		}
	}
}

// beginHome returns a function that adds a block to the homes of a trace.
func (s *sharing) beginHome(block string) (add func(trace int)) {
	with := map[uint32]uint32{} // by number of a set: number of the one with the block
	return func(trace int) {
		n, ok := with[s.homes[trace]]
		if !ok {
			n = uint32(len(s.sets))
			with[s.homes[trace]] = n
			s.sets = append(s.sets, append(slices.Clip(s.sets[s.homes[trace]]), block))
		}
		s.homes[trace] = n
	}
}

// spanKey is what equal spans of a trace have in common.
type spanKey struct {
	id   trace.SpanID
	kind int32
}

func (k spanKey) compare(o spanKey) int {
	return cmp.Or(bytes.Compare(k.id[:], o.id[:]), cmp.Compare(k.kind, o.kind))
}

// ownSpans are the spans of the shared traces in the new block.
type ownSpans struct {
	first []uint32  // by trace of the block: where its spans begin in list, and the end
	list  []spanKey // by trace, then in order
}

func (o *ownSpans) has(t int, k spanKey) bool {
	_, ok := slices.BinarySearchFunc(o.list[o.first[t]:o.first[t+1]], k, spanKey.compare)
	return ok
}

// spansOf returns the spans of the shared traces in the tables of the new block.
func (s *sharing) spansOf(ctx context.Context, tables []column.Table) (*ownSpans, error) {
	own := &ownSpans{first: make([]uint32, len(s.traces)+1)}
	if len(s.others) == 0 {
		return own, nil
	}
	count := 0
	for _, o := range s.others {
		count = max(count, len(o.found.List))
	}
	numbers := make(map[trace.ID]uint32, count) // of the shared traces
	for i, set := range s.homes {
		if set > 0 {
			numbers[s.asked[i]] = uint32(i)
		}
	}
	var keys []spanKey
	var traces []uint32 // by key
	for _, t := range tables {
		var ordinals []int
		var of []uint32
		for i := range t.Traces() {
			id, err := t.TraceID(ctx, i)
			if err != nil {
				return nil, err
			}
			if n, ok := numbers[id]; ok {
				ordinals, of = append(ordinals, i), append(of, n)
			}
		}
		err := column.EachSpan(ctx, t, ordinals, func(n int, id trace.SpanID, kind int32) {
			keys, traces = append(keys, spanKey{id, kind}), append(traces, of[n])
		})
		if err != nil {
			return nil, fmt.Errorf("read the spans of the new block: %w", err)
		}
	}
	own.sortByTrace(keys, traces)
	return own, nil
}

// sortByTrace fills list with keys, whose traces are given by their numbers.
func (o *ownSpans) sortByTrace(keys []spanKey, traces []uint32) {
	for _, t := range traces {
		o.first[t+1]++
	}
	for t := range o.first[1:] {
		o.first[t+1] += o.first[t]
	}
	o.list = make([]spanKey, len(keys))
	next := slices.Clone(o.first)
	for i, t := range traces {
		o.list[next[t]] = keys[i]
		next[t]++
	}
	for t, from := range o.first[:len(o.first)-1] {
		slices.SortFunc(o.list[from:o.first[t+1]], spanKey.compare)
	}
}

// message returns the traces that have several homes; nil: none has. A trace that the catalog knows
// to have some is named even if none was found: they are retired, damaged, or far away in time.
// Then the new block is one, too, and no scan of it takes the trace for one of its own.
func (s *sharing) message(tenant string, known *catalog.SharedTraces) *blocks.SharedTraces {
	var list catalog.SharedList
	for i, set := range s.homes {
		if set == 0 {
			if _, ok := known.Find(s.asked[i]); !ok {
				continue
			}
		}
		list.Add(s.traces[i], s.sets[set])
	}
	return list.Message(tenant)
}
