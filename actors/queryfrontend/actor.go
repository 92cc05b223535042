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
	cfg = cfg.On(runtime.GOMAXPROCS(0))
	if d.Assembled == nil {
		d.Assembled = cache.New[*jobs.ScanResult](0)
	}
	return supervise.Kind{
		Name: kinds.QueryFrontend, Key: supervise.PerNode,
		New: func(string) actor.Actor {
			return &Actor{deps: d, cfg: cfg, queues: newQueues(cfg), children: map[string]string{},
				life: strconv.FormatInt(d.Clock.Now().UnixMilli(), 36)}
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
	life     string // begins the ids of this incarnation's queries, so that no id is ever used again
	count    int64
	last     *catalog.View // newest version of the catalog seen; nil: none
	drain    *actor.PID
	over     bool // it starts no more queries
}

// What a query tells the query-frontend.
type (
	slotsWanted struct { // how many of its jobs wait for a slot
		queryProgress
		n    int
		each time.Duration // expected cost of one
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
		a.admit(c, m)
	case slotsWanted:
		a.note(m.queryProgress)
		a.queues.want(m.id, m.n, m.each)
		a.grant(c)
	case slotsReleased:
		a.note(m.queryProgress)
		a.queues.release(m.id, m.n, m.took)
		if e := a.queues.largest(a.unwritten()); e != nil {
			a.deps.Metrics.limits.WithLabelValues("max_results_bytes").Inc()
			a.cancel(c, e, status.Limitedf(time.Second, "query: the answers under way need more than %d bytes of memory (max_results_bytes), this one most; ask for fewer traces or series, or later",
				a.cfg.MaxResults))
		}
		a.grant(c)
	case askerGone:
		a.cancel(c, a.queues.entries[m.id], nil)
	case *actor.Terminated:
		if !a.over { // else it ends because this incarnation does
			a.ended(c, m.Who)
		}
	case *jobs.ListQueries:
		c.Respond(a.queues.list(m.Tenant))
	case *jobs.CancelQuery:
		e := a.queues.entries[m.ID]
		if e == nil || m.Tenant != "" && m.Tenant != e.status.Tenant {
			c.Respond(status.Errorf(status.NotFound, "query %s: it does not run", m.ID))
			return
		}
		a.cancel(c, e, status.Errorf(status.Canceled, "query %s: canceled on request", m.ID))
		system.Reply(c, &jobs.QueryCanceled{})
	case supervise.Drain:
		a.drain = c.Sender()
		a.drained(c)
	case system.Inspect:
		c.Respond(&system.ActorStatus{State: "ready", Detail: a.queues.detail()})
	case *actor.Stopping, *actor.Restarting: // the children tell their askers themselves
		a.over = true
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

func (a *Actor) admit(c actor.Context, m *jobs.Query) {
	if a.drain != nil {
		c.Respond(status.Errorf(status.Unavailable, "query: the node is shutting down"))
		return
	}
	a.count++
	now := a.deps.Clock.Now()
	e := &entry{asker: c.Sender(), client: ask.Context(c), query: m, status: jobs.QueryStatus{ID: a.life + "-" + strconv.FormatInt(a.count, 10), Tenant: m.Tenant, Op: m.Op(),
		Text: m.Text, Began: now.UnixNano()}}
	e.label = a.labels.Grant(m.Tenant)
	if err := a.queues.admit(e); err != nil {
		a.deps.Metrics.countFailed(e.label, m, err, 0)
		a.deps.Metrics.limits.WithLabelValues("max_outstanding_per_tenant").Inc()
		c.Respond(status.Of(err))
		return
	}
	ask.OnOver(c, e.asker, askerGone{e.status.ID})
	a.start(c)
}

// unwritten is what answers take whose queries have ended.
func (a *Actor) unwritten() int64 {
	if a.deps.Unwritten == nil {
		return 0
	}
	return a.deps.Unwritten()
}

// start spawns a child for each query whose turn has come.
func (a *Actor) start(c actor.Context) {
	for _, e := range a.queues.start() {
		waited := a.deps.Clock.Now().Sub(time.Unix(0, e.status.Began))
		a.deps.Metrics.queued.WithLabelValues(e.status.Op).Observe(waited.Seconds())
		e.child = system.Spawn(c, queryKind(a.deps, a.cfg, e, c.Self(), a.last), e.status.ID)
		a.children[e.child.Id] = e.status.ID
	}
}

// note takes how far a query is, and keeps the newest version of the catalog that any has seen.
func (a *Actor) note(p queryProgress) {
	a.queues.note(p)
	if p.view != nil && (a.last == nil || p.view.Version > a.last.Version) {
		a.last = p.view
	}
}

func (a *Actor) grant(c actor.Context) {
	for _, g := range a.queues.grant() {
		c.Send(g.entry.child, slotsGranted{g.n})
	}
	a.deps.Metrics.running.Set(float64(a.queues.running))
	a.deps.Metrics.waiting.Set(float64(len(a.queues.entries) - a.queues.running))
	a.deps.Metrics.free.Set(float64(a.queues.free))
}

// cancel ends a query: its client is told err, if there is one, and the child stops; its jobs stop
// with it.
func (a *Actor) cancel(c actor.Context, e *entry, err *status.Error) {
	if e == nil {
		return
	}
	if err != nil {
		system.Send(c, e.asker, err)
	}
	if e.child != nil {
		a.queues.drop(e)
		c.Stop(e.child) // the rest follows when it has ended
		return
	}
	a.queues.end(e.status.ID)
	a.deps.Metrics.countFailed(e.label, e.query, status.Errorf(status.Canceled, "canceled"), a.deps.Clock.Now().Sub(time.Unix(0, e.status.Began)))
	a.drained(c)
}

// ended forgets a query whose child has ended.
func (a *Actor) ended(c actor.Context, child *actor.PID) {
	a.queues.end(a.children[child.GetId()])
	delete(a.children, child.GetId())
	a.start(c)
	a.grant(c)
	a.drained(c)
}

func (a *Actor) drained(c actor.Context) {
	if a.drain != nil && len(a.queues.entries) == 0 {
		c.Send(a.drain, supervise.Drained{})
	}
}

// detail shows each tenant's queue.
func (s *queues) detail() map[string]string {
	out := map[string]string{"slots": fmt.Sprintf("%d of %d free", s.free, s.cfg.Slots)}
	for _, t := range s.tenants {
		if len(t.entries) > 0 {
			out["tenant "+t.name] = fmt.Sprintf("%d running, %d waiting, %d slots", t.running, t.waiting, t.held)
		}
	}
	return out
}
