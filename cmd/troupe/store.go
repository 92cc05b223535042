package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/localdisk"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// ownFolders tells what to do when another process has a folder open.
const ownFolders = "stop the other troupe, or give this one folders of its own " +
	"(-storage.trace.wal.path, -storage.trace.local.path)"

// openLog opens the embedded log, which must be that of the bucket.
func openLog(
	ctx context.Context, cfg Config, bucket objstore.Bucket, logger *slog.Logger, registry *prometheus.Registry,
) (kafkalog.Log, error) {
	l, err := openEmbedded(cfg)
	if err != nil {
		return nil, err
	}
	if cut := l.Cut(); cut != nil {
		logger.Warn("the log ended in a write that was cut off before it was acknowledged",
			"file", cut.File, "offset", cut.Offset, "bytes", cut.Bytes)
	}
	for _, p := range l.PassedOver() {
		logger.Warn("the log is damaged where it is not needed any more: what was there is in blocks",
			"file", p.File, "offset", p.Offset, "bytes", p.Bytes, "err", p.Reason)
	}
	if err := matchBucket(ctx, cfg, l, bucket, logger); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	registry.MustRegister(logMetrics(l)...)
	return l, nil
}

// openEmbedded opens the embedded log. Its errors say what to do.
func openEmbedded(cfg Config) (*kafkalog.Embedded, error) {
	w := cfg.Storage.Trace.WAL
	tail := int64(w.TailBytes)
	if tail == 0 {
		tail = -1 // none; 0 would be the default
	}
	l, err := kafkalog.OpenEmbedded(w.Path, kafkalog.EmbeddedConfig{
		Partitions:    w.Partitions,
		SegmentBytes:  int64(w.SegmentBytes),
		MaxBytes:      int64(w.MaxBytes),
		TailBytes:     tail,
		NoSync:        !w.Sync,
		KeepFreeBytes: keepFreeBytes(cfg),
	})
	switch {
	case errors.Is(err, kafkalog.ErrLocked):
		return nil, fmt.Errorf("%w: %s", err, ownFolders)
	case errors.Is(err, kafkalog.ErrCorrupt):
		return nil, fmt.Errorf("%w: records that are in no block yet are lost with it. "+
			"Restore the folder %s from a copy, or move it away: what is in blocks "+
			"is then found, and what was only in the log is not", err, w.Path)
	}
	return l, err
}

// keepFreeBytes is the space that the log leaves free on its disk: none if the blocks are on
// another one. The folder of the log may not exist yet. Then its disk is looked at again at the
// next start, before the log has grown.
func keepFreeBytes(cfg Config) int64 {
	t := cfg.Storage.Trace
	if t.Backend != "local" {
		return 0
	}
	same, err := localdisk.SameDisk(t.WAL.Path, t.Local.Path)
	if err == nil && !same {
		return 0
	}
	return int64(t.WAL.KeepFree)
}

// matchBucket checks that the bucket is the one that holds the log's blocks, because records that
// the log has forgotten are nowhere else. A log or a bucket that is new takes the identity of the
// other.
func matchBucket(
	ctx context.Context, cfg Config, l *kafkalog.Embedded, bucket objstore.Bucket, logger *slog.Logger,
) error {
	have, err := objstore.ReadIdentity(ctx, bucket)
	if err != nil {
		return err
	}
	trimmed, err := isTrimmed(ctx, l)
	if err != nil {
		return err
	}
	want, id, place := l.Bucket(), have.ID, cfg.Storage.Trace.bucketPlace()
	mismatch := describeMismatch(cfg, have, want)
	switch {
	case want == "" || id == want:
	case id == "" && !have.Empty:
		logger.Warn("the bucket's identity is missing or damaged; it gets that of the log's bucket",
			"place", place, "bucket", want)
		id = want
	case cfg.Storage.Trace.WAL.AcceptBucket:
		logger.Warn(mismatch+"; it is accepted, and answers say what is missing. "+
			"Take storage.trace.wal.accept_other_bucket out again", "place", place)
	case have.Empty && !trimmed:
		logger.Warn("the bucket is new; the log still has all that was in the one before", "place", place)
	default:
		return fmt.Errorf("%s. What the log no longer has would be missing. "+
			"Is a disk not mounted, or a path another one? If the bucket is gone for good, "+
			"start once with -set storage.trace.wal.accept_other_bucket=true: answers then say what is missing",
			mismatch)
	}
	if id == "" || have.ID == "" {
		if id, err = objstore.SaveIdentity(ctx, bucket, id); errors.Is(err, objstore.ErrFull) {
			return nil // at the next start, then
		}
		if err != nil {
			return err
		}
	}
	if id == want {
		return nil
	}
	if err := l.SetBucket(id); err != nil && !localdisk.NoSpace(err) {
		return err
	}
	return nil
}

// isTrimmed reports whether the log has forgotten any record.
func isTrimmed(ctx context.Context, l *kafkalog.Embedded) (bool, error) {
	all, err := kafkalog.AllBounds(ctx, l)
	isCut := func(r kafkalog.Range) bool { return r.Start > 0 }
	return slices.ContainsFunc(all, isCut), err
}

// describeMismatch says that the bucket is not the one that the log wants.
func describeMismatch(cfg Config, have objstore.Identity, want string) string {
	place, wal := cfg.Storage.Trace.bucketPlace(), cfg.Storage.Trace.WAL.Path
	if have.Empty {
		return fmt.Sprintf("%s is empty, and the log in %s has blocks in a bucket (%s)", place, wal, want)
	}
	return fmt.Sprintf("%s holds another bucket (%s) than the one that has the blocks of the log in %s (%s)",
		place, have.ID, wal, want)
}

// logMetrics are the instruments of the embedded log's space.
func logMetrics(l *kafkalog.Embedded) []prometheus.Collector {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "troupe_log_" + name, Help: help}, f)
	}
	disk := func(of func(kafkalog.Disk) int64) func() float64 {
		return func() float64 {
			d, err := l.Disk()
			if err != nil {
				return math.NaN()
			}
			return float64(of(d))
		}
	}
	return []prometheus.Collector{
		gauge("bytes",
			"Bytes of the embedded log's segment files.",
			func() float64 { return float64(l.Size()) }),
		gauge("disk_free_bytes",
			"Free bytes on the disk of the embedded log.",
			disk(func(d kafkalog.Disk) int64 { return d.Free })),
		gauge("disk_kept_free_bytes",
			"Free bytes on the disk of the embedded log below which pushes are refused, so that blocks can be written.",
			disk(func(d kafkalog.Disk) int64 { return d.Kept })),
	}
}
