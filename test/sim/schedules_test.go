package sim

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/actors/backendscheduler"
	"github.com/troupe-tracing/troupe/actors/blockbuilder"
	"github.com/troupe-tracing/troupe/actors/livestore"
	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	kernel "github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// course is a world for one schedule. Everything is asked for at the end, whatever else the
// schedule demands.
func course(t *testing.T, s settings) *world {
	w := newWorld(t, 1, s)
	w.Report(t)
	w.rest(time.Second)
	return w
}

// push sends some spans of both tenants and waits until they are acknowledged.
func (w *world) push(n *node, pushes int) {
	w.t.Helper()
	before := w.client.acked
	for range pushes {
		for _, tenant := range tenants {
			w.client.send(n, w.client.make(tenant))
		}
	}
	w.rest(2 * time.Second)
	require.Equal(w.t, before+2*pushes, w.client.acked)
}

// sends pushes the given spans of tenant a, and waits.
func (w *world) sends(n *node, list ...*otlp.Span) {
	w.t.Helper()
	p := push{tenant: "a"}
	for _, s := range list {
		known := &span{Span: s, tenant: "a"}
		w.client.spans[s.ID] = known
		p.spans = append(p.spans, known)
		if !slices.Contains(w.client.traces["a"], s.Trace) {
			w.client.traces["a"] = append(w.client.traces["a"], s.Trace)
		}
	}
	before := w.client.acked
	w.client.send(n, p)
	w.rest(2 * time.Second)
	require.Equal(w.t, before+1, w.client.acked)
}

// covered is a partition's durable covered offset.
func (w *world) covered(p int32) int64 {
	n, _ := w.durable().Covered(p)
	return n
}

// total is the sum of all covered offsets.
func (w *world) total() (n int64) {
	for p := range w.log.records {
		n += w.covered(int32(p))
	}
	return n
}

// cut waits until all that is in the log is in blocks.
func (w *world) cut() {
	w.t.Helper()
	for range 20 {
		w.rest(10 * time.Second)
		all := true
		for p, recs := range w.log.records {
			all = all && w.covered(int32(p)) == int64(len(recs))
		}
		if all {
			return
		}
	}
	w.t.Fatal("the log is not cut")
}

// objects lists what is in the bucket, but for the journal.
func (w *world) objects() map[string][]byte {
	out := map[string][]byte{}
	require.NoError(w.t, w.bucket.List(context.Background(), "", func(o objstore.Info) error {
		if !strings.HasPrefix(o.Name, "catalog/") {
			b, err := w.bucket.Read(context.Background(), o.Name, 1<<30)
			out[o.Name] = b
			return err
		}
		return nil
	}))
	return out
}

// answer asks a node and waits.
func (w *world) answer(n *node, q *jobs.Query) *jobs.Answer {
	w.t.Helper()
	var got *jobs.Answer
	ask.Begin(context.Background(), n.sys.Actors(), n.ref(kinds.QueryFrontend, ""), q, func(reply any, err error) {
		require.NoError(w.t, err)
		got, _ = reply.(*jobs.Answer)
	})
	w.rest(40 * time.Second)
	require.NotNil(w.t, got, "no answer")
	return got
}

func searchFor(t testing.TB, query string, from, to time.Time, limit int) *jobs.Query {
	q, err := traceql.Parse(query)
	require.NoError(t, err)
	r := jobs.Range{Start: uint64(from.UnixNano()), End: uint64(to.UnixNano())}
	return &jobs.Query{Tenant: "a", Range: r, Scan: jobs.Scan{Search: &eval.SearchRequest{Query: q, Start: r.Start,
		End: r.End, Limit: limit, SpansPerSpanSet: 100}}}
}

func found(a *jobs.Answer) (out []trace.ID) {
	if a.Partial.Search != nil {
		for _, m := range a.Partial.Search.Traces {
			out = append(out, m.ID)
		}
	}
	return out
}

func at(d time.Duration) uint64 { return uint64(kernel.Epoch.Add(d).UnixNano()) }

// H1: the log is deleted and the bucket stays. The same offsets come again; nothing of the old
// epoch is overwritten or lost, and what is new is found.
func TestH01LogReset(t *testing.T) {
	w := course(t, settings{})
	w.push(w.nodes[0], 20)
	w.cut()
	old := w.objects()
	w.nodes[0].crash()
	w.reset()
	w.client.upset = time.Time{} // nothing was uncovered
	w.nodes[0].boot()
	w.push(w.nodes[0], 20)
	w.settled("before the second cut")
	w.cut()
	now := w.objects()
	for name, content := range old {
		require.True(t, bytes.Equal(content, now[name]), "%s is not what it was", name)
	}
	require.Greater(t, len(now), len(old))
	require.Equal(t, "memory-2", w.durable().Epoch().GetId())
	w.finish()
}

