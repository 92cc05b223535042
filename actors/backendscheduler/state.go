package backendscheduler

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

// phase is what the actor does with the journal. Of a load, the pause before one, and a commit, at
// most one is under way.
type phase uint8

const (
	loading    phase = iota // the journal is being read
	pausing                 // a load or a commit has failed; the journal is read after a pause
	ready                   // nothing is under way, and the journal has no newer entries as far as is known
	outdated                // ready, but the journal has newer entries; it is read before the step ends
	committing              // a batch is being written
	overtaken               // committing, but the journal has newer entries; it is read when the write has ended
)

func (p phase) String() string {
	return [...]string{"loading", "pausing", "ready", "outdated", "committing", "overtaken"}[p]
}

// comparison is how far the comparison of the log with the catalog has come.
type comparison uint8

const (
	compared       comparison = iota // nothing is to be compared
	wanted                           // the log is compared as soon as all that was accepted is durable
	comparing                        // the log is being looked at
	comparingAgain                   // the log is being looked at, and once more after that
)

// state is all that the actor decides by. The actor itself keeps nothing.
type state struct {
	cfg     Config
	phase   phase
	ledger  *ledger // nil until the catalog is loaded for the first time
	adopted bool    // the catalog was in an epoch of this node's log, in this incarnation or an earlier one

	comparison   comparison
	compareAfter time.Time // the pause after a comparison that failed ends then

	awaitingLoad       []question // judged again when the journal has been read
	awaitingComparison []question // CoveredJobs that are answered when the log has been compared

	loads       trouble // of reading the journal
	writes      trouble // of writing it
	comparisons trouble // of comparing it with the log

	keeping    keeping
	unfinished unfinished // folders of the bucket
	drainer    *actor.PID // asked for a drain; nil when it was answered
}

// checkInvariants panics when an invariant does not hold between two steps.
func (s *state) checkInvariants() {
	writing := s.ledger != nil && s.ledger.writing != nil
	switch {
	case s.phase == outdated:
		panic("BUG: the journal has newer entries and is not read")
	case s.ledger == nil && s.phase != loading && s.phase != pausing:
		panic("BUG: " + s.phase.String() + " without a catalog")
	case writing != (s.phase == committing || s.phase == overtaken):
		panic("BUG: " + s.phase.String() + " does not fit what is being written")
	case s.phase == ready && !s.ledger.isIdle():
		panic("BUG: ready, but what was accepted is not being written")
	case s.phase == ready && len(s.awaitingLoad) > 0:
		panic("BUG: ready, but questions wait for a load")
	}
}

// isKnown reports whether the journal has no newer entries than the ledger, as far as is known.
// Only then are cuts judged.
func (s *state) isKnown() bool { return s.phase == ready || s.phase == committing }

// noteNewerEntries has the journal read as soon as nothing is being written.
func (s *state) noteNewerEntries() {
	switch s.phase {
	case ready:
		s.phase = outdated
	case committing:
		s.phase = overtaken
	}
}

// wantComparison has the log compared with the catalog as soon as that is possible.
func (s *state) wantComparison() {
	switch s.comparison {
	case compared:
		s.comparison = wanted
	case comparing:
		s.comparison = comparingAgain
	}
}

// isTroubled reports whether the journal cannot be read or written for longer than those who ask
// should wait.
func (s *state) isTroubled() bool { return s.loads.fails >= patience || s.writes.fails >= patience }

func (s *state) inspect() *system.ActorStatus {
	if s.ledger == nil {
		return &system.ActorStatus{State: loading.String()}
	}
	shown := ready
	if s.ledger.writing != nil {
		shown = committing
	}
	return &system.ActorStatus{State: shown.String(), Detail: detailOf(s.ledger.catalog)}
}

func detailOf(c *catalog.State) map[string]string {
	v := c.View()
	return map[string]string{
		"version":  fmt.Sprint(v.Version),
		"epoch":    v.Epoch,
		"blocks":   fmt.Sprint(v.Count()),
		"tenants":  fmt.Sprint(len(v.Tenants())),
		"gaps":     fmt.Sprint(len(v.Gaps)),
		"merges":   fmt.Sprint(len(c.Leases())),
		"retired":  fmt.Sprint(len(c.Retired())),
		"unmerged": fmt.Sprint(len(c.Unmerged())),
	}
}
