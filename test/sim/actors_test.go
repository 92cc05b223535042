package sim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/actors/blockbuilder"
	"github.com/troupe-tracing/troupe/actors/distributor"
	"github.com/troupe-tracing/troupe/actors/livestore"
	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	kernel "github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// actors lists the addresses of a node's actors of a kind.
func (n *node) actors(kind string) (out []ask.Ref) {
	for _, key := range n.sys.Keys(kind) {
		out = append(out, n.ref(kind, key))
	}
	return out
}

var allKinds = []string{kinds.BackendScheduler, kinds.LiveStore, kinds.BlockBuilder, kinds.Distributor, kinds.BackendWorker, kinds.Querier,
	kinds.QueryFrontend}

// Whichever actor is killed while its job runs: the job's late end is nobody's, whoever asked hears
// at once, and nothing is lost or found twice.
func TestKilledDuringEachJob(t *testing.T) {
	pools := []string{"ingest", "fetch", "io", "build", "scan", "combine"}
	if testing.Short() || defaultRounds < 12 { // under the race detector
		pools = []string{"io"}
	}
	for _, pool := range pools {
		for _, kind := range allKinds {
			w := course(t, settings{partitions: 2})
			n := w.nodes[0]
			w.push(n, 6)
			n.Hold(pool)
			for range 4 {
				w.client.send(n, w.client.make("a"))
				w.client.search(n, "a", nil)
				w.client.byID(n, "b", w.client.traces["b"][0])
			}
			w.rest(65 * time.Second) // cuts are due
			for _, ref := range n.actors(kind) {
				n.Kill(ref)
			}
			w.rest(time.Second)
			n.Release(pool)
			w.calm()
			if t.Failed() {
				t.Fatalf("pool %s, kind %s", pool, kind)
			}
		}
	}
}

// Every message may come twice: the second changes nothing.
func TestSameMessageTwice(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.push(n, 6)
	w.cut()
	l, err := journal.New(w.bucket, "catalog/").Load(context.Background())
	require.NoError(t, err)
	again := 0
	for _, data := range l.Entries {
		var c blocks.Commit
		require.NoError(t, proto.Unmarshal(data, &c))
		for _, e := range c.Entries {
			if m := e.GetCutPublished(); m != nil {
				var got *blocks.PublishCutReply
				ask.Begin(context.Background(), n.sys.Actors(), n.ref(kinds.BackendScheduler, ""), m,
					func(reply any, err error) {
						require.NoError(t, err)
						got = reply.(*blocks.PublishCutReply)
					})
				w.rest(time.Second)
				require.False(t, got.GetAccepted())
				require.EqualValues(t, 12, got.GetCovered())
				again++
			}
		}
	}
	require.NotZero(t, again)
	v := w.durable().View()
	w.push(n, 3)
	for range 2 {
		n.sys.Actors().Root.Send(n.ref(kinds.LiveStore, "0"),
			&jobs.CoverageChanged{Version: v.Version, Epoch: v.Epoch, Covered: v.Covered})
		n.sys.Actors().Root.Send(n.ref(kinds.LiveStore, "0"),
			&jobs.CoverageChanged{Version: 1, Epoch: v.Epoch, Covered: map[int32]int64{0: 99}})
		n.sys.Actors().Root.Send(n.ref(kinds.Distributor, ""), &jobs.Appended{Partition: 0, Epoch: v.Epoch, Next: 5})
		n.sys.Actors().Root.Send(n.ref(kinds.BlockBuilder, "0"), &jobs.CoverageChanged{Version: 1, Epoch: v.Epoch})
	}
	w.rest(15 * time.Second)
	w.settled("after messages that came twice")
	w.finish()
}

// A node that is told to end finishes what it has taken: what was acknowledged is in blocks, what
// comes later is refused, and it ends though the store fails.
func TestDrain(t *testing.T) {
	for _, down := range []bool{false, true} {
		w := course(t, settings{partitions: 2})
		n := w.nodes[0]
		w.push(n, 6)
		if down {
			w.store.SetPlan(func(objstore.Call) objstore.Fault { return objstore.Fault{Before: errDown} })
		}
		w.client.send(n, w.client.make("a"))
		ctx, cancel := n.WithTimeout(context.Background(), 2*time.Minute)
		before := w.client.acked
		require.NoError(t, n.sys.Drain(ctx, kinds.Distributor, kinds.QueryFrontend, kinds.BlockBuilder))
		cancel()
		require.Equal(t, before+1, w.client.acked, "what was taken is answered")
		for p, recs := range w.log.records {
			if !down {
				require.EqualValues(t, len(recs), w.covered(int32(p)))
			}
		}
		w.store.SetPlan(nil)
		n.crash()
		n.boot()
		w.finish()
	}
}

