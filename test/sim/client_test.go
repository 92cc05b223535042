package sim

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	kernel "github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// fresh is how old an acknowledgement must be for a complete answer to have to hold its spans.
const fresh = 3 * time.Second

// settle is how long after the log has lost a part of its history what is acknowledged may stay
// hidden, until the catalog has noticed.
const settle = 30 * time.Second

// client sends spans, remembers what it was told of each, and asks for them.
type client struct {
	w       *world
	spans   map[trace.SpanID]*span
	traces  map[string][]trace.ID // by tenant
	unknown []push                // without an answer, or with an error: to be sent again
	upset   time.Time             // when the log last lost a part of its history
	able    time.Time             // since when nothing has kept the nodes from noticing, as far as is known

	acked, refused            int  // pushes
	complete, partial, failed int  // answers
	quiet                     bool // nothing is failing: every answer must be complete
}

type span struct {
	*otlp.Span
	tenant  string
	acked   time.Time // zero: it was not
	excused bool      // it was in a part of the log that is gone: it may be found or not
}

type push struct {
	tenant string
	spans  []*span
}

func newClient(w *world) *client {
	return &client{w: w, spans: map[trace.SpanID]*span{}, traces: map[string][]trace.ID{}}
}

var tenants = []string{"a", "b"}

// make makes a push of some spans of some traces, old and new ones.
func (c *client) make(tenant string) push {
	r := c.w.Rand()
	p := push{tenant: tenant}
	for range 1 + r.IntN(3) {
		var id trace.ID
		list := c.traces[tenant]
		if len(list) > 0 && r.IntN(3) > 0 {
			id = list[len(list)-1-r.IntN(min(len(list), 6))] // late spans of a trace that has begun
		} else {
			id = otlp.TraceID(r.Uint64())
			c.traces[tenant] = append(list, id)
		}
		for range 1 + r.IntN(3) {
			n := uint64(len(c.spans) + 1)
			at := uint64(c.w.Now().UnixNano()) + uint64(r.IntN(1000))
			s := &span{tenant: tenant, Span: &otlp.Span{Trace: id, ID: otlp.SpanID(n), Name: fmt.Sprint("span-", n%7),
				Start: at, End: at + 1000,
				Resource: &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: fmt.Sprint("service-", n%3)}}},
				Attrs:    []otlp.Attr{{Key: "n", Value: int(n)}}}}
			c.spans[s.ID] = s
			p.spans = append(p.spans, s)
		}
	}
	return p
}

// send pushes through a node. What becomes of it comes later, or never.
func (c *client) send(n *node, p push) {
	to := n.ref(kinds.Distributor, "")
	if to == nil {
		return
	}
	var list []*otlp.Span
	for _, s := range p.spans {
		list = append(list, s.Span)
	}
	ask.Begin(context.Background(), n.sys.Actors(), to, &ingest.PushSpans{Tenant: p.tenant, Otlp: otlp.Encode(list...)},
		func(reply any, err error) {
			if r, ok := reply.(*ingest.PushSpansReply); ok && r.GetRejected() == 0 && int(r.GetSpans()) == len(list) {
				c.acked++
				for _, s := range p.spans {
					if s.acked.IsZero() {
						s.acked = c.w.Now()
					}
				}
				return
			}
			if err == nil {
				c.w.t.Errorf("push answered with %v", reply)
			}
			c.refused++
			c.unknown = append(c.unknown, p)
		})
}

// settled reports whether the catalog has had the time to notice that the log has lost a part of
// its history.
func (c *client) settled(now time.Time) bool {
	since := c.upset
	if c.able.After(since) {
		since = c.able
	}
	return now.Sub(since) > settle
}

// must lists the spans of a tenant that a complete answer to a question asked now has to hold.
func (c *client) must(tenant string, of *trace.ID) map[trace.SpanID]bool {
	out := map[trace.SpanID]bool{}
	now := c.w.Now()
	for id, s := range c.spans {
		late := !c.upset.IsZero() && !c.settled(now) && !s.acked.Before(c.upset.Add(-fresh))
		if s.tenant == tenant && !s.acked.IsZero() && now.Sub(s.acked) >= fresh && !late &&
			(of == nil || s.Trace == *of) {
			out[id] = true
		}
	}
	return out
}

// judge compares what was found with what may and must be.
func (c *client) judge(what string, tenant string, a *jobs.Answer, found map[trace.SpanID]int,
	must map[trace.SpanID]bool) {
	t := c.w.t
	whole := a.Complete
	if whole {
		c.complete++
	} else {
		c.partial++
		whole = len(a.Warnings) > 0 && !slices.ContainsFunc(a.Warnings,
			func(s string) bool { return !strings.HasPrefix(s, "log-gap") && !strings.HasPrefix(s, "set-aside") })
	}
	if c.quiet && !whole {
		t.Errorf("%s: not complete while nothing fails: %v", what, a.Warnings)
	}
	for id, n := range found {
		if s := c.spans[id]; s == nil || s.tenant != tenant {
			t.Errorf("%s: span %s was never sent by %s", what, id, tenant)
		} else if n != 1 {
			t.Errorf("%s: span %s of trace %s found %d times", what, id, s.Trace, n)
		}
	}
	if !whole {
		return
	}
	for _, id := range slices.SortedFunc(maps.Keys(must), func(a,
		b trace.SpanID) int {
		return slices.Compare(a[:], b[:])
	}) {
		if s := c.spans[id]; found[id] == 0 && !s.excused {
			t.Errorf("%s: span %s of trace %s, acknowledged at %s, not found at %s", what, id, s.Trace,
				s.acked.Sub(kernel.Epoch), c.w.Now().Sub(kernel.Epoch))
		}
	}
}

