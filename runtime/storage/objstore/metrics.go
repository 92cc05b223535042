package objstore

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the instruments of a Remote.
type Metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	retries  *prometheus.CounterVec
	hedges   prometheus.Counter
	read     prometheus.Counter
	written  prometheus.Counter
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	const p = "troupe_bucket_"
	m := &Metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: p + "requests_total",
			Help: "Requests to the object store, by operation and result: ok, exists, not-found, refused or failed.",
		}, []string{"operation", "result"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    p + "request_seconds",
			Help:    "How long requests to the object store took, by operation.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}, []string{"operation"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: p + "retries_total",
			Help: "Requests to the object store that repeat one that has failed, by operation.",
		}, []string{"operation"}),
		hedges: prometheus.NewCounter(prometheus.CounterOpts{
			Name: p + "hedged_requests_total",
			Help: "Reads that were sent a second time because the first byte did not come.",
		}),
		read: prometheus.NewCounter(prometheus.CounterOpts{
			Name: p + "read_bytes_total",
			Help: "Bytes of objects read from the object store.",
		}),
		written: prometheus.NewCounter(prometheus.CounterOpts{
			Name: p + "written_bytes_total",
			Help: "Bytes of objects created in the object store.",
		}),
	}
	for _, op := range []Op{OpCreate, OpRead, OpReadRange, OpList, OpDelete} {
		m.requests.WithLabelValues(string(op), "ok")
		m.retries.WithLabelValues(string(op))
	}
	r.MustRegister(m.requests, m.seconds, m.retries, m.hedges, m.read, m.written)
	return m
}

// countRequest counts one request that has ended.
func (m *Metrics) countRequest(op Op, took time.Duration, err error) {
	result := "failed"
	switch {
	case err == nil:
		result = "ok"
	case errors.Is(err, ErrExists):
		result = "exists"
	case errors.Is(err, ErrNotFound):
		result = "not-found"
	case errors.Is(err, ErrRefused), errors.Is(err, ErrFull):
		result = "refused"
	}
	m.requests.WithLabelValues(string(op), result).Inc()
	m.seconds.WithLabelValues(string(op)).Observe(took.Seconds())
}
