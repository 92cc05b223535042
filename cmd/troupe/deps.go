package main

import (
	"context"
	"errors"
	"log/slog"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/actors/querier"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
	"github.com/troupe-tracing/troupe/runtime/storage/documents"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// deps is what the kinds reach.
type deps struct {
	log                            kafkalog.Log
	bucket                         objstore.Bucket
	closeBucket                    func() error
	journal                        *journal.Journal
	blocks                         *blockstore.Store
	results                        *cache.LRU[querier.KnownResult]
	assembled                      *cache.LRU[*jobs.ScanResult]
	directory                      ask.Directory
	ingest, fetch, scan, build, io *work.Workers
	clock                          clock.Clock
	limits                         *liveLimits
	documents                      *documents.Store // what tenants have set; nil: they may set nothing
	logger                         *slog.Logger
	registry                       *prometheus.Registry
	refusals                       *refusals.Refusals
	unwritten                      func() int64 // bytes of answers that clients have not read yet
}

// ingestWorkers is how many requests are written at once. A worker mostly waits for the group
// commit, which all of them share.
const ingestWorkers = 64

// queued is the fuse of the pools' queues; the actors bound what they start.
const queueFuse = 1 << 16

// openDeps opens the log and the bucket and starts the pools.
func openDeps(ctx context.Context, cfg Config, directory ask.Directory, logger *slog.Logger, registry *prometheus.Registry) (*deps, error) {
	d := &deps{directory: directory, clock: clock.Real(), logger: logger, registry: registry}
	bucket, err := openBucket(ctx, cfg, logger)
	if err != nil {
		return nil, err
	}
	if d.log, err = openLog(ctx, cfg, bucket, logger, registry); err != nil {
		return nil, errors.Join(err, bucket.Close())
	}
	d.closeBucket = bucket.Close
	d.bucket, d.journal = bucket, journal.New(bucket, "catalog/")
	d.blocks = blockstore.NewStore(bucket, int64(cfg.Storage.Trace.Cache))
	d.results = cache.New[querier.KnownResult](int64(cfg.Querier.ResultCache))
	d.assembled = cache.New[*jobs.ScanResult](int64(cfg.Querier.ResultCache) / 4) // few traces lie in several blocks
	d.ingest = work.NewPool("ingest", ingestWorkers, queueFuse)
	d.fetch = work.NewPool("fetch", d.log.Partitions(), queueFuse)
	d.scan = work.NewPool("scan", cfg.QueryFrontend.ForMachine(runtime.GOMAXPROCS(0)).Slots, queueFuse)
	d.build = work.NewPool("build", 1, queueFuse)
	d.io = work.NewPool("io", 8, queueFuse)
	return d, nil
}

// durabilityPromises says what an acknowledgement is worth.
func durabilityPromises(cfg Config) []string {
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

// close ends the pools, the log and the bucket, in this order.
func (d *deps) close() error {
	for _, p := range []*work.Workers{d.ingest, d.fetch, d.scan, d.build, d.io} {
		p.Close()
	}
	return errors.Join(d.log.Close(), d.closeBucket())
}
