package queryfrontend

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

func testQueues(slots, each int) *queues {
	cfg := DefaultConfig()
	cfg.Slots, cfg.TenantSlots, cfg.MaxRunning, cfg.MaxQueued = slots, each, 2, 1
	return newQueues(cfg)
}

func (s *queues) add(t *testing.T, tenant, id string) *entry {
	t.Helper()
	e := &entry{status: jobs.QueryStatus{ID: id, Tenant: tenant}}
	require.NoError(t, s.admitQuery(e))
	s.startDue()
	return e
}

// load is a simulated node: each query always wants slots, and its jobs take what it says.
type load struct {
	id    string
	took  time.Duration
	done  int
	under []time.Duration // when its jobs end
}

// run lets the loads use the slots until a time, and returns how long each query held slots.
func run(s *queues, until time.Duration, loads ...*load) map[string]time.Duration {
	for _, l := range loads {
		s.noteDemand(l.id, 1000, time.Millisecond)
	}
	for now := time.Duration(0); ; {
		for _, g := range s.grantSlots() {
			for _, l := range loads {
				for range g.n {
					if l.id == g.entry.status.ID {
						l.under = append(l.under, now+l.took)
					}
				}
			}
		}
		next, who := time.Duration(1<<62), (*load)(nil)
		for _, l := range loads {
			if len(l.under) > 0 && l.under[0] < next {
				next, who = l.under[0], l
			}
		}
		if who == nil || next > until {
			break
		}
		now = next
		who.under = who.under[1:]
		who.done++
		s.releaseSlots(who.id, 1, who.took)
		s.noteDemand(who.id, 1000, time.Millisecond)
	}
	for _, l := range loads { // they finish what they began
		s.noteDemand(l.id, 0, 0)
		for range l.under {
			s.releaseSlots(l.id, 1, l.took)
		}
	}
	out := map[string]time.Duration{}
	for id, e := range s.entries {
		out[id] = e.status.SlotTime
	}
	return out
}

// Tenants share the slots by the time they hold them: neither larger jobs nor more queries give a
// larger share.
func TestFairByCost(t *testing.T) {
	s := testQueues(4, 4)
	s.add(t, "a", "a1")
	s.add(t, "b", "b1")
	s.add(t, "b", "b2")
	held := run(s, 10*time.Second, &load{id: "a1", took: time.Millisecond}, &load{id: "b1", took: 50 * time.Millisecond}, &load{id: "b2", took: 10 * time.Millisecond})
	a, b := held["a1"], held["b1"]+held["b2"]
	require.InDelta(t, 1, a.Seconds()/b.Seconds(), 0.05)
	require.InDelta(t, 1, held["b1"].Seconds()/held["b2"].Seconds(), 0.1, "queries of one tenant share alike")
	require.InDelta(t, 40, (a + b).Seconds(), 1, "no slot is idle")
}

// A tenant's weight multiplies its share.
func TestWeights(t *testing.T) {
	s := testQueues(4, 4)
	s.cfg.Weights = map[string]int{"a": 3}
	s.add(t, "a", "a1")
	s.add(t, "b", "b1")
	held := run(s, 10*time.Second, &load{id: "a1", took: 5 * time.Millisecond}, &load{id: "b1", took: 5 * time.Millisecond})
	require.InDelta(t, 3, held["a1"].Seconds()/held["b1"].Seconds(), 0.2)
}

// A cheap query next to an exhaustive one of another tenant gets a slot at once: some are kept free
// of any one tenant, and a pause earns a head start.
func TestCheapBesideExhaustive(t *testing.T) {
	s := testQueues(4, 2)
	s.add(t, "big", "x")
	s.noteDemand("x", 1000, time.Millisecond)
	require.Len(t, s.grantSlots(), 1)
	require.Equal(t, 2, s.freeSlots, "kept for others")
	for i := range 20 {
		id := fmt.Sprint("c", i)
		s.add(t, "small", id)
		s.noteDemand(id, 2, time.Millisecond)
		got := s.grantSlots()
		require.Len(t, got, 1)
		require.Equal(t, id, got[0].entry.status.ID)
		require.Equal(t, 2, got[0].n)
		s.releaseSlots("x", 1, 50*time.Millisecond) // one of the big tenant's ends meanwhile
		require.Equal(t, "x", s.grantSlots()[0].entry.status.ID)
		s.releaseSlots(id, 2, 2*time.Millisecond)
		s.removeQuery(id)
	}
}

