package livestore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// Deps is what a live-store reaches.
type Deps struct {
	Log        kafkalog.Log
	Blocks     blockstore.Opener
	Directory  ask.Directory
	Fetch      work.Pool                 // reads of the log; at least one worker a partition
	Scan       work.Pool                 // evaluation of queries
	Budget     *work.Budget              // memory that the node's live stores hold
	TraceLimit func(tenant string) int64 // bytes that a trace may have, by the limits that hold now; 0: any; nil: any
	Clock      clock.Clock
	Logger     *slog.Logger
	Metrics    *Metrics
}

// NewBudget is what all live stores of a node share.
func NewBudget(cfg Config) *work.Budget { return work.NewBudget(cfg.NodeBytes, 4*cfg.NodeBytes) }

// Kind declares the live-store.
func Kind(d Deps, cfg Config) supervise.Kind {
	return supervise.Kind{
		Name: kinds.LiveStore, Key: supervise.PerPartition,
		New:     func(key string) actor.Actor { return newActor(d, cfg, key) },
		Mailbox: mailbox.Limit{Messages: 4096},
		Policy: supervise.Policy{Backoff: supervise.Exponential(100*time.Millisecond, 10*time.Second),
			Restarts: 8, Within: 5 * time.Minute, Then: supervise.Escalate},
		Loses: "the live segments; read again from the covered offset of the log",
	}
}

// Actor is the live-store of one partition. Of attaching, reading and the pause before either,
// exactly one is under way at any time.
type Actor struct {
	deps    Deps
	log     *slog.Logger
	key     string
	state   *state
	waiting []query // queries that came before everything they ask for was read
	seconds int     // since the start
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
	s := newState(int32(p), cfg)
	s.sizes.limit = d.TraceLimit
	return &Actor{deps: d, key: key, state: s, log: d.Logger.With("kind", kinds.LiveStore, "partition", key)}
}

// Self-messages.
type (
	attachTick struct{}
	fetchTick  struct{}
	secondTick struct{}
	covered    struct {
		reply *jobs.CoveredResult
		err   error
	}
	bounds struct {
		began      time.Time
		covered    *jobs.CoveredResult
		start, end int64
		err        error
	}
	fetched struct {
		began time.Time
		batch kafkalog.Batch
		err   error
	}
	remembered struct { // whether the log still has the record that was read at offset
		life   int
		offset int64
		err    error
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
		work.After(c, a.deps.Clock, time.Second, secondTick{})
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
	case remembered:
		a.onRemembered(m)
	case secondTick:
		a.onSecond(c, now)
	case *jobs.CoverageChanged:
		a.state.cover(now, m)
		a.hold()
	case *jobs.CutJob:
		c.Respond(a.state.cut(now, m, a.deps.Budget.Fattest(a.key)))
		a.hold()
	case *jobs.HomesJob, *jobs.LiveScanJob, *jobs.LiveTracesJob:
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
	case *actor.Restarting, *actor.Stopping:
		a.deps.Budget.Set(a.key, 0, 0)
	case *actor.Stopped:
	default:
		system.Unhandled(c)
	}
}

// attach asks the catalog which offset is covered. The scheduler answers when it has compared the
// catalog with the log.
func (a *Actor) attach(c actor.Context) {
	r := ask.Request{Kind: kinds.BackendScheduler, Timeout: 30 * time.Second,
		Message: &jobs.CoveredJob{Partition: a.state.partition, Check: a.state.check}}
	ask.Send(context.Background(), c, a.deps.Directory, r, func(r *jobs.CoveredResult, err error) any {
		return covered{reply: r, err: err}
	})
}

func (a *Actor) attachLater(c actor.Context, err error) {
	a.log.Warn("attach to the catalog and the log", "err", err)
	work.After(c, a.deps.Clock, 500*time.Millisecond, attachTick{})
}

