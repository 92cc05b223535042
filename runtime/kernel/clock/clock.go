// Package clock is the time in which actors live: the machine's, or a time that a test or a
// simulation moves.
package clock

import "time"

// Clock tells and passes time. It is safe for concurrent use.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f once, d from now, on a goroutine or step of its own.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a call to come.
type Timer interface {
	// Stop keeps the call from being made. It reports false when the call was made or stopped
	// before.
	Stop() bool
}

type real struct{}

// Real is the machine's clock.
func Real() Clock { return real{} }

func (real) Now() time.Time                            { return time.Now() }
func (real) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
