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
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// errForeign says that another node, with a log of its own, writes to the catalog.
var errForeign = errors.New("another node with another log uses the same bucket: give each node a bucket of its own, or all of them one log")

// load reads the catalog from its journal and makes it fit the log. What that changes is durable
// when load returns. held says that the catalog was in an epoch of our log before: then nobody else
// may have begun one of another log.
func (d Deps) load(ctx context.Context, cfg Config, held bool, log *slog.Logger) loaded {
	read, err := d.Journal.Load(ctx)
	if err == nil && read.Last == 0 {
		var c *catalog.State
		if c, err = d.rebuild(ctx, log); err == nil {
			return d.fit(ctx, cfg, c, log, loaded{damaged: read.Damaged})
		}
	}
	var c *catalog.State
	if err == nil {
		c, err = catalog.Load(read.Snapshot, read.Entries)
	}
	if err == nil {
		err = d.missesNewest(ctx, c)
	}
	if errors.Is(err, journal.ErrCorrupt) || errors.Is(err, catalog.ErrCorrupt) {
		if c, err = d.remake(ctx, log, err); err == nil {
			read = journal.Loaded{SnapshotSeq: c.View().Version}
		}
	}
	if err != nil {
		return loaded{err: fmt.Errorf("read the journal: %w", err)}
	}
	if held && c.Epoch().GetLog() != d.Log.Epoch() && c.Epoch() != nil {
		return loaded{err: fmt.Errorf("the catalog has gone over to log %s, ours is %s: %w", c.Epoch().GetLog(), d.Log.Epoch(), errForeign)}
	}
	return d.fit(ctx, cfg, c, log, loaded{damaged: read.Damaged, saved: read.SnapshotSeq})
}

// fit makes the catalog fit the log.
func (d Deps) fit(ctx context.Context, cfg Config, c *catalog.State, log *slog.Logger, out loaded) loaded {
	if err := d.reconcile(ctx, c, log); err != nil {
		return loaded{err: err}
	}
	out.state = newState(cfg, c, out.saved)
	return out
}

func (d Deps) reconcile(ctx context.Context, c *catalog.State, log *slog.Logger) error {
	l, err := d.inspectLog(ctx, c.Coverage())
	if err != nil {
		return err
	}
	now := d.Clock.Now()
	entries := c.Reconcile(l, now.UnixNano())
	if len(entries) == 0 {
		return nil
	}
	m := &blocks.Commit{Seq: c.View().Version + 1, Entries: entries, AtUnixNano: now.UnixNano()}
	data, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode commit: %w", err)
	}
	if err := d.Journal.Append(ctx, m.Seq, data); err != nil {
		return fmt.Errorf("write catalog entry %d: %w", m.Seq, err)
	}
	for _, e := range entries {
		d.report(log, e)
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
		log.Error("records are neither in the log any more nor in a block of this bucket; answers that may miss them say so", "epoch", g.GetEpoch(),
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

// metas reads every meta.json of the bucket. A block whose meta cannot be read is left out, loudly;
// so is one of another program.
func (d Deps) metas(ctx context.Context, log *slog.Logger) ([]*blocks.BlockMeta, error) {
	var out []*blocks.BlockMeta
	err := d.Bucket.List(ctx, "", func(o objstore.Info) error {
		if !strings.HasSuffix(o.Name, "/"+block.MetaObject) {
			return nil
		}
		raw, err := d.Bucket.Read(ctx, o.Name, blockstore.MaxMeta)
		if err != nil {
			return err
		}
		var m block.Meta
		if err := json.Unmarshal(raw, &m); err != nil {
			log.Error("meta of a block is damaged; the block is left out", "block", o.Name, "err", err)
			return nil
		}
		if m.Version == 0 || o.Name != blockstore.Folder(m.Tenant, m.ID)+block.MetaObject {
			log.Warn("meta is not of a block of ours; it is left alone", "block", o.Name)
			return nil
		}
		out = append(out, jobs.CatalogMeta(&m, raw))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the blocks: %w", err)
	}
	return out, nil
}
