package backendscheduler

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the instruments of the backend-scheduler.
type Metrics struct {
	version, blocks                                prometheus.Gauge
	seconds                                        prometheus.Histogram
	epochs, gaps, conflicts, swept, strays, remade prometheus.Counter
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	const p = "troupe_backend_scheduler_"
	m := &Metrics{
		version: prometheus.NewGauge(prometheus.GaugeOpts{Name: p + "catalog_version", Help: "Sequence number of the newest catalog entry."}),
		blocks:  prometheus.NewGauge(prometheus.GaugeOpts{Name: p + "blocks", Help: "Live blocks of all tenants."}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: p + "commit_seconds", Help: "Time to make a catalog entry durable.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14)}),
		epochs: prometheus.NewCounter(prometheus.CounterOpts{Name: p + "log_epochs_total", Help: "New log epochs begun: the log was not the one the catalog knew."}),
		gaps:   prometheus.NewCounter(prometheus.CounterOpts{Name: p + "log_gaps_total", Help: "Ranges of the log that were gone before they were in a block."}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{Name: p + "commit_conflicts_total",
			Help: "Catalog entries that were not written, or of which that is not known: another scheduler, or a failing store."}),
		swept:  prometheus.NewCounter(prometheus.CounterOpts{Name: p + "orphans_removed_total", Help: "Blocks removed that the catalog never listed and never can."}),
		strays: prometheus.NewCounter(prometheus.CounterOpts{Name: p + "unfinished_removed_total", Help: "Parts of blocks removed that were never finished."}),
	}
	m.remade = prometheus.NewCounter(prometheus.CounterOpts{Name: p + "catalogs_remade_total",
		Help: "Times that the journal of the catalog was damaged and the catalog was made anew from the blocks."})
	r.MustRegister(m.remade, m.version, m.blocks, m.seconds, m.epochs, m.gaps, m.conflicts, m.swept, m.strays)
	return m
}
