package sim

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/actors/backendscheduler"
	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	kernel "github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// everything reads all objects of the bucket.
func (w *world) everything() map[string][]byte {
	out := map[string][]byte{}
	require.NoError(w.t, w.bucket.List(context.Background(), "", func(o objstore.Info) error {
		b, err := w.bucket.Read(context.Background(), o.Name, 1<<30)
		out[o.Name] = b
		return err
	}))
	return out
}

// refill makes the bucket hold these objects and no others.
func (w *world) refill(objects map[string][]byte) {
	for name := range w.everything() {
		require.NoError(w.t, w.bucket.Delete(context.Background(), name))
	}
	for name, b := range objects {
		_, err := w.bucket.Create(context.Background(), name, bytes.NewReader(b))
		require.NoError(w.t, err)
	}
}

// count is the number of spans that each tenant's search finds, and whether all answers are
// complete.
func (w *world) count(n *node) (spans int, a *jobs.Answer) {
	a = w.answer(n, searchFor(w.t, "{ }", kernel.Epoch, kernel.Epoch.Add(24*time.Hour), 1000))
	if a.Partial.Search == nil {
		return 0, a
	}
	for _, m := range a.Partial.Search.Traces {
		spans += len(m.SpanSets[0].Spans)
	}
	return spans, a
}

// Whatever becomes of one object of the bucket at rest, the node starts, and its answer is right or
// says what is missing. The log has forgotten what is in blocks.
func TestOneObjectDamaged(t *testing.T) {
	w := course(t, settings{partitions: 2, scheduler: func(c *backendscheduler.Config) { c.SnapshotEvery = 4 }})
	n := w.nodes[0]
	for range 5 {
		w.push(n, 3)
		w.cut()
	}
	want, a := w.count(n)
	require.True(t, a.Complete)
	require.Positive(t, want)
	n.crash()
	whole := w.everything()
	damages := map[string]func(b []byte) []byte{
		"flip":      func(b []byte) []byte { b[len(b)-3] ^= 1; return b },
		"flip head": func(b []byte) []byte { b[min(9, len(b)-1)] ^= 1; return b },
		"truncate":  func(b []byte) []byte { return b[:len(b)/2] },
		"empty":     func([]byte) []byte { return nil },
		"remove":    nil,
	}
	names := slices.Sorted(maps.Keys(whole))
	if testing.Short() { // all of the catalog, one block
		first := slices.IndexFunc(names, func(s string) bool { return strings.HasPrefix(s, "a/") })
		names = slices.DeleteFunc(names, func(s string) bool {
			return !strings.HasPrefix(s, "catalog/") && !strings.HasPrefix(s, names[first][:10])
		})
	}
	right, named := 0, 0
	for _, name := range names {
		for what, f := range damages {
			objects := maps.Clone(whole)
			if delete(objects, name); f != nil {
				objects[name] = f(bytes.Clone(whole[name]))
			}
			w.refill(objects)
			n.boot()
			w.rest(5 * time.Second)
			got, a := w.count(n)
			if a.Complete {
				right++
				require.Equal(t, want, got, "%s %s: the answer says that it is complete", what, name)
			} else {
				named++
				require.NotEmpty(t, a.Warnings, "%s %s", what, name)
				require.False(t, strings.HasPrefix(name, "catalog/"), "%s %s: the catalog can be made again: %v", what,
					name, a.Warnings)
			}
			n.crash()
		}
	}
	t.Logf("%d answers are right, %d name what is missing", right, named)
	require.Positive(t, named)
	w.refill(whole)
	n.boot()
	w.finish()
}

// A bucket that is empty although the log has forgotten records says so in every answer that may
// miss them, also after the next start; and so does one that is another node's.
func TestEmptiedBucket(t *testing.T) {
	for _, rest := range []string{"", "a/"} {
		w := course(t, settings{partitions: 2})
		n := w.nodes[0]
		w.push(n, 4)
		w.cut()
		all, _ := w.count(n)
		n.crash()
		w.refill(nil)
		if rest != "" { // of another log: its catalog knows nothing of this one
			m, err := proto.Marshal(&blocks.Commit{Seq: 1, Entries: []*blocks.Entry{{Epoch: &blocks.Epoch{Id: "x",
				Log: "x", Starts: []int64{0, 0}}}}})
			require.NoError(t, err)
			require.NoError(t, journal.New(w.bucket, "catalog/").Append(t.Context(), 1, m))
		}
		for range 2 {
			n.boot()
			w.rest(5 * time.Second)
			got, a := w.count(n)
			require.Less(t, got, all)
			require.False(t, a.Complete)
			require.Contains(t, strings.Join(a.Warnings, ";"), "log-gap: records [0, ")
			n.crash()
		}
		require.Len(t, w.durable().View().Gaps, 2, "one of each partition")
		require.NotZero(t, w.said["records are neither in the log any more nor in a block of this bucket; "+
			"answers that may miss them say so kind=backend-scheduler"])
	}
}

