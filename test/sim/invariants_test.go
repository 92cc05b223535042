package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// audit looks at log and bucket from outside, whatever the nodes are doing: every listed block can
// be read and holds what was sent, cuts do not overlap, coverage has not passed the log, and every
// acknowledged span is in a listed block or in the log where a reader will find it.
func (w *world) audit() {
	if !slices.ContainsFunc(w.nodes, func(n *node) bool { return n.sys != nil && !n.paused && n.gaveUp() == nil }) {
		w.client.able = w.Now()
	}
	w.t.Helper()
	s := w.durable()
	held := map[trace.SpanID]bool{}
	type log struct {
		tenant, epoch string
		partition     int32
	}
	cuts := map[log]map[[2]int64]bool{}
	open := &opener{bucket: w.bucket, opened: map[string]*block.Block{}}
	for _, tenant := range s.View().Tenants() {
		shared := s.View().Shared(tenant)
		for _, m := range s.View().All(tenant) {
			for _, id := range w.spansOf(open, m) {
				if known := w.client.spans[id]; held[id] && known != nil {
					if x, ok := shared.Find(known.Trace); !ok || x.Disjoint {
						w.t.Errorf("span %s is in two blocks of %s, and its trace is not known to repeat one", id, tenant)
					}
				}
				held[id] = true
				if known := w.client.spans[id]; known == nil || known.tenant != tenant {
					w.t.Errorf("block %s of %s holds span %s, which %s never sent", m.GetId(), tenant, id, tenant)
				}
			}
			for _, r := range catalog.RangesOf(m) {
				l := log{tenant, r.GetEpoch(), r.GetPartition()}
				if cuts[l] == nil {
					cuts[l] = map[[2]int64]bool{}
				}
				cuts[l][[2]int64{r.GetFrom(), r.GetTo()}] = true
			}
		}
	}
	for l, ranges := range cuts {
		sorted := slices.SortedFunc(maps.Keys(ranges), func(a, b [2]int64) int { return slices.Compare(a[:], b[:]) })
		for i := 1; i < len(sorted); i++ {
			// A catalog that was made anew may list two cuts of the same records.
			if sorted[i][0] < sorted[i-1][1] && !w.remade() {
				w.t.Errorf("blocks %v and %v of %s, partition %d in epoch %s, overlap", sorted[i-1], sorted[i],
					l.tenant, l.partition, l.epoch)
			}
		}
	}
	same := s.Epoch().GetLog() == w.log.Epoch()
	for p, recs := range w.log.records {
		from := int64(0)
		if same {
			if from, _ = s.Covered(int32(p)); from > int64(len(recs)) && w.client.upset.IsZero() {
				w.t.Errorf("partition %d is covered to %d and ends at %d", p, from, len(recs))
			}
		}
		start, _, err := w.log.Bounds(context.Background(), int32(p))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range recs[min(max(from, start), int64(len(recs))):] {
			each(w.t.Errorf, r.Value, func(s *trace.Span) { held[s.SpanID] = true })
		}
	}
	for id, s := range w.client.spans {
		if !s.acked.IsZero() && !s.excused && !held[id] && w.client.settled(w.Now()) {
			w.t.Errorf("span %s of trace %s was acknowledged and is neither in a block nor in the log", id, s.Trace)
		}
	}
}

// remade reports whether a node has made the catalog anew from the blocks.
func (w *world) remade() bool {
	for line := range w.said {
		if strings.Contains(line, "made anew from the blocks") {
			return true
		}
	}
	return false
}

// spansOf reads every span of a block.
func (w *world) spansOf(open *opener, m *blocks.BlockMeta) (out []trace.SpanID) {
	ctx := context.Background()
	b, err := open.Open(ctx, m)
	if err != nil {
		w.t.Errorf("block %s [%d, %d) is listed and cannot be opened: %v", m.GetId(), m.GetFrom(), m.GetTo(), err)
		return nil
	}
	for _, t := range b.Reader().Tables() {
		rows := make([]uint32, t.Rows())
		for i := range rows {
			rows[i] = uint32(i)
		}
		fragments, err := column.Fragments(ctx, t, rows, nil)
		if err != nil {
			w.t.Errorf("block %s is listed and cannot be read: %v", m.GetId(), err)
			return out
		}
		each(w.t.Errorf, trace.Assemble(fragments), func(s *trace.Span) { out = append(out, s.SpanID) })
	}
	return out
}

// heal ends all faults and brings every node back.
func (w *world) heal() {
	w.lose = nil
	w.faulty.SetPlan(nil)
	w.store.SetPlan(nil)
	for _, n := range w.nodes {
		if n.sys == nil {
			n.boot()
		}
		n.resume()
		n.sys.Inspect(context.Background()) // who is to be killed by the next message gets one
	}
}

// rest lets everything that goes on end, restarting processes that give up. What is refused for a
// while is sent again until it is acknowledged.
func (w *world) rest(d time.Duration) {
	for until := w.Now().Add(d); w.Now().Before(until); {
		w.Advance(time.Second)
		for _, n := range w.nodes {
			if n.gaveUp() != nil {
				n.crash()
				n.boot()
			}
		}
	}
}