// H1, variant: the new log is shorter than what was covered of the old one. What comes is found at
// once, not when the old offset is reached.
func TestH01ShorterLog(t *testing.T) {
	w := course(t, settings{partitions: 1})
	w.push(w.nodes[0], 30)
	w.cut()
	w.nodes[0].crash()
	w.reset()
	w.nodes[0].boot()
	w.client.upset = time.Time{}
	w.push(w.nodes[0], 2)
	w.rest(fresh)
	w.settled("after the reset")
	w.finish()
}

// H2: an unclean election cuts a partition off below the covered offset, and it grows beyond it
// again before anybody looks. The records that took the old offsets are found.
func TestH02Truncation(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.push(n, 10)
	w.cut()
	n.pause()
	w.truncate(0, 19) // its last record: trimmed is the rest
	w.append(15)
	n.resume()
	w.rest(settle)
	w.client.upset = time.Time{}
	w.settled("after the truncation")
	require.Equal(t, "memory-1.2", w.durable().Epoch().GetId())
	w.finish()
}

// H2: the partition is cut off and grows again while the live-store reads on: what it reads next is
// of another history.
func TestH02TruncationUnderAReader(t *testing.T) {
	w := course(t, settings{partitions: 1})
	w.push(w.nodes[0], 5)
	w.truncate(0, 3)
	w.append(12)
	w.rest(2 * time.Second)
	w.client.upset = time.Time{}
	w.rest(fresh)
	w.settled("after the truncation")
	w.finish()
}

// H2: the partition is cut off and grows again while a cut of what was there is being built. The
// cut is published, but must not let the log forget the records that took its offsets.
func TestH02TruncationUnderABuilder(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.push(n, 5)
	n.Hold("build")
	w.rest(65 * time.Second)
	n.Hold("fetch") // the live-store has not noticed yet
	w.truncate(0, 3)
	w.append(12)
	n.Release("build")
	w.rest(time.Second)
	require.EqualValues(t, 10, w.covered(0), "the cut of the old records")
	n.Release("fetch")
	w.rest(settle)
	w.client.upset = time.Time{}
	w.settled("after the truncation")
	w.finish()
}

// append writes records of tenant a to partition 0 of one, as another node's distributor does.
func (w *world) append(n int) {
	for range n {
		p := w.client.make("a")
		var list []*otlp.Span
		for _, s := range p.spans {
			list = append(list, s.Span)
			s.acked = w.Now()
		}
		_, err := w.log.Append(context.Background(), 0, []kafkalog.Record{{Tenant: "a", Format: kafkalog.FormatOTLP,
			Parts: 1, Value: otlp.Encode(list...)}})
		require.NoError(w.t, err)
	}
}

// H3: retention passes the covered offset. What is gone is named in answers that may miss it; what
// is there is found.
func TestH03RetentionPassesCovered(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.push(n, 5)
	w.cut()
	n.crash()
	w.append(5)
	w.retain(0, 13)
	n.boot()
	w.push(n, 1)
	require.Len(t, w.durable().View().Gaps, 1)
	g := w.durable().View().Gaps[0]
	require.Equal(t, [2]int64{10, 13}, [2]int64{g.GetFrom(), g.GetTo()})
	a := w.answer(n, searchFor(t, "{ }", kernel.Epoch, kernel.Epoch.Add(time.Hour), 10))
	require.False(t, a.Complete)
	require.Contains(t, strings.Join(a.Warnings, ";"), "log-gap: records [10, 13)")
	a = w.answer(n, searchFor(t, "{ }", kernel.Epoch.AddDate(0, 0, -9), kernel.Epoch.AddDate(0, 0, -8), 10))
	require.True(t, a.Complete, "nothing of the gap can be that old")
	w.finish()
}

// H4: the number of partitions grows, so late spans of a trace lie in another partition than its
// first ones. It is whole and found once: both parts live, one in a block, both in blocks.
func TestH04PartitionsGrow(t *testing.T) {
	for seed := uint64(1); seed <= defaultRounds/3+1; seed++ {
		w := newWorld(t, seed, settings{partitions: 2})
		w.Report(t)
		w.rest(time.Second)
		n := w.nodes[0]
		w.push(n, 10)
		w.grow(5)
		w.push(n, 10)
		w.settled("both parts live")
		w.cut()
		w.settled("both parts in blocks")
		w.push(n, 10)
		w.settled("one part live")
		w.finish()
	}
}

