// Package supervise declares kinds of actors: what an actor is called, how many of it there are,
// and what happens when one fails. All of it is data and pure decisions; package system acts on it.
package supervise

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
)

// Keying is how many actors of a kind there are.
type Keying uint8

// PerNode kinds have one actor, with the empty key. PerPartition kinds have one actor for each
// partition of the log, with the partition's number as the key. Actors of Dynamic kinds are spawned
// while the node runs, by another actor or by the code that places actors on nodes.
const (
	PerNode Keying = iota
	PerPartition
	Dynamic
)

// Kind declares a kind of actor. It is data, by which the supervisor spawns actors.
type Kind struct {
	Name    string // as in configuration, metrics and logs
	Key     Keying
	New     func(key string) actor.Actor // called again for every restart
	Mailbox mailbox.Limit
	Policy  Policy
	Loses   string // what a restart loses, and where it is read back
}

// Then is what follows when the restarts of a Policy are used up.
type Then uint8

// Escalate fails the actor's parent. For an actor that the node starts with, that is the process,
// which ends with one clear line. Stop ends the actor alone.
const (
	Escalate Then = iota
	Stop
)

// Policy is how an actor that fails is started again.
type Policy struct {
	Backoff  Backoff
	Restarts int           // at most this many
	Within   time.Duration // of this time; failures before it are forgotten
	Then     Then
}

// Backoff is the pause before a restart.
type Backoff struct{ Initial, Max time.Duration }

// Exponential doubles the pause with every failure in a row, up to longest, less a random part of
// at most half.
func Exponential(initial, longest time.Duration) Backoff {
	return Backoff{Initial: initial, Max: longest}
}

// Delay is the pause after the n-th failure in a row, n ≥ 1.
func (b Backoff) Delay(n int, r *rand.Rand) time.Duration {
	d := b.Initial << min(max(n-1, 0), 20)
	if d > b.Max || d < b.Initial {
		d = b.Max
	}
	if d <= 0 {
		return 0
	}
	return d/2 + time.Duration(r.Int64N(int64(d/2)+1))
}

// Failure is the value with which an actor panics to give up its incarnation. Any other value in a
// panic is a bug.
type Failure struct{ Err error }

// Fail wraps the cause for panic. It is raised only where an actor carries out a step.
func Fail(err error) Failure { return Failure{Err: err} }

// Unwrap makes Failure's cause visible to errors.Is and errors.As.
func (f Failure) Unwrap() error { return f.Err }

// Error is the text of the cause.
func (f Failure) Error() string { return f.Err.Error() }

// Cause is the text of a panic's value.
func Cause(reason any) string { return fmt.Sprint(reason) }

// Drain asks an actor to finish the work that it has accepted and to accept no more. It answers
// Drained when it has finished.
type Drain struct{}

// Exempt lets Drain into a full mailbox, because an actor under load must hear of the end, too.
// There is one Drain in an actor's life.
func (Drain) Exempt() {}

// Drained answers Drain.
type Drained struct{}
