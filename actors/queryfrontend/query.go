package queryfrontend

import (
	"context"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
)

// queryKind declares the child that answers one query.
func queryKind(d Deps, cfg Config, e *entry, front ask.Ref, last *catalog.View) supervise.Kind {
	id, label, q, from, ctx, began := e.status.ID, e.label, e.query, e.from, e.ctx, time.Unix(0, e.status.Began)
	return supervise.Kind{
		Name: kinds.Query, Key: supervise.Dynamic,
		New: func(string) actor.Actor {
			return &query{deps: d, cfg: cfg, id: id, label: label, front: front, from: from, ctx: ctx, began: began, course: newRunning(cfg, q, last)}
		},
		Mailbox: mailbox.Limit{Messages: 65536},
		Policy:  supervise.Policy{Then: supervise.Stop},
		Loses:   "the query; its client is told to ask again",
	}
}

// query is one running query. It carries out what its course decides. When it stops, its jobs stop:
// they are asked on its behalf.
type query struct {
	deps     Deps
	cfg      Config
	id       string
	label    string // of the tenant in metrics
	front    ask.Ref
	from     *actor.PID
	began    time.Time
	course   *running
	ctx      context.Context // the client's
	answered bool
}

// Self-messages and slots, which the query-frontend sends.
type (
	// ended is the end of one job. reply has the type that answers the job's message.
	ended struct {
		job   job
		sent  time.Time
		reply any
		err   error
	}
	again    struct{ job job }
	deadline struct{}
	slots    struct{ n int }
)

// Receive handles one message at a time and never waits.
func (q *query) Receive(c actor.Context) {
	now := q.deps.Clock.Now()
	switch m := c.Message().(type) {
	case *actor.Started:
		q.start(c, now)
	case slots:
		q.do(c, q.course.onSlots(m.n))
	case ended:
		s := q.course.onEnded(now, m)
		if m.job.slotted() {
			q.release(c, 1, now.Sub(m.sent))
		}
		q.do(c, s)
	case again:
		q.do(c, q.course.onAgain(m.job))
	case deadline:
		q.do(c, q.course.onDeadline())
	case system.Inspect:
		c.Respond(q.inspect(now))
	case *actor.Stopping, *actor.Restarting:
		if !q.answered { // given up, or the query-frontend ends; a client that has gone does not hear it
			q.answered = true
			err := status.Errorf(status.Unavailable, "query: it was ended before it was answered")
			if q.ctx.Err() != nil {
				err = status.Of(q.ctx.Err())
			}
			q.deps.Metrics.failed(q.label, q.course.q, err, now.Sub(q.began))
			system.Send(c, q.from, err)
		}
	case *actor.Stopped:
	default:
		system.Unhandled(c)
	}
}

// start begins the course. Its time is the client's less what it takes to answer, so that the
// client gets what is known rather than nothing.
func (q *query) start(c actor.Context, now time.Time) {
	end := q.began.Add(q.cfg.MaxDuration)
	if at, ok := q.ctx.Deadline(); ok && at.Before(end) {
		end = at
	}
	left := end.Sub(now)
	left -= min(left/10, time.Second)
	work.After(c, q.deps.Clock, left, deadline{})
	q.do(c, q.course.start(now.Add(left)))
}

// do carries out a step: the answer, or jobs.
func (q *query) do(c actor.Context, s step) {
	if q.answered {
		return
	}
	if s.fail != nil || s.answer != nil {
		q.answer(c, s)
		return
	}
	if s.progress != nil {
		system.Send(c, q.from, ask.Progress{Known: s.progress})
	}
	for _, j := range s.jobs {
		q.send(c, j)
	}
	if s.again != nil {
		work.After(c, q.deps.Clock, s.after, again{*s.again})
	}
	if s.unused > 0 {
		q.release(c, s.unused, 0)
	}
	if s.wants {
		n, each := q.course.waiting()
		c.Send(q.front, wanted{progress: q.progress(), n: n, each: each})
	}
}

// release gives slots back.
func (q *query) release(c actor.Context, n int, took time.Duration) {
	c.Send(q.front, released{progress: q.progress(), n: n, took: took})
}

func (q *query) progress() progress {
	r := q.course
	return progress{id: q.id, state: r.phase, jobs: r.answer.Jobs, done: r.answer.Done, blocks: r.answer.Blocks, bytes: r.answer.Bytes, result: r.size, view: r.view}
}

