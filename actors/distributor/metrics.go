package distributor

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Metrics are the instruments of a distributor.
type Metrics struct {
	spans, bytes, refused, refusedSpans *prometheus.CounterVec
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "troupe_distributor_" + name, Help: help}, labels)
	}
	m := &Metrics{
		spans:        counter("spans_acknowledged_total", "Spans in the log, acknowledged to their clients.", "tenant"),
		bytes:        counter("bytes_acknowledged_total", "OTLP bytes acknowledged.", "tenant"),
		refused:      counter("requests_refused_total", "Requests refused as a whole.", "tenant", "reason"),
		refusedSpans: counter("spans_refused_total", "Spans refused, alone or with their whole request; sent again and refused again they count again.", "tenant", "reason"),
	}
	r.MustRegister(m.spans, m.bytes, m.refused, m.refusedSpans)
	return m
}

// refuse counts a request that is refused as a whole.
func (m *Metrics) refuse(push *ingest.PushSpans, reason string) {
	m.refused.WithLabelValues(push.Tenant, reason).Inc()
	m.refusedSpans.WithLabelValues(push.Tenant, reason).Add(float64(trace.CountSpans(push.Otlp)))
}