// While a node drains, new pushes are refused so that their clients go elsewhere.
func TestDrainingRefuses(t *testing.T) {
	w := course(t, settings{})
	n := w.nodes[0]
	n.Hold("ingest")
	w.client.send(n, w.client.make("a"))
	w.rest(time.Second)
	drained := false
	ask.Begin(context.Background(), n.sys.Actors(), n.ref(kinds.Distributor, ""), supervise.Drain{},
		func(_ any, err error) { drained = err == nil })
	w.rest(time.Second)
	var class status.Class
	ask.Begin(context.Background(), n.sys.Actors(), n.ref(kinds.Distributor, ""), pushOf("a"),
		func(_ any, err error) { class = status.Of(err).Class })
	w.rest(time.Second)
	require.Equal(t, status.Unavailable, class)
	require.False(t, drained, "a push is under way")
	n.Release("ingest")
	w.rest(time.Second)
	require.True(t, drained)
	n.crash()
	w.finish()
}

// A node holds only so much that is in no block: past that its fattest partition is cut, long
// before age or its own size make that due.
func TestNodeBudget(t *testing.T) {
	one := live.New(live.Limits{}).Bytes() // no segment takes less
	budget := 2 * one
	w := course(t, settings{partitions: 3, live: func(c *livestore.Config) { c.NodeBytes = config.Bytes(budget) },
		builder: func(c *blockbuilder.Config) { c.CutAge = time.Hour }})
	n := w.nodes[0]
	for range 20 {
		w.push(n, 5)
		w.rest(8 * time.Second)
		type segment struct {
			partition int
			tenant    string
		}
		held := map[segment]bool{}
		for p, recs := range w.log.records {
			for _, r := range recs[w.covered(int32(p)):] {
				held[segment{p, r.Tenant}] = true
			}
		}
		require.LessOrEqual(t, one*int64(len(held)), budget)
	}
	require.NotZero(t, w.total())
	w.nodes[0].settings.builder = nil
	w.nodes[0].crash()
	w.nodes[0].boot()
	w.finish()
}

// When nothing can be built, memory does not grow without bound: the live-stores stop reading,
// answers say so, pushes are held and then refused with a time to come back; when building works
// again all goes on.
func TestNothingCanBeBuilt(t *testing.T) {
	budget := 2 * live.New(live.Limits{}).Bytes() // each partition has a segment, however empty
	w := course(t, settings{partitions: 2, live: func(c *livestore.Config) {
		c.NodeBytes,
			c.FetchBytes = config.Bytes(budget), 512
	},
		distributor: func(c *distributor.Config) { c.MaxBacklogBytes = 2 << 10 }})
	n := w.nodes[0]
	n.Hold("build")
	for range 130 {
		w.client.send(n, w.client.make("a"))
		w.rest(time.Second)
	}
	w.rest(10 * time.Second)
	require.NotZero(t, w.client.refused, "pushes are refused while the live-stores are behind")
	total := 0
	for _, recs := range w.log.records {
		for _, r := range recs {
			total += len(r.Value)
		}
	}
	require.Less(t, total, 5*int(budget)/2+3*(2<<10), "what the log takes is bounded")
	a := w.answer(n, searchFor(t, "{ }", kernel.Epoch, kernel.Epoch.Add(time.Hour), 10))
	require.False(t, a.Complete)
	require.Contains(t, strings.Join(a.Warnings, ";"),
		"is behind in the log: the live stores of the node hold more than")
	n.Release("build")
	w.rest(2 * time.Minute)
	again := w.client.unknown
	w.client.unknown = nil
	for _, p := range again { // slowly: all of them at once are more than the budget
		w.client.send(n, p)
		w.rest(5 * time.Second)
	}
	w.finish()
}

