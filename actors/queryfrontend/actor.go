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
	// Combine puts traces with several homes together. It has at least as many workers as there are
	// slots.
	Combine work.Pool
	// Assembled keeps what batches of traces that lie in several blocks, and folds of scans, add to
	// answers; nil: nothing is kept.
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
			return &Actor{
				deps:     d,
				cfg:      cfg,
				queues:   newQueues(cfg),
				children: map[string]string{},
				idPrefix: strconv.FormatInt(d.Clock.Now().UnixMilli(), 36),
			}
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
	deps     Deps
	cfg      Config
	queues   *queues
	children map[string]string // address of a child -> id of its query
	labels   telemetry.TenantLabels
	// idPrefix begins the ids of this incarnation's queries, so that no id is ever used again.
	idPrefix   string
	admitted   int64         // numbers the queries
	lastView   *catalog.View // the newest version of the catalog that any query has seen; nil: none
	drainAsker *actor.PID    // waits for the end of the queries; nil: the node is not draining
	isOver     bool          // this incarnation ends and starts no more queries
}

// What a query tells the query-frontend.
type (
	// slotsWanted tells how many jobs of a query wait for a slot.
	slotsWanted struct {
		queryProgress
		n        int
		costEach time.Duration // expected
	}
	// slotsReleased gives slots back.
	slotsReleased struct {
		queryProgress
		n    int
		took time.Duration // how long a job has held them
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

// askerGone tells the query-frontend that nobody waits for a query's answer any longer.
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
		a.boundAnswers(c)
		a.grantSlots(c)
	case askerGone:
		a.cancelQuery(c, a.queues.entries[m.id], nil)
	case *actor.Terminated:
		if !a.isOver { // else it ends because this incarnation does
			a.onChildEnded(c, m.Who)
		}
	case *jobs.TakeChunk:
		a.passOn(c, m)
	case *jobs.ListQueries:
		c.Respond(a.queues.listQueries(m.Tenant))
	case *jobs.CancelQuery:
		a.cancelOnRequest(c, m)
	case supervise.Drain:
		a.drainAsker = c.Sender()
		a.reportDrained(c)
	case system.Inspect:
		c.Respond(&system.ActorStatus{State: "ready", Detail: a.queues.describeTenants()})
	case *actor.Stopping, *actor.Restarting:
		a.endIncarnation(c)
	case *actor.Stopped:
	default:
		system.Unhandled(c)
	}
}

// endIncarnation tells the clients of the queries that wait. Those that run tell their clients
// themselves.
func (a *Actor) endIncarnation(c actor.Context) {
	a.isOver = true
	for _, e := range a.queues.entries {
		if e.child == nil {
			system.Send(c, e.asker, status.Errorf(status.Unavailable, "query: the query-frontend has restarted"))
		}
	}
}

// boundAnswers ends the query with the largest answer where all answers together need too much
// memory.
func (a *Actor) boundAnswers(c actor.Context) {
	e := a.queues.largestAnswer(a.unwrittenBytes())
	if e == nil {
		return
	}
	a.deps.Metrics.limits.WithLabelValues("max_results_bytes").Inc()
	a.cancelQuery(c, e,
		status.Limitedf(time.Second, "query: the answers under way need more than %d bytes of memory "+
			"(max_results_bytes), this one most; ask for fewer traces or series, or later", a.cfg.MaxResults))
}

// passOn gives the wish for a chunk to the child that reads the trace. The child answers.
func (a *Actor) passOn(c actor.Context, m *jobs.TakeChunk) {
	e := a.queues.entries[m.Query]
	if e == nil || e.child == nil {
		c.Respond(status.Errorf(status.NotFound, "query %s: it does not run", m.Query))
		return
	}
	c.Forward(e.child)
}

func (a *Actor) cancelOnRequest(c actor.Context, m *jobs.CancelQuery) {
	e := a.queues.entries[m.ID]
	if e == nil || m.Tenant != "" && m.Tenant != e.status.Tenant {
		c.Respond(status.Errorf(status.NotFound, "query %s: it does not run", m.ID))
		return
	}
	a.cancelQuery(c, e, status.Errorf(status.Canceled, "query %s: canceled on request", m.ID))
	system.Reply(c, &jobs.QueryCanceled{})
}

