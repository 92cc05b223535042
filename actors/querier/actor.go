package querier

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
)

// Deps is what a querier reaches.
type Deps struct {
	Blocks    blockstore.Opener
	Ahead     int64 // bytes of indexes that are opened before a query asks for them
	Directory ask.Directory
	Scan      work.Pool               // runs the jobs
	IO        work.Pool               // opens blocks ahead
	Cache     *cache.LRU[KnownResult] // results by row group
	Logger    *slog.Logger
	Metrics   *Metrics
}

// Kind declares the querier.
func Kind(d Deps) supervise.Kind {
	return supervise.Kind{
		Name: kinds.Querier, Key: supervise.PerNode,
		New:     func(string) actor.Actor { return &Actor{deps: d, reported: map[string]bool{}} },
		Mailbox: mailbox.Limit{Messages: 65536},
		Policy: supervise.Policy{Backoff: supervise.Exponential(50*time.Millisecond, 5*time.Second),
			Restarts: 8, Within: 5 * time.Minute, Then: supervise.Escalate},
		Loses: "the jobs under way; their queries ask again",
	}
}

// Actor is the querier of a node.
type Actor struct {
	deps     Deps
	ahead    readAhead
	jobs     int // under way
	done     int64
	reported map[string]bool // blocks, by id
}

// jobAnswered is the end of a job on the pool. reply is an error where the job has failed.
type jobAnswered struct {
	to    *actor.PID
	job   any
	reply any
}

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started:
		a.doAhead(c, a.ahead.onStarted())
	case *jobs.CoverageChanged:
		a.doAhead(c, a.ahead.onAnnounced(m.Version))
	case viewAnswered:
		a.doAhead(c, a.ahead.onView(m.view))
	case blocksOpened:
		a.doAhead(c, a.ahead.onOpened())
	case *actor.Stopping, *actor.Stopped, *actor.Restarting:
	case *jobs.BlockScanJob:
		if r := a.deps.knownResult(m); r != nil {
			a.done++
			a.deps.Metrics.countJob(m, r)
			system.Reply(c, r)
			return
		}
		a.runJob(c, m, func(ctx context.Context) (any, error) { return a.deps.scanBlock(ctx, m) })
	case *jobs.BlockTracesJob:
		a.runJob(c, m, func(ctx context.Context) (any, error) { return a.deps.readTraces(ctx, m) })
	case *jobs.BlockTraceJob:
		a.runJob(c, m, func(ctx context.Context) (any, error) { return a.deps.readTrace(ctx, m) })
	case *jobs.BlockKeysJob:
		a.runJob(c, m, func(ctx context.Context) (any, error) { return a.deps.readKeys(ctx, m) })
	case *jobs.BlockSpansJob:
		a.runJob(c, m, func(ctx context.Context) (any, error) { return a.deps.readSpans(ctx, m) })
	case jobAnswered:
		a.jobs--
		a.done++
		a.deps.Metrics.countJob(m.job, m.reply)
		a.reportDamage(m)
		system.Send(c, m.to, m.reply)
	case work.Failed:
		panic(supervise.Fail(m.Err))
	case supervise.Drain:
		c.Respond(supervise.Drained{})
	case system.Inspect:
		c.Respond(&system.ActorStatus{State: "ready", Detail: map[string]string{
			"jobs":         fmt.Sprint(a.jobs),
			"done":         fmt.Sprint(a.done),
			"cached_bytes": fmt.Sprint(a.deps.Cache.Used()),
		}})
	default:
		system.Unhandled(c)
	}
}

// runJob runs a job on the pool, on behalf of the one who asked for it.
// Next: runtime/engine/jobs, whose RunScan and TracesOf read the tables.
func (a *Actor) runJob(c actor.Context, m any, job func(context.Context) (any, error)) {
	to := c.Sender()
	a.jobs++
	failed := func(err error) any { return jobAnswered{to: to, job: m, reply: status.Of(err)} }
	a.deps.Scan.Go(c, ask.Context(c), func(ctx context.Context) any {
		r, err := job(ctx)
		if err != nil {
			return failed(err)
		}
		return jobAnswered{to: to, job: m, reply: r}
	}, failed)
}

// maxReported bounds the blocks that are remembered as reported.
const maxReported = 10_000

// reportDamage reports the blocks that a job could not read because they are damaged. Somebody must
// look at them.
func (a *Actor) reportDamage(m jobAnswered) {
	switch j := m.job.(type) {
	case *jobs.BlockScanJob:
		if err, ok := m.reply.(error); ok {
			a.reportBlock(j.Block, err)
		}
	case *jobs.BlockSpansJob:
		if err, ok := m.reply.(error); ok {
			a.reportBlock(j.Block, err)
		}
	case *jobs.BlockTracesJob, *jobs.BlockTraceJob, *jobs.BlockKeysJob:
		for _, f := range failuresOf(m.reply) {
			a.reportBlock(f.Block, f)
		}
	}
}

// reportBlock reports a damaged block, once in the life of the querier.
func (a *Actor) reportBlock(b *blocks.BlockMeta, err error) {
	class := status.Of(err).Class
	isDamage := class == status.Corrupt || class == status.Internal
	if !isDamage || a.reported[b.GetId()] || len(a.reported) >= maxReported {
		return
	}
	a.reported[b.GetId()] = true
	a.deps.Metrics.damaged.Inc()
	a.deps.Logger.Error("block cannot be read; answers that need it say so",
		"kind", kinds.Querier, "tenant", b.GetTenant(), "block", b.GetId(), "err", err)
}
