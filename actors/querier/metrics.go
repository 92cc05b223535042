package querier

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Metrics are the instruments of the querier.
type Metrics struct {
	jobs    *prometheus.CounterVec
	bytes   prometheus.Counter
	spans   prometheus.Counter
	known   prometheus.Counter
	damaged prometheus.Counter
}

// NewMetrics makes the instruments and registers them. used returns the bytes that the cache of
// results holds.
func NewMetrics(r prometheus.Registerer, used func() int64) *Metrics {
	const p = "troupe_querier_"
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: p + name, Help: help})
		r.MustRegister(c)
		return c
	}
	jobsTotal := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: p + "jobs_total",
		Help: "Jobs ended, by what they did and how: ok, or the class of the error.",
	}, []string{"job", "result"})
	cacheBytes := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: p + "cache_bytes",
		Help: "Memory of the results that are kept.",
	}, func() float64 { return float64(used()) })
	r.MustRegister(jobsTotal, cacheBytes)
	return &Metrics{
		jobs:  jobsTotal,
		bytes: counter("bytes_total", "Bytes read from blocks."),
		spans: counter("spans_total", "Spans looked at."),
		known: counter("cache_hits_total", "Row groups whose result was known."),
		damaged: counter("blocks_unreadable_total",
			"Blocks found damaged, each counted once in the life of the querier."),
	}
}

// countJob counts the end of a job.
func (m *Metrics) countJob(job, reply any) {
	name, result := "scan", "ok"
	switch job.(type) {
	case *jobs.BlockTracesJob, *jobs.BlockTraceJob, *jobs.BlockKeysJob, *jobs.BlockSpansJob:
		name = "traces"
	}
	switch r := reply.(type) {
	case *jobs.ScanResult:
		m.bytes.Add(float64(r.Bytes))
		m.spans.Add(float64(r.Spans))
		m.known.Add(float64(r.CacheHits))
	case *jobs.TracesResult:
		m.bytes.Add(float64(r.Bytes))
	case *jobs.TraceResult:
		m.bytes.Add(float64(r.Bytes))
	case *jobs.KeysResult:
		m.bytes.Add(float64(r.Bytes))
	case *jobs.SpansResult:
		m.bytes.Add(float64(r.Bytes))
	case error:
		result = status.Of(r).Class.String()
	}
	if failed := failuresOf(reply); len(failed) > 0 {
		result = failed[0].Class
	}
	m.jobs.WithLabelValues(name, result).Inc()
}
