package livestore

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// Deps is what a live-store reaches.
type Deps struct {
	Log       kafkalog.Log
	Blocks    Blocks
	Directory ask.Directory
	Fetch     work.Pool // reads of the log; at least one worker a partition
	Scan      work.Pool // evaluation of queries
	Clock     clock.Clock
	Logger    *slog.Logger
	Metrics   *Metrics
}

// Kind declares the live-store.
func Kind(d Deps, cfg Config) supervise.Kind {
	return supervise.Kind{
		Name: "live-store", Key: supervise.PerPartition,
		New:     func(key string) actor.Actor { return newActor(d, cfg, key) },
		Mailbox: mailbox.Limit{Messages: 4096},
		Policy: supervise.Policy{Backoff: supervise.Exponential(100*time.Millisecond, 10*time.Second),
			Restarts: 8, Within: 5 * time.Minute, Then: supervise.Escalate},
		Loses: "the live segments; read again from the covered offset of the log",
	}
}

// Actor is the live-store of one partition.
type Actor struct {
	deps    Deps
	log     *slog.Logger
	state   *state
	waiting []query // queries that came before everything acknowledged was read
}

// query is a question under way; its job's result comes back as answered.
type query struct {
	from *actor.PID
	ctx  context.Context
	msg  any
}

func newActor(d Deps, cfg Config, key string) *Actor {
	p, err := strconv.ParseInt(key, 10, 32)
	if err != nil {
		panic("BUG: live-store key " + key + " is no partition")
	}
	return &Actor{deps: d, state: newState(int32(p), cfg), log: d.Logger.With("kind", "live-store", "partition", key)}
}

// Self-messages.
type (
	attachTick struct{}
	fetchTick  struct{}
	expireTick struct{}
	covered    struct {
		reply *plan.CoveredResult
		err   error
	}
	bounds struct {
		covered *plan.CoveredResult
		end     int64
		err     error
	}
	fetched struct {
		batch kafkalog.Batch
		err   error
	}
	answered struct {
		to    *actor.PID
		reply any
	}
)

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	now := a.deps.Clock.Now()
	switch m := c.Message().(type) {
	case *actor.Started:
		a.attach(c)
		work.After(c, a.deps.Clock, time.Second, expireTick{})
	case attachTick:
		a.attach(c)
	case covered:
		a.onCovered(c, m)
	case bounds:
		a.onBounds(c, m)
	case fetchTick:
		a.fetch(c)
	case fetched:
		a.onFetched(c, now, m)
	case expireTick:
		a.state.expire(now)
		a.gauges()
		work.After(c, a.deps.Clock, time.Second, expireTick{})
	case *plan.CoverageChanged:
		a.state.cover(now, m.Version, m.Covered[a.state.partition])
	case *plan.CutJob:
		c.Respond(a.state.cut(now, m))
	case *plan.HomesJob, *plan.LiveScanJob, *plan.LiveTracesJob:
		a.ask(c, query{from: c.Sender(), ctx: ask.Context(c), msg: m})
	case homesChecked:
		a.onHomesChecked(c, m)
	case answered:
		system.Send(c, m.to, m.reply)
	case work.Failed:
		panic(supervise.Fail(fmt.Errorf("run job: %w", m.Err)))
	case supervise.Drain:
		c.Respond(supervise.Drained{})
	case system.Inspect:
		c.Respond(a.inspect())
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
	default:
		system.Unhandled(c)
	}
}

// attach asks the catalog which offset is covered. The scheduler answers when it has compared the catalog with the log.
func (a *Actor) attach(c actor.Context) {
	to, err := a.deps.Directory.Find("backend-scheduler", "")
	if err != nil {
		work.After(c, a.deps.Clock, 200*time.Millisecond, attachTick{})
		return
	}
	ask.Send(c, to, &plan.CoveredJob{Partition: a.state.partition}, 30*time.Second, func(reply any, err error) any {
		if r, ok := reply.(*plan.CoveredResult); ok {
			return covered{reply: r}
		}
		return covered{err: status.Reply(reply, err)}
	})
}

