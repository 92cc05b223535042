package backendscheduler

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Deps is what the backend-scheduler reaches.
type Deps struct {
	Log       kafkalog.Log
	Journal   *journal.Journal
	Bucket    objstore.Bucket // for a catalog made anew
	Blocks    Blocks
	Directory ask.Directory
	IO        work.Pool
	Clock     clock.Clock
	Logger    *slog.Logger
	Metrics   *Metrics
}

// Kind declares the backend-scheduler.
func Kind(d Deps) supervise.Kind {
	return supervise.Kind{
		Name: "backend-scheduler", Key: supervise.PerNode,
		New:     func(string) actor.Actor { return &Actor{deps: d, log: d.Logger.With("kind", "backend-scheduler")} },
		Mailbox: mailbox.Limit{Messages: 65536},
		Policy: supervise.Policy{Backoff: supervise.Exponential(200*time.Millisecond, 10*time.Second),
			Restarts: 8, Within: 5 * time.Minute, Then: supervise.Escalate},
		Loses: "nothing: the catalog is read back from its journal",
	}
}

// Actor is the backend-scheduler.
type Actor struct {
	deps    Deps
	log     *slog.Logger
	state   *state
	waiting []question // came before the catalog was loaded
	drainer *actor.PID
}

type question struct {
	from *actor.PID
	msg  any
}

// Self-messages.
type (
	loaded struct {
		state *state
		err   error
	}
	committed struct {
		batch *batch
		err   error
	}
	snapshotted struct{ err error }
)

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		a.load(c)
	case loaded:
		a.onLoaded(c, m)
	case *plan.CoveredJob, *plan.ViewJob, *blocks.PublishCut:
		q := question{from: c.Sender(), msg: m}
		if a.state == nil {
			a.waiting = append(a.waiting, q)
			return
		}
		a.answer(c, q)
		a.commit(c)
	case committed:
		a.onCommitted(c, m)
	case snapshotted:
		if m.err != nil {
			a.log.Warn("write catalog snapshot", "err", m.err)
		}
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

// load reads the catalog and compares it with the log, on the pool.
func (a *Actor) load(c actor.Context) {
	a.deps.IO.Go(c, context.Background(), func(ctx context.Context) any {
		s, err := a.deps.load(ctx, a.log)
		return loaded{state: s, err: err}
	})
}

func (a *Actor) onLoaded(c actor.Context, m loaded) {
	if m.err != nil {
		panic(supervise.Fail(fmt.Errorf("load the catalog: %w", m.err)))
	}
	a.state = m.state
	a.log.Info("catalog loaded", "version", a.state.version(), "epoch", a.deps.Log.Epoch(), "blocks", a.state.count())
	for _, q := range a.waiting {
		a.answer(c, q)
	}
	a.waiting = nil
	a.announce(c)
	a.commit(c)
}

func (a *Actor) answer(c actor.Context, q question) {
	reply := func(m any) {
		system.Send(c, q.from, m)
	}
	switch m := q.msg.(type) {
	case *plan.CoveredJob:
		reply(a.state.covered(m.Partition))
	case *plan.ViewJob:
		reply(a.state.view())
	case *blocks.PublishCut:
		if r := a.state.publish(q.from, m); r != nil {
			reply(r)
		}
	}
}

// commit writes what has gathered as one journal object, if none is being written.
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
	})
}

func (a *Actor) onCommitted(c actor.Context, m committed) {
	if m.err != nil {
		for _, w := range m.batch.waiters {
			system.Send(c, w.from, status.Errorf(status.Unavailable, "write the catalog: %w", m.err))
		}
		if errors.Is(m.err, journal.ErrTaken) {
			a.log.Warn("another scheduler has written the catalog; loading it again", "version", m.batch.seq)
		}
		// What was written is not known for sure: only the journal tells. A fresh incarnation reads it.
		panic(supervise.Fail(fmt.Errorf("write catalog entry %d: %w", m.batch.seq, m.err)))
	}
	a.state.committed(m.batch)
	for _, w := range m.batch.waiters {
		system.Send(c, w.from, w.reply)
	}
	a.announce(c)
	if data, seq := a.state.snapshotDue(); data != nil {
		a.deps.IO.Go(c, context.Background(), func(ctx context.Context) any {
			return snapshotted{err: a.deps.Journal.SaveSnapshot(ctx, seq, data)}
		})
	}
	a.commit(c)
	a.endDrain(c)
}

// announce tells every partition's actors what is covered now.
func (a *Actor) announce(c actor.Context) {
	m := a.state.coverage()
	a.deps.Metrics.version.Set(float64(m.Version))
	a.deps.Metrics.blocks.Set(float64(a.state.count()))
	for _, kind := range []string{"live-store", "block-builder"} {
		for _, key := range a.deps.Directory.Keys(kind) {
			if to, err := a.deps.Directory.Find(kind, key); err == nil {
				c.Send(to, m)
			}
		}
	}
}

func (a *Actor) endDrain(c actor.Context) {
	if a.drainer != nil && (a.state == nil || a.state.idle()) {
		c.Send(a.drainer, supervise.Drained{})
		a.drainer = nil
	}
}
