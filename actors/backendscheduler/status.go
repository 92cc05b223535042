package backendscheduler

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

const (
	// statusEvery is how often the status is made anew when it is asked for. It goes through all
	// blocks.
	statusEvery = time.Second

	// mostFailures bounds the failures that are shown.
	mostFailures = 20

	// workerGone is after how long a silent worker is no longer shown.
	workerGone = time.Hour
)

// shown is what the scheduler knows for its status alone. All of it can be lost.
type shown struct {
	workers  map[string]*upkeep.Worker // by name
	rate     upkeep.Rate
	failures []upkeep.Failure // the newest ones last
	sweep    upkeep.SweepStatus
	last     *upkeep.Status // as it was made last
}

// onStatusAsked answers with the status.
func (s *state) onStatusAsked(now time.Time, from *actor.PID) (st step) {
	if s.ledger == nil {
		st.addReply(from, status.Errorf(status.Unavailable, "the catalog is being read; ask again in a moment"))
		return st
	}
	st.addReply(from, s.describeStatus(now))
	return st
}

// describeStatus returns the status, which is not older than a second.
func (s *state) describeStatus(now time.Time) *upkeep.Status {
	sh := &s.keeping.shown
	if sh.last != nil && now.Sub(sh.last.At) < statusEvery && !now.Before(sh.last.At) {
		return sh.last
	}
	f := &upkeep.Facts{
		Catalog:   s.ledger.ahead,
		Policy:    s.policy(),
		Due:       s.planMerges(now),
		Off:       s.cfg.MaxSpans == 0,
		Trouble:   s.troubleText(),
		Tended:    s.keeping.merges.timesOf,
		Rate:      sh.rate,
		Failed:    sh.failures,
		Resting:   s.keeping.merges.restingBlocks(now),
		Retention: s.keeping.describeRetaining(now, s.cfg),
		NotBefore: s.keeping.retention.nextAfter(),
		Sweep:     sh.sweep,
	}
	for _, w := range sh.workers {
		f.Workers = append(f.Workers, w)
	}
	sh.last = upkeep.Describe(f, now)
	return sh.last
}

// troubleText says why the journal cannot be read or written; empty: it can.
func (s *state) troubleText() string {
	switch {
	case s.writes.fails > 0:
		return s.writes.err.Error()
	case s.loads.fails > 0:
		return s.loads.err.Error()
	}
	return ""
}

// timesOf returns when a lease began and when its worker was heard of last.
func (m *merges) timesOf(lease string) (began, heard time.Time) {
	t := m.tended[lease]
	return t.began, t.heard
}

// describeRetaining says what the scheduler knows of retention beside the catalog.
func (k *keeping) describeRetaining(now time.Time, cfg Config) upkeep.Retaining {
	out := upkeep.Retaining{LastDay: k.retention.retired, MaxBytes: int64(cfg.MaxBytes)}
	if now.Before(k.retention.doubted) {
		out.DoubtedUntil = k.retention.doubted
	}
	for _, since := range k.removal.seen {
		if at := since.Add(cfg.RetiredGrace); out.NextRemoval.IsZero() || at.Before(out.NextRemoval) {
			out.NextRemoval = at
		}
	}
	return out
}

// nextAfter returns when the next day may go at the earliest.
func (r *retention) nextAfter() time.Time {
	at := r.doubted
	if next := r.retired.Add(dayEvery); !r.retired.IsZero() && next.After(at) {
		at = next
	}
	return at
}

// noteWorker notes that a worker was heard of, and how long it rests now.
func (s *shown) noteWorker(now time.Time, name string, rest time.Duration) {
	w := &upkeep.Worker{Name: name, Heard: now}
	if rest > 0 {
		w.Rests = now.Add(rest)
	}
	s.workers[name] = w
}

// forgetWorkers forgets the workers that have said nothing for an hour.
func (s *shown) forgetWorkers(now time.Time) {
	for name, w := range s.workers {
		if now.Sub(w.Heard) > workerGone && now.Sub(w.Rests) > workerGone {
			delete(s.workers, name)
		}
	}
}

// noteFailure keeps a failure for the status.
func (s *shown) noteFailure(f upkeep.Failure) {
	if len(s.failures) == mostFailures {
		s.failures = append(s.failures[:0:0], s.failures[1:]...)
	}
	s.failures = append(s.failures, f)
}

// noteMerged measures a merge that has succeeded.
func (s *state) noteMerged(now time.Time, inputs []*blocks.BlockMeta, m *jobs.MergeDone) {
	t, ok := s.keeping.merges.tended[m.Lease]
	if !ok {
		return
	}
	bytes := int64(0)
	for _, b := range inputs {
		bytes += b.GetBytes()
	}
	s.keeping.shown.rate.Note(bytes, now.Sub(t.began)+m.Rest)
}

// noteFailedMerge keeps the failure of a merge.
func (s *shown) noteFailedMerge(now time.Time, lease *blocks.JobLeased, closed *blocks.JobClosed) {
	s.noteFailure(upkeep.Failure{
		At:       now.UTC(),
		What:     "merge",
		Tenant:   lease.GetTenant(),
		Lease:    lease.GetLease(),
		Inputs:   lease.GetInputs(),
		Attempt:  lease.GetAttempt(),
		SetAside: closed.GetSetAside(),
		Reason:   closed.GetReason(),
	})
}

// noteSwept keeps how a sweep has ended.
func (s *shown) noteSwept(now time.Time, m swept, every time.Duration) {
	s.sweep = upkeep.SweepStatus{
		Began:      s.sweep.Began,
		Ended:      now.UTC(),
		Removed:    len(m.removed),
		Strays:     len(m.strays),
		Unfinished: len(m.unfinished),
		Next:       now.Add(every).UTC(),
	}
	if m.err != nil {
		s.sweep.Error = m.err.Error()
		s.noteFailure(upkeep.Failure{At: s.sweep.Ended, What: "sweep", Reason: s.sweep.Error})
	}
}
