package backendscheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
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
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Deps is what the backend-scheduler reaches.
type Deps struct {
	Log       kafkalog.Log
	Journal   *journal.Journal
	Bucket    objstore.Bucket   // for a catalog made anew, and for the sweep of orphans
	Blocks    blockstore.Opener // to find out what a catalog that is made anew must know of blocks
	Directory ask.Directory
	IO        work.Pool
	Clock     clock.Clock
	Logger    *slog.Logger
	Metrics   *Metrics
}

// Kind declares the backend-scheduler.
func Kind(d Deps, cfg Config) supervise.Kind {
	held := new(bool) // over restarts; only one actor runs at a time
	return supervise.Kind{
		Name: kinds.BackendScheduler, Key: supervise.PerNode,
		New: func(string) actor.Actor {
			return &Actor{deps: d, cfg: cfg, log: d.Logger.With("kind", kinds.BackendScheduler), orphans: orphans{}, held: held}
		},
		Mailbox: mailbox.Limit{Messages: 65536},
		Policy: supervise.Policy{Backoff: supervise.Exponential(200*time.Millisecond, 10*time.Second),
			Restarts: 8, Within: 5 * time.Minute, Then: supervise.Escalate},
		Loses: "nothing: the catalog is read back from its journal",
	}
}

// Actor is the backend-scheduler. Of a load, the pause before one, and a commit, at most one is
// under way.
type Actor struct {
	deps       Deps
	cfg        Config
	log        *slog.Logger
	state      *state     // nil until the catalog is loaded for the first time
	stale      bool       // what the journal holds is not known; no more is written before it is loaded again
	loading    bool       // or pausing before
	loads      trouble    // of reading the catalog
	writes     trouble    // of writing it
	checks     trouble    // of comparing it with the log
	checkAfter time.Time  // the pause after a comparison that failed
	held       *bool      // the catalog was in an epoch of our log
	check      bool       // the log is to be compared with the catalog
	inspecting bool       // it is
	waiting    []question // for a load
	checking   []question // for a comparison with the log
	orphans    orphans
	drainer    *actor.PID
}

type question struct {
	from *actor.PID
	msg  any
}

// Self-messages.
type (
	loadTick  struct{}
	checkTick struct{}
	sweepTick struct{}
	loaded    struct {
		state   *state
		damaged []string
		saved   uint64 // version of the newest snapshot
		err     error
	}
	inspected struct {
		version uint64
		newer   bool // somebody else has written to the journal
		log     catalog.Log
		err     error
	}
	committed struct {
		batch *batch
		err   error
	}
	snapshotted struct {
		seq uint64
		err error
	}
)

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		a.load(c)
		work.After(c, a.deps.Clock, a.cfg.CheckInterval, checkTick{})
		work.After(c, a.deps.Clock, a.cfg.SweepInterval, sweepTick{})
	case loadTick:
		a.load(c)
	case loaded:
		a.onLoaded(c, m)
	case *jobs.CoveredJob, *jobs.ViewJob, *blocks.PublishCut:
		a.answer(c, question{from: c.Sender(), msg: m})
		a.next(c)
	case committed:
		a.onCommitted(c, m)
	case snapshotted:
		a.state.snapshotted(m.seq, m.err)
		if m.err != nil {
			a.log.Warn("write catalog snapshot", "version", m.seq, "err", m.err)
		}
	case checkTick:
		if a.state != nil {
			a.announce(c) // again: a message may have been lost
		}
		a.check = true
		a.next(c)
		work.After(c, a.deps.Clock, a.cfg.CheckInterval, checkTick{})
	case inspected:
		a.onInspected(c, m)
	case sweepTick:
		a.sweep(c)
	case swept:
		a.onSwept(c, m)
	case work.Failed:
		panic(supervise.Fail(fmt.Errorf("run job: %w", m.Err)))
	case supervise.Drain:
		a.drainer = c.Sender()
		a.endDrain(c)
	case system.Inspect:
		if a.state == nil {
			c.Respond(&system.ActorStatus{State: "loading"})
			return
		}
		c.Respond(a.state.inspect())
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
	default:
		system.Unhandled(c)
	}
}

// load reads the catalog and compares it with the log, on the pool. Questions about a version that
// is loaded are answered from it meanwhile.
func (a *Actor) load(c actor.Context) {
	a.loading = true
	held := *a.held
	a.deps.IO.Go(c, context.Background(), func(ctx context.Context) any { return a.deps.load(ctx, a.cfg, held, a.log) },
		func(err error) any { return loaded{err: err} })
}

// loadLater loads the catalog after a pause. What it was not written to meanwhile is in the log.
func (a *Actor) loadLater(c actor.Context, pause time.Duration) {
	a.loading = true
	work.After(c, a.deps.Clock, pause, loadTick{})
	if a.troubled() {
		a.refuseWaiting(c)
	}
	a.endDrain(c)
}