// H5: a record that another program wrote is set aside; the ones around it are found, and coverage
// passes it.
func TestH05ForeignRecords(t *testing.T) {
	w := course(t, settings{partitions: 1})
	w.push(w.nodes[0], 2)
	for _, r := range []kafkalog.Record{
		{Value: []byte("not ours")},
		{Tenant: "a", Format: "jaeger", Parts: 1, Value: []byte("{}")},
		{Tenant: "a", Format: kafkalog.FormatOTLP, Parts: 1, Value: []byte("\xff\xff\xff")},
		{Tenant: "../b", Format: kafkalog.FormatOTLP, Parts: 1, Value: otlp.Encode(w.client.make("a").spans[0].Span)},
		{Tenant: "", Format: kafkalog.FormatOTLP, Parts: 1, Value: otlp.Encode(w.client.make("a").spans[0].Span)},
		{Tenant: "a", Format: kafkalog.FormatOTLP, Value: otlp.Encode(w.client.make("a").spans[0].Span)},
	} {
		_, err := w.log.Memory.Append(context.Background(), 0, []kafkalog.Record{r})
		require.NoError(t, err)
		w.log.records[0] = append(w.log.records[0], kafkalog.Record{})
	}
	w.push(w.nodes[0], 2)
	w.settled("live")
	named := func() {
		a := w.answer(w.nodes[0], searchFor(t, "{ }", kernel.Epoch, kernel.Epoch.Add(time.Hour), 10))
		require.False(t, a.Complete)
		require.Contains(t, strings.Join(a.Warnings, ";"), "set-aside",
			"what was set aside is named, but for what another program has written")
	}
	named()
	w.cut()
	w.settled("in blocks")
	named()
	// A log of nothing but foreign records is covered, too, by a cut without blocks.
	w.log.records[0] = append(w.log.records[0], kafkalog.Record{})
	_, err := w.log.Memory.Append(context.Background(), 0, []kafkalog.Record{{Value: []byte("not ours")}})
	require.NoError(t, err)
	w.cut()
	w.finish()
}

// H6: a distributor's clock is an hour ahead. Its records are cut by the age that the live-store
// has seen.
func TestH06SkewedRecordTimes(t *testing.T) {
	for _, skew := range []time.Duration{time.Hour, -time.Hour} {
		w := course(t, settings{partitions: 1})
		w.log.SetClock(func() time.Time { return w.Now().Add(skew) })
		w.faulty.SetPlan(nil)
		s := w.client.make("a").spans[0]
		_, err := w.log.Append(context.Background(), 0, []kafkalog.Record{{Tenant: "a", Format: kafkalog.FormatOTLP,
			Parts: 1, Time: w.Now().Add(skew), Value: otlp.Encode(s.Span)}})
		require.NoError(t, err)
		w.rest(50 * time.Second)
		require.Zero(t, w.covered(0), "not yet a minute old")
		w.rest(20 * time.Second)
		require.EqualValues(t, 1, w.covered(0))
		w.finish()
	}
}

// H10: load stops. The last records are cut all the same, by age, and the log is trimmed.
func TestH10IdleTail(t *testing.T) {
	w := course(t, settings{})
	w.push(w.nodes[0], 10)
	w.rest(75 * time.Second)
	for p, recs := range w.log.records {
		require.EqualValues(t, len(recs), w.covered(int32(p)))
		start, _, err := w.log.Bounds(context.Background(), int32(p))
		require.NoError(t, err)
		require.EqualValues(t, len(recs)-1, start, "the last covered record stays for its fingerprint")
	}
	w.finish()
}

// H10, H15: two builders cut one partition at different places at the same time. One of them wins
// each range, no two listed blocks overlap, and neither writes into the other's objects.
func TestH10TwoBuilders(t *testing.T) {
	w := course(t, settings{nodes: 2})
	for range 6 {
		w.push(w.nodes[0], 3)
		w.nodes[1].pause()
		w.push(w.nodes[0], 2)
		w.nodes[1].resume()
		w.rest(25 * time.Second)
		w.audit()
	}
	w.cut()
	tenantsOf := map[string]map[string]bool{}
	for name := range w.objects() {
		parts := strings.Split(name, "/")
		if tenantsOf[parts[1]] == nil {
			tenantsOf[parts[1]] = map[string]bool{}
		}
		tenantsOf[parts[1]][parts[0]] = true
		require.Len(t, tenantsOf[parts[1]], 1, "block id %s was used twice", parts[1])
	}
	w.finish()
}

