package backendscheduler

import (
	"log/slog"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
)

// A span is kept for the retention of its tenant after the end of the day on which it arrived.
// Blocks never mix days, so retention retires whole blocks, by an entry of the journal. What it
// retires cannot be had back, and the node has no clock but its own. So a clock that has jumped by
// more than a day is not believed for a day, and one day goes an hour at most: whoever watches can
// stop it.

const (
	// clockJump is how much time may pass between two looks at the clock without doubts.
	clockJump = 24 * time.Hour

	// doubtFor is how long a clock that has jumped is not believed.
	doubtFor = 24 * time.Hour

	// dayEvery is the least time between two days that go.
	dayEvery = time.Hour
)

// policy is how long the blocks of each tenant are kept, as it is in force now.
func (s *state) policy() upkeep.Policy {
	return upkeep.Policy{LimitsOf: s.cfg.LimitsOf, MaxBytes: int64(s.cfg.MaxBytes)}
}

// retention is what the scheduler knows of the clock. All of it can be lost.
type retention struct {
	looked  time.Time // at the clock
	doubted time.Time // until when the clock is not believed
	retired time.Time // when the last day went
}

// noteClock looks at the clock, and doubts it after a jump. At a start the arrivals of the blocks
// say when somebody looked last.
func (s *state) noteClock(st *step, now time.Time) {
	r := &s.keeping.retention
	if r.looked.IsZero() {
		r.looked, r.doubted = s.lookBack(now)
	}
	if jump := now.Sub(r.looked); jump > clockJump || jump < -time.Hour {
		r.doubted = now.Add(doubtFor)
		st.addLine(slog.LevelWarn, "the clock has moved by more than a day since it was looked at; "+
			"nothing is retired for a day: correct the clock if it is wrong",
			"was", r.looked.UTC().Format(time.RFC3339), "is", now.UTC().Format(time.RFC3339))
	}
	r.looked = now
}

// lookBack returns when the newest record of a block arrived; now if there is none. If the clock
// has jumped within the last day, it is doubted still: a restart must not make it right.
func (s *state) lookBack(now time.Time) (newest, doubted time.Time) {
	view, last := s.ledger.catalog.View(), int64(0)
	before, since := int64(0), now.UnixNano() // the last arrival before the last day, and the first in it
	for _, name := range view.Tenants() {
		for _, m := range view.All(name) {
			last = max(last, m.GetMaxArrivalUnixNano())
			if m.GetMaxArrivalUnixNano() < now.Add(-doubtFor).UnixNano() {
				before = max(before, m.GetMaxArrivalUnixNano())
			} else {
				since = min(since, m.GetMinArrivalUnixNano())
			}
		}
	}
	if last == 0 {
		return now, time.Time{}
	}
	if before > 0 && since-before > int64(clockJump) {
		doubted = time.Unix(0, since).Add(doubtFor)
	}
	return time.Unix(0, last), doubted
}

// retireDay retires the blocks of the oldest day of which some are due.
func (s *state) retireDay(st *step, now time.Time) {
	s.noteClock(st, now)
	r := &s.keeping.retention
	if now.Before(r.doubted) || !r.retired.IsZero() && now.Sub(r.retired) < dayEvery {
		return
	}
	due := upkeep.TakeDue(upkeep.PlanRetention(s.ledger.ahead.View(), s.policy(), now), now)
	if len(due) == 0 {
		return
	}
	r.retired = now
	for _, d := range due {
		entry := &blocks.BlocksRetired{Tenant: d.Tenant, AtUnixNano: now.UnixNano()}
		for _, m := range d.Blocks {
			entry.Blocks = append(entry.Blocks, m.GetId())
		}
		if err := s.ledger.enqueueEntry(&blocks.Entry{BlocksRetired: entry}); err != nil {
			panic("BUG: " + err.Error())
		}
		st.counted.retired += len(d.Blocks)
		st.addLine(slog.LevelInfo, "blocks are past their retention", "tenant", d.Tenant, "blocks", len(d.Blocks),
			"bytes", d.Bytes, "day", upkeep.NameDay(d.Day), "why", d.Why)
	}
}