func (q *query) answer(c actor.Context, s step) {
	q.answered = true
	if n, _ := q.course.waiting(); n > 0 {
		c.Send(q.front, wanted{progress: q.progress()}) // none is needed any more
	}
	took := q.deps.Clock.Now().Sub(q.began)
	if s.fail != nil {
		err := status.Of(s.fail)
		if s.limit != "" {
			q.deps.Metrics.limits.WithLabelValues(s.limit).Inc()
		}
		q.deps.Metrics.failed(q.label, q.course.q, err, took)
		system.Send(c, q.from, err)
	} else {
		q.deps.Metrics.answered(q.label, q.course.q, s.answer, took)
		system.Send(c, q.from, s.answer)
	}
	c.Stop(c.Self())
}

func (q *query) send(c actor.Context, j job) {
	sent := q.deps.Clock.Now()
	back := func(reply any, err error) any { return ended{job: j, sent: sent, reply: reply, err: err} }
	switch as := j.msg.(type) {
	case recallJob:
		if r, ok := q.deps.Assembled.Peek(as.name); ok {
			c.Send(c.Self(), back(r, nil))
			return
		}
		c.Send(c.Self(), back(unknown{}, nil))
		return
	case *assembleJob:
		ctx, end := context.WithCancelCause(q.ctx)
		limit := q.timeout(j, sent)
		late := status.Errorf(status.Timeout, "assemble traces: not done within %s", limit)
		timer := q.deps.Clock.AfterFunc(limit, func() { end(late) })
		done := func(reply any, err error) any {
			timer.Stop()
			if err != nil && context.Cause(ctx) == error(late) {
				reply, err = nil, late
			}
			end(nil)
			return back(reply, err)
		}
		q.deps.Combine.Go(c, ctx, func(ctx context.Context) any { return done(as.run(ctx, q.deps.Assembled)) }, func(err error) any { return done(nil, err) })
		return
	}
	r := ask.Request{Kind: j.kind, Key: q.keyOf(j), Message: j.msg, Timeout: q.timeout(j, sent)}
	ask.Send(q.ctx, c, q.deps.Directory, r, back)
}

// timeout is how long a job may take that is sent now.
func (q *query) timeout(j job, now time.Time) time.Duration {
	return min(q.cfg.JobTimeout, j.timeout(q.course.until.Sub(now), q.course.last != nil))
}

// keyOf returns the key of the actor that is asked. Of several queriers a block has one of its own,
// which keeps its parsed parts; a job that is tried again goes to the next one.
func (q *query) keyOf(j job) string {
	if j.kind != kinds.Querier {
		return j.key
	}
	keys := q.deps.Directory.Keys(kinds.Querier)
	if len(keys) == 0 {
		return "" // no querier runs, so Send does not find one
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(j.key))
	return keys[(int(h.Sum32()%uint32(len(keys)))+j.tries)%len(keys)]
}

func (q *query) inspect(now time.Time) *system.ActorStatus {
	r := q.course
	waiting, _ := r.waiting()
	d := map[string]string{"tenant": r.q.Tenant, "op": r.q.Op(), "since": now.Sub(q.began).Round(time.Millisecond).String(),
		"jobs":  fmt.Sprintf("%d of %d, %d under way, %d waiting", r.answer.Done, r.answer.Jobs, len(r.open), waiting),
		"bytes": fmt.Sprint(r.answer.Bytes), "spans": fmt.Sprint(r.answer.Spans)}
	if r.q.Text != "" {
		d["query"] = r.q.Text
	}
	return &system.ActorStatus{State: r.phase.String(), Detail: d}
}

// assembleJob puts traces together from their homes and evaluates them, or makes the one that was
// asked for by id.
type assembleJob struct {
	traces [][][]trace.Fragment
	scan   jobs.Scan
	byID   bool
	name   string // to keep the result under; empty: it is not kept
}

type assembled struct{ otlp []byte }

func (j *assembleJob) run(ctx context.Context, keep *cache.LRU[*jobs.ScanResult]) (any, error) {
	if j.byID {
		if len(j.traces[0]) == 0 {
			return assembled{}, nil
		}
		return assembled{otlp: trace.Assemble(j.traces[0]...)}, nil
	}
	r, err := jobs.RunAssembled(ctx, j.traces, j.scan)
	if err == nil && j.name != "" {
		keep.Put(j.name, &jobs.ScanResult{Partial: r.Partial, CacheHits: 1}, r.Partial.Size()+int64(len(j.name))+256)
	}
	return r, err
}
