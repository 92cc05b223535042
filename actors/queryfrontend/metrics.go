package queryfrontend

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the instruments of the query-frontend.
type Metrics struct {
	seconds *prometheus.HistogramVec
	partial *prometheus.CounterVec
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "troupe_query_frontend_query_seconds", Help: "Time from question to answer.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}, []string{"op"}),
		partial: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "troupe_query_frontend_incomplete_answers_total", Help: "Answers that name what could not be read."}, []string{"op"}),
	}
	r.MustRegister(m.seconds, m.partial)
	return m
}
