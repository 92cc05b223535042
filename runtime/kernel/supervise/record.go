package supervise

import "time"

// Decision is what happens to an actor that has failed.
type Decision uint8

// Restart starts the actor again, after the pause of its policy. AwaitRestart does nothing, because
// a restart is on its way already. GiveUp ends the actor: its restarts are used up.
const (
	Restart Decision = iota
	AwaitRestart
	GiveUp
)

// Record is what a supervisor remembers of the failures of one actor. The zero Record is of an
// actor that has not failed. It is not safe for concurrent use.
type Record struct {
	failures   []time.Time // within the policy's time
	restarting bool        // a restart is on its way
	restarts   int
}

// NoteFailure adds a failure at the time now and decides by the policy what happens to the actor.
// count is the number of failures within the policy's time, this one included.
func (r *Record) NoteFailure(p Policy, now time.Time) (d Decision, count int) {
	recent := r.failures[:0]
	for _, t := range r.failures {
		if now.Sub(t) < p.Within {
			recent = append(recent, t)
		}
	}
	r.failures = append(recent, now)
	switch count = len(r.failures); {
	case count > p.Restarts:
		return GiveUp, count
	case r.restarting:
		return AwaitRestart, count
	}
	r.restarting = true
	r.restarts++
	return Restart, count
}

// NoteStart ends the restart that is on its way: the actor runs again.
func (r *Record) NoteStart() { r.restarting = false }

// Restarts is how many restarts there were in the actor's life.
func (r *Record) Restarts() int { return r.restarts }