func (a *Actor) onCovered(c actor.Context, m covered) {
	if m.err != nil {
		a.log.Warn("ask for the covered offset", "err", m.err)
		work.After(c, a.deps.Clock, 500*time.Millisecond, attachTick{})
		return
	}
	p := a.state.partition
	a.deps.Fetch.Go(c, context.Background(), func(ctx context.Context) any {
		_, end, err := a.deps.Log.Bounds(ctx, p)
		return bounds{covered: m.reply, end: end, err: err}
	})
}

func (a *Actor) onBounds(c actor.Context, m bounds) {
	if m.err != nil {
		panic(supervise.Fail(fmt.Errorf("read bounds of the log: %w", m.err)))
	}
	a.state.attach(m.covered.Epoch, m.covered.Version, m.covered.Covered, m.end)
	a.log.Info("live-store attached", "epoch", m.covered.Epoch, "offset", m.covered.Covered, "end", m.end)
	a.release(c)
	a.fetch(c)
}

// fetch keeps exactly one read of the log outstanding.
func (a *Actor) fetch(c actor.Context) {
	p, from, cfg := a.state.partition, a.state.next, a.state.cfg
	a.deps.Fetch.Go(c, context.Background(), func(ctx context.Context) any {
		b, err := a.deps.Log.Read(ctx, p, from, cfg.FetchBytes, cfg.FetchWait)
		return fetched{batch: b, err: err}
	})
}

func (a *Actor) onFetched(c actor.Context, now time.Time, m fetched) {
	if m.err != nil {
		if c.Self() != nil && a.state.phase == attaching {
			return
		}
		// A log that no longer has what we want is a changed log: a fresh incarnation asks the catalog again.
		panic(supervise.Fail(fmt.Errorf("read log from offset %d: %w", a.state.next, m.err)))
	}
	before := a.state.next
	for _, err := range a.state.append(now, m.batch) {
		a.deps.Metrics.setAside.Inc()
		a.log.Error("record set aside", "err", err)
	}
	if a.state.next > before {
		for _, key := range a.deps.Directory.Keys("distributor") {
			if to, err := a.deps.Directory.Find("distributor", key); err == nil {
				c.Send(to, &plan.Appended{Partition: a.state.partition, Next: a.state.next})
			}
		}
	}
	a.release(c)
	if len(m.batch.Records) == 0 {
		// The read has already waited for data; the pause only keeps a log that cannot wait from being asked in a circle.
		work.After(c, a.deps.Clock, 5*time.Millisecond, fetchTick{})
		return
	}
	a.fetch(c)
}

// release answers the queries that waited for what has been read now; the others wait on.
func (a *Actor) release(c actor.Context) {
	waiting := a.waiting
	a.waiting = nil
	for _, q := range waiting {
		if q.ctx.Err() == nil {
			a.ask(c, q)
		}
	}
}

// ask takes a snapshot, which costs little, and leaves the looking to the pool: readers never hold up the writer.
func (a *Actor) ask(c actor.Context, q query) {
	s := a.state
	if s.phase != ready || upTo(q.msg) > s.next {
		a.waiting = append(a.waiting, q)
		return
	}
	switch m := q.msg.(type) {
	case *plan.HomesJob:
		a.homes(c, q, m)
	case *plan.LiveScanJob:
		floor, tables := s.floor, s.snapshots(m.Tenant, m.From, m.UpTo)
		a.deps.Scan.Go(c, q.ctx, func(ctx context.Context) any {
			r, err := plan.RunScan(ctx, tables, m.Scan, m.Shared)
			if err != nil {
				return answered{to: q.from, reply: status.From(err)}
			}
			r.Floor = floor
			return answered{to: q.from, reply: r}
		})
	case *plan.LiveTracesJob:
		upTo := m.UpTo
		if upTo < 0 {
			upTo = s.next
		}
		floor := s.floor
		tables := s.snapshots(m.Tenant, m.From, upTo)
		a.deps.Scan.Go(c, q.ctx, func(ctx context.Context) any {
			r, err := plan.RunTraces(ctx, tables, m.IDs)
			if err != nil {
				return answered{to: q.from, reply: status.From(err)}
			}
			r.Floor, r.UpTo = floor, upTo
			return answered{to: q.from, reply: r}
		})
	}
}

