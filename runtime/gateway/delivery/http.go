package delivery

import (
	"net/http"
	"time"
)

// pieceBytes is how much is written between two looks at the clock. A client makes progress when it
// takes a piece.
const pieceBytes = 32 << 10

// Handler gives every write of next a deadline. The deadline begins with the writing and not with
// the request: a query that takes long has its answer delivered. A handler that flushes streams:
// the bound on the whole is then one of each part. A handler may lift it with
// http.ResponseController.SetWriteDeadline(time.Time{}); the bound on a stall stays.
func Handler(next http.Handler, l Limits, m *Metrics) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &writer{ResponseWriter: w, control: http.NewResponseController(w), limits: l, metrics: m}
		_ = p.control.SetWriteDeadline(time.Time{}) // that of the connection's last answer may be over
		// what net/http still holds is written when the handler has returned
		defer p.extendDeadline()
		next.ServeHTTP(p, r)
	})
}

// writer is a response whose writes have deadlines.
type writer struct {
	http.ResponseWriter
	control   *http.ResponseController
	limits    Limits
	metrics   *Metrics
	until     time.Time // the whole answer or part; zero: nothing of it is written yet, or there is no bound
	deadline  time.Time // the current write
	abandoned bool
}

// Unwrap is for http.ResponseController.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// extendDeadline sets the deadline of the next write.
func (w *writer) extendDeadline() {
	now := time.Now()
	if w.until.IsZero() && w.limits.Whole > 0 {
		w.until = now.Add(w.limits.Whole)
	}
	w.deadline = w.until
	if stall := now.Add(w.limits.Stall); w.limits.Stall > 0 && (w.deadline.IsZero() || stall.Before(w.deadline)) {
		w.deadline = stall
	}
	_ = w.control.SetWriteDeadline(w.deadline)
}

// Write writes in pieces, each within the bound on a stall.
func (w *writer) Write(b []byte) (n int, err error) {
	for first := true; first || len(b) > 0; first = false {
		piece := b[:min(len(b), pieceBytes)]
		w.extendDeadline()
		k, err := w.ResponseWriter.Write(piece)
		if n += k; err != nil {
			return n, w.countLate(err)
		}
		b = b[len(piece):]
	}
	return n, nil
}

// FlushError passes on what is buffered, which ends a part of the answer.
func (w *writer) FlushError() error {
	w.extendDeadline()
	if err := w.control.Flush(); err != nil {
		return w.countLate(err)
	}
	w.until = time.Time{}
	return nil
}

// Flush is for callers that know http.Flusher alone.
func (w *writer) Flush() { _ = w.FlushError() }

// SetWriteDeadline sets the end of the whole answer. The zero time lifts the bound for good.
func (w *writer) SetWriteDeadline(t time.Time) error {
	w.until = t
	if t.IsZero() {
		w.limits.Whole = 0
	}
	return nil
}

// countLate counts an answer whose deadline has passed, once, and returns err.
func (w *writer) countLate(err error) error {
	if err != nil && !w.abandoned && !w.deadline.IsZero() && !time.Now().Before(w.deadline) {
		w.abandoned = true
		w.metrics.countAbandoned("http")
	}
	return err
}
