package backendscheduler

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// A retired block is still read by queries that were planned before, and is a home of its traces.
// Its objects are removed when such queries have ended, and then it is forgotten. The time counts
// from when this incarnation has seen the block retired, and not by what the entry says: a
// scheduler whose clock is ahead must not take blocks away under queries.

// mostRemoved bounds the blocks that are removed at one time.
const mostRemoved = 64

// removal is what the scheduler knows of retired blocks beside the catalog. All of it can be lost.
type removal struct {
	seen  map[string]time.Time // by retired block: since when it is known to be
	going bool                 // objects are being removed
}

// removeJob removes the objects of retired blocks.
type removeJob struct{ blocks []*blocks.BlockMeta }

// removed is the end of a removeJob.
type removed struct {
	ids []string // of blocks without objects
	err error    // of another one
}

// planRemoval begins to remove the blocks that have been retired for long enough.
func (s *state) planRemoval(st *step, now time.Time) {
	seen := map[string]time.Time{}
	var due []*blocks.BlockMeta
	for _, r := range s.ledger.catalog.Retired() {
		id := r.GetBlock().GetId()
		since, ok := s.keeping.removal.seen[id]
		if !ok {
			since = now
		}
		seen[id] = since
		if now.Sub(since) >= s.cfg.RetiredGrace && len(due) < mostRemoved {
			due = append(due, r.GetBlock())
		}
	}
	s.keeping.removal.seen = seen
	if len(due) > 0 && !s.keeping.removal.going {
		s.keeping.removal.going = true
		st.remove = &removeJob{due}
	}
}

// onRemoved has the blocks forgotten whose objects are gone. Others are tried again.
func (s *state) onRemoved(now time.Time, m removed) (st step) {
	s.keeping.removal.going = false
	st.counted.removed = len(m.ids)
	if m.err != nil {
		st.addLine(slog.LevelWarn, "remove blocks that are retired", "err", m.err)
		s.keeping.shown.noteFailure(upkeep.Failure{At: now.UTC(), What: "remove", Reason: m.err.Error()})
	}
	if s.ledger == nil || !s.isKnown() || len(m.ids) == 0 {
		return st
	}
	entry := &blocks.Entry{Forgotten: &blocks.Forgotten{Blocks: m.ids}}
	if err := s.ledger.enqueueEntry(entry); err != nil { // another scheduler was faster
		st.addLine(slog.LevelWarn, "forget blocks that are removed", "err", err)
		return st
	}
	s.beginNextWork(&st, now)
	return st
}

// removeBlocks removes the objects of blocks, the meta of each first, as removeFolder does. A block
// that is cut short is tried again.
func (d Deps) removeBlocks(ctx context.Context, job *removeJob) (out removed) {
	for _, m := range job.blocks {
		folder := blockstore.Folder(m.GetTenant(), m.GetId())
		for _, name := range append([]string{block.MetaObject}, block.PartNames()...) {
			if err := d.Bucket.Delete(ctx, folder+name); err != nil {
				out.err = fmt.Errorf("block %s: %w", m.GetId(), err)
				return out
			}
		}
		out.ids = append(out.ids, m.GetId())
	}
	return out
}