// troubled reports whether the catalog cannot be read or written for longer than those who ask
// should wait.
func (a *Actor) troubled() bool { return a.loads.fails >= patience || a.writes.fails >= patience }

// refuseWaiting tells those who wait that the catalog cannot be read or written. They ask again.
func (a *Actor) refuseWaiting(c actor.Context) {
	if a.state == nil {
		return
	}
	for _, q := range a.waiting {
		a.refuse(c, q)
	}
	a.waiting = nil
}

func (a *Actor) refuse(c actor.Context, q question) {
	err := a.writes.err
	if a.loads.fails > 0 {
		err = a.loads.err
	}
	system.Send(c, q.from, status.Errorf(status.Unavailable, "the catalog can not be read or written now: %w", err))
}

func (a *Actor) onLoaded(c actor.Context, m loaded) {
	a.loading = false
	now := a.deps.Clock.Now()
	if m.err != nil {
		taken := errors.Is(m.err, journal.ErrTaken) // another scheduler was faster
		pause, first := a.loads.fail(now, m.err)
		switch {
		case errors.Is(m.err, errForeign), a.state == nil && !taken, a.loads.fails > startTries && a.state == nil:
			panic(supervise.Fail(fmt.Errorf("load the catalog: %w", m.err)))
		case first && !taken:
			a.log.Warn("the catalog cannot be read; until it can, nothing is published", "err", m.err)
		}
		a.loadLater(c, pause)
		return
	}
	for _, d := range m.damaged {
		a.log.Error("snapshot of the catalog is damaged; an older one and the entries since replace it", "err", d)
	}
	if lasted, was := a.loads.end(now); was && a.state != nil {
		a.log.Info("the catalog can be read again", "after", lasted.Round(time.Millisecond))
	}
	if a.state != nil { // what was accepted and not written is judged anew
		for _, w := range a.state.queue.waiters {
			a.waiting = append(a.waiting, w.question)
		}
	}
	a.state, a.stale, *a.held = m.state, false, true
	if a.writes.fails == 0 {
		a.log.Info("catalog loaded", "version", a.state.version(), "epoch", a.state.epoch, "blocks", a.state.count())
	}
	waiting := a.waiting
	a.waiting = nil
	for _, q := range waiting {
		switch m := q.msg.(type) { // the journal has no newer version
		case *jobs.ViewJob:
			q.msg = &jobs.ViewJob{}
		case *jobs.CoveredJob:
			q.msg = &jobs.CoveredJob{Partition: m.Partition, Check: m.Check}
		}
		a.answer(c, q)
	}
	a.announce(c)
	a.next(c)
}

// answer replies at once, or keeps the question until what it waits for is there.
func (a *Actor) answer(c actor.Context, q question) {
	reply := func(m any) {
		system.Send(c, q.from, m)
	}
	wait := func() {
		if a.loading && a.state != nil && a.troubled() {
			a.refuse(c, q)
			return
		}
		a.waiting = append(a.waiting, q)
	}
	if a.state == nil {
		wait()
		return
	}
	switch m := q.msg.(type) {
	case *jobs.CoveredJob:
		switch {
		case m.AtLeast > a.state.version():
			a.stale = true
			wait()
			return
		case m.Check:
			a.check = true
			a.checking = append(a.checking, q)
			return
		}
		reply(a.state.covered(m.Partition))
	case *jobs.ViewJob:
		if m.AtLeast > a.state.version() {
			a.stale = true
			wait()
			return
		}
		reply(a.state.view())
	case *blocks.PublishCut:
		if a.stale {
			wait()
			return
		}
		if r := a.state.publish(q.from, m); r != nil {
			reply(r)
		}
	}
}

// next begins what is to be done next, if nothing is under way.
func (a *Actor) next(c actor.Context) {
	switch {
	case a.state == nil || a.loading || a.state.writing:
	case a.stale:
		a.load(c)
	default:
		a.commit(c)
		if a.check && !a.inspecting && a.state.idle() {
			a.inspectLog(c)
		}
	}
}

// commit writes what has gathered as one journal object.
func (a *Actor) commit(c actor.Context) {
	b := a.state.take(a.deps.Clock.Now())
	if b == nil {
		return
	}
	a.deps.IO.Go(c, context.Background(), func(ctx context.Context) any {
		started := a.deps.Clock.Now()
		err := a.deps.Journal.Append(ctx, b.seq, b.data)
		a.deps.Metrics.seconds.Observe(a.deps.Clock.Now().Sub(started).Seconds())
		return committed{batch: b, err: err}
	}, func(err error) any { return committed{batch: b, err: err} })
}

