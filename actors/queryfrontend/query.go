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
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

// queryKind declares the child that answers one query.
func queryKind(d Deps, cfg Config, e *entry, front ask.Ref, last *catalog.View) supervise.Kind {
	child := queryActor{
		deps:   d,
		cfg:    cfg,
		id:     e.status.ID,
		label:  e.label,
		front:  front,
		asker:  e.asker,
		began:  time.Unix(0, e.status.Began),
		client: e.client,
	}
	query := e.query
	return supervise.Kind{
		Name: kinds.Query, Key: supervise.Dynamic,
		New: func(string) actor.Actor {
			q := child
			q.course = newCourse(cfg, query, last)
			return &q
		},
		Mailbox: mailbox.Limit{Messages: 65536},
		Policy:  supervise.Policy{Then: supervise.Stop},
		Loses:   "the query; its client is told to ask again",
	}
}

// queryActor is one running query. It carries out what its course decides. When it stops, its jobs
// stop: they are asked on its behalf.
type queryActor struct {
	deps       Deps
	cfg        Config
	id         string
	label      string // of the tenant in metrics
	front      ask.Ref
	asker      *actor.PID
	client     context.Context // of the one who asked
	began      time.Time
	course     *course
	isAnswered bool
	taker      *actor.PID // waits for a chunk; nil: nobody does
}

// What a query tells itself, and the slots that the query-frontend gives it.
type (
	// jobEnded is the end of one job. The job's task knows the type of reply.
	jobEnded struct {
		job   job
		sent  time.Time
		reply any
		err   error
	}
	retryDue     struct{ job job }
	timeOver     struct{}
	slotsGranted struct{ n int }
)

// Receive handles one message at a time and never waits.
func (q *queryActor) Receive(c actor.Context) {
	now := q.deps.Clock.Now()
	switch m := c.Message().(type) {
	case *actor.Started:
		q.beginCourse(c, now)
	case slotsGranted:
		q.do(c, q.course.onSlots(m.n))
	case jobEnded:
		s := q.course.onJobEnded(now, m)
		if m.job.needsSlot() {
			q.releaseSlots(c, 1, now.Sub(m.sent))
		}
		q.do(c, s)
	case retryDue:
		q.do(c, q.course.onRetryDue(m.job))
	case *jobs.TakeChunk:
		q.takeChunk(c, now)
	case timeOver:
		if left := q.course.until.Sub(now); left > 0 {
			work.After(c, q.deps.Clock, left, timeOver{})
			return
		}
		q.do(c, q.course.onTimeOver())
	case system.Inspect:
		c.Respond(q.describeStatus(now))
	case *actor.Stopping, *actor.Restarting:
		q.abortQuery(c, now)
	case *actor.Stopped:
	default:
		system.Unhandled(c)
	}
}

// beginCourse begins the course. It has the client's time less what it takes to answer, so that the
// client gets the results so far rather than nothing.
func (q *queryActor) beginCourse(c actor.Context, now time.Time) {
	end := q.began.Add(q.cfg.MaxDuration)
	if at, ok := q.client.Deadline(); ok && at.Before(end) {
		end = at
	}
	left := end.Sub(now)
	left -= min(left/10, time.Second)
	work.After(c, q.deps.Clock, left, timeOver{})
	q.do(c, q.course.beginUntil(now.Add(left)))
}

// do carries out a step: the answer, or jobs.
func (q *queryActor) do(c actor.Context, s step) {
	if q.isAnswered {
		return
	}
	for _, f := range s.keep {
		q.deps.Assembled.Put(f.name, f.result, f.result.Partial.Size()+int64(len(f.name))+256)
	}
	if s.chunk != nil {
		q.tellTaker(c, s.chunk)
	}
	if s.fail != nil || s.answer != nil {
		q.sendAnswer(c, s)
		return
	}
	if s.progress != nil {
		s.progress.QueryID = q.id
		system.Send(c, q.asker, ask.Progress{Known: s.progress})
	}
	for _, j := range s.jobs {
		q.beginJob(c, j)
	}
	if s.retry != nil {
		work.After(c, q.deps.Clock, s.retryAfter, retryDue{*s.retry})
	}
	if s.unusedSlots > 0 {
		q.releaseSlots(c, s.unusedSlots, 0)
	}
	if s.demandChanged {
		n, each := q.course.slotDemand()
		c.Send(q.front, slotsWanted{queryProgress: q.currentProgress(), n: n, costEach: each})
	}
}

// releaseSlots gives slots back. took is how long a job has held one.
func (q *queryActor) releaseSlots(c actor.Context, n int, took time.Duration) {
	c.Send(q.front, slotsReleased{queryProgress: q.currentProgress(), n: n, took: took})
}

func (q *queryActor) currentProgress() queryProgress {
	r := q.course
	return queryProgress{
		id:     q.id,
		phase:  r.phase,
		jobs:   r.answer.Jobs,
		done:   r.answer.Done,
		blocks: r.answer.Blocks,
		bytes:  r.answer.Bytes,
		memory: r.size,
		view:   r.basis.View,
	}
}

