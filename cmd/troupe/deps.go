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
	storage
	pools
	directory ask.Directory
	clock     clock.Clock
	limits    *liveLimits
	logger    *slog.Logger
	registry  *prometheus.Registry
	refusals  *refusals.Refusals
	unwritten func() int64 // bytes of answers that clients have not read yet
}

// storage is where data stay, and what is kept in memory of it.
type storage struct {
	log         kafkalog.Log
	bucket      objstore.Bucket
	closeBucket func() error
	journal     *journal.Journal  // of the catalog
	blocks      *blockstore.Store // opened blocks
	documents   *documents.Store  // what tenants have set; nil: they may set nothing
	results     *cache.LRU[querier.KnownResult]
	assembled   *cache.LRU[*jobs.ScanResult]
}

// pools are where actors have their work done.
type pools struct {
	ingest, fetch, scan, build, merge, io *work.Workers
}

const (
	// ingestWorkers is how many requests are written at once. A worker mostly waits for the group
	// commit, which all of them share.
	ingestWorkers = 64

	// ioWorkers is how many reads and writes of the bucket are under way for actors.
	ioWorkers = 8

	// queueFuse bounds the queues of the pools. It never blows, because the actors bound what they
	// start.
	queueFuse = 1 << 16
)

// openDeps opens the log and the bucket and starts the pools.
func (n *node) openDeps(ctx context.Context) (*deps, error) {
	cfg := n.cfg
	logger, registry := n.log, n.registry
	d := &deps{directory: n.sys, clock: clock.Real(), logger: logger, registry: registry}
	bucket, closeBucket, err := openBucket(ctx, cfg, logger, registry)
	if err != nil {
		return nil, err
	}
	if cfg.Ingest.Kafka.Address != "" {
		d.log, err = n.brokers.openLog(ctx, cfg.Ingest.Kafka, logger)
	} else {
		d.log, err = openLog(ctx, cfg, bucket, logger, registry)
	}
	if err != nil {
		return nil, errors.Join(err, closeBucket())
	}
	d.bucket, d.closeBucket = bucket, closeBucket
	d.journal = journal.New(bucket, "catalog/")
	d.blocks = blockstore.NewStore(bucket, int64(cfg.Storage.Trace.Cache))
	d.results = cache.New[querier.KnownResult](int64(cfg.Querier.ResultCache))
	// few traces lie in several blocks, and a fold is small beside its row groups
	d.assembled = cache.New[*jobs.ScanResult](int64(cfg.Querier.ResultCache) / 4)
	d.pools = pools{
		ingest: work.NewPool("ingest", ingestWorkers, queueFuse),
		fetch:  work.NewPool("fetch", d.log.Partitions(), queueFuse),
		scan:   work.NewPool("scan", cfg.QueryFrontend.ForMachine(runtime.GOMAXPROCS(0)).Slots, queueFuse),
		build:  work.NewPool("build", 1, queueFuse),
		merge:  work.NewPool("merge", 1, queueFuse),
		io:     work.NewPool("io", ioWorkers, queueFuse),
	}
	return d, nil
}

// durabilityPromises says what an acknowledgement is worth at present.
func (n *node) durabilityPromises() []string {
	wal := n.cfg.Storage.Trace.WAL
	log := []string{"An acknowledged span survives kill -9 of the process and power loss of the machine: " +
		"the embedded log in " + wal.Path + " is synced first."}
	switch k := n.cfg.Ingest.Kafka; {
	case k.Address != "":
		log = n.brokers.promise(k.Topic)
	case !wal.Sync:
		log = []string{"An acknowledged span survives kill -9 of the process but not power loss of the machine: " +
			"storage.trace.wal.sync is off."}
	}
	return append(log,
		"An acknowledged span is found by id, by search and in metrics within a second.",
		"Answers name what could not be read. What is refused is refused at push, with the reason.")
}

// close ends the pools, the log and the bucket, in this order.
func (d *deps) close() error {
	for _, p := range []*work.Workers{d.ingest, d.fetch, d.scan, d.build, d.merge, d.io} {
		p.Close()
	}
	return errors.Join(d.log.Close(), d.closeBucket())
}
