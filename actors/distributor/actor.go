package distributor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
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
	Limits   func(tenant string) limits.Ingestion // those that hold now; nil: no tenant has any
	Clock    clock.Clock
	Logger   *slog.Logger
	Metrics  *Metrics
	Refusals *refusals.Refusals // nil: refusals are not counted
}

// Kind declares the distributor.
func Kind(d Deps, cfg Config) supervise.Kind {
	return supervise.Kind{
		Name: kinds.Distributor, Key: supervise.PerNode,
		New: func(string) actor.Actor {
			return &Actor{deps: d, state: newState(cfg), rates: newRates(d.Limits), log: d.Logger.With("kind", kinds.Distributor)}
		},
		Mailbox: mailbox.Limit{Messages: 65536},
		Policy: supervise.Policy{Backoff: supervise.Exponential(50*time.Millisecond, 5*time.Second),
			Restarts: 8, Within: 5 * time.Minute, Then: supervise.Escalate},
		Loses: "nothing: requests in flight are answered unavailable and sent again by their clients",
	}
}

// Actor is one distributor.
type Actor struct {
	deps    Deps
	log     *slog.Logger
	state   *state
	rates   *rates
	drained *actor.PID // who waits for the drain
}

// pushed is the end of a request's job.
type pushed struct {
	from  *actor.PID
	bytes int64
	acks  []ack
	reply any
	fail  error // the log takes nothing any more until it is opened again
}

type waitTick struct{}

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	now := a.deps.Clock.Now()
	switch m := c.Message().(type) {
	case *actor.Started:
	case *ingest.PushSpans:
		a.onPush(c, now, m)
	case pushed:
		a.state.done(m.bytes, m.acks)
		system.Send(c, m.from, m.reply)
		if m.fail != nil {
			panic(supervise.Fail(m.fail))
		}
		a.start(c, now)
		a.endDrain(c)
	case *jobs.Appended:
		a.state.appended(m)
		a.state.large.set(m.Partition, m.Large)
		a.start(c, now)
	case waitTick:
		a.state.ticking = false
		a.start(c, now)
		a.endDrain(c)
	case work.Failed:
		panic(supervise.Fail(m.Err))
	case supervise.Drain:
		a.state.draining = true
		a.drained = c.Sender()
		a.endDrain(c)
	case system.Inspect:
		c.Respond(a.state.inspect())
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
	default:
		system.Unhandled(c)
	}
}

func (a *Actor) onPush(c actor.Context, now time.Time, m *ingest.PushSpans) {
	if a.state.draining {
		refused := status.Errorf(status.Unavailable, "push spans: the node is shutting down")
		a.deps.countRefused(m, refusals.ShuttingDown, refused)
		c.Respond(refused)
		return
	}
	r := request{from: c.Sender(), ctx: ask.Context(c), push: m, bytes: int64(len(m.Otlp)), since: now}
	if !a.state.fits(r.bytes) {
		a.refuse(c, r)
		return
	}
	if refused, retries := a.rates.take(now, m.Tenant, r.bytes); refused != nil {
		a.deps.countRefused(m, refusals.RateLimited, refused)
		after := a.state.cfg.RetryAfter
		if !retries {
			after = 0
		}
		c.Respond(status.Limitedf(after, "%w", refused))
		return
	}
	a.state.take(r)
	a.start(c, now)
}

func (a *Actor) refuse(c actor.Context, r request) {
	refused := status.Limitedf(a.state.cfg.RetryAfter, "push spans: over capacity: %d bytes in flight, %d bytes not yet searchable",
		a.state.inflight, a.state.backlog)
	a.deps.countRefused(r.push, refusals.OverCapacity, refused)
	if r.from != nil {
		c.Send(r.from, refused)
	}
}

