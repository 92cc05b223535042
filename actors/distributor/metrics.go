package distributor

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the instruments of a distributor.
type Metrics struct {
	spans *prometheus.CounterVec
	bytes *prometheus.CounterVec
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		opts := prometheus.CounterOpts{Name: "troupe_distributor_" + name, Help: help}
		c := prometheus.NewCounterVec(opts, []string{"tenant"})
		r.MustRegister(c)
		return c
	}
	return &Metrics{
		spans: counter("spans_acknowledged_total", "Spans in the log, acknowledged to their clients."),
		bytes: counter("bytes_acknowledged_total", "OTLP bytes acknowledged."),
	}
}
