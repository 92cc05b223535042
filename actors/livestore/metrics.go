package livestore

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the instruments of all live stores of a node.
type Metrics struct {
	bytes, spans, next, covered *prometheus.GaugeVec
	setAside                    prometheus.Counter
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	gauge := func(name, help string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "troupe_live_store_" + name, Help: help}, []string{"partition"})
	}
	m := &Metrics{
		bytes:    gauge("bytes", "Memory of the live segments."),
		spans:    gauge("spans", "Spans in the live segments."),
		next:     gauge("next_offset", "Next offset of the log to read."),
		covered:  gauge("covered_offset", "Covered offset of the newest catalog version seen."),
		setAside: prometheus.NewCounter(prometheus.CounterOpts{Name: "troupe_live_store_records_set_aside_total", Help: "Records of the log that could not be read."}),
	}
	r.MustRegister(m.bytes, m.spans, m.next, m.covered, m.setAside)
	return m
}