// What a tenant did not use while it paused is no stock: after a head start of cfg.Burst it shares
// again.
func TestPauseIsNoStock(t *testing.T) {
	s := testQueues(2, 2)
	s.add(t, "a", "a1")
	run(s, 100*time.Second, &load{id: "a1", took: 10 * time.Millisecond})
	s.add(t, "b", "b1")
	before := s.entries["a1"].status.SlotTime
	held := run(s, 10*time.Second, &load{id: "a1", took: 10 * time.Millisecond}, &load{id: "b1", took: 10 * time.Millisecond})
	require.InDelta(t, s.cfg.Burst.Seconds(), held["b1"].Seconds()-(held["a1"]-before).Seconds(), 0.05)
}

// A tenant's queries run up to a number, wait up to a number in the order they came, and are
// refused beyond it, whatever other tenants do.
func TestAdmission(t *testing.T) {
	s := testQueues(2, 2)
	s.add(t, "a", "1")
	s.add(t, "a", "2")
	s.add(t, "a", "3")
	require.Equal(t, "queued", s.entries["3"].status.State)
	err := s.admitQuery(&entry{status: jobs.QueryStatus{ID: "4", Tenant: "a"}})
	require.EqualError(t, err, "job queue full")
	require.Equal(t, status.Limited, status.Of(err).Class)
	s.add(t, "b", "5")
	require.Equal(t, "viewing", s.entries["5"].status.State)
	require.Len(t, s.listQueries("").Queries, 4)
	require.Len(t, s.listQueries("b").Queries, 1)

	s.removeQuery("1")
	got := s.startDue()
	require.Len(t, got, 1)
	require.Equal(t, "3", got[0].status.ID)
	require.Equal(t, jobs.QueryStatus{ID: "3", Tenant: "a", State: "viewing"}, s.listQueries("a").Queries[1])
}

// All tenants together run so many queries; the next turn is of the tenant that runs fewest.
func TestAdmissionOfAll(t *testing.T) {
	s := testQueues(2, 2)
	s.cfg.MaxAll = 3
	s.add(t, "a", "a1")
	s.add(t, "a", "a2")
	s.add(t, "b", "b1")
	s.add(t, "b", "b2")
	s.add(t, "c", "c1")
	require.Equal(t, stateQueued, s.entries["b2"].status.State)
	require.Equal(t, stateQueued, s.entries["c1"].status.State)
	s.removeQuery("a1")
	got := s.startDue()
	require.Len(t, got, 1)
	require.Equal(t, "c1", got[0].status.ID)
	s.removeQuery("a2")
	require.Equal(t, "b2", s.startDue()[0].status.ID)
}

// When the answers under way take too much memory together, the largest goes, and what it held
// counts no longer.
func TestMemoryOfAll(t *testing.T) {
	s := testQueues(2, 2)
	s.cfg.MaxResults = 100
	s.add(t, "a", "1")
	s.add(t, "b", "2")
	s.noteProgress(queryProgress{id: "1", memory: 40})
	s.noteProgress(queryProgress{id: "2", memory: 60})
	require.Nil(t, s.largestAnswer(0))
	require.Equal(t, "2", s.largestAnswer(1).status.ID, "answers that nobody has read yet count")
	s.noteProgress(queryProgress{id: "1", memory: 41})
	require.Equal(t, "2", s.largestAnswer(0).status.ID)
	s.forgetDemand(s.largestAnswer(0))
	require.Nil(t, s.largestAnswer(0))
	s.removeQuery("2")
	require.EqualValues(t, 41, s.answerMemory)
	s.removeQuery("1")
	require.Zero(t, s.answerMemory)
}

// The slots of a query that ends come back, also those that are not released, and nothing stays of
// tenants that have gone.
func TestSlotsComeBack(t *testing.T) {
	s := testQueues(3, 3)
	for range 100 {
		for _, tenant := range []string{"a", "b"} {
			s.add(t, tenant, tenant)
			s.noteDemand(tenant, 2, time.Second)
		}
		s.grantSlots()
		require.Zero(t, s.freeSlots)
		s.releaseSlots("a", 1, time.Millisecond)
		s.removeQuery("a")
		s.removeQuery("b")
		require.Equal(t, 3, s.freeSlots)
		s.releaseSlots("a", 1, 0) // late
		require.Equal(t, 3, s.freeSlots)
	}
	require.Empty(t, s.entries)
	require.LessOrEqual(t, len(s.tenants), 2)
	for _, o := range s.tenants {
		require.Zero(t, o.slotsHeld+o.running+o.waiting+o.withDemand)
	}
}
