package system

import "github.com/prometheus/client_golang/prometheus"

// metrics are what the kernel counts for every kind.
type metrics struct {
	restarts  *prometheus.CounterVec
	unhandled *prometheus.CounterVec
	dead      *prometheus.CounterVec
	expired   *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
}

func newMetrics(s *System, r prometheus.Registerer) *metrics {
	byKind := []string{"kind"}
	counter := func(name, help string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "troupe_kernel_" + name, Help: help}, byKind)
		r.MustRegister(c)
		return c
	}
	m := &metrics{
		restarts:  counter("restarts_total", "Actors started again after a failure."),
		unhandled: counter("messages_unhandled_total", "Messages that an actor does not know: a bug."),
		dead: counter("dead_letters_total",
			"Messages over a mailbox's limit, left when an actor stopped, or to nobody (kind none)."),
		expired: counter("messages_expired_total",
			"Questions dropped unhandled because nobody waited for the answer any longer."),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "troupe_kernel_handling_seconds",
			Help:    "Time to handle a message.",
			Buckets: prometheus.ExponentialBuckets(1e-6, 8, 8),
		}, byKind),
	}
	r.MustRegister(m.seconds, depth{s})
	return m
}

// counters are the instruments of one kind, looked up once.
type counters struct {
	restarts  prometheus.Counter
	unhandled prometheus.Counter
	dead      prometheus.Counter
	expired   prometheus.Counter
	seconds   prometheus.Observer
}

func (m *metrics) countersOf(kind string) counters {
	return counters{
		restarts:  m.restarts.WithLabelValues(kind),
		unhandled: m.unhandled.WithLabelValues(kind),
		dead:      m.dead.WithLabelValues(kind),
		expired:   m.expired.WithLabelValues(kind),
		seconds:   m.seconds.WithLabelValues(kind),
	}
}

var depthDesc = prometheus.NewDesc("troupe_kernel_mailbox_depth",
	"Messages in the mailboxes of a kind.", []string{"kind"}, nil)

// depth reads the mailboxes when it is scraped.
type depth struct{ system *System }

// Describe is part of prometheus.Collector.
func (d depth) Describe(c chan<- *prometheus.Desc) { c <- depthDesc }

// Collect is part of prometheus.Collector.
func (d depth) Collect(out chan<- prometheus.Metric) {
	sums := map[string]int{}
	for _, c := range d.system.allCells() {
		sums[c.kind.Name] += c.mailboxDepth()
	}
	for kind, n := range sums {
		out <- prometheus.MustNewConstMetric(depthDesc, prometheus.GaugeValue, float64(n), kind)
	}
}
