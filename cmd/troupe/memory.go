package main

import (
	"io/fs"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/kernel/heap"
)

// fullSize is the size of a process, in bytes, that the defaults of all budgets are made for.
const fullSize = 384 << 20

// budget is a bound on memory that follows the size of the process: its default is a share of
// fullSize. Not all budgets are used up at a time, so their sum may be larger than the size.
type budget struct {
	key   string
	bytes *config.Bytes
	// A larger process has larger caches, but no more that waits: what waits longer is found later.
	grows bool
}

func (c *Config) budgets() []budget {
	t := &c.Storage.Trace
	return []budget{
		{"live_store.max_uncovered_bytes", &c.LiveStore.NodeBytes, true},
		{"distributor.receivers.otlp.max_buffered_bytes", &c.Distributor.Receivers.OTLP.MaxBufferedBytes, true},
		{"distributor.max_inflight_bytes", &c.Distributor.MaxInflightBytes, false},
		{"distributor.max_backlog_bytes", &c.Distributor.MaxBacklogBytes, false},
		{"storage.trace.wal.tail_bytes", &t.WAL.TailBytes, false},
		{"storage.trace.cache_bytes", &t.Cache, true},
		{"querier.result_cache_bytes", &c.Querier.ResultCache, true},
		{"query_frontend.max_result_bytes", &c.QueryFrontend.MaxResult, true},
		{"query_frontend.max_results_bytes", &c.QueryFrontend.MaxResults, true},
	}
}

// divideMemory finds out the size of the process and gives each budget that is not configured its
// share of it. files is the root of the file system.
func (c *command) divideMemory(files fs.FS) heap.Size {
	size := heap.Choose(int64(c.cfg.MemoryLimit), files)
	if size.Bytes == 0 {
		return size
	}
	for _, b := range c.cfg.budgets() {
		if !c.loaded.Given(b.key) && (b.grows || size.Bytes < fullSize) {
			*b.bytes = max(shareOf(size.Bytes, *b.bytes), config.Bytes(1<<20))
		}
	}
	if !c.loaded.Given("backend_scheduler.max_block_spans") {
		c.cfg.Scheduler.MaxSpans = spansOfMerge(size.Bytes, c.cfg.Scheduler.MaxSpans)
	}
	// A request and an answer of the largest size are possible in any case.
	otlp, q := &c.cfg.Distributor.Receivers.OTLP, &c.cfg.QueryFrontend
	otlp.MaxBufferedBytes = max(otlp.MaxBufferedBytes, otlp.LeastBufferedBytes())
	q.MaxResults = max(q.MaxResults, q.MaxResult)
	return size
}

// shareOf returns what a budget has that has so many bytes of fullSize, in whole KiB.
func shareOf(size int64, ofFull config.Bytes) config.Bytes {
	return config.Bytes(float64(size)/fullSize*float64(ofFull)) >> 10 << 10
}

// mostMergedSpans bounds the default of backend_scheduler.max_block_spans: more spans in a block
// make queries no faster.
const mostMergedSpans = 4 << 20

// spansOfMerge returns how many spans a merged block may have in a process of this size, by what it
// may in one of fullSize: a merge takes about 60 bytes a span, and the values of a column.
func spansOfMerge(size, ofFull int64) int64 {
	return min(ofFull*(size>>20)/(fullSize>>20), mostMergedSpans)
}

// memoryMetric is the instrument of the size of the process.
func memoryMetric(size heap.Size) prometheus.Collector {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "troupe_memory_limit_bytes",
		Help: "Size that the process should have, 0 without one, by where it comes from: configured, environment " +
			"(GOMEMLIMIT), cgroup, machine, or default where nothing says.",
	}, []string{"source"})
	g.WithLabelValues(size.Source).Set(float64(size.Bytes))
	return g
}