// H11: of a cut with two tenants one block is uploaded, then the builder dies, or the store fails.
// Neither tenant's spans are hidden or counted twice.
func TestH11CrashBetweenTenants(t *testing.T) {
	for _, how := range []string{"store", "kill"} {
		w := course(t, settings{partitions: 1})
		n := w.nodes[0]
		w.push(n, 10)
		failed := 0
		w.store.SetPlan(func(c objstore.Call) objstore.Fault {
			if c.Op == objstore.OpCreate && strings.HasPrefix(c.Name, "b/") && failed < 3 {
				failed++
				if how == "kill" {
					n.Kill(n.ref(kinds.BlockBuilder, "0"))
				}
				return objstore.Fault{Before: errDown}
			}
			return objstore.Fault{}
		})
		w.rest(61 * time.Second)
		require.NotZero(t, failed)
		require.Zero(t, w.covered(0))
		w.settled("after the first try")
		w.cut()
		w.settled("in blocks")
		w.finish()
	}
}

// H12: every message between actors is lost for some time. Nothing is hidden and nothing is built
// twice.
func TestH12LostMessages(t *testing.T) {
	w := course(t, settings{partitions: 2})
	w.push(w.nodes[0], 10)
	w.lose = func(string) bool { return true }
	w.rest(3 * time.Minute)
	w.lose = nil
	w.cut()
	w.settled("in blocks")
	w.finish()
}

// H12: the live-stores do not hear that a cut was published, and nothing is published after it.
// They let go of what is covered all the same.
func TestH12LostAnnouncement(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.push(n, 10)
	w.lose = func(kind string) bool { return kind == kinds.LiveStore && w.covered(0) > 0 }
	w.cut()
	require.NotEqual(t, "0", w.detail(n, kinds.LiveStore, "spans"))
	w.lose = nil
	w.rest(25 * time.Second)
	require.Equal(t, "0", w.detail(n, kinds.LiveStore, "spans"))
	w.finish()
}

// detail is what an actor says of itself.
func (w *world) detail(n *node, kind, what string) string {
	w.t.Helper()
	for _, a := range n.sys.Inspect(context.Background()) {
		if a.Kind == kind {
			return a.Detail[what]
		}
	}
	w.t.Fatalf("no %s", kind)
	return ""
}

// H13: the scheduler is killed between taking a cut and making it durable, and just after. Nobody
// was told before, and nothing is lost or listed twice.
func TestH13KilledBeforeDurable(t *testing.T) {
	for name, fault := range map[string]objstore.Fault{"not written": {Before: errDown},
		"written, and the answer lost": {After: errLost}} {
		t.Run(name, func(t *testing.T) {
			w := course(t, settings{partitions: 1})
			n := w.nodes[0]
			w.push(n, 10)
			hit := false
			w.store.SetPlan(func(c objstore.Call) objstore.Fault {
				if c.Op == objstore.OpCreate && strings.HasPrefix(c.Name, "catalog/") && !hit {
					hit = true
					n.Kill(n.ref(kinds.BackendScheduler, ""))
					return fault
				}
				return objstore.Fault{}
			})
			w.rest(70 * time.Second)
			require.True(t, hit)
			w.cut()
			w.settled("in blocks")
			w.finish()
		})
	}
}

// H13: an accepted cut is answered only once its entry is durable.
func TestH13NothingAnsweredBeforeDurable(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.push(n, 10)
	n.Hold("build")
	w.rest(70 * time.Second)
	n.Release("build")
	n.Hold("io")
	w.rest(10 * time.Second)
	require.Zero(t, w.covered(0))
	start, _, err := w.log.Bounds(context.Background(), 0)
	require.NoError(t, err)
	require.Zero(t, start, "nothing is trimmed")
	w.settled("publication under way")
	n.crash()
	n.boot()
	w.finish()
}

// H14: two schedulers that cannot hear each other both take cuts. Each entry of the journal is
// one's; nobody's blocks disappear.
func TestH14TwoSchedulers(t *testing.T) {
	w := course(t, settings{nodes: 3})
	for range 5 {
		for _, n := range w.nodes {
			w.push(n, 2)
		}
		w.rest(45 * time.Second)
		w.audit()
	}
	w.finish()
}

