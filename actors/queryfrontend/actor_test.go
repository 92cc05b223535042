package queryfrontend

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
	"github.com/troupe-tracing/troupe/test/kit/views"
)

// node is a query-frontend among kinds that answer when the test says so.
type node struct {
	t     *testing.T
	w     *sim.World
	sys   *system.System
	front ask.Ref
	view  *catalog.View
	asked []*asked // not answered yet
}

// asked is one question to a live-store or querier.
type asked struct {
	msg any
	to  *actor.PID
	ctx context.Context
}

func newNode(t *testing.T, seed uint64, change func(*Config)) *node {
	t.Helper()
	n := &node{t: t, w: sim.New(seed)}
	n.w.Report(t)
	n.sys = n.w.System()
	cfg := DefaultConfig()
	cfg.Slots, cfg.TenantSlots = 8, 8
	if change != nil {
		change(&cfg)
	}
	s := catalog.New()
	require.NoError(t, s.Apply(&blocks.Commit{Seq: 1, Entries: []*blocks.Entry{{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{7}}},
		{BlocksReplaced: &blocks.BlocksReplaced{Tenant: "t", Outputs: []*blocks.BlockMeta{{Id: "a", Tenant: "t", Partition: -1, MaxEndUnixNano: 10}}}}}}))
	n.view = s.View()
	neighbour := func(name string, key supervise.Keying) supervise.Kind {
		return supervise.Kind{Name: name, Key: key, New: func(string) actor.Actor {
			return actor.ReceiveFunc(func(c actor.Context) {
				switch m := c.Message().(type) {
				case *jobs.ViewJob:
					c.Respond(n.view)
				case *jobs.LiveTraceJob, *jobs.BlockTraceJob:
					n.asked = append(n.asked, &asked{msg: m, to: c.Sender(), ctx: ask.Context(c)})
				case supervise.Drain:
					c.Respond(supervise.Drained{})
				}
			})
		}}
	}
	require.NoError(t, n.sys.Start([]supervise.Kind{neighbour(kinds.BackendScheduler, supervise.PerNode), neighbour(kinds.LiveStore, supervise.PerPartition),
		neighbour(kinds.Querier, supervise.PerNode), Kind(Deps{Directory: n.sys, Combine: n.w.Pool("scan"), Clock: n.w.Clock(), Logger: slog.New(slog.DiscardHandler),
			Metrics: NewMetrics(prometheus.NewRegistry()), Assembled: cache.New[*jobs.ScanResult](1 << 20)}, cfg)},
		func(k supervise.Kind) []string {
			if k.Key == supervise.PerPartition {
				return []string{"0"}
			}
			return []string{""}
		}))
	var err error
	n.front, err = n.sys.Find(kinds.QueryFrontend, "")
	require.NoError(t, err)
	return n
}

// client is one question to the query-frontend.
type client struct {
	answer *jobs.Answer
	err    error
	over   bool
	leave  func(error)
}

// ask asks for trace 1 of a tenant.
func (n *node) ask(tenant string) *client {
	c := &client{}
	id := views.ID("1")
	c.leave = ask.Begin(context.Background(), n.sys.Actors(), n.front, &jobs.Query{Tenant: tenant, Trace: &id, Text: "trace 1"}, func(reply any, err error) {
		c.over = true
		c.answer, _ = reply.(*jobs.Answer)
		c.err = err
	})
	n.w.Settle()
	return c
}

// answer answers all that was asked.
func (n *node) answer() {
	for _, a := range n.asked {
		n.sys.Actors().Root.Send(a.to, &jobs.TraceResult{})
	}
	n.asked = nil
	n.w.Settle()
}

func (n *node) children() []*system.ActorStatus {
	tree := n.sys.Inspect(context.Background())
	return tree[len(tree)-1].Children
}

func (n *node) list(tenant string) []jobs.QueryStatus {
	out, err := ask.Ask[*jobs.Queries](context.Background(), n.sys, n.front, &jobs.ListQueries{Tenant: tenant})
	require.NoError(n.t, err)
	return out.Queries
}

// end stops the node, which must leave nothing behind.
func (n *node) end() {
	require.NoError(n.t, n.sys.Drain(context.Background()))
	n.w.Advance(time.Hour)
	require.Empty(n.t, n.sys.Failed())
	require.Empty(n.t, n.sys.Keys("query"))
}

// A query is a child of the query-frontend while it runs, shown with what it does, and gone when it
// is answered.
func TestQueryIsAChild(t *testing.T) {
	n := newNode(t, 1, nil)
	c := n.ask("t")
	kids := n.children()
	require.Len(t, kids, 1)
	require.Equal(t, "query", kids[0].Kind)
	require.Equal(t, "collecting", kids[0].State)
	require.Equal(t, "0 of 2, 2 under way, 0 waiting", kids[0].Detail["jobs"])
	require.Equal(t, "trace 1", kids[0].Detail["query"])
	list := n.list("t")
	require.Len(t, list, 1)
	require.Equal(t, kids[0].Key, list[0].ID)
	require.Equal(t, "traces", list[0].Op)
	require.Equal(t, "collecting", list[0].State)
	require.Equal(t, 2, list[0].Jobs)
	require.Empty(t, n.list("other"))

	n.answer()
	require.True(t, c.over)
	require.NoError(t, c.err)
	require.True(t, c.answer.Complete)
	require.Nil(t, c.answer.Trace)
	require.Empty(t, n.children())
	require.Empty(t, n.list(""))
	n.end()
}