// A log that is full refuses pushes with a time to come back, and takes them when blocks have been
// cut and it was trimmed.
func TestLogFull(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.log.Limit(3000)
	var limited *status.Error
	for range 30 {
		p := w.client.make("a")
		ask.Begin(context.Background(), n.sys.Actors(), n.ref(kinds.Distributor, ""), pushOf("a", p.spans[0].Span),
			func(_ any, err error) {
				if err != nil {
					limited = status.Of(err)
				}
			})
		w.rest(100 * time.Millisecond)
	}
	require.NotNil(t, limited)
	require.Equal(t, status.Limited, limited.Class)
	require.NotZero(t, limited.RetryAfter)
	require.ErrorContains(t, limited, "log is full")
	w.rest(70 * time.Second)
	w.push(n, 1)
	w.log.Limit(0)
	w.finish()
}

// A block that is damaged holds nothing up: cuts of its tenant go on, answers name it, and
// everything else is found.
func TestDamagedBlockHoldsNothingUp(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.push(n, 4)
	w.cut()
	damaged := w.durable().View().Blocks("a", 0, 1<<63)[0]
	var kept []byte
	name := "a/" + damaged.GetId() + "/spans.parquet"
	w.bucket.Change(name, func(b []byte) []byte {
		kept = slices.Clone(b)
		for i := range b {
			b[i] ^= 0x55
		}
		return b
	})
	n.crash()
	n.boot()
	w.rest(5 * time.Second)
	w.push(n, 4)
	w.cut()
	a := w.answer(n, searchFor(t, "{ }", kernel.Epoch, kernel.Epoch.Add(time.Hour), 100))
	require.False(t, a.Complete)
	require.Contains(t, strings.Join(a.Warnings, ";"), damaged.GetId())
	require.NotEmpty(t, found(a))
	w.bucket.Change(name, func([]byte) []byte { return kept })
	n.crash()
	n.boot()
	w.rest(5 * time.Second)
	w.audit()
}

// sharedTraces are all traces that the catalog knows several homes of, with the homes.
func (w *world) sharedTraces() map[catalog.Extent]string {
	out := map[catalog.Extent]string{}
	for _, tenant := range tenants {
		shared := w.durable().View().Shared(tenant)
		for x := range shared.All() {
			out[x] = fmt.Sprint(slices.Sorted(slices.Values(shared.HomesOf(x.ID))))
		}
	}
	return out
}

// The journal is lost. The catalog is made anew from the blocks, with the same homes, of which as
// much is proved as before, and everything is found once.
func TestJournalLost(t *testing.T) {
	w := course(t, settings{partitions: 2})
	n := w.nodes[0]
	w.push(n, 8)
	w.cut()
	w.push(n, 8)
	w.cut()
	w.push(n, 2)
	shared := w.sharedTraces()
	require.NotEmpty(t, shared)
	n.crash()
	var names []string
	require.NoError(t, w.bucket.List(context.Background(), "catalog/",
		func(o objstore.Info) error { names = append(names, o.Name); return nil }))
	for _, name := range names {
		require.NoError(t, w.bucket.Delete(context.Background(), name))
	}
	n.boot()
	w.rest(5 * time.Second)
	require.Equal(t, "memory-1.2", w.durable().Epoch().GetId())
	require.Equal(t, shared, w.sharedTraces())
	w.settled("made anew")
	w.finish()
}

// Other programs' objects in the bucket are neither taken for blocks nor removed.
func TestForeignObjects(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	const meta = `{"format":"vParquet5","blockID":"6f1c2a5e-0c7f-5a33-9d52-0c9f0b1f8c11"}`
	foreign := map[string]string{
		"single-tenant/6f1c2a5e-0c7f-5a33-9d52-0c9f0b1f8c11/meta.json":           meta,
		"single-tenant/6f1c2a5e-0c7f-5a33-9d52-0c9f0b1f8c11/data.parquet":        "x",
		"single-tenant/7f1c2a5e-0c7f-5a33-9d52-0c9f0b1f8c11/meta.compacted.json": "{}",
		"single-tenant/7f1c2a5e-0c7f-5a33-9d52-0c9f0b1f8c11/data.parquet":        "x",
		"a/notes/spans.parquet/read me":                                          "x",
		"a/readme":                                                               "x",
		"a/b/meta.json":                                                          "damaged",
	}
	for name, content := range foreign {
		_, err := w.bucket.Create(context.Background(), name, strings.NewReader(content))
		require.NoError(t, err)
	}
	w.push(n, 3)
	w.cut()
	w.rest(15 * time.Minute)
	for name := range foreign {
		_, err := w.bucket.Read(context.Background(), name, 1000)
		require.NoError(t, err)
	}
	w.settled("beside foreign objects")
}
