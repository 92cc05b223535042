package backendscheduler

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Blocks opens blocks, to find out what a catalog that is made anew must know of them.
type Blocks interface {
	Open(ctx context.Context, m *blocks.BlockMeta) (*block.Block, error)
}

// maxMeta bounds a meta.json.
const maxMeta = 16 << 20

// load reads the catalog from its journal and makes it fit the log. What that changes is durable when load returns.
func (d Deps) load(ctx context.Context, cfg Config, log *slog.Logger) loaded {
	read, err := d.Journal.Load(ctx)
	if err != nil {
		return loaded{err: fmt.Errorf("read the journal: %w", err)}
	}
	var c *catalog.State
	if read.Last == 0 {
		c, err = d.rebuild(ctx, log)
	} else {
		c, err = catalog.Load(read.Snapshot, read.Entries)
	}
	if err == nil {
		err = d.fit(ctx, c, log)
	}
	if err != nil {
		return loaded{err: err}
	}
	return loaded{state: newState(cfg, c, read.SnapshotSeq), damaged: read.Damaged}
}

// fit makes the catalog fit the log.
func (d Deps) fit(ctx context.Context, c *catalog.State, log *slog.Logger) error {
	l, err := d.inspectLog(ctx, c.Coverage())
	if err != nil {
		return err
	}
	now := d.Clock.Now()
	entries := c.Reconcile(l, now.UnixNano())
	if len(entries) == 0 {
		return nil
	}
	for _, e := range entries {
		d.report(log, e)
	}
	m := &blocks.Commit{Seq: c.View().Version + 1, Entries: entries, AtUnixNano: now.UnixNano()}
	data, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode commit: %w", err)
	}
	if err := d.Journal.Append(ctx, m.Seq, data); err != nil {
		return fmt.Errorf("write catalog entry %d: %w", m.Seq, err)
	}
	return c.Apply(m)
}

// report says loudly that the log is not what it was.
func (d Deps) report(log *slog.Logger, e *blocks.Entry) {
	switch m := e.GetEpoch(); {
	case m.GetReason() == catalog.FirstLog:
		log.Info("the first epoch of the log begins", "epoch", m.GetId())
		d.Metrics.epochs.Inc()
	case m != nil:
		log.Warn("a new epoch of the log begins; blocks of older ones stay as they are", "epoch", m.GetId(), "err", m.GetReason())
		d.Metrics.epochs.Inc()
	case e.GetGap() != nil:
		g := e.GetGap()
		log.Error("the log has lost records that were in no block yet; answers that may miss them say so", "epoch", g.GetEpoch(),
			"partition", g.GetPartition(), "offset", g.GetFrom(), "to", g.GetTo())
		d.Metrics.gaps.Inc()
	}
}

// inspectLog asks the log what Reconcile needs. known is the catalog's coverage by partition.
func (d Deps) inspectLog(ctx context.Context, known map[int32]*blocks.Coverage) (catalog.Log, error) {
	l := catalog.Log{Identity: d.Log.Epoch()}
	for p := range int32(d.Log.Partitions()) {
		start, end, err := d.Log.Bounds(ctx, p)
		if err != nil {
			return l, fmt.Errorf("read bounds of partition %d: %w", p, err)
		}
		out := catalog.Partition{Start: start, End: end}
		covered := known[p].GetCovered()
		if known[p].GetFingerprint() != nil && covered >= start && covered <= end {
			f, err := d.Log.Fingerprint(ctx, p, covered-1)
			switch {
			case err == nil:
				out.Last = &blocks.Fingerprint{Crc: f.CRC, LeaderEpoch: f.LeaderEpoch}
			case !errors.Is(err, kafkalog.ErrOutOfRange):
				return l, fmt.Errorf("read fingerprint of partition %d at %d: %w", p, covered-1, err)
			}
		}
		if start > covered && start < end {
			b, err := d.Log.Read(ctx, p, start, 1, 0)
			if err != nil {
				return l, fmt.Errorf("read partition %d at %d: %w", p, start, err)
			}
			if len(b.Records) > 0 {
				out.Arrival = b.Records[0].Time.UnixNano()
			}
		}
		l.Partitions = append(l.Partitions, out)
	}
	return l, nil
}

