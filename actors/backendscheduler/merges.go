package backendscheduler

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
)

const (
	// leaseSilence is after how long without a word of its worker a lease is closed.
	leaseSilence = time.Minute

	// keepEvery is how often the scheduler looks after the blocks that it has.
	keepEvery = leaseSilence / 6

	// planEvery is how often merges are planned anew when no block has come or gone: a day may be
	// over.
	planEvery = time.Minute
)

// merges is what the scheduler knows of merges beside the catalog. All of it can be lost.
type merges struct {
	tended   map[string]tended // by open lease
	failures map[string]failed // by block: the merges of it that have failed
	plan     plan
}

// tended is what this scheduler has seen of an open lease.
type tended struct {
	began time.Time // or was first seen
	heard time.Time // when its worker was heard of last
}

// plan is the merges that are due, as they were planned last.
type plan struct {
	of  *catalog.State // what they were planned on
	at  time.Time
	due map[string][]compact.Job // by tenant
}

// keeping is what the scheduler knows, beside the catalog, of the blocks that it has. All of it can
// be lost.
type keeping struct {
	merges    merges
	removal   removal
	retention retention
	shown     shown
}

func newKeeping() keeping {
	return keeping{
		merges: merges{tended: map[string]tended{}, failures: map[string]failed{}},
		shown:  shown{workers: map[string]*upkeep.Worker{}},
	}
}

// answerNextMerge gives the worker the lease that it has, or begins one.
func (s *state) answerNextMerge(st *step, now time.Time, q question, m *jobs.NextMergeJob) {
	s.keeping.shown.noteWorker(now, m.Worker, 0)
	for _, lease := range s.ledger.ahead.Leases() {
		if lease.GetWorker() == m.Worker && !s.closeGone(st, now, lease) {
			s.noteHeard(lease.GetLease(), now)
			if s.ledger.catalog.Lease(lease.GetLease()) == nil { // it is being written
				s.ledger.queue.waiters = append(s.ledger.queue.waiters, q)
				return
			}
			st.addReply(q.from, s.ledger.leaseOf(m.Worker))
			return
		}
	}
	lease := s.chooseMerge(now, m.Worker)
	if lease == nil {
		st.addReply(q.from, &jobs.MergeLease{})
		return
	}
	if err := s.ledger.enqueueEntry(&blocks.Entry{JobLeased: lease}); err != nil {
		panic("BUG: " + err.Error())
	}
	s.noteHeard(lease.GetLease(), now)
	s.ledger.queue.waiters = append(s.ledger.queue.waiters, q)
}

// closeGone closes a lease of which an input is not live any more, and reports whether it has.
func (s *state) closeGone(st *step, now time.Time, lease *blocks.JobLeased) bool {
	live := len(s.ledger.ahead.FindBlocks(lease.GetTenant(), lease.GetInputs()))
	if live == len(lease.GetInputs()) {
		return false
	}
	gone := fmt.Sprintf("%d of its blocks are gone", len(lease.GetInputs())-live)
	s.closeMerge(st, now, lease, mergeEnd{reason: gone})
	return true
}

// noteHeard notes that the worker of an open lease is at work.
func (s *state) noteHeard(lease string, now time.Time) {
	t, ok := s.keeping.merges.tended[lease]
	if !ok {
		t.began = now
	}
	t.heard = now
	s.keeping.merges.tended[lease] = t
}

// chooseMerge returns the lease of a merge that is due, of the tenant that has the most bytes to
// merge; nil: none is due.
func (s *state) chooseMerge(now time.Time, worker string) *blocks.JobLeased {
	var chosen *compact.Job
	var tenant string
	most := int64(-1)
	due := s.planMerges(now)
	for _, name := range slices.Sorted(maps.Keys(due)) {
		debt := int64(0)
		for _, j := range due[name] {
			debt += j.Bytes()
		}
		if debt > most && !s.policy().Of(name).Kept { // that may have changed since
			chosen, tenant, most = &due[name][0], name, debt
		}
	}
	if chosen == nil {
		return nil
	}
	lease := &blocks.JobLeased{
		Lease:  catalog.LeaseName(s.ledger.queuedVersion(), s.cfg.NewName()),
		Tenant: tenant,
		Worker: worker,
		Level:  chosen.Level(),
	}
	for _, m := range chosen.Inputs {
		lease.Inputs = append(lease.Inputs, m.GetId())
	}
	lease.Attempt = s.keeping.merges.attemptOf(lease.GetInputs())
	return lease
}

// planMerges returns the merges that are due, by tenant. It plans when a block has come or gone, or
// a minute has passed.
func (s *state) planMerges(now time.Time) map[string][]compact.Job {
	p := &s.keeping.merges.plan
	if p.of == s.ledger.ahead && now.Sub(p.at) < planEvery {
		return p.due
	}
	*p = plan{of: s.ledger.ahead, at: now, due: map[string][]compact.Job{}}
	view, resting := p.of.View(), s.keeping.merges.restingBlocks(now)
	for _, name := range view.Tenants() {
		if s.cfg.MaxSpans == 0 || s.policy().Of(name).Kept {
			continue
		}
		isTaken := func(m *blocks.BlockMeta) bool { return p.of.IsTaken(m.GetId()) || resting[m.GetId()] }
		limits := compact.Limits{MaxSpans: s.cfg.MaxSpans}
		if due := compact.Plan(view.All(name), isTaken, limits, now); len(due) > 0 {
			p.due[name] = due
		}
	}
	return p.due
}