// ask puts a query to a node's query-frontend; then gets the answer, unless there is an error.
func (c *client) ask(n *node, q *jobs.Query, then func(*jobs.Answer)) {
	to := n.ref(kinds.QueryFrontend, "")
	if to == nil {
		return
	}
	ask.Begin(context.Background(), n.sys.Actors(), to, q, func(reply any, err error) {
		a, ok := reply.(*jobs.Answer)
		switch {
		case ok:
			then(a)
		case c.quiet:
			c.w.t.Errorf("%s fails while nothing else does: %v %v", q.Op(), reply, err)
		default:
			c.failed++
		}
	})
}

// byID looks up a trace.
func (c *client) byID(n *node, tenant string, id trace.ID) {
	must := c.must(tenant, &id)
	c.ask(n, &jobs.Query{Tenant: tenant, Trace: &id}, func(a *jobs.Answer) {
		found := map[trace.SpanID]int{}
		each(c.w.t.Errorf, a.Trace, func(s *trace.Span) {
			found[s.SpanID]++
			if s.TraceID != id {
				c.w.t.Errorf("trace %s: it holds a span of %s", id, s.TraceID)
			}
		})
		c.judge("trace "+id.String(), tenant, a, found, must)
	})
}

var always = jobs.Range{End: 1 << 63}

// search finds every trace. found, if there is one, is told the spans.
func (c *client) search(n *node, tenant string, told func(map[trace.SpanID]int)) {
	must := c.must(tenant, nil)
	q, err := traceql.Parse("{ }")
	if err != nil {
		c.w.t.Fatal(err)
	}
	r := &eval.SearchRequest{Query: q, Start: always.Start, End: always.End, Limit: 1 << 20, SpansPerSpanSet: 1 << 20}
	c.ask(n, &jobs.Query{Tenant: tenant, Range: always, Scan: jobs.Scan{Search: r}}, func(a *jobs.Answer) {
		found := map[trace.SpanID]int{}
		seen := map[trace.ID]bool{}
		if a.Partial.Search != nil {
			for _, m := range a.Partial.Search.Traces {
				if seen[m.ID] {
					c.w.t.Errorf("search: trace %s found twice; complete=%v %v", m.ID, a.Complete, a.Warnings)
				}
				if seen[m.ID] {
					c.w.whereIs(m.ID)
				}
				seen[m.ID] = true
				for _, set := range m.SpanSets {
					if set.Matched != len(set.Spans) {
						c.w.t.Errorf("search: %d of %d spans of trace %s", len(set.Spans), set.Matched, m.ID)
					}
					for _, s := range set.Spans {
						found[s.ID]++
					}
				}
			}
		}
		c.judge("search", tenant, a, found, must)
		if told != nil {
			told(found)
		}
	})
}

// count counts spans over time. told, if there is one, is told the sum.
func (c *client) count(n *node, tenant string, told func(int)) {
	must := c.must(tenant, nil)
	q, err := traceql.Parse("{ } | count_over_time()")
	if err != nil {
		c.w.t.Fatal(err)
	}
	day := int64(24 * time.Hour)
	start := kernel.Epoch.UnixNano() - day
	r := &eval.MetricsRequest{Query: q, Start: start, End: start + 9*day, Step: day}
	c.ask(n, &jobs.Query{Tenant: tenant, Range: jobs.Range{Start: uint64(r.Start), End: uint64(r.End)},
		Scan: jobs.Scan{Metrics: r}}, func(a *jobs.Answer) {
		m, err := answer.RenderRange(a, r)
		if err != nil {
			c.w.t.Errorf("count_over_time: %v", err)
			return
		}
		sum := 0.0
		for _, s := range m.GetSeries() {
			for _, v := range s.GetSamples() {
				sum += v.GetValue()
			}
		}
		c.judge("count_over_time", tenant, a, nil, nil)
		may, least := 0, 0
		for _, s := range c.spans {
			if s.tenant == tenant {
				may++
			}
		}
		for id := range must {
			if !c.spans[id].excused {
				least++
			}
		}
		if int(sum) > may || a.Complete && int(sum) < least {
			c.w.t.Errorf("count_over_time: %v spans, at least %d were acknowledged and at most %d sent", sum, least,
				may)
		}
		if told != nil {
			told(int(sum))
		}
	})
}

// each visits the spans of a message.
func each(errorf func(string, ...any), data []byte, f func(*trace.Span)) {
	var r trace.Reader
	if err := r.Walk(data, visitor(f)); err != nil {
		errorf("read spans: %v", err)
	}
}

type visitor func(*trace.Span)

func (visitor) Resource([]byte) error      { return nil }
func (visitor) Scope([]byte) error         { return nil }
func (v visitor) Span(s *trace.Span) error { v(s); return nil }

func pushOf(tenant string, list ...*otlp.Span) *ingest.PushSpans {
	return &ingest.PushSpans{Tenant: tenant, Otlp: otlp.Encode(list...)}
}
