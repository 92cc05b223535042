package faults

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// tenant is who owns everything.
const tenant = "single-tenant"

// startNode starts a node that does everything soon: cuts, merges, retention, removal and sweeps.
func startNode(t *testing.T, store *traffic) *kit.Node {
	n := kit.NewNode(t)
	n.Args = append(n.Args, store.Flags()...)
	n.Args = append(n.Args, "-set", "storage.trace.wal.partitions=1", "-set", "storage.trace.wal.accept_other_bucket=true")
	n.Config = `
block_builder: {max_block_duration: 300ms, build_timeout: 5s, retry_delay: 200ms}
backend_scheduler: {sweep_interval: 1s, retired_grace: 6s}
backend_worker: {poll_interval: 300ms, compaction: {block_retention: 24h}}
query_frontend: {max_query_duration: 5s, job_timeout: 5s}
`
	n.Start()
	return n
}

// patience is how long a step may take to come.
const patience = 2 * time.Minute

// A node is killed at each step of a publication, a merge, a removal, a retention run and a sweep,
// once before the store has heard of it and once before the node has heard that it is done. While
// it runs, every answer has all acknowledged spans, each once.
func TestKilledAtEveryStep(t *testing.T) {
	rounds, _ := strconv.Atoi(os.Getenv("TROUPE_FAULT_ROUNDS"))
	isCore := rounds == 0
	store := startTraffic(t)
	seedOldDays(t, store, 10*max(rounds, 1)) // each start may retire one
	n := startNode(t, store)
	s := newSender(n, uint64(time.Now().UnixNano()))
	w := watch(t, s)
	kills := 0
	for range max(rounds, 1) {
		for _, step := range steps {
			if isCore && !step.core {
				continue
			}
			for _, after := range []bool{false, true} {
				if step.orphan {
					killAt(t, store, w, trapOf(store, "merge: meta", true), "merge: meta, done")
					kills++
				}
				began := time.Now()
				name := step.name + map[bool]string{false: ", not done", true: ", done"}[after]
				killAt(t, store, w, store.setTrap(after, step.match), name)
				kills++
				t.Logf("%s: %s", name, time.Since(began).Round(time.Millisecond))
			}
		}
	}
	settle(t, store, s)
	f := w.stop()
	t.Logf("figures: %d kills, %d spans sent; %s", kills, s.count(), f)
	for _, line := range f.first {
		t.Error(line)
	}
	require.Zero(t, f.doubled+f.hidden)
}

// trapOf sets the trap of a step by its name.
func trapOf(store *traffic, name string, after bool) *trap {
	for _, s := range steps {
		if s.name == name {
			return store.setTrap(after, s.match)
		}
	}
	panic("no step " + name)
}

// killAt sends spans until the node is caught in the trap, kills it, and starts it again.
func killAt(t *testing.T, store *traffic, w *watcher, trap *trap, name string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for isHit := false; !isHit; {
		if time.Now().After(deadline) {
			t.Fatalf("the step does not come; the node's log:\n%s", w.sender.node.Log())
		}
		if store.isMerging() { // what the worker writes must be told from a cut
			isHit = isClosed(trap.hit, 50*time.Millisecond)
			continue
		}
		before, _ := store.published()
		w.sender.push()
		for cuts := before; cuts == before && !isHit && time.Now().Before(deadline); cuts, _ = store.published() {
			isHit = isClosed(trap.hit, 20*time.Millisecond)
		}
		isHit = isHit || isClosed(trap.hit, 800*time.Millisecond) // a merge may begin
	}
	w.breaks(name)
	w.sender.node.Kill()
	store.release(trap)
	w.sender.node.Start()
}

// isClosed waits for a channel.
func isClosed(c chan struct{}, within time.Duration) bool {
	select {
	case <-c:
		return true
	case <-time.After(within):
		return false
	}
}

