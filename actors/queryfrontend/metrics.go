package queryfrontend

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Metrics are the instruments of the query-frontend.
type Metrics struct {
	queries *prometheus.CounterVec
	partial *prometheus.CounterVec
	bytes   *prometheus.CounterVec
	spans   *prometheus.CounterVec
	jobs    *prometheus.CounterVec
	cached  *prometheus.CounterVec
	limits  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	queued  *prometheus.HistogramVec
	running prometheus.Gauge
	waiting prometheus.Gauge
	free    prometheus.Gauge
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	const p = "troupe_query_frontend_"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: p + name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	seconds := func(name, help string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    p + name,
			Help:    help,
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
		}, []string{"op"})
		r.MustRegister(h)
		return h
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: p + name, Help: help})
		r.MustRegister(g)
		return g
	}
	return &Metrics{
		queries: counter("queries_total", "Queries ended, by result: ok, partial, or the class of the error.",
			"tenant", "op", "result"),
		partial: counter("incomplete_answers_total", "Answers that name what could not be read.", "op"),
		bytes:   counter("bytes_total", "Bytes read from blocks for answers.", "tenant", "op"),
		spans:   counter("spans_total", "Spans looked at for answers.", "tenant", "op"),
		jobs:    counter("jobs_total", "Jobs of answered queries: scans of live stores and parts of blocks.", "op"),
		cached:  counter("cache_hits_total", "Parts of blocks whose result was known.", "op"),
		limits:  counter("limits_hit_total", "Queries refused or ended because of a limit, by its key.", "limit"),
		running: gauge("running_queries", "Queries that run."),
		waiting: gauge("waiting_queries", "Queries that wait for their tenant's turn."),
		free:    gauge("free_slots", "Slots for jobs that no query holds."),
		seconds: seconds("query_seconds", "Time from question to answer."),
		queued:  seconds("queue_seconds", "Time from question to the start of its work."),
	}
}

// countAnswered counts an answer.
func (m *Metrics) countAnswered(tenant string, q *jobs.Query, a *jobs.Answer, took time.Duration) {
	op, result := q.Op(), "ok"
	if !a.Complete {
		result = "partial"
		m.partial.WithLabelValues(op).Inc()
	}
	m.queries.WithLabelValues(tenant, op, result).Inc()
	m.bytes.WithLabelValues(tenant, op).Add(float64(a.Bytes))
	m.spans.WithLabelValues(tenant, op).Add(float64(a.Spans))
	m.jobs.WithLabelValues(op).Add(float64(a.Jobs))
	m.cached.WithLabelValues(op).Add(float64(a.CacheHits))
	m.seconds.WithLabelValues(op).Observe(took.Seconds())
}

// countFailed counts a query that was not answered.
func (m *Metrics) countFailed(tenant string, q *jobs.Query, err error, took time.Duration) {
	m.queries.WithLabelValues(tenant, q.Op(), status.Of(err).Class.String()).Inc()
	m.seconds.WithLabelValues(q.Op()).Observe(took.Seconds())
}
