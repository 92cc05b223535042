package queryfrontend

import (
	"fmt"
	"log/slog"
	"runtime"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
	"github.com/troupe-tracing/troupe/runtime/telemetry"
)

// Deps is what the query-frontend reaches.
type Deps struct {
	Directory ask.Directory
	// assembly of traces with several homes; at least as many workers as there are slots
	Combine work.Pool
	// what batches of traces that lie in several blocks add to answers; nil: nothing is kept
	Assembled *cache.LRU[*jobs.ScanResult]
	Clock     clock.Clock
	Logger    *slog.Logger
	Metrics   *Metrics
	Unwritten func() int64 // bytes of answers that clients have not read yet; nil: none
}

// Kind declares the query-frontend.
func Kind(d Deps, cfg Config) supervise.Kind {
	cfg = cfg.ForMachine(runtime.GOMAXPROCS(0))
	if d.Assembled == nil {
		d.Assembled = cache.New[*jobs.ScanResult](0)
	}
	return supervise.Kind{
		Name: kinds.QueryFrontend, Key: supervise.PerNode,
		New: func(string) actor.Actor {
			return &Actor{deps: d, cfg: cfg, queues: newQueues(cfg), children: map[string]string{},
				idPrefix: strconv.FormatInt(d.Clock.Now().UnixMilli(), 36)}
		},
		Mailbox: mailbox.Limit{Messages: 65536},
		Policy: supervise.Policy{Backoff: supervise.Exponential(50*time.Millisecond, 5*time.Second),
			Restarts: 8, Within: 5 * time.Minute, Then: supervise.Escalate},
		Loses: "the running queries; their clients are told to ask again",
	}
}

// Actor is the query-frontend of a node: it admits queries, starts a child for each, and deals out
// the slots for their jobs.
type Actor struct {
	deps            Deps
	cfg             Config
	queues          *queues
	children        map[string]string // address of a child -> id of its query
	labels          telemetry.TenantLabels
	idPrefix        string // begins the ids of this incarnation's queries, so that no id is ever used again
	queriesAdmitted int64
	lastView        *catalog.View // newest version of the catalog seen; nil: none
	drainAsker      *actor.PID
	isOver          bool // it starts no more queries
}

// What a query tells the query-frontend.
type (
	slotsWanted struct { // how many of its jobs wait for a slot
		queryProgress
		n        int
		costEach time.Duration // expected cost of one
	}
	slotsReleased struct { // slots it does not hold any longer
		queryProgress
		n    int
		took time.Duration
	}
	// queryProgress is how far a query is.
	queryProgress struct {
		id         string
		phase      phase
		jobs, done int
		blocks     int
		bytes      int64 // read
		memory     int64 // of the answer so far
		view       *catalog.View
	}
)

// askerGone tells that nobody waits for a query's answer any longer.
type askerGone struct{ id string }

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
	case *jobs.Query:
		a.admitQuery(c, m)
	case slotsWanted:
		a.noteProgress(m.queryProgress)
		a.queues.noteDemand(m.id, m.n, m.costEach)
		a.grantSlots(c)
	case slotsReleased:
		a.noteProgress(m.queryProgress)
		a.queues.releaseSlots(m.id, m.n, m.took)
		if e := a.queues.largestAnswer(a.unwrittenBytes()); e != nil {
			a.deps.Metrics.limits.WithLabelValues("max_results_bytes").Inc()
			a.cancelQuery(c, e, status.Limitedf(time.Second, "query: the answers under way need more than %d bytes of memory (max_results_bytes), this one most; ask for fewer traces or series, or later",
				a.cfg.MaxResults))
		}
		a.grantSlots(c)
	case askerGone:
		a.cancelQuery(c, a.queues.entries[m.id], nil)
	case *actor.Terminated:
		if !a.isOver { // else it ends because this incarnation does
			a.onChildEnded(c, m.Who)
		}
	case *jobs.ListQueries:
		c.Respond(a.queues.listQueries(m.Tenant))
	case *jobs.CancelQuery:
		e := a.queues.entries[m.ID]
		if e == nil || m.Tenant != "" && m.Tenant != e.status.Tenant {
			c.Respond(status.Errorf(status.NotFound, "query %s: it does not run", m.ID))
			return
		}
		a.cancelQuery(c, e, status.Errorf(status.Canceled, "query %s: canceled on request", m.ID))
		system.Reply(c, &jobs.QueryCanceled{})
	case supervise.Drain:
		a.drainAsker = c.Sender()
		a.reportDrained(c)
	case system.Inspect:
		c.Respond(&system.ActorStatus{State: "ready", Detail: a.queues.describeTenants()})
	case *actor.Stopping, *actor.Restarting: // the children tell their askers themselves
		a.isOver = true
		for _, e := range a.queues.entries {
			if e.child == nil {
				system.Send(c, e.asker, status.Errorf(status.Unavailable, "query: the query-frontend has restarted"))
			}
		}
	case *actor.Stopped:
	default:
		system.Unhandled(c)
	}
}