// settle waits until nothing is merged any more, and checks what the bucket holds.
func settle(t *testing.T, store *traffic, s *sender) {
	t.Helper()
	for quiet := 0; quiet < 20; quiet++ {
		if store.isMerging() {
			quiet = 0
		}
		time.Sleep(100 * time.Millisecond)
	}
	c := store.catalog(t)
	require.Empty(t, c.Unmerged(), "no merge has failed because of its blocks")
	objects := store.objects(t, "")
	live, merged := 0, 0
	for _, tenant := range c.View().Tenants() {
		for _, m := range c.View().Blocks(tenant, 0, math.MaxUint64) {
			live++
			if m.GetLevel() > 0 {
				merged++
			}
			for _, object := range []string{block.MetaObject, block.SpansObject} {
				require.Contains(t, objects, blockstore.Folder(tenant, m.GetId())+object, "a live block")
			}
			delete(objects, blockstore.Folder(tenant, m.GetId())+block.MetaObject)
		}
	}
	for _, r := range c.Retired() {
		delete(objects, blockstore.Folder(r.GetBlock().GetTenant(), r.GetBlock().GetId())+block.MetaObject)
	}
	for name := range objects {
		require.False(t, strings.HasSuffix(name, "/"+block.MetaObject), "%s is in no catalog and is not swept", name)
	}
	t.Logf("figures: version %d, %d live blocks, %d of them merged, %d retired", c.View().Version, live, merged, len(c.Retired()))
}

// catalog reads the catalog as it is in the bucket.
func (f *traffic) catalog(t *testing.T) *catalog.State {
	t.Helper()
	m := objstore.NewMemory()
	for name, b := range f.objects(t, "catalog/") {
		_, err := m.Create(t.Context(), name, bytes.NewReader(b))
		require.NoError(t, err)
	}
	read, err := journal.New(m, "catalog/").Load(t.Context())
	require.NoError(t, err)
	c, err := catalog.Load(read.Snapshot, read.Entries)
	require.NoError(t, err)
	return c
}

// seedOldDays gives an empty bucket blocks of the last days, most of which are past their retention.
func seedOldDays(t *testing.T, store *traffic, days int) {
	t.Helper()
	m := objstore.NewMemory()
	entries := []*blocks.Entry{{Epoch: &blocks.Epoch{Id: "old", Log: "old", Starts: []int64{0}}}}
	for day := range days {
		at := time.Now().Add(-time.Duration(day+1) * 20 * time.Hour) // no gap, which would cast doubts on the clock
		seg := live.New(live.Limits{})
		span := &otlp.Span{Trace: otlp.TraceID(uint64(day + 1)), ID: otlp.SpanID(1), Name: "old", Start: uint64(at.UnixNano()), End: uint64(at.UnixNano())}
		_, err := seg.Append(int64(day), 1, otlp.Encode(span))
		require.NoError(t, err)
		seg.Seal()
		o := block.WriteOptions{ID: blockstore.NewID(tenant, "old", 0, int64(day), int64(day+1), 1), Tenant: tenant, Epoch: "old", Parts: []int32{1},
			From: int64(day), To: int64(day + 1), MinArrival: at.UnixNano(), MaxArrival: at.UnixNano(), RowGroupRows: 1 << 10}
		sink := blockstore.NewSink(t.Context(), m, tenant, o.ID)
		meta, _, err := block.Write(t.Context(), []column.Table{seg.Snapshot(0, math.MaxInt64)}, o, sink)
		require.NoError(t, err)
		raw, err := json.Marshal(meta)
		require.NoError(t, err)
		_, err = m.Create(t.Context(), blockstore.Folder(tenant, o.ID)+block.MetaObject, bytes.NewReader(raw))
		require.NoError(t, err)
		entries = append(entries, &blocks.Entry{CutPublished: &blocks.PublishCut{Epoch: "old", From: o.From, To: o.To,
			Blocks: []*blocks.BlockMeta{jobs.CatalogMeta(meta, raw)}}})
	}
	commit, err := proto.Marshal(&blocks.Commit{Seq: 1, Entries: entries})
	require.NoError(t, err)
	require.NoError(t, journal.New(m, "catalog/").Append(t.Context(), 1, commit))
	require.NoError(t, m.List(t.Context(), "", func(o objstore.Info) error {
		b, err := m.Read(t.Context(), o.Name, 1<<20)
		store.put(t, o.Name, b)
		return err
	}))
}
