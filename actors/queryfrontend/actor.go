package queryfrontend

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

// Deps is what the query-frontend reaches.
type Deps struct {
	Directory ask.Directory
	Combine   work.Pool // assembly of traces with several homes
	Clock     clock.Clock
	Logger    *slog.Logger
	Metrics   *Metrics
}

// Kind declares the query-frontend.
func Kind(d Deps, cfg Config) supervise.Kind {
	return supervise.Kind{
		Name: "query-frontend", Key: supervise.PerNode,
		New: func(string) actor.Actor {
			return &Actor{deps: d, cfg: cfg, queries: map[int64]*running{}}
		},
		Mailbox: mailbox.Limit{Messages: 65536},
		Policy: supervise.Policy{Backoff: supervise.Exponential(50*time.Millisecond, 5*time.Second),
			Restarts: 8, Within: 5 * time.Minute, Then: supervise.Escalate},
		Loses: "the running queries; their clients are told to ask again",
	}
}

// Actor is the query-frontend of a node.
type Actor struct {
	deps     Deps
	cfg      Config
	queries  map[int64]*running
	lastID   int64
	draining *actor.PID
	done     int64
}

// ended is the end of one job of a query. what is the job's own type of result.
type ended struct {
	query int64
	job   job
	reply any
	err   error
}

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting:
	case *plan.Query:
		a.begin(c, m)
	case ended:
		if q := a.queries[m.query]; q != nil {
			a.do(c, q, q.onEnded(m))
		}
	case work.Failed:
		panic(supervise.Fail(m.Err))
	case supervise.Drain:
		a.draining = c.Sender()
		a.endDrain(c)
	case system.Inspect:
		c.Respond(&system.ActorStatus{State: "ready", Detail: map[string]string{"running": fmt.Sprint(len(a.queries)), "answered": fmt.Sprint(a.done)}})
	default:
		system.Unhandled(c)
	}
}

func (a *Actor) begin(c actor.Context, m *plan.Query) {
	if a.draining != nil {
		c.Respond(status.Errorf(status.Unavailable, "query: the node is shutting down"))
		return
	}
	if len(a.queries) >= a.cfg.MaxRunning {
		c.Respond(status.Limitedf(time.Second, "query: %d queries are running already", len(a.queries)))
		return
	}
	a.lastID++
	q := newRunning(a.lastID, a.cfg, c.Sender(), ask.Context(c), m)
	q.began = a.deps.Clock.Now()
	a.queries[q.id] = q
	a.do(c, q, q.plan())
}

// do sends a query's jobs and, at its end, the answer.
func (a *Actor) do(c actor.Context, q *running, s step) {
	if q.ctx.Err() != nil { // the client has gone; what its jobs still find is for nobody
		s = step{end: true, fail: q.ctx.Err()}
	}
	for _, j := range s.jobs {
		a.send(c, q, j)
	}
	if !s.end {
		return
	}
	delete(a.queries, q.id)
	a.done++
	a.deps.Metrics.seconds.WithLabelValues(q.op()).Observe(a.deps.Clock.Now().Sub(q.began).Seconds())
	if q.from != nil {
		if s.fail != nil {
			c.Send(q.from, status.From(s.fail))
		} else {
			if !s.answer.Complete {
				a.deps.Metrics.partial.WithLabelValues(q.op()).Inc()
			}
			c.Send(q.from, s.answer)
		}
	}
	a.endDrain(c)
}

func (a *Actor) send(c actor.Context, q *running, j job) {
	back := func(reply any, err error) any { return ended{query: q.id, job: j, reply: reply, err: err} }
	if as, ok := j.msg.(*assembleJob); ok {
		id := q.id
		a.deps.Combine.Go(c, q.ctx, func(ctx context.Context) any {
			r, err := plan.RunAssembled(ctx, as.fragments, as.scan)
			return ended{query: id, job: j, reply: r, err: err}
		})
		return
	}
	to, err := a.deps.Directory.Find(j.kind, j.key)
	if err != nil {
		c.Send(c.Self(), back(nil, err))
		return
	}
	ask.SendWith(q.ctx, c, to, j.msg, a.cfg.JobTimeout, back)
}

func (a *Actor) endDrain(c actor.Context) {
	if a.draining != nil && len(a.queries) == 0 {
		c.Send(a.draining, supervise.Drained{})
	}
}

type assembleJob struct {
	fragments [][]trace.Fragment
	scan      plan.Scan
}