// rebuild makes a catalog from the blocks in the bucket, where the journal is gone. Of the log it believes nothing: coverage begins at the log's start, and
// what is then in a block twice is removed when it is read. The new catalog is durable when rebuild returns.
func (d Deps) rebuild(ctx context.Context, log *slog.Logger) (*catalog.State, error) {
	metas, err := d.metas(ctx, log)
	if err != nil || len(metas) == 0 {
		return catalog.New(), err
	}
	metas = catalog.Keep(metas)
	log.Warn("the journal of the catalog is gone; the catalog is made anew from the blocks", "blocks", len(metas))
	snap := &blocks.Snapshot{Seq: 1, Blocks: metas}
	homes := map[string]*catalog.Homes{}
	past := map[string]bool{}
	for _, m := range metas {
		if !past[m.GetEpoch()] {
			past[m.GetEpoch()] = true
			snap.PastEpochs = append(snap.PastEpochs, m.GetEpoch())
		}
		b, err := d.Blocks.Open(ctx, m)
		if err != nil {
			log.Error("block cannot be opened; answers that need it say so", "tenant", m.GetTenant(), "block", m.GetId(), "err", err)
			continue
		}
		list, err := traces(ctx, b)
		if err != nil {
			log.Error("traces of a block cannot be read; answers that need it say so", "tenant", m.GetTenant(), "block", m.GetId(), "err", err)
		}
		h := homes[m.GetTenant()]
		if h == nil {
			h = &catalog.Homes{}
			homes[m.GetTenant()] = h
		}
		h.Add(m.GetTenant(), m.GetId(), list)
	}
	for _, h := range homes {
		snap.Shared = append(snap.Shared, h.Shared()...)
	}
	c, err := catalog.Restore(snap)
	if err != nil {
		return nil, err
	}
	data, err := proto.Marshal(snap)
	if err != nil {
		return nil, fmt.Errorf("encode snapshot: %w", err)
	}
	return c, d.Journal.SaveSnapshot(ctx, snap.Seq, data)
}

// traces lists the traces of a block, as far as they can be read.
func traces(ctx context.Context, b *block.Block) (out []catalog.Extent, err error) {
	for _, t := range b.Reader().Tables() {
		for i := range t.Traces() {
			info, err := t.Trace(ctx, i)
			if err != nil {
				return out, err
			}
			out = append(out, catalog.Extent{ID: info.ID, Start: info.Start, End: info.End})
		}
	}
	return out, nil
}

// metas reads every meta.json of the bucket. A block whose meta cannot be read is left out, loudly; so is one of another program.
func (d Deps) metas(ctx context.Context, log *slog.Logger) ([]*blocks.BlockMeta, error) {
	var out []*blocks.BlockMeta
	err := d.Bucket.List(ctx, "", func(o objstore.Info) error {
		if !strings.HasSuffix(o.Name, "/meta.json") {
			return nil
		}
		raw, err := d.Bucket.Read(ctx, o.Name, maxMeta)
		if err != nil {
			return err
		}
		var m block.Meta
		if err := json.Unmarshal(raw, &m); err != nil {
			log.Error("meta of a block is damaged; the block is left out", "block", o.Name, "err", err)
			return nil
		}
		if m.Version == 0 || o.Name != m.Tenant+"/"+m.ID+"/"+metaName {
			log.Warn("meta is not of a block of ours; it is left alone", "block", o.Name)
			return nil
		}
		out = append(out, plan.CatalogMeta(&m, raw))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the blocks: %w", err)
	}
	return out, nil
}
