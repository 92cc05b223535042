// Package delivery guards the last step of an answer: its way to a client that may not read. While
// an answer is written its memory is held, after its query has ended, so every write has a
// deadline, and what is not written yet counts in the memory of answers.
package delivery

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// Limits are those of one answer. Zero is none.
type Limits struct {
	Stall time.Duration // without progress: a client that takes nothing for this long has its answer given up
	Whole time.Duration // from the first byte to the last; streams lift it, because they last as long as their query
}

// Metrics are the instruments of deliveries.
type Metrics struct {
	abandoned *prometheus.CounterVec
	refused   prometheus.Counter
}

// NewMetrics makes the instruments and registers them. unwritten is what the gauge of the budget
// shows.
func NewMetrics(r prometheus.Registerer, unwritten func() int64) *Metrics {
	m := &Metrics{
		abandoned: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "troupe_delivery_answers_abandoned_total",
			Help: "Answers that were given up because their client did not read them in time " +
				"(server.write_stall_timeout, server.http_server_write_timeout)."},
			[]string{"wire"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "troupe_delivery_answers_refused_total",
			Help: "Answers that were refused because those that clients had not read yet " +
				"took all the memory of answers (query_frontend.max_results_bytes)."}),
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "troupe_delivery_unwritten_bytes",
		Help: "Bytes of answers that are rendered and not written yet.",
	}, func() float64 { return float64(unwritten()) })
	r.MustRegister(m.abandoned, m.refused, waiting)
	return m
}

func (m *Metrics) countAbandoned(wire string) {
	if m != nil {
		m.abandoned.WithLabelValues(wire).Inc()
	}
}

// Budget counts the bytes of answers that are rendered and not written yet. It is safe for
// concurrent use. A nil Budget has no bound.
type Budget struct {
	Max     int64
	Metrics *Metrics // nil: none
	bytes   atomic.Int64
}

// Bytes is what is reserved.
func (b *Budget) Bytes() int64 {
	if b == nil {
		return 0
	}
	return b.bytes.Load()
}

// ErrFull is that answers which clients have not read yet leave no room for one more.
var ErrFull = errors.New("the answers that clients have not read yet leave no room for this one")

// Reserve takes n bytes, which Release gives back. An answer that is alone is never refused,
// however large it is. Error: ErrFull, of class Limited.
func (b *Budget) Reserve(n int) error {
	if b == nil {
		return nil
	}
	if now := b.bytes.Add(int64(n)); now > b.Max && now > int64(n) {
		b.bytes.Add(-int64(n))
		if b.Metrics != nil {
			b.Metrics.refused.Inc()
		}
		return status.Limitedf(time.Second, "%w: they take %d bytes, it needs %d, "+
			"and query_frontend.max_results_bytes is %d; ask for less, or later",
			ErrFull, now-int64(n), n, b.Max)
	}
	return nil
}

// Release gives back what Reserve took.
func (b *Budget) Release(n int) {
	if b != nil {
		b.bytes.Add(-int64(n))
	}
}
