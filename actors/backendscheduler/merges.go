package backendscheduler

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
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

	// mergeAttempts is how often a merge of the same blocks may fail because of them. Then merges
	// leave them alone, so that one damaged block does not cost a merge for ever. Of workers that
	// were not heard of again there may be more, because most such ends are not the fault of the
	// blocks. A store that fails or is full is no fault of theirs: they are merged when it is not
	// any more.
	mergeAttempts  = 3
	silentAttempts = 10

	firstMergePause = planEvery
	lastMergePause  = 10 * planEvery

	// keepEvery is how often the scheduler looks after the blocks that it has.
	keepEvery = leaseSilence / 6

	// planEvery is how often merges are planned anew when no block has come or gone: a day may be
	// over.
	planEvery = time.Minute
)

// merges is what the scheduler knows of merges beside the catalog. All of it can be lost.
type merges struct {
	tended   map[string]tended // by open lease
	failures map[string]failed // by the ids of the inputs: merges that have failed
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

// nameInputs names a merge by its inputs.
func nameInputs(ids []string) string { return strings.Join(ids, " ") }

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
	s.closeMerge(st, now, lease, mergeEnd{reason: gone, attempts: mergeAttempts})
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
	lease.Attempt = s.keeping.merges.failures[nameInputs(lease.GetInputs())].counted + 1
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
			delete(s.keeping.merges.failures, nameInputs(lease.GetInputs()))
			s.noteMerged(now, inputs, m)
			s.ledger.queue.waiters = append(s.ledger.queue.waiters, q)
			return
		}
		failure = err.Error()
	}
	end := mergeEnd{reason: failure, attempts: mergeAttempts}
	if m.Passing {
		end.attempts = 0
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

// mergeEnd is why a merge has no output, and how many such ends its blocks may have; 0: any number.
type mergeEnd struct {
	reason   string
	attempts int32
}

// failed is what the scheduler knows of merges of the same blocks that have failed.
type failed struct {
	tenant  string
	inputs  []string
	counted int32     // those that may be the fault of the blocks
	passing int       // those in a row that are not
	until   time.Time // then they are merged again
}

// note notes a failure. After one that is not the fault of the blocks comes a pause, which doubles:
// the store may be full for hours.
func (f *failed) note(now time.Time, lease *blocks.JobLeased, isPassing bool) {
	f.tenant, f.inputs = lease.GetTenant(), lease.GetInputs()
	if !isPassing {
		f.counted, f.passing = lease.GetAttempt(), 0
		return
	}
	f.until = now.Add(min(firstMergePause<<min(f.passing, 20), lastMergePause))
	f.passing++
}

// restingBlocks returns the blocks of which a merge has failed a short time ago.
func (m *merges) restingBlocks(now time.Time) map[string]bool {
	out := map[string]bool{}
	for _, f := range m.failures {
		if now.Before(f.until) {
			for _, id := range f.inputs {
				out[id] = true
			}
		}
	}
	return out
}

// dropFailures forgets the failures of merges of which a block is gone.
func (m *merges) dropFailures(c *catalog.State) {
	maps.DeleteFunc(m.failures, func(_ string, f failed) bool {
		return len(c.FindBlocks(f.tenant, f.inputs)) < len(f.inputs)
	})
}

// closeMerge closes a lease without an output.
func (s *state) closeMerge(st *step, now time.Time, lease *blocks.JobLeased, end mergeEnd) {
	name := nameInputs(lease.GetInputs())
	f := s.keeping.merges.failures[name]
	f.note(now, lease, end.attempts == 0)
	s.keeping.merges.failures[name] = f
	closed := &blocks.JobClosed{
		Lease:    lease.GetLease(),
		Reason:   end.reason,
		SetAside: end.attempts > 0 && lease.GetAttempt() >= end.attempts,
	}
	if err := s.ledger.enqueueEntry(&blocks.Entry{JobClosed: closed}); err != nil {
		panic("BUG: " + err.Error())
	}
	delete(s.keeping.merges.tended, lease.GetLease())
	s.keeping.shown.noteFailedMerge(now, lease, closed)
	level, text := slog.LevelWarn, "a merge of blocks has failed; it is tried again"
	if closed.GetSetAside() {
		level, text = slog.LevelError, "a merge of blocks has failed too often; the blocks stay as they are"
		st.counted.setAside++
		delete(s.keeping.merges.failures, name)
	}
	st.addLine(level, text, "tenant", lease.GetTenant(), "blocks", lease.GetInputs(),
		"attempt", lease.GetAttempt(), "err", end.reason)
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
			s.closeMerge(&st, now, lease, mergeEnd{reason: silent, attempts: silentAttempts})
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
