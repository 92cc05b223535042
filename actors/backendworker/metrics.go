package backendworker

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the instruments of the backend-worker.
type Metrics struct {
	merges   prometheus.Counter
	inputs   prometheus.Counter
	spans    prometheus.Counter
	read     prometheus.Counter
	written  prometheus.Counter
	failures prometheus.Counter
	seconds  prometheus.Histogram
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "troupe_backend_worker_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "troupe_backend_worker_merge_seconds",
		Help:    "How long merges of blocks took.",
		Buckets: prometheus.ExponentialBuckets(0.01, 4, 8),
	})
	r.MustRegister(seconds)
	return &Metrics{
		merges:   counter("merges_total", "Merges of blocks that have ended in one block."),
		inputs:   counter("merged_blocks_total", "Blocks that were merged with others."),
		spans:    counter("merged_spans_total", "Spans of merged blocks, each counted at every merge."),
		read:     counter("read_bytes_total", "Bytes of blocks that were merged with others."),
		written:  counter("written_bytes_total", "Bytes of the blocks that merges have ended in."),
		failures: counter("merge_failures_total", "Merges of blocks that have come to nothing."),
		seconds:  seconds,
	}
}