func (a *Actor) onCovered(c actor.Context, m covered) {
	if m.err != nil {
		a.attachLater(c, fmt.Errorf("ask for the covered offset: %w", m.err))
		return
	}
	p := a.state.partition
	failed := func(err error) any { return bounds{err: err} }
	a.deps.Fetch.Go(c, context.Background(), func(ctx context.Context) any {
		began := a.deps.Clock.Now()
		start, end, err := a.deps.Log.Bounds(ctx, p)
		return bounds{began: began, covered: m.reply, start: start, end: end, err: err}
	}, failed)
}

func (a *Actor) onBounds(c actor.Context, m bounds) {
	if m.err != nil {
		a.attachLater(c, fmt.Errorf("read bounds of the log: %w", m.err))
		return
	}
	if at := m.covered.Covered; at < m.start || at > m.end {
		a.state.check = true // the catalog was compared with the log before this
		a.attachLater(c, fmt.Errorf("covered offset %d is outside of the log's [%d, %d)", at, m.start, m.end))
		return
	}
	a.state.attach(m.began, m.covered, m.end)
	a.log.Info("live-store attached", "epoch", m.covered.Epoch, "offset", m.covered.Covered, "end", m.end)
	a.hold()
	a.release(c)
	a.fetch(c)
}

// fetch keeps exactly one read of the log outstanding. While the node holds too much none is: what
// comes then waits in the log, and pushes are refused.
func (a *Actor) fetch(c actor.Context) {
	s := a.state
	switch {
	case s.phase == attaching:
		a.attach(c)
		return
	case a.deps.Budget.Full():
		a.deps.Metrics.paused.Inc()
		s.behind = fmt.Sprintf("the live stores of the node hold more than %d bytes of memory", 4*s.cfg.NodeBytes)
		work.After(c, a.deps.Clock, 50*time.Millisecond, fetchTick{})
		return
	}
	p, from, cfg := s.partition, s.next, s.cfg
	last, fp, read := s.mark()
	a.deps.Fetch.Go(c, context.Background(), func(ctx context.Context) any {
		m := fetched{began: a.deps.Clock.Now()}
		m.batch, m.err = a.deps.Log.Read(ctx, p, from, cfg.FetchBytes, cfg.FetchWait)
		if m.err == nil && read && len(m.batch.Records) > 0 && m.batch.Last.LeaderEpoch != fp.LeaderEpoch {
			// Another leader has written this: its history may be another one from some offset
			// below on.
			m.err = a.deps.same(ctx, p, last, fp)
		}
		return m
	}, func(err error) any { return fetched{err: err} })
}

func (a *Actor) onFetched(c actor.Context, now time.Time, m fetched) {
	s := a.state
	switch {
	case s.phase == attaching: // given up meanwhile
		a.attach(c)
		return
	case errors.Is(m.err, kafkalog.ErrOutOfRange):
		a.log.Warn("the log no longer has what is to be read next; the catalog is asked anew", "offset", s.next, "err", m.err)
		s.lose(true)
		a.attach(c)
		return
	case errors.Is(m.err, kafkalog.ErrCorrupt):
		panic(supervise.Fail(fmt.Errorf("read log from offset %d: %w", s.next, m.err)))
	case m.err != nil:
		if s.fails == 0 {
			a.log.Warn("read the log; answers say that they may miss what came since", "offset", s.next, "err", m.err)
		}
		a.deps.Metrics.failed.Inc()
		work.After(c, a.deps.Clock, s.failed(m.err), fetchTick{})
		a.release(c) // an answer that says so is better than none
		return
	}
	before := s.next
	s.current = m.began
	for _, err := range s.append(now, m.batch) {
		a.deps.Metrics.setAside.Inc()
		a.log.Error("record set aside", "err", err)
	}
	if s.phase == attaching {
		a.attach(c)
		return
	}
	if s.next > before {
		a.hold()
		a.tell(c)
	}
	a.release(c)
	if len(m.batch.Records) == 0 {
		// The read has already waited for data; the pause only keeps a log that cannot wait from
		// being asked in a circle.
		work.After(c, a.deps.Clock, s.cfg.Pause, fetchTick{})
		return
	}
	a.fetch(c)
}

