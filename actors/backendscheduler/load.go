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

// errForeign is the error of a catalog to which another node, with a log of its own, writes.
var errForeign = errors.New("another node with another log uses the same bucket: " +
	"give each node a bucket of its own, or all of them one log")

// loadCatalog reads the catalog from its journal and makes it fit the log. The entries that this
// adds are durable when load returns. adopted reports whether the catalog was in an epoch of our
// log before: then nobody else may have begun an epoch of another log.
func (d Deps) loadCatalog(ctx context.Context, adopted bool, log *slog.Logger) loaded {
	read, err := d.Journal.Load(ctx)
	if err == nil && read.Last == 0 {
		var c *catalog.State
		if c, err = d.rebuildFromBlocks(ctx, log); err == nil {
			return d.fitToLog(ctx, log, loaded{catalog: c, damaged: read.Damaged})
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
		if c, err = d.remakeDamaged(ctx, log, err); err == nil {
			read = journal.Loaded{SnapshotSeq: c.View().Version}
		}
	}
	if err != nil {
		return loaded{err: fmt.Errorf("read the journal: %w", err)}
	}
	if adopted && c.Epoch() != nil && c.Epoch().GetLog() != d.Log.Epoch() {
		return loaded{err: fmt.Errorf("the catalog has gone over to log %s, ours is %s: %w",
			c.Epoch().GetLog(), d.Log.Epoch(), errForeign)}
	}
	return d.fitToLog(ctx, log, loaded{catalog: c, damaged: read.Damaged, lastSnapshot: read.SnapshotSeq})
}

// fitToLog writes the entries that make a loaded catalog fit the log, and applies them.
func (d Deps) fitToLog(ctx context.Context, log *slog.Logger, m loaded) loaded {
	l, err := d.inspectLog(ctx, m.catalog.Coverage())
	if err != nil {
		return loaded{err: err}
	}
	now := d.Clock.Now().UnixNano()
	entries := m.catalog.Reconcile(l, now)
	if len(entries) == 0 {
		return m
	}
	commit := &blocks.Commit{Seq: m.catalog.View().Version + 1, Entries: entries, AtUnixNano: now, Writer: d.Writer}
	data, err := proto.Marshal(commit)
	if err != nil {
		return loaded{err: fmt.Errorf("encode commit: %w", err)}
	}
	if err := d.Journal.Append(ctx, commit.Seq, data); err != nil {
		return loaded{err: fmt.Errorf("write catalog entry %d: %w", commit.Seq, err)}
	}
	for _, e := range entries {
		d.reportEntry(log, e)
	}
	if err := m.catalog.Apply(commit); err != nil {
		return loaded{err: err}
	}
	return m
}

// writeCommit makes a batch durable as one object of the journal.
func (d Deps) writeCommit(ctx context.Context, b *batch) error {
	started := d.Clock.Now()
	b.commit.Writer = d.Writer
	data, err := proto.Marshal(b.commit)
	if err != nil {
		return fmt.Errorf("encode commit: %w", err)
	}
	err = d.Journal.Append(ctx, b.seq, data)
	d.Metrics.seconds.Observe(d.Clock.Now().Sub(started).Seconds())
	if err != nil {
		d.Metrics.conflicts.Inc()
	}
	return err
}

// saveSnapshot writes the whole catalog beside the journal's entries.
func (d Deps) saveSnapshot(ctx context.Context, m *blocks.Snapshot) error {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode snapshot: %w", err)
	}
	err = d.Journal.SaveSnapshot(ctx, m.Seq, data)
	if errors.Is(err, journal.ErrTaken) {
		return nil // another scheduler has written the same
	}
	return err
}

// compareLog looks at the log, and for newer entries of the journal where others may write to it:
// an idle node that is alone sends its object store nothing.
func (d Deps) compareLog(ctx context.Context, m *compareJob) logInspected {
	newer := false
	if !d.Alone {
		var err error
		if newer, err = d.Journal.Newer(ctx, m.version); err != nil {
			return logInspected{err: fmt.Errorf("look for newer entries: %w", err)}
		}
	}
	l, err := d.inspectLog(ctx, m.known)
	return logInspected{version: m.version, newer: newer, log: l, err: err}
}

// reportEntry logs and counts an entry that says that the log is not what it was.
func (d Deps) reportEntry(log *slog.Logger, e *blocks.Entry) {
	if m := e.GetEpoch(); m != nil {
		d.Metrics.epochs.Inc()
		if m.GetReason() == catalog.FirstLog {
			log.Info("the first epoch of the log begins", "epoch", m.GetId())
		} else {
			log.Warn("a new epoch of the log begins; blocks of older ones stay as they are",
				"epoch", m.GetId(), "err", m.GetReason())
		}
		return
	}
	if g := e.GetGap(); g != nil {
		d.Metrics.gaps.Inc()
		const lost = "records are neither in the log any more nor in a block of this bucket; " +
			"answers that may miss them say so"
		log.Error(lost, "epoch", g.GetEpoch(), "partition", g.GetPartition(), "offset", g.GetFrom(), "to", g.GetTo())
	}
}

// inspectLog asks the log for what Reconcile needs. known is the catalog's coverage by partition.
func (d Deps) inspectLog(ctx context.Context, known map[int32]*blocks.Coverage) (catalog.Log, error) {
	l := catalog.Log{Identity: d.Log.Epoch()}
	all, err := kafkalog.AllBounds(ctx, d.Log)
	if err != nil {
		return l, err
	}
	for i, b := range all {
		p, start, end := int32(i), b.Start, b.End
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

// tracesOf lists the traces of a block, as far as they can be read.
func (d Deps) tracesOf(ctx context.Context, m *blocks.BlockMeta) (out []catalog.Extent, err error) {
	b, err := d.Blocks.Open(ctx, m)
	if err != nil {
		return nil, err
	}
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

// readMetas reads every meta.json of the bucket. It logs and leaves out blocks whose meta cannot be
// read, and those of other programs.
func (d Deps) readMetas(ctx context.Context, log *slog.Logger) ([]*blocks.BlockMeta, error) {
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
