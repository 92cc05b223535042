package blockbuilder

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the instruments of all block-builders of a node.
type Metrics struct {
	cuts    prometheus.Counter
	blocks  prometheus.Counter
	retries prometheus.Counter
	unread  prometheus.Counter
	aside   prometheus.Counter
	seconds prometheus.Histogram
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "troupe_block_builder_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	m := &Metrics{
		cuts:    counter("cuts_published_total", "Cuts the catalog has accepted."),
		blocks:  counter("blocks_published_total", "Blocks in accepted cuts."),
		retries: counter("retries_total", "Steps that failed and were begun again from the covered offset."),
		unread: counter("blocks_unread_total",
			"Blocks that could not be read to look for traces of new blocks."),
		aside: counter("records_set_aside_total",
			"Records in published cuts that no block holds; their bytes are in the bucket, and answers name them."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "troupe_block_builder_build_seconds",
			Help:    "Time to write the blocks of a cut.",
			Buckets: prometheus.ExponentialBuckets(0.01, 2, 12),
		}),
	}
	r.MustRegister(m.seconds)
	return m
}
