package backendscheduler

import "time"

const (
	firstPause = 200 * time.Millisecond
	lastPause  = time.Minute
	// patience is how many failures in a row are waited for by those who ask. Beyond it they are
	// told at once.
	patience = 2
	// startTries is how often the catalog is loaded at the start while another scheduler is faster.
	startTries = 8
)

// trouble counts failures in a row, so that tries have pauses between them and the log has one line
// when they begin and one when they end.
type trouble struct {
	fails int
	since time.Time
	err   error
}

// fail notes a failure and returns the pause before the next try. first: it is the first in a row.
func (t *trouble) fail(now time.Time, err error) (pause time.Duration, first bool) {
	if t.fails++; t.fails == 1 {
		t.since = now
	}
	t.err = err
	return min(firstPause<<min(t.fails-1, 20), lastPause), t.fails == 1
}

// end notes a success and reports whether there were failures before it, and for how long.
func (t *trouble) end(now time.Time) (lasted time.Duration, was bool) {
	lasted, was = now.Sub(t.since), t.fails > 0
	*t = trouble{}
	return lasted, was
}