// upTo is the offset a question needs this live-store to have read to.
func upTo(msg any) int64 {
	switch m := msg.(type) {
	case *plan.LiveScanJob:
		return m.UpTo
	case *plan.LiveTracesJob:
		return m.UpTo
	}
	return -1
}

// homes answers which traces have another home. What was not looked for in a block yet is, on the pool.
func (a *Actor) homes(c actor.Context, q query, m *plan.HomesJob) {
	s := a.state
	r := &plan.HomesResult{Partition: s.partition, Floor: s.floor, UpTo: s.next, Watermark: s.watermark()}
	t := s.tenants[m.Tenant]
	if s.floor > m.From || t == nil {
		system.Send(c, q.from, r)
		return
	}
	t.enter()
	from := t.from(m.From)
	checks := t.homes.unchecked(m.Blocks, from)
	if len(checks) == 0 {
		a.shared(c, q, m, t, r)
		return
	}
	drops := t.homes.drops
	a.deps.Scan.Go(c, q.ctx, func(ctx context.Context) any {
		out := homesChecked{query: q, job: m, tenant: t, drops: drops, from: from, result: r}
		for _, k := range checks {
			found, err := k.run(ctx, a.deps.Blocks)
			if ctx.Err() != nil {
				return answered{to: q.from, reply: status.From(ctx.Err())}
			}
			if err != nil {
				continue // a block that cannot be read hides what it holds; its own job says so in the answer
			}
			out.checks, out.found = append(out.checks, k), append(out.found, found)
		}
		return out
	})
}

// homesChecked is the end of a job that looked for traces in blocks: found[i] is of checks[i].
type homesChecked struct {
	query  query
	job    *plan.HomesJob
	tenant *tenant
	drops  int
	from   int
	checks []check
	found  [][]catalog.Extent
	result *plan.HomesResult
}

func (a *Actor) onHomesChecked(c actor.Context, m homesChecked) {
	if a.state.tenants[m.job.Tenant] != m.tenant || m.tenant.homes.drops != m.drops {
		a.ask(c, m.query) // segments were dropped meanwhile
		return
	}
	for i, k := range m.checks {
		m.tenant.homes.note(m.from, k, m.found[i])
	}
	a.shared(c, m.query, m.job, m.tenant, m.result)
}

func (a *Actor) shared(c actor.Context, q query, m *plan.HomesJob, t *tenant, r *plan.HomesResult) {
	r.Shared = t.homes.shared(t.from(m.From))
	if len(r.Shared) == 0 {
		system.Send(c, q.from, r)
		return
	}
	tables := a.state.snapshots(m.Tenant, m.From, r.UpTo)
	a.deps.Scan.Go(c, q.ctx, func(ctx context.Context) any {
		if err := extend(ctx, r.Shared, tables); err != nil {
			return answered{to: q.from, reply: status.From(err)}
		}
		return answered{to: q.from, reply: r}
	})
}

func (a *Actor) gauges() {
	bytes, spans := a.state.bytes()
	p := strconv.Itoa(int(a.state.partition))
	a.deps.Metrics.bytes.WithLabelValues(p).Set(float64(bytes))
	a.deps.Metrics.spans.WithLabelValues(p).Set(float64(spans))
	a.deps.Metrics.next.WithLabelValues(p).Set(float64(a.state.next))
	a.deps.Metrics.covered.WithLabelValues(p).Set(float64(a.state.covered))
}

func (a *Actor) inspect() *system.ActorStatus {
	bytes, spans := a.state.bytes()
	return &system.ActorStatus{State: a.state.phase.String(), Detail: map[string]string{
		"epoch": a.state.epoch, "floor": fmt.Sprint(a.state.floor), "covered": fmt.Sprint(a.state.covered), "next": fmt.Sprint(a.state.next),
		"tenants": fmt.Sprint(len(a.state.tenants)), "spans": fmt.Sprint(spans), "bytes": fmt.Sprint(bytes), "set_aside": fmt.Sprint(a.state.setAside)}}
}
