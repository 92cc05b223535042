package livestore

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the instruments of all live-stores of a node.
type Metrics struct {
	bytes    *prometheus.GaugeVec
	spans    *prometheus.GaugeVec
	next     *prometheus.GaugeVec
	covered  *prometheus.GaugeVec
	setAside prometheus.Counter
	failed   prometheus.Counter
	paused   prometheus.Counter
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		opts := prometheus.GaugeOpts{Name: "troupe_live_store_" + name, Help: help}
		g := prometheus.NewGaugeVec(opts, []string{"partition"})
		r.MustRegister(g)
		return g
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "troupe_live_store_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	return &Metrics{
		bytes:   gauge("bytes", "Memory of the live segments."),
		spans:   gauge("spans", "Spans in the live segments."),
		next:    gauge("next_offset", "Next offset of the log to read."),
		covered: gauge("covered_offset", "Covered offset of the newest catalog version seen."),
		setAside: counter("records_set_aside_total",
			"Records of the log that no engine could take: foreign, malformed, or of an impossible tenant."),
		failed: counter("reads_failed_total", "Reads of the log that failed and were tried again."),
		paused: counter("reads_paused_total",
			"Times a read waited because the node holds too much that is in no block."),
	}
}