// H16: what is written for a publication does not grow with the number of blocks; a snapshot is
// written every so many entries, and old entries go.
func TestH16EntriesAreDeltas(t *testing.T) {
	w := course(t, settings{partitions: 1, scheduler: func(c *backendscheduler.Config) { c.SnapshotEvery = 20 }})
	var first, last int64
	for i := range 50 {
		w.push(w.nodes[0], 1)
		w.cut()
		if i == 3 {
			first = w.newest()
		}
	}
	last = w.newest()
	require.Less(t, last, 2*first+500)
	entries, snapshots := 0, 0
	require.NoError(t, w.bucket.List(context.Background(), "catalog/", func(o objstore.Info) error {
		if strings.HasPrefix(o.Name, "catalog/snapshot/") {
			snapshots++
		} else {
			entries++
		}
		return nil
	}))
	require.Equal(t, 2, snapshots)
	require.LessOrEqual(t, entries, 40)
	w.finish()
}

// newest is the size of the journal's newest entry.
func (w *world) newest() (size int64) {
	require.NoError(w.t, w.bucket.List(context.Background(), "catalog/0",
		func(o objstore.Info) error { size = o.Size; return nil }))
	return size
}

// H17: a cut makes two objects for a tenant without events and links, and no object is written for
// a tenant that is not in it.
func TestH17FewObjects(t *testing.T) {
	w := course(t, settings{partitions: 1})
	w.push(w.nodes[0], 10)
	w.cut()
	require.Len(t, w.objects(), 4)
	w.sends(w.nodes[0], &otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(1 << 40), Start: at(0), End: at(1)})
	w.cut()
	require.Len(t, w.objects(), 6)
	w.finish()
}

// H18: the covered offset lies inside a segment. Of the segment's records exactly those that no
// block has are answered.
func TestH18CoveredInsideSegment(t *testing.T) {
	w := course(t, settings{nodes: 2, partitions: 1})
	w.push(w.nodes[0], 5)
	w.nodes[1].pause()
	w.rest(61 * time.Second)
	w.push(w.nodes[0], 5)
	w.nodes[1].resume() // it reads both parts into one segment, and learns from the journal that the first is covered
	w.push(w.nodes[1], 1)
	w.settled("on both nodes")
	w.finish()
}

// H19: a live-store has been told of a newer catalog than the scheduler of its node knows, and has
// let go of what that covers. A query reads the journal up to that version and is answered.
func TestH19FloorAboveTheView(t *testing.T) {
	w := course(t, settings{nodes: 2, partitions: 1,
		scheduler: func(c *backendscheduler.Config) { c.CheckInterval = 24 * time.Hour }})
	a, b := w.nodes[0], w.nodes[1]
	w.push(a, 10)
	b.Hold("build") // it publishes nothing, so its scheduler learns nothing
	w.cut()
	v := w.durable().View()
	require.EqualValues(t, 20, v.Covered[0])
	b.sys.Actors().Root.Send(b.ref(kinds.LiveStore, "0"), &jobs.CoverageChanged{Version: v.Version, Epoch: v.Epoch,
		Covered: v.Covered})
	w.rest(12 * time.Second)
	require.Equal(t, "0", w.detail(b, kinds.LiveStore, "spans"))
	require.Equal(t, "1", w.detail(b, kinds.BackendScheduler, "version"))
	w.settled("with a scheduler that was behind")
	b.Release("build")
	w.finish()
}

// H22: a plan fixes the end of the query in each partition; a live-store that has not read so far
// waits until it has, instead of answering less.
func TestH22BehindThePlan(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.push(n, 3)
	n.Hold("fetch")
	p := w.client.make("a")
	w.client.send(n, p)
	w.rest(time.Second)
	v := w.durable().View()
	var got *jobs.TracesResult
	job := &jobs.LiveTracesJob{Snapshot: jobs.Snapshot{Version: v.Version, Epoch: v.Epoch}, Tenant: "a", UpTo: 7,
		TracesAsk: jobs.TracesAsk{IDs: []trace.ID{p.spans[0].Trace}, Columns: &extract.Asked{}}}
	ask.Begin(context.Background(), n.sys.Actors(), n.ref(kinds.LiveStore, "0"), job, func(reply any, err error) {
		require.NoError(t, err)
		got = reply.(*jobs.TracesResult)
	})
	w.rest(5 * time.Second)
	require.Nil(t, got)
	n.Release("fetch")
	w.rest(2 * time.Second)
	require.NotNil(t, got)
	require.NotEmpty(t, got.Extracts)
	w.finish()
}

