package main

import (
	crand "crypto/rand"
	"math/rand/v2"
	"strconv"

	"github.com/troupe-tracing/troupe/actors/backendscheduler"
	"github.com/troupe-tracing/troupe/actors/backendworker"
	"github.com/troupe-tracing/troupe/actors/blockbuilder"
	"github.com/troupe-tracing/troupe/actors/distributor"
	"github.com/troupe-tracing/troupe/actors/livestore"
	"github.com/troupe-tracing/troupe/actors/overrides"
	"github.com/troupe-tracing/troupe/actors/querier"
	"github.com/troupe-tracing/troupe/actors/queryfrontend"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// blockWriters is how many blocks of small tenants one build writes at a time: most of their time
// is the disk's.
const blockWriters = 8

// kindTable lists all kinds in the order in which they start; they stop in reverse.
func kindTable(d *deps, cfg Config) []supervise.Kind {
	cfg.LiveStore.Seed = rand.Uint64()
	if cfg.Ingest.Kafka.Address != "" {
		cfg.Distributor.Config = cfg.Distributor.Within(maxKafkaRecord)
	}
	cfg.BlockBuilder.SharedWindow = cfg.QueryFrontend.TraceWindow
	return []supervise.Kind{
		overrides.Kind(overrides.Deps{
			Live:      d.limits,
			Documents: d.documents,
			IO:        d.io,
			Clock:     d.clock,
			Logger:    d.logger,
		}, cfg.Overrides),
		schedulerKind(d, cfg),
		livestore.Kind(livestore.Deps{
			Log:        d.log,
			Blocks:     d.blocks,
			Directory:  d.directory,
			Fetch:      d.fetch,
			Scan:       d.scan,
			Budget:     livestore.NewBudget(cfg.LiveStore),
			TraceLimit: d.limits.bytesOfTrace,
			Clock:      d.clock,
			Logger:     d.logger,
			Metrics:    livestore.NewMetrics(d.registry),
		}, cfg.LiveStore),
		blockbuilder.Kind(blockbuilder.Deps{
			Log:       d.log,
			Bucket:    d.bucket,
			Blocks:    d.blocks,
			Directory: d.directory,
			Build:     d.build,
			IO:        d.io,
			Clock:     d.clock,
			Writers:   blockWriters,
			Jitter:    rand.Float64,
			NewID:     blockstore.NewID,
			Logger:    d.logger,
			Metrics:   blockbuilder.NewMetrics(d.registry),
		}, cfg.BlockBuilder),
		workerKind(d, cfg),
		distributor.Kind(distributor.Deps{
			Log:      d.log,
			Ingest:   d.ingest,
			Limits:   d.limits.ofIngestion,
			Clock:    d.clock,
			Metrics:  distributor.NewMetrics(d.registry),
			Refusals: d.refusals,
		}, cfg.Distributor.Config),
		querier.Kind(querier.Deps{
			Blocks:    d.blocks,
			Ahead:     int64(cfg.Storage.Trace.Cache) / 2,
			Directory: d.directory,
			Scan:      d.scan,
			IO:        d.io,
			Cache:     d.results,
			Logger:    d.logger,
			Metrics:   querier.NewMetrics(d.registry, d.results.Used),
		}),
		queryfrontend.Kind(queryfrontend.Deps{
			Directory: d.directory,
			Combine:   d.scan,
			Assembled: d.assembled,
			Clock:     d.clock,
			Logger:    d.logger,
			Metrics:   queryfrontend.NewMetrics(d.registry),
			Unwritten: d.unwritten,
		}, cfg.QueryFrontend.Config),
	}
}

func schedulerKind(d *deps, cfg Config) supervise.Kind {
	c := cfg.Scheduler
	c.NewName = crand.Text
	c.LimitsOf = func(tenant string) upkeep.Limits {
		return d.limits.ofBlocks(tenant, cfg.Worker.Compaction.Retention)
	}
	return backendscheduler.Kind(backendscheduler.Deps{
		Log:       d.log,
		Journal:   d.journal,
		Bucket:    d.bucket,
		Blocks:    d.blocks,
		Writer:    crand.Text(),
		Alone:     isAlone(cfg),
		Directory: d.directory,
		IO:        d.io,
		Clock:     d.clock,
		Logger:    d.logger,
		Metrics:   backendscheduler.NewMetrics(d.registry),
	}, c)
}

// isAlone reports whether the backend-scheduler need not look for entries of other writers: only
// this process has the embedded log. In a folder looking costs nothing, and finds what troupectl
// has written at once.
func isAlone(cfg Config) bool {
	return cfg.Ingest.Kafka.Address == "" && cfg.Storage.Trace.Backend != "local"
}

func workerKind(d *deps, cfg Config) supervise.Kind {
	return backendworker.Kind(backendworker.Deps{
		Name:      "local",
		Bucket:    d.bucket,
		Blocks:    d.blocks,
		Directory: d.directory,
		Merge:     d.merge,
		Clock:     d.clock,
		NewID: func(tenant, lease string) string {
			return blockstore.NewID(tenant, lease, -1, 0, 0, 0)
		},
		Logger:  d.logger,
		Metrics: backendworker.NewMetrics(d.registry),
	}, cfg.Worker)
}

// keysPerKind lists the children of a kind: one per partition, or one.
func keysPerKind(partitions int) func(supervise.Kind) []string {
	return func(k supervise.Kind) []string {
		if k.Key != supervise.PerPartition {
			return []string{""}
		}
		out := make([]string, partitions)
		for i := range out {
			out[i] = strconv.Itoa(i)
		}
		return out
	}
}
