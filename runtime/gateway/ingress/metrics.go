package ingress

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the instruments of the door. Their names say otlp, which was the only receiver once.
type Metrics struct {
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec
	buffered prometheus.Gauge
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "troupe_otlp_requests_total",
			Help: "Requests by protocol and the code they were answered with."}, []string{"protocol", "code"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "troupe_otlp_bytes_total",
			Help: "Bytes of requests received whole, unpacked."}, []string{"protocol"}),
		buffered: prometheus.NewGauge(prometheus.GaugeOpts{Name: "troupe_otlp_buffered_bytes",
			Help: "Memory reserved for requests being received, unpacked and waited for."}),
	}
	r.MustRegister(m.requests, m.bytes, m.buffered)
	return m
}