// H24: a live-store that has restarted answers only when it has read to the end it saw, and a query
// that was planned before is planned again.
func TestH24Restart(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.push(n, 20)
	n.Hold("fetch")
	n.Kill(n.ref(kinds.LiveStore, "0"))
	w.rest(5 * time.Second)
	answered := false
	w.client.search(n, "a", func(map[trace.SpanID]int) { answered = true })
	w.rest(5 * time.Second)
	require.False(t, answered)
	n.Release("fetch")
	w.rest(5 * time.Second)
	require.True(t, answered)
	w.settled("after restart")
	w.finish()
}

// H31: a span dated 1970 and one dated 2100 do not make every query open their block.
func TestH31OneBadClock(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.sends(n, &otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(1 << 40), Start: 5, End: 6},
		&otlp.Span{Trace: otlp.TraceID(2), ID: otlp.SpanID(1<<40 + 1), Start: at(0), End: at(time.Second)},
		&otlp.Span{Trace: otlp.TraceID(3), ID: otlp.SpanID(1<<40 + 2), Start: at(75 * 365 * 24 * time.Hour),
			End: at(75 * 365 * 24 * time.Hour)})
	w.cut()
	a := w.answer(n, searchFor(t, "{ }", kernel.Epoch.AddDate(-10, 0, 0), kernel.Epoch.AddDate(-1, 0, 0), 10))
	require.Zero(t, a.Blocks)
	a = w.answer(n, searchFor(t, "{ }", kernel.Epoch, kernel.Epoch.Add(time.Minute), 10))
	require.Equal(t, 1, a.Blocks)
	require.Equal(t, []trace.ID{otlp.TraceID(2)}, found(a))
	w.audit()
}

// H32: the root of a trace lies in an earlier block than the span that the query's range holds. The
// trace is looked at whole, wherever the cut fell.
func TestH32WholeTraceOfARange(t *testing.T) {
	for _, apart := range []bool{false, true} {
		w := course(t, settings{partitions: 1})
		n := w.nodes[0]
		id := otlp.TraceID(7)
		w.sends(n, &otlp.Span{Trace: id, ID: otlp.SpanID(1 << 40), Name: "root", Start: at(0), End: at(time.Second)})
		if apart {
			w.cut()
		}
		w.sends(n, &otlp.Span{Trace: id, ID: otlp.SpanID(1<<40 + 1), Parent: otlp.SpanID(1 << 40), Name: "failing",
			Status: 2, Start: at(15 * time.Minute), End: at(15*time.Minute + 1)})
		q := searchFor(t, "{ } >> { status = error }", kernel.Epoch.Add(10*time.Minute),
			kernel.Epoch.Add(20*time.Minute), 10)
		require.Equal(t, []trace.ID{id}, found(w.answer(n, q)), "apart=%v, live", apart)
		w.cut()
		require.Equal(t, []trace.ID{id}, found(w.answer(n, q)), "apart=%v, in blocks", apart)
		w.finish()
	}
}

// H33: the catalog names as shared exactly the traces that have several blocks; a filter's false
// hits are not in it.
func TestH33SharedIsExact(t *testing.T) {
	w := course(t, settings{partitions: 2, scheduler: func(c *backendscheduler.Config) { c.MaxSpans = 0 }}) // no merges
	for range 6 {
		w.push(w.nodes[0], 8)
		w.cut()
	}
	s := w.durable()
	open := &opener{bucket: w.bucket, opened: map[string]*block.Block{}}
	for _, tenant := range tenants {
		homes := map[trace.ID]map[string]bool{}
		for _, m := range s.View().Blocks(tenant, 0, 1<<63) {
			for _, sp := range w.spansOf(open, m) {
				id := w.client.spans[sp].Trace
				if homes[id] == nil {
					homes[id] = map[string]bool{}
				}
				homes[id][m.GetId()] = true
			}
		}
		shared := s.View().Shared(tenant)
		several := 0
		for id, h := range homes {
			_, listed := shared.Find(id)
			require.Equal(t, len(h) > 1, listed, "trace %s lies in %d blocks", id, len(h))
			if listed {
				several++
			}
		}
		require.NotZero(t, several)
		require.Equal(t, several, shared.Len())
	}
	w.finish()
}

// H34: of one request some partitions took their part and one did not. The client sends all of it
// again: no span counts twice, live, apart and in blocks.
func TestH34RetriedRequest(t *testing.T) {
	w := course(t, settings{partitions: 4})
	n := w.nodes[0]
	for i := range 6 {
		fail := int32(i % 4)
		w.faulty.SetPlan(func(c kafkalog.Call) kafkalog.Fault {
			if c.Op == kafkalog.OpAppend && c.Partition == fail {
				return kafkalog.Fault{Before: errDown}
			}
			return kafkalog.Fault{}
		})
		for range 5 {
			w.client.send(n, w.client.make("a"))
		}
		w.rest(2 * time.Second)
		w.faulty.SetPlan(nil)
		if i%2 == 0 {
			w.cut() // what was taken and its second coming lie in different blocks
		}
		again := w.client.unknown
		w.client.unknown = nil
		for _, p := range again {
			w.client.send(n, p)
		}
		w.rest(fresh + time.Second)
		w.settled("sent again")
	}
	w.finish()
}

