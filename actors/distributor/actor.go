package distributor

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// Deps is what a distributor reaches.
type Deps struct {
	Log      kafkalog.Log
	Ingest   work.Pool                            // splitting and appending; a worker waits for the group commit
	Limits   func(tenant string) limits.Ingestion // at present; nil: no tenant has any
	Clock    clock.Clock
	Metrics  *Metrics
	Refusals *refusals.Refusals // nil: refusals are not counted
}

// Kind declares the distributor.
func Kind(d Deps, cfg Config) supervise.Kind {
	return supervise.Kind{
		Name:    kinds.Distributor,
		Key:     supervise.PerNode,
		New:     func(string) actor.Actor { return newActor(d, cfg) },
		Mailbox: mailbox.Limit{Messages: 65536},
		Policy: supervise.Policy{
			Backoff:  supervise.Exponential(50*time.Millisecond, 5*time.Second),
			Restarts: 8,
			Within:   5 * time.Minute,
			Then:     supervise.Escalate,
		},
		Loses: "nothing: requests in flight are answered unavailable and sent again by their clients",
	}
}

// Actor is one distributor.
type Actor struct {
	deps   Deps
	state  *state
	writer *logWriter
}

func newActor(d Deps, cfg Config) *Actor {
	w := &logWriter{cfg: cfg, log: d.Log, clock: d.Clock, metrics: d.Metrics, refusals: d.Refusals}
	return &Actor{deps: d, state: newState(cfg, d.Limits), writer: w}
}

// Self-messages.
type (
	// pushed is the end of the work on a request.
	pushed struct {
		from  *actor.PID
		bytes int64
		written
	}
	waitTick struct{}
)

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	now := a.deps.Clock.Now()
	switch m := c.Message().(type) {
	case *actor.Started:
	case *ingest.PushSpans:
		a.do(c, a.state.onPush(now, request{from: c.Sender(), ctx: ask.Context(c), push: m, since: now}))
	case pushed:
		a.do(c, a.state.onPushed(now, m))
	case *jobs.Appended:
		a.do(c, a.state.onAppended(now, m))
	case waitTick:
		a.do(c, a.state.onTick(now))
	case work.Failed:
		a.do(c, step{fail: m.Err})
	case supervise.Drain:
		a.do(c, a.state.onDrain(c.Sender()))
	case system.Inspect:
		c.Respond(a.state.inspect())
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
	default:
		system.Unhandled(c)
	}
}

// do carries out a step, in this order, and waits for nothing; the end of a request's work comes
// back as a message.
func (a *Actor) do(c actor.Context, s step) {
	system.Send(c, s.answered, s.answer)
	if s.fail != nil {
		panic(supervise.Fail(s.fail))
	}
	for _, r := range s.refused {
		countRefused(a.deps.Refusals, r.push, r.reason, r.err)
		system.Send(c, r.from, r.err)
	}
	for _, r := range s.write {
		a.startWrite(c, r)
	}
	if s.tick {
		work.After(c, a.deps.Clock, tickPause, waitTick{})
	}
	system.Send(c, s.drained, supervise.Drained{})
}

// startWrite hands a request to the pool. It is not cancelled with its client: half of it may be in
// the log already.
func (a *Actor) startWrite(c actor.Context, r request) {
	large := a.state.large.of[r.push.Tenant]
	end := pushed{from: r.from, bytes: r.otlpBytes()}
	a.deps.Ingest.Go(c, context.WithoutCancel(r.ctx), func(ctx context.Context) any {
		m := end
		m.written = a.writer.writeSpans(ctx, large, r.push)
		return m
	}, func(err error) any {
		m := end
		m.reply = status.Of(err)
		return m
	})
}
