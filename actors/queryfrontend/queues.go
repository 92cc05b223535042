package queryfrontend

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// queues decide which queries run, and whose job gets the next slot.
//
// Tenants share the slots by the time that their jobs hold them (slot time): the next slot goes to
// the tenant that has had least, and within the tenant to the query that has had least. A tenant
// returning from idle is credited at most cfg.Burst, so it gets a head start but cannot save up
// time. A tenant may hold all slots but those kept for others, so a cheap query never waits for a
// whole round of another tenant's jobs.
//
// A query is charged the expected cost of a job when it gets a slot, and the difference to what the
// job took when it gives the slot back.
type queues struct {
	cfg          Config
	freeSlots    int
	tenants      []*tenantQueue    // by name
	entries      map[string]*entry // by id
	lastServed   time.Duration     // the slot time that the tenant had had that was served last
	running      int
	answerMemory int64 // bytes, of the answers under way
}

// tenantQueue is one tenant's queue.
type tenantQueue struct {
	name       string
	slotTime   time.Duration // divided by the tenant's weight
	slotsHeld  int
	lastServed time.Duration // as in queues, among the tenant's queries
	entries    []*entry      // in the order in which they came
	running    int           // entries that run
	waiting    int           // entries that do not run yet
	withDemand int           // entries that want slots
}

// entry is one query, from its admission to its end.
type entry struct {
	status       jobs.QueryStatus
	tenant       *tenantQueue
	asker        *actor.PID
	client       context.Context // of the one who asked
	child        *actor.PID      // nil: it waits for its turn
	query        *jobs.Query
	label        string        // of the tenant in metrics
	demand       int           // jobs that wait for a slot
	expectedCost time.Duration // of one of these jobs
	slotTime     time.Duration
	chargedAhead time.Duration // the part of slotTime that is expected of the jobs under way
	slotsHeld    int
	answerMemory int64 // bytes, of the answer so far
}

func newQueues(cfg Config) *queues {
	return &queues{cfg: cfg, freeSlots: cfg.Slots, entries: map[string]*entry{}}
}

// admitQuery takes a query in, or returns why not. startDue starts it when its turn comes.
func (s *queues) admitQuery(e *entry) error {
	t := s.queueOf(e.status.Tenant)
	if (t.running >= s.cfg.MaxRunning || s.running >= s.cfg.MaxAll) && t.waiting >= s.cfg.MaxQueued {
		return status.Limitedf(time.Second, "job queue full")
	}
	e.tenant = t
	e.status.State = stateQueued
	e.slotTime = t.lastServed - s.cfg.Burst
	t.entries = append(t.entries, e)
	t.waiting++
	s.entries[e.status.ID] = e
	return nil
}

// queueOf returns the queue of a tenant, and makes one where it has none.
func (s *queues) queueOf(tenant string) *tenantQueue {
	i, ok := slices.BinarySearchFunc(s.tenants, tenant, func(t *tenantQueue, name string) int {
		return cmp.Compare(t.name, name)
	})
	if !ok {
		s.tenants = slices.Insert(s.tenants, i, &tenantQueue{name: tenant, slotTime: s.lastServed - s.cfg.Burst})
	}
	return s.tenants[i]
}

// startDue returns the queries whose turn has come, and counts them as running. Of several tenants
// the one with the fewest running queries goes first.
func (s *queues) startDue() (out []*entry) {
	for s.running < s.cfg.MaxAll {
		var t *tenantQueue
		for _, o := range s.tenants {
			if o.waiting > 0 && o.running < s.cfg.MaxRunning && (t == nil || o.running < t.running) {
				t = o
			}
		}
		if t == nil {
			break
		}
		e := t.entries[slices.IndexFunc(t.entries, func(e *entry) bool { return e.isQueued() })]
		e.status.State = viewing.String()
		t.waiting--
		t.running++
		s.running++
		out = append(out, e)
	}
	return out
}

const stateQueued = "queued"

func (e *entry) isQueued() bool { return e.status.State == stateQueued }

// noteDemand takes how many jobs of a query wait for a slot, and what one of them is expected to
// cost.
func (s *queues) noteDemand(id string, n int, each time.Duration) {
	e := s.entries[id]
	if e == nil {
		return
	}
	t := e.tenant
	if n > 0 && e.demand == 0 {
		if t.slotsHeld == 0 && t.withDemand == 0 {
			t.slotTime = max(t.slotTime, s.lastServed-s.cfg.Burst)
		}
		if e.slotsHeld == 0 {
			e.slotTime = max(e.slotTime, t.lastServed-s.cfg.Burst)
		}
	}
	e.expectedCost = each
	e.setDemand(n)
}

// setDemand sets the number of jobs that wait for slots.
func (e *entry) setDemand(n int) {
	switch {
	case e.demand == 0 && n > 0:
		e.tenant.withDemand++
	case e.demand > 0 && n == 0:
		e.tenant.withDemand--
	}
	e.demand = n
}