// Spans are sent again into the next segment, the next cut and the one after it, beside late spans of
// the same traces that come once. A trace that is wrongly taken to be disjoint counts spans twice.
func TestSentAgainAcrossHomes(t *testing.T) {
	for seed := range uint64(4) {
		w := newWorld(t, 100+seed, settings{partitions: 1, live: func(c *livestore.Config) { c.SegmentSpans = 16 }})
		w.Report(t)
		w.rest(time.Second)
		n, r := w.nodes[0], w.Rand()
		var sent []push
		for range 12 {
			for range 1 + r.IntN(6) {
				p := w.client.make("a")
				if len(sent) > 0 && r.IntN(3) == 0 {
					p = sent[max(0, len(sent)-1-r.IntN(12))]
				} else {
					sent = append(sent, p)
				}
				w.client.send(n, p)
			}
			w.rest(fresh + time.Second)
			if r.IntN(4) == 0 {
				w.cut()
			}
			w.settled("sent again")
		}
		w.finish()
	}
}

// H35: a client's and a server's span share an id, and one id is sent with other content. All are
// kept; only what is equal counts once.
func TestH35SameIDOtherSpan(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	mk := func(kind int32, name string) *otlp.Span {
		return &otlp.Span{Trace: otlp.TraceID(9), ID: otlp.SpanID(1 << 40), Kind: kind, Name: name, Start: at(0),
			End: at(1)}
	}
	send := func(list ...*otlp.Span) {
		ask.Begin(context.Background(), n.sys.Actors(), n.ref(kinds.Distributor, ""), pushOf("a", list...),
			func(_ any, err error) { require.NoError(t, err) })
		w.rest(2 * time.Second)
	}
	count := func(when string) {
		a := w.answer(n, searchFor(t, "{ }", kernel.Epoch, kernel.Epoch.Add(time.Minute), 10))
		require.Len(t, found(a), 1, when)
		require.Equal(t, 3, a.Partial.Search.Traces[0].SpanSets[0].Matched, when)
	}
	send(mk(trace.KindClient, "call"), mk(trace.KindServer, "call"), mk(trace.KindServer, "other"),
		mk(trace.KindServer, "call"))
	count("in one segment")
	w.rest(70 * time.Second)
	count("in a block")
	send(mk(trace.KindClient, "call"), mk(trace.KindServer, "other"))
	count("in a block and live")
	w.rest(70 * time.Second)
	count("in two blocks")
}

// H36: the newest fragment belongs to an old trace. The newest trace is another one, in an older
// block, and is the one that a search for one finds.
func TestH36NewestFirst(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	w.sends(n, &otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(1 << 40), Name: "x", Start: at(0),
		End: at(time.Second)})
	w.cut()
	w.sends(n, &otlp.Span{Trace: otlp.TraceID(2), ID: otlp.SpanID(1<<40 + 1), Name: "x", Start: at(5 * time.Minute),
		End: at(5*time.Minute + 1)})
	w.cut()
	w.sends(n, &otlp.Span{Trace: otlp.TraceID(1), ID: otlp.SpanID(1<<40 + 2), Parent: otlp.SpanID(1 << 40), Name: "x",
		Start: at(9 * time.Minute), End: at(9*time.Minute + 1)})
	w.cut()
	a := w.answer(n, searchFor(t, `{ name = "x" }`, kernel.Epoch, kernel.Epoch.Add(time.Hour), 1))
	require.Equal(t, []trace.ID{otlp.TraceID(2)}, found(a))
	w.finish()
}