// settled asks every node for everything by every way: all answers are complete, and all agree.
func (w *world) settled(when string) {
	w.t.Helper()
	c := w.client
	c.quiet = true
	for _, n := range w.nodes {
		for _, tenant := range tenants {
			var found map[trace.SpanID]int
			sum := -1
			c.search(n, tenant, func(f map[trace.SpanID]int) { found = f })
			c.count(n, tenant, func(n int) { sum = n })
			for _, id := range c.traces[tenant] {
				c.byID(n, tenant, id)
			}
			w.rest(10 * time.Second)
			if found == nil || sum < 0 {
				w.t.Errorf("%s: search or count_over_time was not answered", when)
			} else if len(found) != sum {
				w.t.Errorf("%s: search finds %d spans of %s, count_over_time %d", when, len(found), tenant, sum)
			}
		}
	}
	c.quiet = false
}

// calm ends a run that needs no more than to see that all is found again.
func (w *world) calm() {
	w.t.Helper()
	w.heal()
	w.rest(90 * time.Second)
	for _, p := range w.client.unknown {
		w.client.send(w.nodes[0], p)
	}
	w.rest(5 * time.Second)
	w.settled("after faults")
	w.audit()
	if len(w.bugs) > 0 {
		w.t.Errorf("%d lines of bugs or blown fuses, first: %s", len(w.bugs), w.bugs[0])
	}
}

// finish ends a run: everything that failed works again, all is asked for while it is in the live
// stores, after it is in blocks, and after every process was killed.
func (w *world) finish() {
	w.t.Helper()
	w.heal()
	w.rest(2 * time.Minute)
	for _, p := range w.client.unknown {
		w.client.send(w.nodes[0], p)
	}
	w.rest(5 * time.Second)
	w.settled("after faults")
	w.rest(3 * time.Minute)
	w.audit()
	w.settled("in blocks")
	s := w.durable()
	for p := range w.log.records {
		if covered, _ := s.Covered(int32(p)); covered != int64(len(w.log.records[p])) {
			w.t.Errorf("partition %d is covered to %d of %d, long after the last record", p, covered,
				len(w.log.records[p]))
		}
	}
	for _, n := range w.nodes {
		n.crash()
		n.boot()
	}
	w.rest(30 * time.Second)
	w.settled("after restart")
	w.rest(12 * time.Minute)
	w.swept()
	w.settled("after the sweep")
	w.audit()
	if len(w.bugs) > 0 {
		w.t.Errorf("%d lines of bugs or blown fuses, first: %s", len(w.bugs), w.bugs[0])
	}
}

// swept demands that the bucket holds nothing but the journal, records that were set aside, and the
// blocks of the catalog. A journal may have been set aside where retention passed the covered
// offset: with a durable block of the trimmed records in the bucket, that looks like a journal
// without its newest entries, and its blocks are kept.
func (w *world) swept() {
	s := w.durable()
	known := s.Orphans()
	err := w.bucket.List(context.Background(), "", func(o objstore.Info) error {
		parts := strings.Split(o.Name, "/")
		if w.passed && strings.HasPrefix(parts[0], "catalog-damaged-") {
			return nil
		}
		if parts[0] == "catalog" || parts[0] == "set-aside" || known.Known(parts[1]) {
			return nil
		}
		what := "unfinished"
		if raw, err := w.bucket.Read(context.Background(), parts[0]+"/"+parts[1]+"/meta.json", 1<<20); err == nil {
			var m block.Meta
			_ = json.Unmarshal(raw, &m)
			what = fmt.Sprintf("epoch %s partition %d [%d, %d)", m.Epoch, m.Partition, m.From, m.To)
		}
		w.t.Errorf("%s is in no catalog and was not removed: %s", o.Name, what)
		return nil
	})
	if err != nil {
		w.t.Error(err)
	}
}

// whereIs shows where a trace lies, for a run that fails.
func (w *world) whereIs(id trace.ID) {
	s := w.durable()
	open := &opener{bucket: w.bucket, opened: map[string]*block.Block{}}
	for _, tenant := range s.View().Tenants() {
		for _, m := range s.View().All(tenant) {
			n := 0
			for _, sp := range w.spansOf(open, m) {
				if w.client.spans[sp].Trace == id {
					n++
				}
			}
			if n > 0 {
				w.t.Logf("block %s of %s epoch %s partition %d [%d, %d): %d spans", m.GetId(), tenant, m.GetEpoch(),
					m.GetPartition(), m.GetFrom(), m.GetTo(), n)
			}
		}
		x, ok := s.View().Shared(tenant).Find(id)
		w.t.Logf("%s shared: %v %v", tenant, ok, x)
	}
	for p, recs := range w.log.records {
		for o, r := range recs {
			n := 0
			each(w.t.Errorf, r.Value, func(s *trace.Span) {
				if s.TraceID == id {
					n++
				}
			})
			if n > 0 {
				c, _ := s.Covered(int32(p))
				w.t.Logf("log partition %d offset %d (covered %d): %d spans, tenant %s", p, o, c, n, r.Tenant)
			}
		}
	}
}
