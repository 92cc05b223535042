package backendscheduler

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the instruments of the backend-scheduler.
type Metrics struct {
	version   prometheus.Gauge
	blocks    prometheus.Gauge
	seconds   prometheus.Histogram
	epochs    prometheus.Counter
	gaps      prometheus.Counter
	conflicts prometheus.Counter
	swept     prometheus.Counter
	strays    prometheus.Counter
	remade    prometheus.Counter
	upkeep    upkeepMetrics
}

const metricsPrefix = "troupe_backend_scheduler_"

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	gauge, counter := makers(r)
	m := &Metrics{
		version: gauge("catalog_version", "Sequence number of the newest catalog entry."),
		blocks:  gauge("blocks", "Live blocks of all tenants."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    metricsPrefix + "commit_seconds",
			Help:    "Time to make a catalog entry durable.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		epochs: counter("log_epochs_total", "New log epochs begun: the log was not the one the catalog knew."),
		gaps:   counter("log_gaps_total", "Ranges of the log that were gone before they were in a block."),
		conflicts: counter("commit_conflicts_total",
			"Catalog entries that were not written, or of which that is not known: "+
				"another scheduler, or a failing store."),
		swept:  counter("orphans_removed_total", "Blocks removed that the catalog never listed and never can."),
		strays: counter("unfinished_removed_total", "Parts of blocks removed that were never finished."),
		remade: counter("catalogs_remade_total",
			"Times that the journal of the catalog was damaged and the catalog was made anew from the blocks."),
		upkeep: newUpkeepMetrics(r),
	}
	r.MustRegister(m.seconds)
	return m
}

// makers return what makes and registers gauges and counters.
func makers(r prometheus.Registerer) (
	gauge func(name, help string) prometheus.Gauge, counter func(name, help string) prometheus.Counter,
) {
	gauge = func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: metricsPrefix + name, Help: help})
		r.MustRegister(g)
		return g
	}
	counter = func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: metricsPrefix + name, Help: help})
		r.MustRegister(c)
		return c
	}
	return gauge, counter
}
