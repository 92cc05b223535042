package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/actors/querier"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// deps is what the kinds reach.
type deps struct {
	log                            kafkalog.Log
	bucket                         objstore.Bucket
	journal                        *journal.Journal
	blocks                         *blockOpener
	results                        *cache.LRU[querier.Known]
	assembled                      *cache.LRU[*plan.ScanResult]
	directory                      ask.Directory
	ingest, fetch, scan, build, io *work.Workers
	clock                          clock.Clock
	tenants                        *tenants
	logger                         *slog.Logger
	registry                       *prometheus.Registry
	refusals                       *refusals.Refusals
	unwritten                      func() int64 // bytes of answers that clients have not read yet
}

// ingestWorkers is how many requests are written at once. A worker mostly waits for the group commit, which all of them share.
const ingestWorkers = 64

// queued is the fuse of the pools' queues; the actors bound what they start.
const queued = 1 << 16

// open opens the log and the bucket and starts the pools.
func open(ctx context.Context, cfg Config, directory ask.Directory, logger *slog.Logger, registry *prometheus.Registry) (*deps, error) {
	d := &deps{directory: directory, clock: clock.Real(), logger: logger, registry: registry}
	bucket, err := objstore.OpenLocal(cfg.Storage.Trace.Local.Path)
	if err != nil {
		return nil, fmt.Errorf("storage.trace.local.path %s: %w", cfg.Storage.Trace.Local.Path, err)
	}
	if err := objstore.Probe(ctx, bucket, uuid.NewString()); err != nil {
		return nil, fmt.Errorf("storage.trace.local.path %s: %w", cfg.Storage.Trace.Local.Path, err)
	}
	if d.log, err = openLog(cfg, logger); err != nil {
		return nil, err
	}
	d.bucket, d.journal = bucket, journal.New(bucket, "catalog/")
	d.blocks = &blockOpener{bucket: bucket, opened: cache.New[*block.Block](int64(cfg.Storage.Trace.Cache))}
	d.results = cache.New[querier.Known](int64(cfg.Querier.ResultCache))
	d.assembled = cache.New[*plan.ScanResult](int64(cfg.Querier.ResultCache) / 4) // few traces lie in several blocks
	d.ingest = work.NewPool("ingest", ingestWorkers, queued)
	d.fetch = work.NewPool("fetch", d.log.Partitions(), queued)
	d.scan = work.NewPool("scan", cfg.QueryFrontend.On(runtime.GOMAXPROCS(0)).Slots, queued)
	d.build = work.NewPool("build", 1, queued)
	d.io = work.NewPool("io", 8, queued)
	return d, nil
}

// openLog opens the embedded log, or connects to Kafka where an address is given.
func openLog(cfg Config, logger *slog.Logger) (kafkalog.Log, error) {
	if cfg.Ingest.Kafka.Address != "" {
		return openKafka(cfg.Ingest.Kafka)
	}
	w := cfg.Storage.Trace.WAL
	tail := int64(w.TailBytes)
	if tail == 0 {
		tail = -1
	}
	l, err := kafkalog.OpenEmbedded(w.Path, kafkalog.EmbeddedConfig{Partitions: w.Partitions, SegmentBytes: int64(w.SegmentBytes), MaxBytes: int64(w.MaxBytes),
		TailBytes: tail, NoSync: !w.Sync})
	switch {
	case errors.Is(err, kafkalog.ErrLocked):
		return nil, fmt.Errorf("%w: stop the other troupe, or give this one folders of its own (-storage.trace.wal.path, -storage.trace.local.path)", err)
	case err != nil:
		return nil, err
	}
	if cut := l.Cut(); cut != nil {
		logger.Warn("the log ended in a write that was cut off before it was acknowledged", "file", cut.File, "offset", cut.Offset, "bytes", cut.Bytes)
	}
	return l, nil
}

// promise says what an acknowledgement is worth.
func promise(cfg Config) []string {
	log := "An acknowledged span survives kill -9 of the process and power loss of the machine: the embedded log in " + cfg.Storage.Trace.WAL.Path + " is synced first."
	switch {
	case cfg.Ingest.Kafka.Address != "":
		log = "An acknowledged span is on all in-sync replicas of the Kafka topic " + cfg.Ingest.Kafka.Topic +
			". It survives a machine only with three replicas, min.insync.replicas of two and no unclean election."
	case !cfg.Storage.Trace.WAL.Sync:
		log = "An acknowledged span survives kill -9 of the process but not power loss of the machine: storage.trace.wal.sync is off."
	}
	return []string{log, "An acknowledged span is found by id, by search and in metrics within a second.",
		"Answers name what could not be read. What is refused is refused at push, with the reason."}
}

// close ends the pools and the log, in this order.
func (d *deps) close() error {
	for _, p := range []*work.Workers{d.ingest, d.fetch, d.scan, d.build, d.io} {
		p.Close()
	}
	return d.log.Close()
}
