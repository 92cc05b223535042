package backendscheduler

import (
	"context"
	"fmt"
	"log/slog"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
)

// rebuildFromBlocks makes a catalog from the blocks in the bucket, for a journal that is gone. It
// believes nothing of the log: coverage begins at the log's start, and spans that are then in two
// blocks are removed when they are read. The new catalog is durable when it returns.
func (d Deps) rebuildFromBlocks(ctx context.Context, log *slog.Logger) (*catalog.State, error) {
	metas, err := d.readMetas(ctx, log)
	if err != nil || len(metas) == 0 {
		return catalog.New(), err
	}
	log.Warn("the journal of the catalog is gone; the catalog is made anew from the blocks", "blocks", len(metas))
	snap := d.snapshotOf(ctx, metas, &blocks.Snapshot{Seq: 1}, log)
	c, data, err := restoreEncoded(snap)
	if err != nil {
		return nil, err
	}
	return c, d.Journal.SaveSnapshot(ctx, snap.Seq, data)
}

// restoreEncoded returns the catalog that a snapshot describes, and the snapshot as the journal
// keeps it.
func restoreEncoded(snap *blocks.Snapshot) (*catalog.State, []byte, error) {
	c, err := catalog.Restore(snap)
	if err != nil {
		return nil, nil, err
	}
	data, err := proto.Marshal(snap)
	if err != nil {
		return nil, nil, fmt.Errorf("encode snapshot: %w", err)
	}
	return c, data, nil
}

// remakeDamaged makes the catalog anew from the blocks and from the readable part of its damaged
// journal, and moves the journal aside. The new catalog is durable when it returns.
func (d Deps) remakeDamaged(ctx context.Context, log *slog.Logger, cause error) (*catalog.State, error) {
	left, err := d.Journal.Salvage(ctx)
	if err != nil {
		return nil, err
	}
	metas, err := d.readMetas(ctx, log)
	if err != nil {
		return nil, err
	}
	entries := make([][]byte, len(left.Entries))
	for i, e := range left.Entries {
		entries[i] = e.Data
	}
	base := catalog.Salvage(left.Snapshot, entries)
	base.Seq = left.Last + 1
	snap := d.snapshotOf(ctx, metas, base, log)
	c, data, err := restoreEncoded(snap)
	if err != nil {
		return nil, err
	}
	aside := "catalog-damaged-" + d.Clock.Now().UTC().Format("20060102T150405") + "/"
	moved, err := d.Journal.Remake(ctx, snap.Seq, data, aside)
	if err != nil {
		return nil, fmt.Errorf("write the catalog anew: %w", err)
	}
	log.Error("the catalog is damaged; it was made anew from the blocks, and the damaged one is set aside",
		"err", cause, "blocks", len(snap.Blocks), "objects", moved, "aside", aside)
	d.Metrics.remade.Inc()
	return c, nil
}

// snapshotOf adds the blocks to a catalog's snapshot that has none. It leaves out those that the
// snapshot knows to be retired.
func (d Deps) snapshotOf(ctx context.Context, metas []*blocks.BlockMeta, snap *blocks.Snapshot, log *slog.Logger) (
	_ *blocks.Snapshot) {
	seen := map[string]bool{}
	for _, r := range snap.GetRetired() {
		seen[r.GetBlock().GetId()] = true
	}
	homes, past := map[string]*catalog.SharedFinder{}, map[string]bool{}
	for _, e := range snap.GetPastEpochs() {
		past[e] = true
	}
	for _, m := range catalog.ChooseListed(metas) {
		if seen[m.GetId()] {
			continue
		}
		seen[m.GetId()] = true
		snap.Blocks = append(snap.Blocks, m)
		if !past[m.GetEpoch()] {
			past[m.GetEpoch()] = true
			snap.PastEpochs = append(snap.PastEpochs, m.GetEpoch())
		}
		b, err := d.Blocks.Open(ctx, m)
		if err != nil {
			log.Error("block cannot be opened; answers that need it say so",
				"tenant", m.GetTenant(), "block", m.GetId(), "err", err)
			continue
		}
		list, err := tracesOf(ctx, b)
		if err != nil {
			log.Error("traces of a block cannot be read; answers that need it say so",
				"tenant", m.GetTenant(), "block", m.GetId(), "err", err)
		}
		h := homes[m.GetTenant()]
		if h == nil {
			h = &catalog.SharedFinder{}
			homes[m.GetTenant()] = h
		}
		h.Add(m.GetTenant(), m.GetId(), list)
	}
	for _, h := range homes {
		snap.Shared = append(snap.Shared, h.Shared()...)
	}
	return snap
}

// missesNewest returns ErrCorrupt when the journal has lost its newest entries: the log is trimmed
// beyond the covered offset, and the bucket holds blocks of the range between. If such a journal
// were believed, the sweep would remove these blocks.
func (d Deps) missesNewest(ctx context.Context, c *catalog.State) error {
	if c.Epoch().GetLog() != d.Log.Epoch() {
		return nil
	}
	trimmed := map[int32][2]int64{} // ranges that are neither covered nor in the log
	for p, known := range c.Coverage() {
		if int(p) >= d.Log.Partitions() {
			continue
		}
		start, _, err := d.Log.Bounds(ctx, p)
		if err != nil {
			return fmt.Errorf("read bounds of partition %d: %w", p, err)
		}
		if start > known.GetCovered() {
			trimmed[p] = [2]int64{known.GetCovered(), start}
		}
	}
	if len(trimmed) == 0 {
		return nil
	}
	known := c.Orphans()
	metas, err := d.readMetas(ctx, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	for _, m := range metas {
		lost, ok := trimmed[m.GetPartition()]
		if !ok || m.GetEpoch() != c.Epoch().GetId() || known.Known(m.GetId()) {
			continue
		}
		if m.GetFrom() < lost[1] && m.GetTo() > lost[0] {
			return fmt.Errorf("the log is trimmed to %d in partition %d, "+
				"the catalog covers %d and does not list block %s of [%d, %d): %w",
				lost[1], m.GetPartition(), lost[0], m.GetId(), m.GetFrom(), m.GetTo(), catalog.ErrCorrupt)
		}
	}
	return nil
}
