package query

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the instruments of the query API.
type Metrics struct {
	seconds *prometheus.HistogramVec
	packets *prometheus.CounterVec
	refused *prometheus.CounterVec
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "troupe_query_api_request_seconds",
			Help:    "Time from request to answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"wire", "op", "status"}),
		packets: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "troupe_query_api_streamed_messages_total",
			Help: "Messages of streamed answers.",
		}, []string{"op"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "troupe_query_api_work_refused_total",
			Help: "Comparisons, filters and prints of traces that took too long, or too many at once.",
		}, []string{"work"}),
	}
	r.MustRegister(m.seconds, m.packets, m.refused)
	return m
}

// Observe notes one request.
func (m *Metrics) Observe(wire, op, status string, took time.Duration) {
	m.seconds.WithLabelValues(wire, op, status).Observe(took.Seconds())
}

// Streamed notes one message of a stream.
func (m *Metrics) Streamed(op string) {
	if m != nil {
		m.packets.WithLabelValues(op).Inc()
	}
}

func (m *Metrics) refusedWork(what string) {
	if m != nil {
		m.refused.WithLabelValues(what).Inc()
	}
}