func (a *Actor) admitQuery(c actor.Context, m *jobs.Query) {
	if a.drainAsker != nil {
		c.Respond(status.Errorf(status.Unavailable, "query: the node is shutting down"))
		return
	}
	a.queriesAdmitted++
	now := a.deps.Clock.Now()
	e := &entry{asker: c.Sender(), client: ask.Context(c), query: m, status: jobs.QueryStatus{ID: a.idPrefix + "-" + strconv.FormatInt(a.queriesAdmitted, 10), Tenant: m.Tenant, Op: m.Op(),
		Text: m.Text, Began: now.UnixNano()}}
	e.label = a.labels.Grant(m.Tenant)
	if err := a.queues.admitQuery(e); err != nil {
		a.deps.Metrics.countFailed(e.label, m, err, 0)
		a.deps.Metrics.limits.WithLabelValues("max_outstanding_per_tenant").Inc()
		c.Respond(status.Of(err))
		return
	}
	ask.OnOver(c, e.asker, askerGone{e.status.ID})
	a.startDueQueries(c)
}

// unwrittenBytes is what answers take whose queries have ended.
func (a *Actor) unwrittenBytes() int64 {
	if a.deps.Unwritten == nil {
		return 0
	}
	return a.deps.Unwritten()
}

// startDueQueries spawns a child for each query whose turn has come.
func (a *Actor) startDueQueries(c actor.Context) {
	for _, e := range a.queues.startDue() {
		waited := a.deps.Clock.Now().Sub(time.Unix(0, e.status.Began))
		a.deps.Metrics.queued.WithLabelValues(e.status.Op).Observe(waited.Seconds())
		e.child = system.Spawn(c, queryKind(a.deps, a.cfg, e, c.Self(), a.lastView), e.status.ID)
		a.children[e.child.Id] = e.status.ID
	}
}

// noteProgress takes how far a query is, and keeps the newest version of the catalog that any has seen.
func (a *Actor) noteProgress(p queryProgress) {
	a.queues.noteProgress(p)
	if p.view != nil && (a.lastView == nil || p.view.Version > a.lastView.Version) {
		a.lastView = p.view
	}
}

func (a *Actor) grantSlots(c actor.Context) {
	for _, g := range a.queues.grantSlots() {
		c.Send(g.entry.child, slotsGranted{g.n})
	}
	a.deps.Metrics.running.Set(float64(a.queues.running))
	a.deps.Metrics.waiting.Set(float64(len(a.queues.entries) - a.queues.running))
	a.deps.Metrics.free.Set(float64(a.queues.freeSlots))
}

// cancelQuery ends a query: its client is told err, if there is one, and the child stops; its jobs stop
// with it.
func (a *Actor) cancelQuery(c actor.Context, e *entry, err *status.Error) {
	if e == nil {
		return
	}
	if err != nil {
		system.Send(c, e.asker, err)
	}
	if e.child != nil {
		a.queues.forgetDemand(e)
		c.Stop(e.child) // the rest follows when it has ended
		return
	}
	a.queues.removeQuery(e.status.ID)
	a.deps.Metrics.countFailed(e.label, e.query, status.Errorf(status.Canceled, "canceled"), a.deps.Clock.Now().Sub(time.Unix(0, e.status.Began)))
	a.reportDrained(c)
}

// onChildEnded forgets a query whose child has ended.
func (a *Actor) onChildEnded(c actor.Context, child *actor.PID) {
	a.queues.removeQuery(a.children[child.GetId()])
	delete(a.children, child.GetId())
	a.startDueQueries(c)
	a.grantSlots(c)
	a.reportDrained(c)
}

func (a *Actor) reportDrained(c actor.Context) {
	if a.drainAsker != nil && len(a.queues.entries) == 0 {
		c.Send(a.drainAsker, supervise.Drained{})
	}
}

// describeTenants shows each tenant's queue.
func (s *queues) describeTenants() map[string]string {
	out := map[string]string{"slots": fmt.Sprintf("%d of %d free", s.freeSlots, s.cfg.Slots)}
	for _, t := range s.tenants {
		if len(t.entries) > 0 {
			out["tenant "+t.name] = fmt.Sprintf("%d running, %d waiting, %d slots", t.running, t.waiting, t.slotsHeld)
		}
	}
	return out
}