// grantSlots gives free slots away, and returns how many each query gets, in the order in which
// they are given.
func (s *queues) grantSlots() (out []slotGrant) {
	for s.freeSlots > 0 {
		t := s.nextTenant()
		if t == nil {
			break
		}
		e := t.nextQuery()
		s.lastServed, t.lastServed = max(s.lastServed, t.slotTime), max(t.lastServed, e.slotTime)
		s.freeSlots--
		t.slotsHeld++
		e.slotsHeld++
		e.setDemand(e.demand - 1)
		e.chargedAhead += e.expectedCost
		s.chargeSlotTime(e, e.expectedCost)
		if n := len(out); n > 0 && out[n-1].entry == e {
			out[n-1].n++
		} else {
			out = append(out, slotGrant{entry: e, n: 1})
		}
	}
	return out
}

// slotGrant is some slots for one query.
type slotGrant struct {
	entry *entry
	n     int
}

// nextTenant returns the tenant that gets the next slot, nil where none wants one.
func (s *queues) nextTenant() (next *tenantQueue) {
	for _, t := range s.tenants {
		if t.slotsHeld < s.cfg.TenantSlots && t.withDemand > 0 && (next == nil || t.slotTime < next.slotTime) {
			next = t
		}
	}
	return next
}

// nextQuery returns the query that gets the tenant's next slot.
func (t *tenantQueue) nextQuery() (next *entry) {
	for _, e := range t.entries {
		if e.demand > 0 && (next == nil || e.slotTime < next.slotTime) {
			next = e
		}
	}
	return next
}

// chargeSlotTime adds to the slot time of a query and of its tenant.
func (s *queues) chargeSlotTime(e *entry, cost time.Duration) {
	e.slotTime += cost
	e.tenant.slotTime += cost / time.Duration(s.cfg.weightOf(e.tenant.name))
}

// releaseSlots takes back slots that a query has held, and corrects what it was charged for them.
// took is how long its job has held them.
func (s *queues) releaseSlots(id string, n int, took time.Duration) {
	e := s.entries[id]
	if e == nil {
		return
	}
	expected := e.chargedAhead * time.Duration(n) / time.Duration(max(e.slotsHeld, 1))
	e.chargedAhead -= expected
	e.status.SlotTime += took
	s.chargeSlotTime(e, took-expected)
	s.returnSlots(e, n)
}

// noteProgress takes how far a query is.
func (s *queues) noteProgress(p queryProgress) {
	e := s.entries[p.id]
	if e == nil {
		return
	}
	s.answerMemory += p.memory - e.answerMemory
	e.answerMemory = p.memory
	e.status.State = p.phase.String()
	e.status.Jobs = p.jobs
	e.status.Done = p.done
	e.status.Blocks = p.blocks
	e.status.Bytes = p.bytes
}

// returnSlots makes slots of a query free.
func (s *queues) returnSlots(e *entry, n int) {
	n = min(n, e.slotsHeld)
	e.slotsHeld -= n
	e.tenant.slotsHeld -= n
	s.freeSlots += n
}

// removeQuery forgets a query and takes its slots back. A tenant is forgotten when it can no longer
// be told from one that comes for the first time.
func (s *queues) removeQuery(id string) *entry {
	e := s.entries[id]
	if e == nil {
		return nil
	}
	s.returnSlots(e, e.slotsHeld)
	e.setDemand(0)
	t := e.tenant
	if e.isQueued() {
		t.waiting--
	} else {
		t.running--
		s.running--
	}
	s.answerMemory -= e.answerMemory
	delete(s.entries, id)
	t.entries = slices.DeleteFunc(t.entries, func(o *entry) bool { return o == e })
	s.tenants = slices.DeleteFunc(s.tenants, func(o *tenantQueue) bool {
		return len(o.entries) == 0 && o.slotTime <= s.lastServed-s.cfg.Burst
	})
	return e
}

// largestAnswer returns the query whose answer takes most memory, where all answers together take
// more than they may; else nil. unwritten is the memory of the answers whose queries have ended.
func (s *queues) largestAnswer(unwritten int64) (most *entry) {
	if s.answerMemory+unwritten <= int64(s.cfg.MaxResults) {
		return nil
	}
	for _, t := range s.tenants {
		for _, e := range t.entries {
			if most == nil || e.answerMemory > most.answerMemory {
				most = e
			}
		}
	}
	return most
}

// forgetDemand forgets the demand and the answer of a query that is being stopped.
func (s *queues) forgetDemand(e *entry) {
	e.setDemand(0)
	s.answerMemory -= e.answerMemory
	e.answerMemory = 0
}

// listQueries returns the queries of a tenant, or of all where tenant is empty.
func (s *queues) listQueries(tenant string) *jobs.Queries {
	out := &jobs.Queries{}
	for _, t := range s.tenants {
		if tenant != "" && tenant != t.name {
			continue
		}
		for _, e := range t.entries {
			out.Queries = append(out.Queries, e.status)
		}
	}
	return out
}
