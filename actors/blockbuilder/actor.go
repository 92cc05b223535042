package blockbuilder

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Deps is what a block-builder reaches.
type Deps struct {
	Log       kafkalog.Log
	Bucket    objstore.Bucket
	Blocks    blockstore.Opener // to look for other homes of new traces
	Directory ask.Directory
	Build     work.Pool // one worker: one build at a time per node
	IO        work.Pool
	Clock     clock.Clock
	Writers   int            // blocks of small tenants that a build writes, or others that it reads, at a time; 0: one
	Jitter    func() float64 // in [0, 1): spreads the retries of a node's builders; nil: none
	NewID     func(tenant, epoch string, partition int32, from, to int64, attempt int) string
	Logger    *slog.Logger
	Metrics   *Metrics
}

// Kind declares the block-builder.
func Kind(d Deps, cfg Config) supervise.Kind {
	return supervise.Kind{
		Name:    kinds.BlockBuilder,
		Key:     supervise.PerPartition,
		New:     func(key string) actor.Actor { return newActor(d, cfg, key) },
		Mailbox: mailbox.Limit{Messages: 256},
		Policy: supervise.Policy{
			Backoff:  supervise.Exponential(time.Second, time.Minute),
			Restarts: 8,
			Within:   10 * time.Minute,
			Then:     supervise.Escalate,
		},
		Loses: "the open cut; read again from the covered offset",
	}
}

// Actor is the block-builder of one partition.
type Actor struct {
	deps  Deps
	log   *slog.Logger
	key   string
	state *state
	pause clock.Timer // of the last tick that was asked for
}

func newActor(d Deps, cfg Config, key string) *Actor {
	p, err := strconv.ParseInt(key, 10, 32)
	if err != nil {
		panic("BUG: block-builder key " + key + " is no partition")
	}
	return &Actor{
		deps:  d,
		log:   d.Logger.With("kind", kinds.BlockBuilder, "partition", key),
		key:   key,
		state: newState(int32(p), cfg, d.Jitter),
	}
}

// Self-messages.
type (
	tick    struct{}
	covered struct {
		reply *jobs.CoveredResult
		err   error
	}
	cutReady struct {
		cut *jobs.CutResult
		err error
	}
	viewed struct {
		view *catalog.View
		err  error
	}
	built struct {
		cut *builtCut
		err error
	}
	published struct {
		reply *blocks.PublishCutReply
		err   error
	}
	compared struct{ err error }
	trimmed  struct{ err error }
)

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		a.do(c, a.state.start())
	case tick:
		a.do(c, a.state.onTick())
	case covered:
		a.do(c, a.state.onCovered(m))
	case cutReady:
		a.do(c, a.state.onCut(m))
	case viewed:
		a.do(c, a.state.onViewed(m))
	case built:
		a.do(c, a.state.onBuilt(m))
	case compared:
		a.do(c, a.state.onCompared(m))
	case published:
		a.do(c, a.state.onPublished(m))
	case trimmed:
		a.do(c, a.state.onTrimmed(m))
	case *jobs.CoverageChanged:
	case work.Failed:
		a.do(c, step{fail: fmt.Errorf("run job: %w", m.Err)})
	case supervise.Drain:
		a.do(c, a.state.onDrain(c.Sender()))
	case system.Inspect:
		c.Respond(a.state.inspect())
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
	default:
		system.Unhandled(c)
	}
}

// do carries out a step, in this order, and waits for nothing; whatever ends later comes back as a
// message.
func (a *Actor) do(c actor.Context, s step) {
	if s.fail != nil {
		panic(supervise.Fail(s.fail))
	}
	if s.wake {
		a.pause.Stop()
	}
	if s.warn != nil {
		if a.deps.Metrics.retries.Inc(); a.state.isFailureLogged() {
			a.log.Warn("begin again from the covered offset", "failures", a.state.failures, "err", s.warn)
		}
	}
	a.askOthers(c, s)
	a.startJobs(c, s)
	if s.untrimmed != nil {
		a.log.Warn("trim the log", "err", s.untrimmed)
	}
	if s.done != nil {
		a.reportPublished(s.done)
	}
	system.Send(c, s.drained, supervise.Drained{})
	if s.after > 0 {
		a.pause = work.After(c, a.deps.Clock, s.after, tick{})
	}
}

// askOthers asks the other actors what the step asks for.
func (a *Actor) askOthers(c actor.Context, s step) {
	if s.locate != nil {
		askActor(a, c, kinds.BackendScheduler, "", s.locate, func(r *jobs.CoveredResult, err error) any {
			return covered{reply: r, err: err}
		})
	}
	if s.cut != nil {
		askActor(a, c, kinds.LiveStore, a.key, s.cut, func(r *jobs.CutResult, err error) any {
			return cutReady{cut: r, err: err}
		})
	}
	if s.view != nil {
		askActor(a, c, kinds.BackendScheduler, "", s.view, func(v *catalog.View, err error) any {
			return viewed{view: v, err: err}
		})
	}
	if s.publish != nil {
		askActor(a, c, kinds.BackendScheduler, "", s.publish, func(r *blocks.PublishCutReply, err error) any {
			return published{reply: r, err: err}
		})
	}
}

// askTimeout is how long the actor waits for an answer of another one.
const askTimeout = 30 * time.Second

// askActor asks another actor. The answer comes back as the message that back makes of it.
func askActor[T any](a *Actor, c actor.Context, kind, key string, msg any, back func(T, error) any) {
	r := ask.Request{Kind: kind, Key: key, Message: msg, Timeout: askTimeout}
	ask.Send(context.Background(), c, a.deps.Directory, r, back)
}

// startJobs starts the jobs of the step on the pools.
func (a *Actor) startJobs(c actor.Context, s step) {
	d, cfg := a.deps, a.state.cfg
	if j := s.build; j != nil {
		d.Build.Go(c, context.Background(), func(ctx context.Context) any {
			cut, err := buildCut(ctx, d, cfg, j)
			return built{cut: cut, err: err}
		}, func(err error) any { return built{err: err} })
	}
	if j := s.look; j != nil {
		d.Build.Go(c, context.Background(), func(ctx context.Context) any {
			cut, err := lookAgain(ctx, d, cfg, j)
			return built{cut: cut, err: err}
		}, func(err error) any { return built{err: err} })
	}
	if m := s.compare; m != nil {
		d.IO.Go(c, context.Background(),
			func(ctx context.Context) any { return compared{err: compareWithLog(ctx, d.Log, m)} },
			func(err error) any { return compared{err: err} })
	}
	if m := s.trim; m != nil {
		d.IO.Go(c, context.Background(),
			func(ctx context.Context) any { return trimmed{err: trimLog(ctx, d.Log, m)} },
			func(err error) any { return trimmed{err: err} })
	}
}

// reportPublished writes the log lines of a published cut and moves the instruments.
func (a *Actor) reportPublished(cut *blocks.PublishCut) {
	a.deps.Metrics.cuts.Inc()
	a.deps.Metrics.blocks.Add(float64(len(cut.Blocks)))
	for _, m := range cut.SetAside {
		a.deps.Metrics.aside.Add(float64(m.Records))
		a.log.Error("records are covered that no block holds; their bytes are in the bucket",
			"epoch", m.Epoch, "tenant", m.Tenant, "offset", m.From, "to", m.To, "records", m.Records, "err", m.Reason)
	}
	a.log.Info("cut published", "epoch", cut.Epoch, "offset", cut.From, "to", cut.To, "blocks", len(cut.Blocks))
}