// admitQuery takes a query into its tenant's queue, or refuses it.
func (a *Actor) admitQuery(c actor.Context, m *jobs.Query) {
	if a.drainAsker != nil {
		c.Respond(status.Errorf(status.Unavailable, "query: the node is shutting down"))
		return
	}
	a.admitted++
	now := a.deps.Clock.Now()
	e := &entry{
		asker:  c.Sender(),
		client: ask.Context(c),
		query:  m,
		label:  a.labels.Grant(m.Tenant),
		status: jobs.QueryStatus{
			ID:     a.idPrefix + "-" + strconv.FormatInt(a.admitted, 10),
			Tenant: m.Tenant,
			Op:     m.Op(),
			Text:   m.Text,
			Began:  now.UnixNano(),
		},
	}
	if err := a.queues.admitQuery(e); err != nil {
		a.deps.Metrics.countFailed(e.label, m, err, 0)
		a.deps.Metrics.limits.WithLabelValues("max_outstanding_per_tenant").Inc()
		c.Respond(status.Of(err))
		return
	}
	ask.OnOver(c, e.asker, askerGone{e.status.ID})
	a.startDueQueries(c)
}

// unwrittenBytes is the memory of answers whose queries have ended and whose clients have not read
// them yet.
func (a *Actor) unwrittenBytes() int64 {
	if a.deps.Unwritten == nil {
		return 0
	}
	return a.deps.Unwritten()
}

// startDueQueries starts a child for each query whose turn has come.
func (a *Actor) startDueQueries(c actor.Context) {
	for _, e := range a.queues.startDue() {
		waited := a.deps.Clock.Now().Sub(time.Unix(0, e.status.Began))
		a.deps.Metrics.queued.WithLabelValues(e.status.Op).Observe(waited.Seconds())
		e.child = system.Spawn(c, queryKind(a.deps, a.cfg, e, c.Self(), a.lastView), e.status.ID)
		a.children[e.child.Id] = e.status.ID
	}
}

// noteProgress takes how far a query is. It keeps the newest version of the catalog that any query
// has seen.
func (a *Actor) noteProgress(p queryProgress) {
	a.queues.noteProgress(p)
	if p.view != nil && (a.lastView == nil || p.view.Version > a.lastView.Version) {
		a.lastView = p.view
	}
}

// grantSlots deals out the free slots.
func (a *Actor) grantSlots(c actor.Context) {
	for _, g := range a.queues.grantSlots() {
		c.Send(g.entry.child, slotsGranted{g.n})
	}
	a.deps.Metrics.running.Set(float64(a.queues.running))
	a.deps.Metrics.waiting.Set(float64(len(a.queues.entries) - a.queues.running))
	a.deps.Metrics.free.Set(float64(a.queues.freeSlots))
}

// cancelQuery ends a query. Its client is told err, if there is one, and the child stops, with its
// jobs.
func (a *Actor) cancelQuery(c actor.Context, e *entry, err *status.Error) {
	if e == nil {
		return
	}
	if err != nil {
		system.Send(c, e.asker, err)
	}
	if e.child != nil {
		a.queues.forgetDemand(e)
		c.Stop(e.child) // onChildEnded does the rest
		return
	}
	a.queues.removeQuery(e.status.ID)
	a.deps.Metrics.countFailed(e.label, e.query, status.Errorf(status.Canceled, "canceled"),
		a.deps.Clock.Now().Sub(time.Unix(0, e.status.Began)))
	a.reportDrained(c)
}

// onChildEnded forgets a query whose child has ended, and gives its place and its slots to others.
func (a *Actor) onChildEnded(c actor.Context, child *actor.PID) {
	a.queues.removeQuery(a.children[child.GetId()])
	delete(a.children, child.GetId())
	a.startDueQueries(c)
	a.grantSlots(c)
	a.reportDrained(c)
}

// reportDrained answers the request to drain, when no query is left.
func (a *Actor) reportDrained(c actor.Context) {
	if a.drainAsker != nil && len(a.queues.entries) == 0 {
		c.Send(a.drainAsker, supervise.Drained{})
	}
}

// describeTenants describes the slots and each tenant's queue, for the status page.
func (s *queues) describeTenants() map[string]string {
	out := map[string]string{"slots": fmt.Sprintf("%d of %d free", s.freeSlots, s.cfg.Slots)}
	for _, t := range s.tenants {
		if len(t.entries) > 0 {
			out["tenant "+t.name] = fmt.Sprintf("%d running, %d waiting, %d slots", t.running, t.waiting, t.slotsHeld)
		}
	}
	return out
}
