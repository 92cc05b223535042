package backendscheduler

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
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

// TenantLimits are the limits of one tenant that concern its blocks.
type TenantLimits struct {
	Retention time.Duration // 0: its blocks are kept for ever
	Kept      bool          // its blocks are neither merged nor retired
}

func (s *state) limitsOf(tenant string) TenantLimits {
	if s.cfg.LimitsOf == nil {
		return TenantLimits{}
	}
	return s.cfg.LimitsOf(tenant)
}

// retention is what the scheduler knows of the clock. All of it can be lost.
type retention struct {
	looked  time.Time // at the clock
	doubted time.Time // until when the clock is not believed
	retired time.Time // when the last day went
}

// noteClock looks at the clock, and doubts it after a jump. At a start the newest arrival says when
// somebody looked last.
func (s *state) noteClock(st *step, now time.Time) {
	r := &s.keeping.retention
	if r.looked.IsZero() {
		r.looked = s.newestArrival(now)
	}
	if jump := now.Sub(r.looked); jump > clockJump || jump < -time.Hour {
		r.doubted = now.Add(doubtFor)
		st.addLine(slog.LevelWarn, "the clock has moved by more than a day since it was looked at; "+
			"nothing is retired for a day: correct the clock if it is wrong",
			"was", r.looked.UTC().Format(time.RFC3339), "is", now.UTC().Format(time.RFC3339))
	}
	r.looked = now
}

// newestArrival returns when the newest record of a block arrived; now if there is none.
func (s *state) newestArrival(now time.Time) time.Time {
	view, newest := s.ledger.catalog.View(), int64(0)
	for _, name := range view.Tenants() {
		for _, m := range view.All(name) {
			newest = max(newest, m.GetMaxArrivalUnixNano())
		}
	}
	if newest == 0 {
		return now
	}
	return time.Unix(0, newest)
}

// retireDay retires the blocks of the oldest day of which some are due.
func (s *state) retireDay(st *step, now time.Time) {
	s.noteClock(st, now)
	r := &s.keeping.retention
	if now.Before(r.doubted) || !r.retired.IsZero() && now.Sub(r.retired) < dayEvery {
		return
	}
	day, due := s.findDue(now)
	if len(due) == 0 {
		return
	}
	r.retired = now
	for _, d := range due {
		entry := &blocks.BlocksRetired{Tenant: d.tenant, Blocks: d.ids, AtUnixNano: now.UnixNano()}
		if err := s.ledger.enqueueEntry(&blocks.Entry{BlocksRetired: entry}); err != nil {
			panic("BUG: " + err.Error())
		}
		st.addLine(slog.LevelInfo, "blocks are past their retention", "tenant", d.tenant, "blocks", len(d.ids),
			"bytes", d.bytes, "day", compact.EndOfDay(day-1).Format(time.DateOnly), "why", d.why)
	}
}

// dueBlocks are blocks of one tenant that retention takes.
type dueBlocks struct {
	tenant string
	ids    []string
	bytes  int64
	why    string
}

// findDue returns the oldest day with blocks that are due, and these blocks by tenant. Blocks are
// due after the retention of their tenant, and those of the oldest day while all blocks together
// have more bytes than they may.
func (s *state) findDue(now time.Time) (oldest int64, due []dueBlocks) {
	full := s.findFullDay(now)
	view := s.ledger.ahead.View()
	for _, name := range view.Tenants() {
		limits := s.limitsOf(name)
		if limits.Kept {
			continue
		}
		byDay := map[int64]*dueBlocks{}
		for _, m := range view.All(name) {
			day := compact.DayOf(m)
			isOld := limits.Retention > 0 && now.Sub(compact.EndOfDay(day)) > limits.Retention
			if !isOld && day != full {
				continue
			}
			d := byDay[day]
			if d == nil {
				d = &dueBlocks{tenant: name, why: fmt.Sprintf("kept for %s after their day", limits.Retention)}
				if !isOld {
					d.why = fmt.Sprintf("all blocks have more than %s (max_bucket_bytes)", s.cfg.MaxBytes)
				}
				byDay[day] = d
			}
			d.ids, d.bytes = append(d.ids, m.GetId()), d.bytes+m.GetBytes()
		}
		for day, d := range byDay {
			if len(due) == 0 || day < oldest {
				oldest, due = day, nil
			}
			if day == oldest {
				due = append(due, *d)
			}
		}
	}
	return oldest, due
}

// findFullDay returns the oldest day, if it is over and all blocks together have more bytes than
// they may; else -1.
func (s *state) findFullDay(now time.Time) int64 {
	view, total, first := s.ledger.ahead.View(), int64(0), int64(-1)
	for _, name := range view.Tenants() {
		for _, m := range view.All(name) {
			total += m.GetBytes()
			if day := compact.DayOf(m); !s.limitsOf(name).Kept && (first < 0 || day < first) {
				first = day
			}
		}
	}
	if s.cfg.MaxBytes == 0 || total <= int64(s.cfg.MaxBytes) || first < 0 || now.Before(compact.EndOfDay(first)) {
		return -1
	}
	return first
}
