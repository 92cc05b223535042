package backendscheduler

import (
	"context"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
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
	Writer    string            // chance of the process: no other one writes a commit equal to its own
	Alone     bool              // no other process has our log, so none writes to the journal
	Directory ask.Directory
	IO        work.Pool
	Clock     clock.Clock
	Logger    *slog.Logger
	Metrics   *Metrics
}

// Kind declares the backend-scheduler.
func Kind(d Deps, cfg Config) supervise.Kind {
	adopted := new(bool) // shared by all incarnations, of which one runs at a time
	return supervise.Kind{
		Name:    kinds.BackendScheduler,
		Key:     supervise.PerNode,
		New:     func(string) actor.Actor { return newActor(d, cfg, adopted) },
		Mailbox: mailbox.Limit{Messages: 65536},
		Policy: supervise.Policy{
			Backoff:  supervise.Exponential(200*time.Millisecond, 10*time.Second),
			Restarts: 8,
			Within:   5 * time.Minute,
			Then:     supervise.Escalate,
		},
		Loses: "nothing: the catalog is read back from its journal",
	}
}

// Actor is the backend-scheduler.
type Actor struct {
	deps    Deps
	log     *slog.Logger
	state   *state
	adopted *bool // state.adopted, kept over restarts
}

func newActor(d Deps, cfg Config, adopted *bool) *Actor {
	return &Actor{
		deps:    d,
		log:     d.Logger.With("kind", kinds.BackendScheduler),
		state:   &state{cfg: cfg, adopted: *adopted, keeping: newKeeping()},
		adopted: adopted,
	}
}

// Self-messages: ticks, and the ends of jobs.
type (
	loadTick  struct{}
	checkTick struct{}
	sweepTick struct{}
	keepTick  struct{}
	loaded    struct {
		catalog      *catalog.State
		damaged      []string // snapshots
		lastSnapshot uint64   // version of the newest snapshot
		err          error
	}
	logInspected struct {
		version uint64 // of the catalog with which the log was compared
		newer   bool   // somebody else has written to the journal
		log     catalog.Log
		err     error
	}
	committed   struct{ err error }
	snapshotted struct {
		seq uint64
		err error
	}
)

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	now := a.deps.Clock.Now()
	switch m := c.Message().(type) {
	case *actor.Started:
		a.do(c, a.state.start(now))
	case loadTick:
		a.do(c, a.state.onLoadTick())
	case loaded:
		a.do(c, a.state.onLoaded(now, m))
	case *jobs.CoveredJob, *jobs.ViewJob, *blocks.PublishCut,
		*jobs.NextMergeJob, *jobs.MergeBeat, *jobs.MergeDone:
		a.do(c, a.state.onQuestion(now, question{from: c.Sender(), msg: m}))
	case committed:
		a.do(c, a.state.onCommitted(now, m))
	case snapshotted:
		a.do(c, a.state.onSnapshotted(m))
	case checkTick:
		a.do(c, a.state.onCheckTick(now))
	case logInspected:
		a.do(c, a.state.onLogInspected(now, m))
	case sweepTick:
		a.do(c, a.state.onSweepTick(now))
	case swept:
		a.do(c, a.state.onSwept(now, m))
	case removed:
		a.do(c, a.state.onRemoved(now, m))
	case keepTick:
		a.do(c, a.state.onKeepTick(now))
	case supervise.Drain:
		a.do(c, a.state.onDrain(c.Sender()))
	case upkeep.AskStatus:
		a.do(c, a.state.onStatusAsked(now, c.Sender()))
	case system.Inspect:
		c.Respond(a.state.inspect())
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
	default:
		system.Unhandled(c)
	}
}

// do carries out a step in the order of its fields and waits for nothing. Jobs end as messages.
func (a *Actor) do(c actor.Context, st step) {
	*a.adopted = a.state.adopted
	if st.fail != nil {
		panic(supervise.Fail(st.fail))
	}
	for _, l := range st.lines {
		a.log.Log(context.Background(), l.level, l.text, l.args...)
	}
	for _, e := range st.report {
		a.deps.reportEntry(a.log, e)
	}
	for _, r := range st.replies {
		c.Send(r.to, r.msg)
	}
	a.deps.Metrics.upkeep.note(st)
	if st.announce != nil {
		a.announceCoverage(c, st.announce)
	}
	a.startJobs(c, st)
	system.Send(c, st.drained, supervise.Drained{})
	a.tickAfter(c, st.after.load, loadTick{})
	a.tickAfter(c, st.after.check, checkTick{})
	a.tickAfter(c, st.after.sweep, sweepTick{})
	a.tickAfter(c, st.after.keep, keepTick{})
}

func (a *Actor) startJobs(c actor.Context, st step) {
	d, log := a.deps, a.log
	start := func(job func(context.Context) any, failed func(error) any) {
		d.IO.Go(c, context.Background(), job, failed)
	}
	if m := st.snapshot; m != nil {
		failed := func(err error) any { return snapshotted{seq: m.Seq, err: err} }
		start(func(ctx context.Context) any { return failed(d.saveSnapshot(ctx, m)) }, failed)
	}
	if m := st.load; m != nil {
		failed := func(err error) any { return loaded{err: err} }
		start(func(ctx context.Context) any { return d.loadCatalog(ctx, m.adopted, log) }, failed)
	}
	if m := st.commit; m != nil {
		failed := func(err error) any { return committed{err: err} }
		start(func(ctx context.Context) any { return failed(d.writeCommit(ctx, m)) }, failed)
	}
	if m := st.compare; m != nil {
		failed := func(err error) any { return logInspected{err: err} }
		start(func(ctx context.Context) any { return d.compareLog(ctx, m) }, failed)
	}
	if m := st.sweep; m != nil {
		failed := func(err error) any { return swept{err: err} }
		start(func(ctx context.Context) any { return d.sweepBucket(ctx, m) }, failed)
	}
	if m := st.remove; m != nil {
		failed := func(err error) any { return removed{err: err} }
		start(func(ctx context.Context) any { return d.removeBlocks(ctx, m) }, failed)
	}
}

func (a *Actor) tickAfter(c actor.Context, d time.Duration, tick any) {
	if d > 0 {
		work.After(c, a.deps.Clock, d, tick)
	}
}

// announceCoverage tells the live-stores and block-builders of every partition, and the queriers,
// what is covered now.
func (a *Actor) announceCoverage(c actor.Context, v *catalog.View) {
	m := &jobs.CoverageChanged{Version: v.Version, Epoch: v.Epoch, Covered: v.Covered}
	a.deps.Metrics.version.Set(float64(v.Version))
	a.deps.Metrics.blocks.Set(float64(v.Count()))
	for _, kind := range []string{kinds.LiveStore, kinds.BlockBuilder, kinds.Querier} {
		for _, key := range a.deps.Directory.Keys(kind) {
			if to, err := a.deps.Directory.Find(kind, key); err == nil {
				c.Send(to, m)
			}
		}
	}
}