// tell tells the distributors what is searchable.
func (a *Actor) tell(c actor.Context) {
	for _, key := range a.deps.Directory.Keys(kinds.Distributor) {
		if to, err := a.deps.Directory.Find(kinds.Distributor, key); err == nil {
			c.Send(to, &jobs.Appended{Partition: a.state.partition, Epoch: a.state.epoch, Next: a.state.next, Large: a.state.sizes.list})
		}
	}
}

// hold notes what the partition adds to the node's memory.
func (a *Actor) hold() {
	free, pending := a.state.memory()
	a.deps.Budget.Set(a.key, free, pending)
}

// rememberEvery is how often, in seconds, the log is asked whether it still has what was read last.
const rememberEvery = 10

func (a *Actor) onSecond(c actor.Context, now time.Time) {
	a.state.expire(now, a.deps.Budget.Tight())
	a.state.reckon()
	a.hold()
	a.state.sizes.second(now)
	a.gauges()
	if a.state.phase != attaching {
		a.tell(c)
	}
	if a.seconds++; a.seconds%rememberEvery == 0 {
		a.remember(c)
	}
	work.After(c, a.deps.Clock, time.Second, secondTick{})
}

// same returns ErrOutOfRange where the log has another record at an offset than the one that was
// read.
func (d Deps) same(ctx context.Context, p int32, offset int64, read kafkalog.Fingerprint) error {
	got, err := d.Log.Fingerprint(ctx, p, offset)
	if err == nil && got != read {
		err = fmt.Errorf("the record at offset %d is another one than was read: %w", offset, kafkalog.ErrOutOfRange)
	}
	return err
}

// remember detects a log that was truncated and has grown again to the same length, which its
// offsets do not show. It compares the last record that was read with the log's.
func (a *Actor) remember(c actor.Context) {
	offset, want, ok := a.state.mark()
	if !ok {
		return
	}
	p, life := a.state.partition, a.state.life
	a.deps.Fetch.Go(c, context.Background(), func(ctx context.Context) any {
		return remembered{life: life, offset: offset, err: a.deps.same(ctx, p, offset, want)}
	}, func(err error) any { return remembered{err: err} })
}

func (a *Actor) onRemembered(m remembered) {
	if errors.Is(m.err, kafkalog.ErrOutOfRange) && m.life == a.state.life && a.state.phase != attaching {
		a.log.Error("the log has another record where one was read; everything uncovered is read again", "offset", m.offset)
		a.state.lose(true)
	}
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

// ask takes a snapshot, which costs little, and leaves the looking to the pool: readers never hold
// up the writer. A question that breaks the engine fails alone.
func (a *Actor) ask(c actor.Context, q query) {
	s, now := a.state, a.deps.Clock.Now()
	failed := func(err error) any { return answered{to: q.from, reply: status.Of(err)} }
	switch m := q.msg.(type) {
	case *jobs.HomesJob:
		held, ok := s.ask(now, m.Snapshot, m.Tenant, m.From, -1)
		if !ok {
			a.waiting = append(a.waiting, q)
			return
		}
		a.homes(c, q, m, held)
	case *jobs.LiveScanJob:
		held, ok := s.ask(now, m.Snapshot, m.Tenant, m.From, m.UpTo)
		switch {
		case !ok:
			a.waiting = append(a.waiting, q)
			return
		case held.Floor > m.From:
			system.Send(c, q.from, &jobs.ScanResult{Held: held})
			return
		}
		tables := s.snapshots(m.Tenant, m.From, m.UpTo)
		a.deps.Scan.Go(c, q.ctx, func(ctx context.Context) any {
			r, err := jobs.RunScan(ctx, tables, m.Scan, m.Shared)
			if err != nil {
				return failed(err)
			}
			r.Held = held
			return answered{to: q.from, reply: r}
		}, failed)
	case *jobs.LiveTracesJob:
		held, ok := s.ask(now, m.Snapshot, m.Tenant, m.From, m.UpTo)
		switch {
		case !ok:
			a.waiting = append(a.waiting, q)
			return
		case held.Floor > m.From:
			system.Send(c, q.from, &jobs.TracesResult{Fragments: make([][][]trace.Fragment, len(m.IDs)), Held: held})
			return
		}
		upTo, behind, mark := m.UpTo, "", s.watermark()
		if upTo < 0 {
			upTo, behind = s.next, s.behind
		}
		tables := s.snapshots(m.Tenant, m.From, upTo)
		a.deps.Scan.Go(c, q.ctx, func(ctx context.Context) any {
			r, err := jobs.RunTraces(ctx, tables, m.IDs)
			if err != nil {
				return failed(err)
			}
			r.Held, r.UpTo, r.Behind, r.Watermark = held, upTo, behind, mark
			return answered{to: q.from, reply: r}
		}, failed)
	}
}

// homes answers which traces have another home. What was not looked for in a block yet is, on the
// pool.
func (a *Actor) homes(c actor.Context, q query, m *jobs.HomesJob, held jobs.Held) {
	s := a.state
	r := &jobs.HomesResult{Held: held, Partition: s.partition, UpTo: s.next, Watermark: s.watermark(), Behind: s.behind,
		Spans: s.spans(m.Tenant, m.From, s.next), Parts: s.routedBy(m.From)}
	t := s.tenants[m.Tenant]
	if held.Floor > m.From || t == nil {
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
				return answered{to: q.from, reply: status.Of(ctx.Err())}
			}
			if err != nil {
				result := *out.result
				result.Unread = append(result.Unread, failureOf(k.meta, err))
				out.result = &result
				continue
			}
			out.checks, out.found = append(out.checks, k), append(out.found, found)
		}
		return out
	}, func(err error) any { return answered{to: q.from, reply: status.Of(err)} })
}

