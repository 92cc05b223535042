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
// Tenants share the slots by what their jobs cost, which is the time they hold a slot: the next
// slot goes to the tenant that has had least, within the tenant to the query that has had least. A
// tenant returning from idle is credited at most cfg.Burst: it gets a head start, but cannot save
// up time. A tenant may hold all slots but those kept for others, so a cheap query never waits for
// a whole round of another tenant's jobs.
type queues struct {
	cfg     Config
	free    int // slots
	tenants []*tenant
	entries map[string]*entry
	served  time.Duration // what the tenant served last had had
	running int
	results int64 // memory of the answers under way
}

// tenant is one tenant's queue.
type tenant struct {
	name    string
	spent   time.Duration // by weight
	held    int           // slots
	running int
	served  time.Duration // as in queues, between the queries
	entries []*entry      // in the order they came
	waiting int           // entries that do not run yet
	wanting int           // entries that want slots
}

// entry is one query.
type entry struct {
	status  jobs.QueryStatus
	tenant  *tenant
	asker   *actor.PID
	client  context.Context // of the one who asked
	child   *actor.PID      // nil: it waits for its turn
	query   *jobs.Query
	label   string // of the tenant in metrics
	wants   int
	each    time.Duration // expected cost of a job
	spent   time.Duration
	charged time.Duration // for slots held, expected and not yet known
	held    int           // slots
	result  int64         // memory of the answer so far
}

func newQueues(cfg Config) *queues {
	return &queues{cfg: cfg, free: cfg.Slots, entries: map[string]*entry{}}
}

// admit takes a query in, or says why not. start lists it when its turn comes.
func (s *queues) admit(e *entry) error {
	i, ok := slices.BinarySearchFunc(s.tenants, e.status.Tenant, func(t *tenant, name string) int { return cmp.Compare(t.name, name) })
	if !ok {
		s.tenants = slices.Insert(s.tenants, i, &tenant{name: e.status.Tenant, spent: s.served - s.cfg.Burst})
	}
	t := s.tenants[i]
	if (t.running >= s.cfg.MaxRunning || s.running >= s.cfg.MaxAll) && t.waiting >= s.cfg.MaxQueued {
		return status.Limitedf(time.Second, "job queue full")
	}
	e.tenant = t
	e.status.State = queued
	e.spent = t.served - s.cfg.Burst
	t.entries = append(t.entries, e)
	t.waiting++
	s.entries[e.status.ID] = e
	return nil
}

// start lists the queries whose turn has come, and counts them as running. Of several tenants the
// one that runs fewest goes first.
func (s *queues) start() (out []*entry) {
	for s.running < s.cfg.MaxAll {
		var t *tenant
		for _, o := range s.tenants {
			if o.waiting > 0 && o.running < s.cfg.MaxRunning && (t == nil || o.running < t.running) {
				t = o
			}
		}
		if t == nil {
			break
		}
		e := t.entries[slices.IndexFunc(t.entries, func(e *entry) bool { return e.queued() })]
		e.status.State = viewing.String()
		t.waiting--
		t.running++
		s.running++
		out = append(out, e)
	}
	return out
}

const queued = "queued"

func (e *entry) queued() bool { return e.status.State == queued }

// want says how many jobs of a query wait for a slot, and what one is expected to cost.
func (s *queues) want(id string, n int, each time.Duration) {
	e := s.entries[id]
	if e == nil {
		return
	}
	t := e.tenant
	if n > 0 && e.wants == 0 {
		if t.held == 0 && t.wanting == 0 {
			t.spent = max(t.spent, s.served-s.cfg.Burst)
		}
		if e.held == 0 {
			e.spent = max(e.spent, t.served-s.cfg.Burst)
		}
	}
	e.each = each
	e.setWants(n)
}

func (e *entry) setWants(n int) {
	switch {
	case e.wants == 0 && n > 0:
		e.tenant.wanting++
	case e.wants > 0 && n == 0:
		e.tenant.wanting--
	}
	e.wants = n
}

// grant gives free slots away and returns how many each query gets, in the order of the gift.
func (s *queues) grant() (out []granted) {
	for s.free > 0 {
		var t *tenant
		for _, o := range s.tenants {
			if o.held < s.cfg.TenantSlots && o.wanting > 0 && (t == nil || o.spent < t.spent) {
				t = o
			}
		}
		if t == nil {
			break
		}
		var e *entry
		for _, o := range t.entries {
			if o.wants > 0 && (e == nil || o.spent < e.spent) {
				e = o
			}
		}
		s.served, t.served = max(s.served, t.spent), max(t.served, e.spent)
		s.free--
		t.held++
		e.held++
		e.setWants(e.wants - 1)
		e.charged += e.each
		s.charge(e, e.each)
		if n := len(out); n > 0 && out[n-1].entry == e {
			out[n-1].n++
		} else {
			out = append(out, granted{entry: e, n: 1})
		}
	}
	return out
}

type granted struct {
	entry *entry
	n     int
}

func (s *queues) charge(e *entry, cost time.Duration) {
	e.spent += cost
	e.tenant.spent += cost / time.Duration(s.cfg.weight(e.tenant.name))
}

// release takes back slots that a query held for so long; what it was charged for them is set
// right.
func (s *queues) release(id string, n int, took time.Duration) {
	e := s.entries[id]
	if e == nil {
		return
	}
	expected := e.charged * time.Duration(n) / time.Duration(max(e.held, 1))
	e.charged -= expected
	e.status.SlotTime += took
	s.charge(e, took-expected)
	s.give(e, n)
}

// note takes how far a query is.
func (s *queues) note(p queryProgress) {
	e := s.entries[p.id]
	if e == nil {
		return
	}
	s.results += p.memory - e.result
	e.result = p.memory
	st := &e.status
	st.State, st.Jobs, st.Done, st.Blocks, st.Bytes = p.phase.String(), p.jobs, p.done, p.blocks, p.bytes
}

func (s *queues) give(e *entry, n int) {
	n = min(n, e.held)
	e.held -= n
	e.tenant.held -= n
	s.free += n
}

// end forgets a query and takes its slots back. A tenant is forgotten when it can no longer be told
// from one that comes for the first time.
func (s *queues) end(id string) *entry {
	e := s.entries[id]
	if e == nil {
		return nil
	}
	s.give(e, e.held)
	e.setWants(0)
	t := e.tenant
	if e.queued() {
		t.waiting--
	} else {
		t.running--
		s.running--
	}
	s.results -= e.result
	delete(s.entries, id)
	t.entries = slices.DeleteFunc(t.entries, func(o *entry) bool { return o == e })
	s.tenants = slices.DeleteFunc(s.tenants, func(o *tenant) bool { return len(o.entries) == 0 && o.spent <= s.served-s.cfg.Burst })
	return e
}

// largest is the query whose answer takes most memory, when all together, and the answers that are
// not written yet, take more than they may; else nil.
func (s *queues) largest(unwritten int64) (most *entry) {
	if s.results+unwritten <= s.cfg.MaxResults {
		return nil
	}
	for _, t := range s.tenants {
		for _, e := range t.entries {
			if most == nil || e.result > most.result {
				most = e
			}
		}
	}
	return most
}

// drop forgets what a query holds that is being stopped.
func (s *queues) drop(e *entry) {
	e.setWants(0)
	s.results -= e.result
	e.result = 0
}

// list shows the queries of a tenant, or of all.
func (s *queues) list(tenant string) *jobs.Queries {
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