// A client that goes away takes its query and all of its jobs with it, at once.
func TestClientLeaves(t *testing.T) {
	n := newNode(t, 2, nil)
	c := n.ask("t")
	other := n.ask("t")
	require.Len(t, n.asked, 4)
	c.leave(context.Canceled)
	n.w.Settle() // no time passes
	gone := 0
	for _, a := range n.asked {
		if a.ctx.Err() != nil {
			gone++
		}
	}
	require.Equal(t, 2, gone)
	require.Len(t, n.children(), 1)
	n.answer()
	require.NoError(t, other.err)
	require.NotNil(t, other.answer)
	n.end()
}

// A query is ended on request by its tenant, and by no other; its client is told. Its slots serve
// others.
func TestCancelOnRequest(t *testing.T) {
	n := newNode(t, 3, func(c *Config) { c.Slots, c.TenantSlots = 2, 2 })
	c := n.ask("t")
	waits := n.ask("t")
	require.Len(t, n.asked, 2)
	id := n.list("")[0].ID
	bg := context.Background()
	_, err := ask.Ask[*jobs.QueryCanceled](bg, n.sys, n.front, &jobs.CancelQuery{Tenant: "other", ID: id})
	require.EqualError(t, err, "query "+id+": it does not run")
	require.Equal(t, status.NotFound, status.Of(err).Class)
	_, err = ask.Ask[*jobs.QueryCanceled](bg, n.sys, n.front, &jobs.CancelQuery{Tenant: "t", ID: id})
	require.NoError(t, err)
	n.w.Settle()
	require.EqualError(t, c.err, "query "+id+": canceled on request")
	require.Equal(t, status.Canceled, status.Of(c.err).Class)
	require.Error(t, n.asked[0].ctx.Err())
	require.Len(t, n.asked, 4, "the one that waited has the slots")
	n.answer()
	require.NotNil(t, waits.answer)
	n.end()
}

// Over a tenant's limits queries wait and are then refused; one that leaves while it waits is never
// started.
func TestQueueOfATenant(t *testing.T) {
	n := newNode(t, 4, func(c *Config) { c.MaxRunning, c.MaxQueued = 1, 2 })
	first, second, third := n.ask("t"), n.ask("t"), n.ask("t")
	refused := n.ask("t")
	require.EqualError(t, refused.err, "job queue full")
	require.Equal(t, status.Limited, status.Of(refused.err).Class)
	other := n.ask("other")
	require.Len(t, n.children(), 2)
	second.leave(context.Canceled)
	n.w.Settle()
	require.Len(t, n.list("t"), 2)
	n.answer()
	require.NotNil(t, first.answer)
	require.NotNil(t, other.answer)
	require.False(t, third.over)
	n.answer()
	require.NotNil(t, third.answer)
	require.Nil(t, second.answer)
	n.end()
}

// A query that fails fails alone; its client is told.
func TestQueryFailsAlone(t *testing.T) {
	n := newNode(t, 5, nil)
	c, other := n.ask("t"), n.ask("t")
	ref, err := n.sys.Find(kinds.Query, n.list("")[0].ID)
	require.NoError(t, err)
	n.w.Kill(ref)
	n.w.Settle()
	require.Error(t, c.err)
	require.Equal(t, status.Unavailable, status.Of(c.err).Class)
	require.Len(t, n.list(""), 1)
	n.answer()
	require.NotNil(t, other.answer)
	n.end()
}

// When the query-frontend restarts, running and waiting queries are told, their jobs end, and ids
// are not used again.
func TestRestart(t *testing.T) {
	for seed := range uint64(50) { // in any order of messages
		n := newNode(t, seed, func(c *Config) { c.MaxRunning = 1 })
		running, waiting := n.ask("t"), n.ask("t")
		id := n.list("")[0].ID
		n.w.Kill(n.front)
		n.w.Advance(time.Minute)
		for _, c := range []*client{running, waiting} {
			require.True(t, c.over)
			require.Equal(t, status.Unavailable, status.Of(c.err).Class)
		}
		require.Error(t, n.asked[0].ctx.Err())
		n.asked = nil
		again := n.ask("t")
		require.NotEqual(t, id, n.list("")[0].ID)
		n.answer()
		require.NotNil(t, again.answer)
		n.end()
	}
}

// Draining lets the running queries end and takes no more.
func TestDrain(t *testing.T) {
	n := newNode(t, 7, nil)
	c := n.ask("t")
	drained := false
	ask.Begin(context.Background(), n.sys.Actors(), n.front, supervise.Drain{}, func(any, error) { drained = true })
	n.w.Settle()
	require.False(t, drained)
	late := n.ask("t")
	require.True(t, strings.Contains(late.err.Error(), "shutting down"))
	n.answer()
	require.NotNil(t, c.answer)
	require.True(t, drained)
}

// Neighbours that never answer do not keep a query for ever: each job has its time, then the answer
// names what is missing, or there is none.
func TestNobodyAnswers(t *testing.T) {
	n := newNode(t, 8, nil)
	c := n.ask("t")
	n.w.Advance(6 * time.Minute)
	require.True(t, c.over)
	require.Regexp(t, "^query: nothing could be read: (live-store of partition 0|block a): no answer in time$", c.err.Error())
	require.Equal(t, status.Timeout, status.Of(c.err).Class)
	require.Empty(t, n.children())
	n.end()
}