// answerMergeBeat notes that a worker is at work.
func (s *state) answerMergeBeat(st *step, now time.Time, q question, m *jobs.MergeBeat) {
	if s.ledger.ahead.Lease(m.Lease) == nil {
		st.addReply(q.from, &jobs.MergeReply{Reason: "the lease is closed"})
		return
	}
	s.noteHeard(m.Lease, now)
	s.keeping.shown.noteWorker(now, s.ledger.ahead.Lease(m.Lease).GetWorker(), 0)
	st.addReply(q.from, &jobs.MergeReply{Valid: true})
}

// answerMergeDone ends a lease. It is answered when that is durable.
func (s *state) answerMergeDone(st *step, now time.Time, q question, m *jobs.MergeDone) {
	lease := s.ledger.ahead.Lease(m.Lease)
	if lease == nil {
		s.answerEndedMerge(st, q, m)
		return
	}
	s.keeping.shown.noteWorker(now, lease.GetWorker(), m.Rest)
	failure := m.Failure
	inputs := s.ledger.ahead.FindBlocks(lease.GetTenant(), lease.GetInputs())
	if m.Output != nil {
		err := s.ledger.enqueueEntry(&blocks.Entry{BlocksReplaced: &blocks.BlocksReplaced{
			Tenant:     lease.GetTenant(),
			Inputs:     lease.GetInputs(),
			Outputs:    []*blocks.BlockMeta{m.Output},
			Lease:      m.Lease,
			AtUnixNano: now.UnixNano(),
		}})
		if err == nil {
			s.noteMerged(now, inputs, m)
			s.ledger.queue.waiters = append(s.ledger.queue.waiters, q)
			return
		}
		failure = err.Error()
	}
	end := mergeEnd{reason: failure, blamed: lease.GetInputs(), attempts: mergeAttempts}
	if len(m.Damaged) > 0 {
		end.blamed = m.Damaged
	}
	if m.Passing {
		end.blamed = nil
	}
	s.closeMerge(st, now, lease, end)
	s.ledger.queue.waiters = append(s.ledger.queue.waiters, q)
}

// answerEndedMerge answers a MergeDone of a lease that is not open: it may have been asked before.
func (s *state) answerEndedMerge(st *step, q question, m *jobs.MergeDone) {
	switch {
	case m.Output == nil || s.ledger.catalog.HasBlock(m.Output):
		st.addReply(q.from, s.ledger.replyMergeDone(m))
	case s.ledger.ahead.HasBlock(m.Output):
		s.ledger.queue.waiters = append(s.ledger.queue.waiters, q)
	default:
		st.addReply(q.from, &jobs.MergeReply{Reason: "the lease was closed before the merge had ended"})
	}
}

// onKeepTick looks after the blocks that the catalog has: leases of workers that were not heard of
// are closed, blocks past their retention are retired, and those that were retired long enough ago
// are removed. The time of a lease that an earlier scheduler began counts from now on.
func (s *state) onKeepTick(now time.Time) (st step) {
	st.after.keep = keepEvery
	if s.ledger == nil {
		return st
	}
	if !s.isKnown() {
		st.shown = s.describeStatus(now)
		return st
	}
	open := map[string]tended{}
	for _, lease := range s.ledger.ahead.Leases() {
		t, ok := s.keeping.merges.tended[lease.GetLease()]
		if !ok {
			t = tended{began: now, heard: now}
		}
		if s.closeGone(&st, now, lease) {
			continue
		}
		if now.Sub(t.heard) > leaseSilence {
			silent := fmt.Sprintf("worker %s was not heard of for %s", lease.GetWorker(), leaseSilence)
			st.counted.leasesLost++
			s.closeMerge(&st, now, lease,
				mergeEnd{reason: silent, blamed: lease.GetInputs(), attempts: silentAttempts})
			continue
		}
		open[lease.GetLease()] = t
	}
	s.keeping.merges.tended = open
	s.keeping.merges.dropFailures(s.ledger.ahead)
	s.planRemoval(&st, now)
	s.retireDay(&st, now)
	s.keeping.shown.forgetWorkers(now)
	st.shown = s.describeStatus(now)
	s.beginNextWork(&st, now)
	return st
}

// leaseOf returns the durable lease of a worker as it is sent.
func (l *ledger) leaseOf(worker string) *jobs.MergeLease {
	for _, lease := range l.catalog.Leases() {
		if lease.GetWorker() == worker {
			return &jobs.MergeLease{
				Lease:  lease.GetLease(),
				Tenant: lease.GetTenant(),
				Inputs: l.catalog.FindBlocks(lease.GetTenant(), lease.GetInputs()),
				Level:  int(lease.GetLevel()),
			}
		}
	}
	return &jobs.MergeLease{}
}

// replyMergeDone answers by what is durable.
func (l *ledger) replyMergeDone(m *jobs.MergeDone) *jobs.MergeReply {
	switch {
	case m.Output == nil:
		return &jobs.MergeReply{Reason: "the merge has failed"}
	case !l.catalog.HasBlock(m.Output):
		return &jobs.MergeReply{Reason: "the lease was closed, or an input is gone"}
	}
	return &jobs.MergeReply{Valid: true}
}
