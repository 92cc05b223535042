package backendscheduler

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
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
	seen, past := map[string]bool{}, map[string]bool{}
	for _, r := range snap.GetRetired() {
		seen[r.GetBlock().GetId()] = true
	}
	for _, e := range snap.GetPastEpochs() {
		past[e] = true
	}
	byTenant := map[string][]*blocks.BlockMeta{}
	for _, m := range catalog.ChooseListed(metas) {
		if seen[m.GetId()] {
			continue
		}
		seen[m.GetId()] = true
		snap.Blocks = append(snap.Blocks, m)
		for _, r := range catalog.RangesOf(m) {
			if !past[r.GetEpoch()] && !catalog.IsImport(r.GetEpoch()) { // an import may go on
				past[r.GetEpoch()] = true
				snap.PastEpochs = append(snap.PastEpochs, r.GetEpoch())
			}
		}
		byTenant[m.GetTenant()] = append(byTenant[m.GetTenant()], m)
	}
	for _, tenant := range slices.Sorted(maps.Keys(byTenant)) {
		if m := d.findShared(ctx, tenant, byTenant[tenant], log); m != nil {
			snap.SharedTraces = append(snap.SharedTraces, m)
		}
	}
	return snap
}

// comparedSpans is of how many spans of shared traces the ids are in memory at a time.
const comparedSpans = 4 << 20

// findShared finds the traces that lie in several of a tenant's blocks, and which of them have no
// span in two.
func (d Deps) findShared(
	ctx context.Context, tenant string, metas []*blocks.BlockMeta, log *slog.Logger,
) *blocks.SharedTraces {
	finder := catalog.NewSharedFinder()
	for _, m := range metas {
		list, err := d.tracesOf(ctx, m)
		if err != nil {
			log.Error("traces of a block cannot be read; answers that need it say so",
				"tenant", tenant, "block", m.GetId(), "err", err)
		}
		finder.Add(m.GetId(), list)
	}
	spans, none := int64(0), func(trace.ID) bool { return false }
	for _, m := range metas {
		spans += d.compareSpans(ctx, m, none, finder, log)
	}
	passes := int(spans/comparedSpans) + 1
	for pass := range passes {
		chosen := func(id trace.ID) bool { return int(id[len(id)-1])%passes == pass }
		for _, m := range metas {
			d.compareSpans(ctx, m, chosen, finder, log)
		}
		finder.ForgetSpans()
	}
	return finder.Message(tenant)
}

// compareSpans compares the spans that a block holds of the chosen shared traces with those of the
// blocks before it. It returns how many spans the block holds of all shared traces. Traces whose
// spans cannot be read are taken to be repeating.
func (d Deps) compareSpans(
	ctx context.Context, m *blocks.BlockMeta, chosen func(trace.ID) bool, f *catalog.SharedFinder, log *slog.Logger,
) (spans int64) {
	b, err := d.Blocks.Open(ctx, m)
	if err != nil {
		return 0 // it was reported
	}
	for _, t := range b.Reader().Tables() {
		var ordinals []int
		var ids []trace.ID
		for i := range t.Traces() {
			info, err := t.Trace(ctx, i)
			if err != nil || !f.Has(info.ID) {
				continue
			}
			spans += int64(info.Spans)
			if chosen(info.ID) {
				ordinals, ids = append(ordinals, i), append(ids, info.ID)
			}
		}
		err := column.EachSpan(ctx, t, ordinals, func(n int, id trace.SpanID, kind int32) {
			f.AddSpan(m.GetId(), ids[n], id, kind)
		})
		if err != nil {
			log.Error("spans of a block cannot be read; what it shares with others is put together when it is read",
				"tenant", m.GetTenant(), "block", m.GetId(), "err", err)
			for _, id := range ids {
				f.SetRepeating(id)
			}
		}
	}
	return spans
}

// missesNewest returns ErrCorrupt when the journal has lost its newest entries: the log is trimmed
// beyond the covered offset, and the bucket holds blocks of the range between. If such a journal
// were believed, the sweep would remove these blocks.
func (d Deps) missesNewest(ctx context.Context, c *catalog.State) error {
	if c.Epoch().GetLog() != d.Log.Epoch() {
		return nil
	}
	trimmed := map[int32][2]int64{} // ranges that are neither covered nor in the log
	all, err := kafkalog.AllBounds(ctx, d.Log)
	if err != nil {
		return err
	}
	for p, known := range c.Coverage() {
		if int(p) < len(all) && all[p].Start > known.GetCovered() {
			trimmed[p] = [2]int64{known.GetCovered(), all[p].Start}
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
