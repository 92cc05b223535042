package system

import "github.com/prometheus/client_golang/prometheus"

// metrics are what the kernel counts for every kind.
type metrics struct {
	restarts, unhandled, dead, expired *prometheus.CounterVec
	seconds                            *prometheus.HistogramVec
}

func newMetrics(s *System, r prometheus.Registerer) *metrics {
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "troupe_kernel_" + name, Help: help}, []string{"kind"})
	}
	m := &metrics{
		restarts:  counter("restarts_total", "Actors started again after a failure."),
		unhandled: counter("messages_unhandled_total", "Messages that an actor does not know: a bug."),
		dead:      counter("dead_letters_total", "Messages over a mailbox's limit, left when an actor stopped, or to nobody (kind none)."),
		expired:   counter("messages_expired_total", "Questions dropped unhandled because nobody waited for the answer any longer."),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "troupe_kernel_handling_seconds", Help: "Time to handle a message.",
			Buckets: prometheus.ExponentialBuckets(1e-6, 8, 8)}, []string{"kind"}),
	}
	r.MustRegister(m.restarts, m.unhandled, m.dead, m.expired, m.seconds, depth{s})
	return m
}

// of are a kind's own counters, looked up once.
type counters struct {
	restarts, unhandled, dead, expired prometheus.Counter
	seconds                            prometheus.Observer
}

func (m *metrics) of(kind string) counters {
	return counters{m.restarts.WithLabelValues(kind), m.unhandled.WithLabelValues(kind), m.dead.WithLabelValues(kind), m.expired.WithLabelValues(kind),
		m.seconds.WithLabelValues(kind)}
}

var depthDesc = prometheus.NewDesc("troupe_kernel_mailbox_depth", "Messages in the mailboxes of a kind.", []string{"kind"}, nil)

// depth reads the mailboxes when it is scraped.
type depth struct{ s *System }

// Describe is part of prometheus.Collector.
func (d depth) Describe(c chan<- *prometheus.Desc) { c <- depthDesc }

// Collect is part of prometheus.Collector.
func (d depth) Collect(out chan<- prometheus.Metric) {
	sums := map[string]int{}
	for _, c := range d.s.all() {
		sums[c.kind.Name] += c.depth()
	}
	for kind, n := range sums {
		out <- prometheus.MustNewConstMetric(depthDesc, prometheus.GaugeValue, float64(n), kind)
	}
}
