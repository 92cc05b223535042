package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/localdisk"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// openBucket opens the bucket and takes it for this node. A full one can be read.
func openBucket(ctx context.Context, cfg Config, logger *slog.Logger) (*objstore.Local, error) {
	path := cfg.Storage.Trace.Local.Path
	failed := func(err error) error { return fmt.Errorf("storage.trace.local.path %s: %w", path, err) }
	b, err := objstore.OpenLocal(path)
	if err != nil {
		return nil, failed(err)
	}
	err = b.Claim()
	if errors.Is(err, localdisk.ErrLocked) {
		err = fmt.Errorf("%w: stop the other troupe, or give this one folders of its own (-storage.trace.wal.path, -storage.trace.local.path)", err)
	}
	if err == nil {
		err = objstore.Probe(ctx, b, uuid.NewString())
	}
	if errors.Is(err, objstore.ErrFull) {
		logger.Warn("the disk of the bucket is full; no block can be written", "path", path, "err", err)
		err = nil
	}
	if err != nil {
		return nil, errors.Join(failed(err), b.Close())
	}
	return b, nil
}

// openLog opens the embedded log, or connects to Kafka where an address is given.
func openLog(ctx context.Context, cfg Config, bucket objstore.Bucket, logger *slog.Logger, registry *prometheus.Registry) (kafkalog.Log, error) {
	if cfg.Ingest.Kafka.Address != "" {
		return openKafka(cfg.Ingest.Kafka)
	}
	w := cfg.Storage.Trace.WAL
	tail := int64(w.TailBytes)
	if tail == 0 {
		tail = -1
	}
	l, err := kafkalog.OpenEmbedded(w.Path, kafkalog.EmbeddedConfig{Partitions: w.Partitions, SegmentBytes: int64(w.SegmentBytes), MaxBytes: int64(w.MaxBytes),
		TailBytes: tail, NoSync: !w.Sync, KeepFreeBytes: keepFreeBytes(cfg)})
	switch {
	case errors.Is(err, kafkalog.ErrLocked):
		return nil, fmt.Errorf("%w: stop the other troupe, or give this one folders of its own (-storage.trace.wal.path, -storage.trace.local.path)", err)
	case errors.Is(err, kafkalog.ErrCorrupt):
		return nil, fmt.Errorf("%w: records that are in no block yet are lost with it. Restore the folder %s from a copy, or move it away: what is in blocks "+
			"is then found, and what was only in the log is not", err, w.Path)
	case err != nil:
		return nil, err
	}
	if cut := l.Cut(); cut != nil {
		logger.Warn("the log ended in a write that was cut off before it was acknowledged", "file", cut.File, "offset", cut.Offset, "bytes", cut.Bytes)
	}
	for _, p := range l.PassedOver() {
		logger.Warn("the log is damaged where it is not needed any more: what was there is in blocks", "file", p.File, "offset", p.Offset, "bytes", p.Bytes,
			"err", p.Reason)
	}
	if err := checkBucketIdentity(ctx, cfg, l, bucket, logger); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	registry.MustRegister(logMetrics(l)...)
	return l, nil
}

// keepFreeBytes is what the log leaves free on its disk: nothing where the blocks lie on another one.
// The folder of the log may not be there yet; then its disk is found out at the next start, before
// it has grown.
func keepFreeBytes(cfg Config) int64 {
	t := cfg.Storage.Trace
	same, err := localdisk.SameDisk(t.WAL.Path, t.Local.Path)
	if err == nil && !same {
		return 0
	}
	return int64(t.WAL.KeepFree)
}

// checkBucketIdentity refuses a bucket that is not the one of the log's blocks: what the log has forgotten
// is nowhere else.
func checkBucketIdentity(ctx context.Context, cfg Config, l *kafkalog.Embedded, bucket objstore.Bucket, logger *slog.Logger) error {
	have, err := objstore.ReadIdentity(ctx, bucket)
	if err != nil {
		return err
	}
	trimmed := false
	for p := range int32(l.Partitions()) {
		start, _, err := l.Bounds(ctx, p)
		if err != nil {
			return err
		}
		trimmed = trimmed || start > 0
	}
	want, id, path := l.Bucket(), have.ID, cfg.Storage.Trace.Local.Path
	what := fmt.Sprintf("storage.trace.local.path %s holds another bucket (%s) than the one that has the blocks of the log in %s (%s)", path, have.ID,
		cfg.Storage.Trace.WAL.Path, want)
	if have.Empty {
		what = fmt.Sprintf("storage.trace.local.path %s is empty, and the log in %s has blocks in a bucket (%s)", path, cfg.Storage.Trace.WAL.Path, want)
	}
	switch {
	case want == "" || id == want:
	case id == "" && !have.Empty:
		logger.Warn("the bucket's identity is missing or damaged; it gets that of the log's bucket", "path", path, "bucket", want)
		id = want
	case cfg.Storage.Trace.WAL.AcceptBucket:
		logger.Warn(what+"; it is accepted, and answers say what is missing. Take storage.trace.wal.accept_other_bucket out again", "path", path)
	case have.Empty && !trimmed:
		logger.Warn("the bucket is new; the log still has all that was in the one before", "path", path)
	default:
		return fmt.Errorf("%s. What the log no longer has would be missing. Is a disk not mounted, or a path another one? If the bucket is gone for good, "+
			"start once with -set storage.trace.wal.accept_other_bucket=true: answers then say what is missing", what)
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

// logMetrics are the space of the embedded log.
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
		gauge("bytes", "Bytes of the embedded log's segment files.", func() float64 { return float64(l.Size()) }),
		gauge("disk_free_bytes", "Free bytes on the disk of the embedded log.", disk(func(d kafkalog.Disk) int64 { return d.Free })),
		gauge("disk_kept_free_bytes", "Free bytes on the disk of the embedded log below which pushes are refused, so that blocks can be written.",
			disk(func(d kafkalog.Disk) int64 { return d.Kept })),
	}
}
