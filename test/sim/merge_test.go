package sim

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/actors/backendscheduler"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// cutBlocks pushes and cuts so often that merges are due.
func (w *world) cutBlocks(cuts int) {
	w.t.Helper()
	for range cuts {
		w.push(w.nodes[0], 3)
		w.cut()
	}
}

// mergedBlocks counts the live blocks that were merged, and all.
func (w *world) mergedBlocks() (merged, all int) {
	s := w.durable()
	for _, tenant := range s.View().Tenants() {
		for _, m := range s.View().All(tenant) {
			all++
			if m.GetLevel() > 0 {
				merged++
			}
		}
	}
	return merged, all
}

// Blocks are merged, and every span is found once, before, during and after. What was merged is
// removed after the grace, and nothing else is left of it.
func TestMerges(t *testing.T) {
	w := course(t, settings{partitions: 1})
	for range 3 {
		w.cutBlocks(4)
		w.settled("between merges")
		w.audit()
	}
	merged, all := w.mergedBlocks()
	require.Positive(t, merged)
	require.Less(t, all, 2*12, "of twelve cuts of two tenants")
	w.rest(5 * time.Minute)
	require.Empty(t, w.durable().Retired(), "the grace is over")
	folders := map[string]bool{}
	for name := range w.objects() {
		if n, ok := blockstore.ParseObjectName(name); ok {
			folders[n.Folder()] = true
		}
	}
	_, all = w.mergedBlocks()
	require.Len(t, folders, all)
	w.finish()
}

// Whatever is killed or loses a message at any moment of a merge, every span is found once at every
// moment, and in the end the merges are done.
func TestMergesAreKilled(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	r := rand.New(rand.NewPCG(7, 7))
	w.cutBlocks(3)
	for range 12 {
		w.push(n, 2)
		w.rest(time.Duration(50+r.IntN(20)) * time.Second) // about when it is cut, and merged
		for range r.IntN(6) {
			w.Run(r.IntN(60))
			switch r.IntN(4) {
			case 0:
				n.crash()
				n.boot()
			case 1:
				n.KillNext(n.ref(kinds.BackendWorker, ""))
			case 2:
				n.KillNext(n.ref(kinds.BackendScheduler, ""))
			case 3:
				w.lose = func(kind string) bool { return kind == kinds.BackendScheduler && r.IntN(3) == 0 }
				w.Run(200)
				w.lose = nil
			}
		}
		w.settled("under faults")
		w.audit()
	}
	w.rest(3 * time.Minute)
	merged, _ := w.mergedBlocks()
	require.Positive(t, merged)
	w.finish()
}

// Two schedulers and two workers that know nothing of each other merge the same blocks: the journal
// decides.
func TestTwoSchedulersMerge(t *testing.T) {
	w := course(t, settings{nodes: 2, partitions: 1})
	w.cutBlocks(9)
	w.rest(3 * time.Minute)
	merged, _ := w.mergedBlocks()
	require.Positive(t, merged)
	w.finish()
}

// Two schedulers that know nothing of each other retire a day, each by its own clock, and remove its
// blocks. What is of the next day stays, and so does each of its spans, once.
func TestTwoSchedulersRetire(t *testing.T) {
	retention := func(c *backendscheduler.Config) {
		c.LimitsOf = func(string) upkeep.Limits { return upkeep.Limits{Retention: time.Minute} }
		c.SweepInterval = time.Hour
	}
	w := course(t, settings{nodes: 2, partitions: 1, scheduler: retention})
	w.cutBlocks(3)
	day := compact.DayOf(w.durable().View().All("a")[0])
	for _, n := range w.nodes { // a day of ticks would take long
		n.crash()
	}
	w.Advance(compact.EndOfDay(day).Sub(w.Now()) + time.Second)
	for _, n := range w.nodes {
		n.boot()
	}
	old := map[string]bool{}
	for _, tenant := range tenants {
		for _, m := range w.durable().View().All(tenant) {
			old[m.GetId()] = true
		}
	}
	for _, s := range w.client.spans {
		s.excused = true // they may go
	}
	w.cutBlocks(2)
	w.rest(10 * time.Minute)
	left := w.durable()
	for _, tenant := range tenants {
		require.NotEmpty(t, left.View().All(tenant))
		for _, m := range left.View().All(tenant) {
			require.False(t, old[m.GetId()], "block %s of the day before is there", m.GetId())
		}
	}
	require.Empty(t, left.Retired())
	for name := range w.objects() {
		if n, ok := blockstore.ParseObjectName(name); ok {
			require.False(t, old[n.ID], "%s is there", name)
		}
	}
	w.audit()
}

// C14: a worker sleeps through its lease after it has uploaded. When it wakes, it cannot publish;
// the blocks were given to another one meanwhile.
func TestC14LeaseOfASleeper(t *testing.T) {
	w := course(t, settings{nodes: 2, partitions: 1})
	w.cutBlocks(3)
	w.push(w.nodes[0], 3)
	w.rest(55 * time.Second)
	for range 4000 { // until a lease is there
		if len(w.durable().Leases()) > 0 {
			break
		}
		w.Run(1)
	}
	leases := w.durable().Leases()
	require.NotEmpty(t, leases)
	sleeper := w.nodes[0]
	if leases[0].GetWorker() != sleeper.label {
		sleeper = w.nodes[1]
	}
	sleeper.pause()
	w.rest(3 * time.Minute)
	require.Nil(t, w.durable().Lease(leases[0].GetLease()), "the lease of a worker that is silent is closed")
	sleeper.resume()
	w.rest(2 * time.Minute)
	merged, _ := w.mergedBlocks()
	require.Positive(t, merged)
	w.finish()
}

// A block that cannot be merged is tried three times. Then it and those beside it stay as they are,
// the catalog says why, and everything else is merged.
func TestUnmergeableBlock(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.cutBlocks(3)
	whole := w.objects()
	for name, b := range whole {
		if strings.HasPrefix(name, "a/") && strings.HasSuffix(name, block.SpansObject) {
			damaged := append([]byte(nil), b...)
			for i := 4; i < len(damaged)/2; i++ {
				damaged[i] ^= 0x55
			}
			require.NoError(t, w.bucket.Delete(t.Context(), name))
			_, err := w.bucket.Create(t.Context(), name, strings.NewReader(string(damaged)))
			require.NoError(t, err)
			break
		}
	}
	n.crash()
	n.boot()
	w.cutBlocks(2)
	w.rest(10 * time.Minute)
	s := w.durable()
	require.NotEmpty(t, s.Unmerged())
	for _, why := range s.Unmerged() {
		require.NotEmpty(t, why)
	}
	require.Empty(t, s.Leases())
	merged := 0
	for _, m := range s.View().All("b") {
		if m.GetLevel() > 0 {
			merged++
		}
	}
	require.Positive(t, merged, "the other tenant's blocks are merged")
}
