package livestore

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the instruments of all live stores of a node.
type Metrics struct {
	bytes, spans, next, covered *prometheus.GaugeVec
	setAside, failed, paused    prometheus.Counter
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "troupe_live_store_" + name, Help: help}, []string{"partition"})
	}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "troupe_live_store_" + name, Help: help})
	}
	m := &Metrics{
		bytes:    gauge("bytes", "Memory of the live segments."),
		spans:    gauge("spans", "Spans in the live segments."),
		next:     gauge("next_offset", "Next offset of the log to read."),
		covered:  gauge("covered_offset", "Covered offset of the newest catalog version seen."),
		setAside: counter("records_set_aside_total", "Records of the log that no engine could take: foreign, malformed, or of an impossible tenant."),
		failed:   counter("reads_failed_total", "Reads of the log that failed and were tried again."),
		paused:   counter("reads_paused_total", "Times a read waited because the node holds too much that is in no block."),
	}
	r.MustRegister(m.bytes, m.spans, m.next, m.covered, m.setAside, m.failed, m.paused)
	return m
}
