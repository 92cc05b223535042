package backendworker

import (
	"context"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Deps is what a backend-worker reaches.
type Deps struct {
	Name      string // of the node; tells its leases from those of other nodes
	Bucket    objstore.Bucket
	Blocks    blockstore.Opener
	Directory ask.Directory
	Merge     work.Pool
	Clock     clock.Clock
	NewID     func(tenant, lease string) string // of a block, with chance in it
	Logger    *slog.Logger
	Metrics   *Metrics
}

// Kind declares the backend-worker.
func Kind(d Deps, cfg Config) supervise.Kind {
	return supervise.Kind{
		Name:    kinds.BackendWorker,
		Key:     supervise.PerNode,
		New:     func(string) actor.Actor { return newActor(d, cfg) },
		Mailbox: mailbox.Limit{Messages: 256},
		Policy: supervise.Policy{
			Backoff:  supervise.Exponential(time.Second, time.Minute),
			Restarts: 8,
			Within:   10 * time.Minute,
			Then:     supervise.Escalate,
		},
		Loses: "the merge under way; it is begun anew",
	}
}

// Actor is a backend-worker.
type Actor struct {
	deps   Deps
	log    *slog.Logger
	state  *state
	cancel context.CancelFunc // of the merge under way
}

func newActor(d Deps, cfg Config) *Actor {
	return &Actor{
		deps:   d,
		log:    d.Logger.With("kind", kinds.BackendWorker),
		state:  &state{cfg: cfg, name: d.Name},
		cancel: func() {},
	}
}

// Self-messages.
type (
	restTick struct{}
	beatTick struct{ lease string }
	leased   struct {
		lease *jobs.MergeLease
		err   error
	}
	beaten struct {
		lease string
		reply *jobs.MergeReply
		err   error
	}
	merged struct {
		lease  string
		output *blocks.BlockMeta
		took   time.Duration
		err    error
	}
	reported struct {
		reply *jobs.MergeReply
		err   error
	}
)

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		a.do(c, a.state.start())
	case restTick:
		a.do(c, a.state.onRestTick())
	case leased:
		a.do(c, a.state.onLeased(m))
	case beatTick:
		a.do(c, a.state.onBeatTick(m.lease))
	case beaten:
		a.do(c, a.state.onBeaten(m))
	case merged:
		a.do(c, a.state.onMerged(m))
	case reported:
		a.do(c, a.state.onReported(m))
	case supervise.Drain:
		a.do(c, a.state.onDrain(c.Sender()))
	case system.Inspect:
		c.Respond(a.state.inspect())
	case *actor.Stopping, *actor.Restarting:
		a.cancel()
	case *actor.Stopped:
	default:
		system.Unhandled(c)
	}
}

// do carries out a step, in this order, and waits for nothing; whatever ends later comes back as a
// message.
func (a *Actor) do(c actor.Context, s step) {
	if s.cancel {
		a.cancel()
	}
	if s.next != nil {
		askScheduler(a, c, s.next, func(r *jobs.MergeLease, err error) any { return leased{lease: r, err: err} })
	}
	if s.merge != nil {
		a.startMerge(c, s.merge)
	}
	if m := s.beat; m != nil {
		askScheduler(a, c, m, func(r *jobs.MergeReply, err error) any {
			return beaten{lease: m.Lease, reply: r, err: err}
		})
	}
	if s.done != nil {
		askScheduler(a, c, s.done, func(r *jobs.MergeReply, err error) any { return reported{reply: r, err: err} })
	}
	if s.ended != nil {
		a.reportEnd(s.ended)
	}
	system.Send(c, s.drained, supervise.Drained{})
	if s.rest > 0 {
		work.After(c, a.deps.Clock, s.rest, restTick{})
	}
	if s.beatIn > 0 {
		work.After(c, a.deps.Clock, s.beatIn, beatTick{lease: a.state.lease.Lease})
	}
}

// askTimeout is how long the actor waits for an answer of the scheduler.
const askTimeout = 30 * time.Second

// askScheduler asks the backend-scheduler. The answer comes back as the message that back makes of
// it.
func askScheduler[T any](a *Actor, c actor.Context, msg any, back func(T, error) any) {
	r := ask.Request{Kind: kinds.BackendScheduler, Message: msg, Timeout: askTimeout}
	ask.Send(context.Background(), c, a.deps.Directory, r, back)
}

func (a *Actor) startMerge(c actor.Context, lease *jobs.MergeLease) {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	d, cfg := a.deps, a.state.cfg
	d.Merge.Go(c, ctx, func(ctx context.Context) any {
		defer cancel()
		began := d.Clock.Now()
		output, err := mergeBlocks(ctx, d, cfg, lease)
		return merged{lease: lease.Lease, output: output, took: d.Clock.Now().Sub(began), err: err}
	}, func(err error) any { return merged{lease: lease.Lease, err: err} })
}

// reportEnd writes the log line of a merge and moves the instruments.
func (a *Actor) reportEnd(e *ended) {
	if e.output == nil {
		a.deps.Metrics.failures.Inc()
		a.log.Warn("a merge of blocks has come to nothing", "tenant", e.lease.Tenant, "lease", e.lease.Lease,
			"inputs", len(e.lease.Inputs), "err", e.reason)
		return
	}
	a.deps.Metrics.merges.Inc()
	a.deps.Metrics.inputs.Add(float64(len(e.lease.Inputs)))
	a.deps.Metrics.spans.Add(float64(e.output.GetSpans()))
	a.deps.Metrics.written.Add(float64(e.output.GetBytes()))
	for _, m := range e.lease.Inputs {
		a.deps.Metrics.read.Add(float64(m.GetBytes()))
	}
	a.log.Info("blocks merged", "tenant", e.lease.Tenant, "block", e.output.GetId(), "inputs", len(e.lease.Inputs),
		"spans", e.output.GetSpans(), "bytes", e.output.GetBytes(), "level", e.output.GetLevel())
}