// sendAnswer ends the query with the answer or the error of a step.
func (q *queryActor) sendAnswer(c actor.Context, s step) {
	q.isAnswered = true
	if n, _ := q.course.slotDemand(); n > 0 {
		c.Send(q.front, slotsWanted{queryProgress: q.currentProgress()}) // none is needed any more
	}
	took := q.deps.Clock.Now().Sub(q.began)
	if s.fail != nil {
		err := status.Of(s.fail)
		if s.limit != "" {
			q.deps.Metrics.limits.WithLabelValues(s.limit).Inc()
		}
		q.deps.Metrics.countFailed(q.label, q.course.query, err, took)
		q.tellTaker(c, err)
		system.Send(c, q.asker, err)
	} else {
		q.deps.Metrics.countAnswered(q.label, q.course.query, s.answer, took)
		system.Send(c, q.asker, s.answer)
	}
	c.Stop(c.Self())
}

// takeChunk has the client wait for the next chunk of its trace.
func (q *queryActor) takeChunk(c actor.Context, now time.Time) {
	if q.isAnswered || q.taker != nil {
		c.Respond(status.Errorf(status.NotFound, "query %s: no chunk can be taken of it", q.id))
		return
	}
	q.taker = c.Sender()
	q.do(c, q.course.onTake(now))
}

// tellTaker gives the client that waits for a chunk the chunk, or the error for which it does not
// come.
func (q *queryActor) tellTaker(c actor.Context, reply any) {
	if q.taker != nil {
		system.Send(c, q.taker, reply)
		q.taker = nil
	}
}

// abortQuery tells the client of a query that is given up, or whose query-frontend ends, that there
// will be no answer. A client that has gone does not hear it.
func (q *queryActor) abortQuery(c actor.Context, now time.Time) {
	if q.isAnswered {
		return
	}
	q.isAnswered = true
	err := status.Errorf(status.Unavailable, "query: it was ended before it was answered")
	if q.client.Err() != nil {
		err = status.Of(q.client.Err())
	}
	q.deps.Metrics.countFailed(q.label, q.course.query, err, now.Sub(q.began))
	q.tellTaker(c, err)
	system.Send(c, q.asker, err)
}

// beginJob has a job done by the cache, by the pool, or by the actor that is to be asked.
// Next: actors/livestore and actors/querier.
func (q *queryActor) beginJob(c actor.Context, j job) {
	sent := q.deps.Clock.Now()
	ended := func(reply any, err error) any { return jobEnded{job: j, sent: sent, reply: reply, err: err} }
	switch t := j.task.(type) {
	case recallTask:
		if r, ok := q.deps.Assembled.Peek(t.name); ok {
			c.Send(c.Self(), ended(r, nil))
		} else {
			c.Send(c.Self(), ended(notKnown{}, nil))
		}
	case poolTask:
		q.runOnPool(c, t.run, q.jobTimeout(j, sent), ended)
	case askedTask:
		kind, key := q.chooseAddressee(j, t)
		r := ask.Request{Kind: kind, Key: key, Message: t.jobMessage(), Timeout: q.jobTimeout(j, sent)}
		ask.Send(q.client, c, q.deps.Directory, r, ended)
	}
}

// runOnPool runs a task on the pool. It ends when the client has gone or after limit.
func (q *queryActor) runOnPool(c actor.Context, run func(context.Context) (any, error), limit time.Duration,
	ended func(any, error) any) {
	ctx, end := context.WithCancelCause(q.client)
	late := status.Errorf(status.Timeout, "assemble traces: not done within %s", limit)
	timer := q.deps.Clock.AfterFunc(limit, func() { end(late) })
	done := func(reply any, err error) any {
		timer.Stop()
		if err != nil && context.Cause(ctx) == error(late) {
			reply, err = nil, late
		}
		end(nil)
		return ended(reply, err)
	}
	q.deps.Combine.Go(c, ctx,
		func(ctx context.Context) any { return done(run(ctx)) },
		func(err error) any { return done(nil, err) })
}

// jobTimeout is how long a job may take that begins now.
func (q *queryActor) jobTimeout(j job, now time.Time) time.Duration {
	return min(q.cfg.JobTimeout, j.timeLimit(q.course.until.Sub(now), q.course.lastView != nil))
}

// chooseAddressee chooses whom to ask. Of several queriers a block has one of its own, which keeps
// its parsed parts; a job that is tried again goes to the next one.
func (q *queryActor) chooseAddressee(j job, t askedTask) (kind, key string) {
	kind, key = t.actorAddress()
	if kind != kinds.Querier {
		return kind, key
	}
	keys := q.deps.Directory.Keys(kind)
	if len(keys) == 0 {
		return kind, "" // no querier runs, so none will be found
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key))
	return kind, keys[(int(h.Sum32()%uint32(len(keys)))+j.tries)%len(keys)]
}

func (q *queryActor) describeStatus(now time.Time) *system.ActorStatus {
	r := q.course
	waiting, _ := r.slotDemand()
	d := map[string]string{
		"tenant": r.query.Tenant,
		"op":     r.query.Op(),
		"since":  now.Sub(q.began).Round(time.Millisecond).String(),
		"jobs": fmt.Sprintf("%d of %d, %d under way, %d waiting",
			r.answer.Done, r.answer.Jobs, len(r.open), waiting),
		"bytes": fmt.Sprint(r.answer.Bytes),
		"spans": fmt.Sprint(r.answer.Spans),
	}
	if r.query.Text != "" {
		d["query"] = r.query.Text
	}
	return &system.ActorStatus{State: r.phase.String(), Detail: d}
}