// homesChecked is the end of a job that looked for traces in blocks: found[i] is of checks[i].
type homesChecked struct {
	query  query
	job    *jobs.HomesJob
	tenant *tenant
	drops  int
	from   int
	checks []check
	found  [][]catalog.Extent
	result *jobs.HomesResult
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

func (a *Actor) shared(c actor.Context, q query, m *jobs.HomesJob, t *tenant, r *jobs.HomesResult) {
	partition := a.state.partition
	r.Shared = t.homes.shared(t.from(m.From), func(id trace.ID) bool {
		return slices.ContainsFunc(m.Parts, func(n int32) bool { return trace.Partition(m.Tenant, id, int(n)) != partition })
	})
	if len(r.Shared) == 0 {
		system.Send(c, q.from, r)
		return
	}
	tables := a.state.snapshots(m.Tenant, m.From, r.UpTo)
	a.deps.Scan.Go(c, q.ctx, func(ctx context.Context) any {
		if err := extend(ctx, r.Shared, tables); err != nil {
			return answered{to: q.from, reply: status.Of(err)}
		}
		return answered{to: q.from, reply: r}
	}, func(err error) any { return answered{to: q.from, reply: status.Of(err)} })
}

func (a *Actor) gauges() {
	free, pending := a.state.memory()
	a.deps.Metrics.bytes.WithLabelValues(a.key).Set(float64(free + pending))
	a.deps.Metrics.spans.WithLabelValues(a.key).Set(float64(a.state.rows()))
	a.deps.Metrics.next.WithLabelValues(a.key).Set(float64(a.state.next))
	a.deps.Metrics.covered.WithLabelValues(a.key).Set(float64(a.state.covered))
}

func (a *Actor) inspect() *system.ActorStatus {
	free, pending := a.state.memory()
	return &system.ActorStatus{State: a.state.phase.String(), Detail: map[string]string{
		"epoch": a.state.epoch, "floor": fmt.Sprint(a.state.floor), "covered": fmt.Sprint(a.state.covered), "next": fmt.Sprint(a.state.next),
		"tenants": fmt.Sprint(len(a.state.tenants)), "spans": fmt.Sprint(a.state.rows()), "bytes": fmt.Sprint(free + pending), "set_aside": fmt.Sprint(a.state.setAside),
		"waiting_queries": fmt.Sprint(len(a.waiting)), "behind": a.state.behind}}
}
