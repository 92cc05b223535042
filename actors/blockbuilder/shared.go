package blockbuilder

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// findShared finds the traces of a new block that have another home, and proves of most that no
// span is in two of their homes. It looks in the blocks that it has not looked in before.
//
// A block that cannot be read must not keep new ones from being made. One that is damaged, or gone
// although a newer view still lists it, is passed over, because nothing of it is in an answer. One
// that could not be read in several attempts is taken to have every trace that it may have, and
// every span of those.
func (b *cutBuild) findShared(ctx context.Context, t *tenantBlock) error {
	defer t.waited.startWait(b.deps.Clock)()
	s, m := t.sharing, t.meta
	before := s.gone
	s.gone = map[string]bool{}
	for _, other := range b.possibleHomes(m) {
		id := other.GetId()
		if s.looked[id] {
			continue
		}
		err := s.findIn(ctx, b.deps.Blocks, other)
		if errors.Is(err, objstore.ErrNotFound) && !b.job.lost[id] && !before[id] {
			s.gone[id] = true // it may have been replaced since: a newer view tells
			continue
		}
		if err != nil {
			if err := b.passOver(ctx, other, err); err != nil {
				return fmt.Errorf("look for other homes of tenant %s: %w", m.GetTenant(), err)
			}
			if isDamaged(err) {
				s.lost[id] = true
			} else {
				s.addPossible(other)
			}
		}
		s.looked[id] = true
	}
	if err := b.compareSpans(ctx, s, b.job.cut.Tables[m.GetTenant()]); err != nil {
		return fmt.Errorf("look for other homes of tenant %s: %w", m.GetTenant(), err)
	}
	s.others = nil
	return nil
}

// possibleHomes lists the live blocks that may be homes of traces of a new block: those that have
// spans within the window around it, and those that may be merged with it, because in one block the
// parts of a trace are one trace, however far they are apart.
func (b *cutBuild) possibleHomes(m *blocks.BlockMeta) (out []*blocks.BlockMeta) {
	window := jobs.Range{Start: m.GetMinStartUnixNano(), End: m.GetMaxEndUnixNano()}.Widen(b.cfg.SharedWindow)
	near := map[string]bool{}
	for _, other := range b.job.view.Blocks(m.GetTenant(), window.Start, window.End) {
		near[other.GetId()] = true
	}
	for _, other := range b.job.view.Blocks(m.GetTenant(), 0, math.MaxUint64) {
		if (near[other.GetId()] || compact.DayOf(other) == compact.DayOf(m)) &&
			jobs.MayShare(other, m.GetPartition(), m.GetParts()) {
			out = append(out, other)
		}
	}
	return out
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
	if b.job.lost[other.GetId()] { // it was said
		return nil
	}
	b.deps.Logger.Error("block cannot be read; what the new traces share with it is not known",
		"kind", kinds.BlockBuilder, "tenant", other.GetTenant(), "partition", b.job.partition,
		"block", other.GetId(), "err", err)
	return nil
}

// sharing is what is known of the other homes of a new block's traces.
type sharing struct {
	asked  []trace.ID
	traces []catalog.Extent // by trace of the new block: over all homes found
	homes  []uint32         // by trace: number in sets
	sets   [][]string       // ids of blocks; the first one is the new block alone
	others []otherBlock     // that were read, hold some of the traces, and are not compared yet
	looked map[string]bool  // blocks that were looked in
	gone   map[string]bool  // blocks that the latest view lists and that were not there
	lost   map[string]bool  // blocks that are damaged, or that were gone in a newer view, too
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
		looked: map[string]bool{id: true},
		lost:   map[string]bool{},
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

// dropHomes forgets the homes that are not among the live blocks.
func (s *sharing) dropHomes(live []*blocks.BlockMeta) {
	isLive := map[string]bool{s.sets[0][0]: true}
	for _, m := range live {
		isLive[m.GetId()] = true
	}
	for i, set := range s.sets {
		s.sets[i] = slices.DeleteFunc(slices.Clone(set), func(id string) bool { return !isLive[id] })
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

// message returns the traces that have several homes; nil: none has. A trace that the catalog knows
// to have some is named even if none was found: they are retired, damaged, or far away in time.
// Then the new block is one, too, and no scan of it takes the trace for one of its own.
func (s *sharing) message(tenant string, known *catalog.SharedTraces) *blocks.SharedTraces {
	var list catalog.SharedList
	for i, set := range s.homes {
		if len(s.sets[set]) == 1 {
			if _, ok := known.Find(s.asked[i]); !ok {
				continue
			}
		}
		list.Add(s.traces[i], s.sets[set])
	}
	return list.Message(tenant)
}