func (a *Actor) onCommitted(c actor.Context, m committed) {
	now := a.deps.Clock.Now()
	if m.err != nil {
		// Whether it was written only the journal tells. Who waits is answered when it has told.
		a.state.writing = false
		a.stale = true
		for _, w := range m.batch.waiters {
			a.waiting = append(a.waiting, w.question)
		}
		a.deps.Metrics.conflicts.Inc()
		pause, first := a.writes.fail(now, m.err)
		if first {
			a.log.Warn("the catalog cannot be written; it is loaded again, and what is not in it stays in the log", "version", m.batch.seq, "err", m.err)
		}
		a.loadLater(c, pause)
		return
	}
	if lasted, was := a.writes.end(now); was {
		a.log.Info("the catalog can be written again", "version", m.batch.seq, "after", lasted.Round(time.Millisecond))
	}
	a.state.committed(m.batch)
	for _, w := range m.batch.waiters {
		system.Send(c, w.from, w.reply(a.state))
	}
	a.announce(c)
	a.snapshot(c)
	a.next(c)
	a.endDrain(c)
}

// snapshot writes the whole catalog now and then, beside the commits.
func (a *Actor) snapshot(c actor.Context) {
	m := a.state.snapshotDue()
	if m == nil {
		return
	}
	a.deps.IO.Go(c, context.Background(), func(ctx context.Context) any {
		data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			return snapshotted{seq: m.Seq, err: fmt.Errorf("encode snapshot: %w", err)}
		}
		if err = a.deps.Journal.SaveSnapshot(ctx, m.Seq, data); errors.Is(err, journal.ErrTaken) {
			err = nil // another scheduler has written the same
		}
		return snapshotted{seq: m.Seq, err: err}
	}, func(err error) any { return snapshotted{seq: m.Seq, err: err} })
}

// inspectLog compares the log with the catalog while both go on.
func (a *Actor) inspectLog(c actor.Context) {
	a.check = false
	if a.deps.Clock.Now().Before(a.checkAfter) {
		a.refuseChecks(c)
		return
	}
	a.inspecting = true
	version, known := a.state.version(), a.state.catalog.Coverage()
	a.deps.IO.Go(c, context.Background(), func(ctx context.Context) any {
		newer, err := a.deps.Journal.Newer(ctx, version)
		if err != nil {
			return inspected{err: fmt.Errorf("look for newer entries: %w", err)}
		}
		l, err := a.deps.inspectLog(ctx, known)
		return inspected{version: version, newer: newer, log: l, err: err}
	}, func(err error) any { return inspected{err: err} })
}

func (a *Actor) onInspected(c actor.Context, m inspected) {
	a.inspecting = false
	if m.err != nil {
		pause, first := a.checks.fail(a.deps.Clock.Now(), m.err)
		a.checkAfter = a.deps.Clock.Now().Add(pause)
		if first {
			a.log.Warn("the catalog cannot be compared with the log", "err", m.err)
		}
		a.refuseChecks(c)
		a.next(c)
		return
	}
	asked := a.checking
	a.checking = nil
	if lasted, was := a.checks.end(a.deps.Clock.Now()); was {
		a.log.Info("the catalog is compared with the log again", "after", lasted.Round(time.Millisecond))
	}
	a.stale = a.stale || m.newer && m.version == a.state.version()
	var entries []*blocks.Entry
	ok := !a.stale && !a.loading
	if ok {
		entries, ok = a.state.reconcile(a.deps.Clock.Now(), m.version, m.log)
	}
	switch {
	case !ok:
		a.check = len(asked) > 0
		a.checking = asked
	case len(entries) == 0:
		for _, q := range asked {
			system.Send(c, q.from, a.state.covered(q.msg.(*jobs.CoveredJob).Partition))
		}
	default:
		for _, e := range entries {
			a.deps.report(a.log, e)
		}
		for _, q := range asked {
			p := q.msg.(*jobs.CoveredJob).Partition
			a.state.queue.waiters = append(a.state.queue.waiters, waiter{question: q, reply: func(s *state) any { return s.covered(p) }})
		}
	}
	a.next(c)
}

// refuseChecks tells those who wait for a comparison why there is none.
func (a *Actor) refuseChecks(c actor.Context) {
	for _, q := range a.checking {
		system.Send(c, q.from, status.Errorf(status.Unavailable, "compare the catalog with the log: %w", a.checks.err))
	}
	a.checking = nil
}

// announce tells every partition's actors, and the queriers, what is covered now.
func (a *Actor) announce(c actor.Context) {
	m := a.state.coverage()
	a.deps.Metrics.version.Set(float64(m.Version))
	a.deps.Metrics.blocks.Set(float64(a.state.count()))
	for _, kind := range []string{kinds.LiveStore, kinds.BlockBuilder, kinds.Querier} {
		for _, key := range a.deps.Directory.Keys(kind) {
			if to, err := a.deps.Directory.Find(kind, key); err == nil {
				c.Send(to, m)
			}
		}
	}
}

func (a *Actor) endDrain(c actor.Context) {
	// what is not published is in the log
	if a.drainer != nil && (a.state == nil || a.state.idle() || a.loads.fails+a.writes.fails > 0) {
		c.Send(a.drainer, supervise.Drained{})
		a.drainer = nil
	}
}
