package backendscheduler

import "time"

const (
	firstPause = 200 * time.Millisecond
	lastPause  = time.Minute
	// patience is how many failures in a row it takes until those who ask are refused at once
	// instead of waiting.
	patience = 2
	// startTries is how many loads in a row may lose to a faster scheduler at the start.
	startTries = 8
)

// trouble counts failures in a row, so that tries have pauses between them, and the log has one
// line when the failures begin and one when they end.
type trouble struct {
	fails int
	since time.Time
	err   error // the latest
}

// noteFailure returns the pause before the next try, and whether this failure is the first in a
// row.
func (t *trouble) noteFailure(now time.Time, err error) (pause time.Duration, first bool) {
	t.fails++
	if t.fails == 1 {
		t.since = now
	}
	t.err = err
	return min(firstPause<<min(t.fails-1, 20), lastPause), t.fails == 1
}

// noteSuccess ends a row of failures. It reports whether there was one, and how long it lasted.
func (t *trouble) noteSuccess(now time.Time) (lasted time.Duration, was bool) {
	lasted, was = now.Sub(t.since), t.fails > 0
	*t = trouble{}
	return lasted, was
}