// H38: a block that holds a part of a trace cannot be read. A negation that the part would decide
// is answered only with a word about it.
func TestH38NegationWithoutAPart(t *testing.T) {
	w := course(t, settings{partitions: 1})
	n := w.nodes[0]
	id := otlp.TraceID(7)
	w.sends(n, &otlp.Span{Trace: id, ID: otlp.SpanID(1 << 40), Name: "a", Start: at(0), End: at(time.Second)})
	w.cut()
	w.sends(n, &otlp.Span{Trace: id, ID: otlp.SpanID(1<<40 + 1), Parent: otlp.SpanID(1 << 40), Name: "b", Start: at(1),
		End: at(2)})
	w.cut()
	second := w.durable().View().Blocks("a", 0, 1<<63)
	lost := slices.MaxFunc(second, func(x, y *blocks.BlockMeta) int { return int(x.GetFrom() - y.GetFrom()) })
	n.crash()
	n.boot()
	w.store.SetPlan(func(c objstore.Call) objstore.Fault {
		if strings.Contains(c.Name, lost.GetId()) {
			return objstore.Fault{Before: errors.New("input/output error")}
		}
		return objstore.Fault{}
	})
	w.rest(5 * time.Second)
	a := w.answer(n, searchFor(t, `{ name = "b" } !<< { name = "a" }`, kernel.Epoch, kernel.Epoch.Add(time.Hour), 10))
	require.False(t, a.Complete)
	require.Contains(t, strings.Join(a.Warnings, ";"), lost.GetId())
	for _, f := range found(a) {
		require.Contains(t, a.Partials, f)
	}
	a = w.answer(n, &jobs.Query{Tenant: "a", Trace: &id})
	require.False(t, a.Complete)
	require.Equal(t, []trace.ID{id}, a.Partials)
	w.store.SetPlan(nil)
	n.crash() // what could not be read may be remembered
	w.finish()
}

// H43: every push is acknowledged, refused, or of unknown outcome, which the client hears as such;
// once all is sent again nothing is left unknown.
func TestH43Ledger(t *testing.T) {
	w := course(t, settings{})
	n := w.nodes[0]
	lost := 0
	w.faulty.SetPlan(func(c kafkalog.Call) kafkalog.Fault {
		if c.Op != kafkalog.OpAppend {
			return kafkalog.Fault{}
		}
		switch c.N % 5 {
		case 1:
			return kafkalog.Fault{Before: kafkalog.ErrFull}
		case 2:
			lost++
			return kafkalog.Fault{After: errLost}
		}
		return kafkalog.Fault{}
	})
	const sent = 40
	for range sent {
		w.client.send(n, w.client.make("a"))
	}
	w.rest(5 * time.Second)
	require.NotZero(t, lost)
	require.NotZero(t, w.client.acked)
	require.Equal(t, sent, w.client.acked+w.client.refused)
	w.finish()
	for _, s := range w.client.spans {
		require.False(t, s.acked.IsZero())
	}
}

// H44: what a query has asked for becomes a block while the query is under way. As long as there is
// memory for it the query goes on with what it has been promised; otherwise it is planned again, on
// the version that has the block. Nobody has asked for anything else, so that goes at once.
func TestH44CoveredUnderAQuery(t *testing.T) {
	one := live.New(live.Limits{}).Bytes() // no segment takes less
	for name, budget := range map[string]int64{"room": 100 * one, "none": one} {
		w := course(t, settings{partitions: 1,
			live:    func(c *livestore.Config) { c.NodeBytes = config.Bytes(budget) },
			builder: func(c *blockbuilder.Config) { c.CutAge = 5 * time.Second }})
		n := w.nodes[0]
		w.push(n, 5)
		w.rest(10 * time.Second)
		require.EqualValues(t, 10, w.covered(0))
		require.Equal(t, "0", w.detail(n, kinds.LiveStore, "spans"), "%s: nobody has asked for them", name)

		n.Hold("build")
		w.push(n, 5)
		n.Hold("scan")
		q := searchFor(t, "{ }", kernel.Epoch, kernel.Epoch.Add(time.Hour), 100)
		q.Explain = true
		var got *jobs.Answer
		ask.Begin(context.Background(), n.sys.Actors(), n.ref(kinds.QueryFrontend, ""), q, func(reply any, err error) {
			require.NoError(t, err)
			got, _ = reply.(*jobs.Answer)
		})
		w.rest(time.Second)
		planned := w.durable().View().Version
		n.Release("build")
		w.rest(7 * time.Second)
		require.EqualValues(t, 20, w.covered(0), name)
		require.Equal(t, budget == one, w.detail(n, kinds.LiveStore, "floor") != "10", name)
		n.Release("scan")
		w.rest(5 * time.Second)
		require.NotNil(t, got, name)
		require.True(t, got.Complete, name)
		require.ElementsMatch(t, w.client.traces["a"], found(got), name)
		require.Equal(t, budget == one, got.Explained.Version > planned, name)
		w.rest(20 * time.Second)
		require.Equal(t, "0", w.detail(n, kinds.LiveStore, "spans"), "%s: the query has ended", name)
		w.finish()
	}
}
