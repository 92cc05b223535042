package querier

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/mailbox"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/kernel/work"
)

// Blocks opens blocks; opened blocks are kept by whoever implements it.
type Blocks interface {
	Open(ctx context.Context, m *blocks.BlockMeta) (*block.Block, error)
}

// Deps is what a querier reaches.
type Deps struct {
	Blocks Blocks
	Scan   work.Pool
	Logger *slog.Logger
}

// Kind declares the querier.
func Kind(d Deps) supervise.Kind {
	return supervise.Kind{
		Name: "querier", Key: supervise.PerNode,
		New:     func(string) actor.Actor { return &Actor{deps: d} },
		Mailbox: mailbox.Limit{Messages: 65536},
		Policy: supervise.Policy{Backoff: supervise.Exponential(50*time.Millisecond, 5*time.Second),
			Restarts: 8, Within: 5 * time.Minute, Then: supervise.Escalate},
		Loses: "the jobs under way; their queries ask again",
	}
}

// Actor is the querier of a node.
type Actor struct {
	deps Deps
	jobs int // under way
	done int64
}

type answered struct {
	to    *actor.PID
	reply any
}

// Receive handles one message at a time and never waits.
func (a *Actor) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting:
	case *plan.BlockScanJob:
		a.run(c, func(ctx context.Context) (any, error) { return a.deps.scan(ctx, m) })
	case *plan.BlockTracesJob:
		a.run(c, func(ctx context.Context) (any, error) { return a.deps.traces(ctx, m) })
	case answered:
		a.jobs--
		a.done++
		system.Send(c, m.to, m.reply)
	case work.Failed:
		panic(supervise.Fail(m.Err))
	case supervise.Drain:
		c.Respond(supervise.Drained{})
	case system.Inspect:
		c.Respond(&system.ActorStatus{State: "ready", Detail: map[string]string{"jobs": fmt.Sprint(a.jobs), "done": fmt.Sprint(a.done)}})
	default:
		system.Unhandled(c)
	}
}

func (a *Actor) run(c actor.Context, job func(context.Context) (any, error)) {
	to := c.Sender()
	a.jobs++
	a.deps.Scan.Go(c, ask.Context(c), func(ctx context.Context) any {
		r, err := job(ctx)
		if err != nil {
			return answered{to: to, reply: status.From(err)}
		}
		return answered{to: to, reply: r}
	})
}

func (d Deps) scan(ctx context.Context, m *plan.BlockScanJob) (*plan.ScanResult, error) {
	b, err := d.Blocks.Open(ctx, m.Block)
	if err != nil {
		return nil, err
	}
	blk := b.Reader()
	r, err := plan.RunScan(ctx, blk.Tables(), m.Scan, m.Shared)
	if err != nil {
		return nil, err
	}
	r.Bytes = blk.Stats().Bytes
	return r, nil
}

func (d Deps) traces(ctx context.Context, m *plan.BlockTracesJob) (*plan.TracesResult, error) {
	b, err := d.Blocks.Open(ctx, m.Block)
	if err != nil {
		return nil, err
	}
	ids := make([]trace.ID, 0, len(m.IDs))
	at := make([]int, 0, len(m.IDs))
	for i, id := range m.IDs {
		if b.MayHold(id) {
			ids, at = append(ids, id), append(at, i)
		}
	}
	out := &plan.TracesResult{Fragments: make([][]trace.Fragment, len(m.IDs))}
	if len(ids) == 0 {
		return out, nil
	}
	blk := b.Reader()
	r, err := plan.RunTraces(ctx, blk.Tables(), ids)
	if err != nil {
		return nil, err
	}
	for k, i := range at {
		out.Fragments[i] = r.Fragments[k]
	}
	out.Bytes = blk.Stats().Bytes
	return out, nil
}