// start hands admitted requests to the pool and refuses those that have waited too long.
func (a *Actor) start(c actor.Context, now time.Time) {
	run, late := a.state.next(now)
	for _, r := range late {
		a.refuse(c, r)
	}
	for _, r := range run {
		cfg, large, ended := a.state.cfg, a.state.large.of[r.push.Tenant], pushed{from: r.from, bytes: r.bytes}
		a.deps.Ingest.Go(c, context.WithoutCancel(r.ctx), func(ctx context.Context) any {
			m := ended
			m.reply, m.acks, m.fail = a.deps.write(ctx, cfg, large, r.push)
			return m
		}, func(err error) any {
			m := ended
			m.reply = status.Of(err)
			return m
		})
	}
	if len(a.state.waiting) > 0 && !a.state.ticking {
		a.state.ticking = true
		work.After(c, a.deps.Clock, 100*time.Millisecond, waitTick{})
	}
}

func (a *Actor) endDrain(c actor.Context) {
	if a.drained != nil && a.state.inflight == 0 {
		c.Send(a.drained, supervise.Drained{})
		a.drained = nil
	}
}

// write splits a request by partition and appends it to the log. It returns when all of it is
// durable, or says why not. A request that fails half-way is refused as a whole: its client sends
// it again, and readers remove what came twice. fail is set when the log takes nothing any more.
func (d Deps) write(ctx context.Context, cfg Config, large map[trace.ID]struct{}, m *ingest.PushSpans) (reply any, acks []ack, fail error) {
	sp := trace.Splitter{
		MaxRecordBytes: int(cfg.MaxRecordBytes), MaxSpanBytes: int(cfg.MaxSpanBytes), MaxHeadBytes: int(cfg.MaxResourceBytes),
		Parts: d.Log.Partitions(), Large: large,
	}
	split, err := sp.Split(m.Tenant, m.Otlp)
	if err != nil {
		refused := status.Errorf(status.Invalid, "%w", err)
		d.countRefused(m, refusals.Malformed, refused)
		return refused, nil, nil
	}
	now := d.Clock.Now()
	records := map[int32][]kafkalog.Record{}
	bytes := map[int32]int64{}
	for _, p := range split.Parts {
		records[p.Partition] = append(records[p.Partition], kafkalog.Record{Tenant: m.Tenant, Format: kafkalog.FormatOTLP,
			Parts: int32(d.Log.Partitions()), Time: now, Value: p.Value})
		bytes[p.Partition] += int64(len(p.Value))
	}
	next, err := kafkalog.AppendAll(ctx, d.Log, records)
	for p, n := range next {
		acks = append(acks, ack{partition: p, next: n, bytes: bytes[p]})
	}
	if err != nil {
		reply, fail = d.failed(cfg, m, err)
		return reply, acks, fail
	}
	label := d.Refusals.Tenants().Grant(m.Tenant)
	d.Metrics.spans.WithLabelValues(label).Add(float64(split.Spans - split.Refused))
	d.Metrics.bytes.WithLabelValues(label).Add(float64(len(m.Otlp)))
	answer := &ingest.PushSpansReply{Spans: int64(split.Spans), Rejected: int64(split.Refused)}
	for _, r := range split.Reasons {
		d.Refusals.CountSpans(m.Tenant, refusals.Reason(r.Code), int64(r.Spans), r.Text)
	}
	for _, r := range split.Changed {
		d.Refusals.CountWarning(m.Tenant, refusals.Reason(r.Code), int64(r.Spans), r.Text)
	}
	answer.Message = split.Message()
	return answer, acks, nil
}

// failed separates errors after which nothing was written to the log from those after which the
// records may have been written: then they may be found later although the sender was refused.
func (d Deps) failed(cfg Config, m *ingest.PushSpans, err error) (reply any, fail error) {
	refused, reason := status.Errorf(status.Unavailable, "append to the log: %w", err), refusals.LogFailed
	switch {
	case errors.Is(err, kafkalog.ErrDiskFull):
		refused, reason = status.Limitedf(cfg.RetryAfter, "append to the log: %w", err), refusals.DiskFull
	case errors.Is(err, kafkalog.ErrFull):
		refused, reason = status.Limitedf(cfg.RetryAfter, "append to the log: %w", err), refusals.LogFull
	case errors.Is(err, kafkalog.ErrTooLarge):
		refused, reason = status.Errorf(status.Invalid, "append to the log: %w", err), refusals.MessageTooLarge
	case errors.Is(err, kafkalog.ErrFailed):
		fail = fmt.Errorf("append to the log: %w", err)
	}
	d.countRefused(m, reason, refused)
	return refused, fail
}