// spoken is how many lines of the backend-scheduler the logs have.
func (w *world) spoken() (n int) {
	for line, count := range w.said {
		if strings.Contains(line, "kind=backend-scheduler") {
			n += count
		}
	}
	return n
}

// What the backend-scheduler depends on fails for an hour while cuts are to be published: it tries
// now and then, says so a few times, keeps nothing that grows, and goes on when it heals.
func TestAnHourOfFailures(t *testing.T) {
	for name, c := range map[string]struct{ op objstore.Op }{"not writable": {objstore.OpCreate},
		"not readable": {objstore.OpRead}, "not listed": {objstore.OpList}} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && name != "not writable" {
				t.Skip("one of the three is enough for a quick run")
			}
			w := course(t, settings{partitions: 1})
			n := w.nodes[0]
			w.push(n, 2)
			w.cut()
			calls := 0
			fail := func(call objstore.Call) objstore.Fault {
				if !strings.HasPrefix(call.Name, "catalog/") || call.Op != c.op && call.Op != objstore.OpCreate {
					return objstore.Fault{}
				}
				calls++
				return objstore.Fault{Before: errDown}
			}
			w.store.SetPlan(fail)
			w.said = map[string]int{}
			w.push(n, 2)
			for range 60 {
				w.rest(time.Minute)
			}
			require.Less(t, calls, 200, "tries, of which each reads two entries at most")
			require.Greater(t, calls, 5)
			require.Less(t, w.spoken(), 20, "%v", w.said)
			w.store.SetPlan(nil)
			w.rest(3 * time.Minute)
			for p, recs := range w.log.records {
				require.EqualValues(t, len(recs), w.covered(int32(p)))
			}
			w.store.SetPlan(fail)
			w.push(n, 2)
			w.rest(2 * time.Minute)
			ctx, cancel := n.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			require.NoError(t, n.sys.Drain(ctx, kinds.BackendScheduler), "what is not in the catalog is in the log")
			n.crash()
			w.calm()
		})
	}
}

// Another process, such as a tool that takes a block out of the catalog, writes an entry: it is
// known soon, without a commit of our own.
func TestAnotherWriter(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.push(n, 2)
	w.cut()
	b := w.durable().View().Blocks("a", 0, 1<<63)[0]
	seq := w.durable().View().Version + 1
	entry := &blocks.Entry{BlocksRetired: &blocks.BlocksRetired{Tenant: "a", Blocks: []string{b.GetId()}}}
	data, err := proto.Marshal(&blocks.Commit{Seq: seq, Entries: []*blocks.Entry{entry}})
	require.NoError(t, err)
	require.NoError(t, journal.New(w.bucket, "catalog/").Append(t.Context(), seq, data))
	w.rest(11 * time.Second)
	got, a := w.count(n)
	require.True(t, a.Complete)
	require.Zero(t, got)
	require.Equal(t, fmt.Sprint(seq), w.detail(n, kinds.BackendScheduler, "version"))
}

// Another node with a log of its own has taken the catalog over: ours ends with a reason and takes
// it back at no restart.
func TestForeignLog(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.push(n, 1)
	w.cut()
	seq := w.durable().View().Version + 1
	data, err := proto.Marshal(&blocks.Commit{Seq: seq, Entries: []*blocks.Entry{{Epoch: &blocks.Epoch{Id: "x",
		Log: "x", Starts: []int64{0}}}}})
	require.NoError(t, err)
	require.NoError(t, journal.New(w.bucket, "catalog/").Append(t.Context(), seq, data))
	var gave error
	for range 120 {
		w.Advance(time.Second)
		if gave = n.gaveUp(); gave != nil {
			break
		}
	}
	require.ErrorContains(t, gave, "another node with another log uses the same bucket")
	require.Equal(t, "x", w.durable().Epoch().GetId())
	n.crash()
}
