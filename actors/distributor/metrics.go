package distributor

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// Metrics are the instruments of a distributor.
type Metrics struct {
	spans, bytes *prometheus.CounterVec
}

// NewMetrics makes the instruments and registers them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "troupe_distributor_" + name, Help: help}, labels)
	}
	m := &Metrics{
		spans: counter("spans_acknowledged_total", "Spans in the log, acknowledged to their clients.", "tenant"),
		bytes: counter("bytes_acknowledged_total", "OTLP bytes acknowledged.", "tenant"),
	}
	r.MustRegister(m.spans, m.bytes)
	return m
}

// countRefused counts a request that is refused as a whole. A tenant whose request holds spans gets
// a label of its own.
func (d Deps) countRefused(push *ingest.PushSpans, reason refusals.Reason, refused error) {
	spans := int64(trace.CountSpans(push.Otlp))
	if spans > 0 && reason != refusals.Malformed {
		d.Refusals.Tenants().Grant(push.Tenant)
	}
	d.Refusals.CountRequest(push.Tenant, reason, spans, refused.Error())
}
