package backendscheduler

import (
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
)

// A merge may fail because of one of its blocks, and then it would fail for ever. After a few
// failures merges leave that block alone, and the catalog says why. A store that fails or is full
// is no fault of the blocks: they rest, and are merged when it is well again. Failures are counted
// by block, because the next merge of a block may have other blocks beside it.

const (
	// mergeAttempts is how many merges of a block may fail because of it, or because of any of
	// their blocks if nobody knows which. Of workers that were not heard of again there may be more
	// (silentAttempts), because most such ends are not the fault of the blocks.
	mergeAttempts  = 3
	silentAttempts = 10

	firstMergePause = planEvery
	lastMergePause  = 10 * planEvery
)

// mergeEnd is why a merge has no output, which of its blocks may be the cause, and how many such
// ends each of them may have.
type mergeEnd struct {
	reason   string
	blamed   []string
	attempts int32
}

// failed is what the scheduler knows of the merges of a block that have failed.
type failed struct {
	tenant  string
	counted int32     // those that may be the fault of the block
	passing int       // those in a row that are not
	until   time.Time // then it is merged again
}

// noteFailure counts a failed merge, and returns the blocks that are not merged any more.
func (m *merges) noteFailure(now time.Time, lease *blocks.JobLeased, end mergeEnd) (unmerged []string) {
	for _, id := range lease.GetInputs() {
		f := m.failures[id]
		f.tenant = lease.GetTenant()
		switch {
		case len(end.blamed) == 0:
			f.until = now.Add(min(firstMergePause<<min(f.passing, 20), lastMergePause))
			f.passing++
		case slices.Contains(end.blamed, id):
			f.counted, f.passing = f.counted+1, 0
			if f.counted >= end.attempts {
				unmerged = append(unmerged, id)
			}
		}
		m.failures[id] = f
	}
	return unmerged
}

// attemptOf returns the number of the next merge of some blocks.
func (m *merges) attemptOf(inputs []string) (n int32) {
	for _, id := range inputs {
		n = max(n, m.failures[id].counted)
	}
	return n + 1
}

// restingBlocks returns the blocks of which a merge has failed a short time ago.
func (m *merges) restingBlocks(now time.Time) map[string]bool {
	out := map[string]bool{}
	for id, f := range m.failures {
		if now.Before(f.until) {
			out[id] = true
		}
	}
	return out
}

// dropFailures forgets the failures of blocks that are gone, or are not merged any more.
func (m *merges) dropFailures(c *catalog.State) {
	maps.DeleteFunc(m.failures, func(id string, f failed) bool {
		return c.Unmerged()[id] != "" || len(c.FindBlocks(f.tenant, []string{id})) == 0
	})
}

// closeMerge closes a lease without an output.
func (s *state) closeMerge(st *step, now time.Time, lease *blocks.JobLeased, end mergeEnd) {
	unmerged := s.keeping.merges.noteFailure(now, lease, end)
	closed := &blocks.JobClosed{
		Lease:    lease.GetLease(),
		Reason:   end.reason,
		SetAside: len(unmerged) > 0,
		Unmerged: unmerged,
	}
	if err := s.ledger.enqueueEntry(&blocks.Entry{JobClosed: closed}); err != nil {
		panic("BUG: " + err.Error())
	}
	delete(s.keeping.merges.tended, lease.GetLease())
	s.keeping.shown.noteFailedMerge(now, lease, closed)
	if closed.GetSetAside() {
		st.counted.setAside++
		st.addLine(slog.LevelError, "merges of blocks have failed too often; the blocks stay as they are",
			"tenant", lease.GetTenant(), "blocks", unmerged, "attempt", lease.GetAttempt(), "err", end.reason)
		return
	}
	st.addLine(slog.LevelWarn, "a merge of blocks has failed; it is tried again",
		"tenant", lease.GetTenant(), "blocks", lease.GetInputs(), "attempt", lease.GetAttempt(), "err", end.reason)
}
