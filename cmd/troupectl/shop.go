package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// shop makes up traces of a small shop: a web front, orders, payment, stock, mail, with errors,
// database calls and events.
type shop struct{ r *rand.Rand }

func newShop(seed uint64) *shop { return &shop{r: rand.New(rand.NewPCG(seed, 2))} }

// basket is one trace being made.
type basket struct {
	*shop
	td     ptrace.Traces
	id     pcommon.TraceID
	groups map[string]ptrace.ScopeSpans
	fails  bool
}

func (s *shop) makeTrace(end time.Time) ptrace.Traces {
	b := &basket{shop: s, td: ptrace.NewTraces(), groups: map[string]ptrace.ScopeSpans{}, fails: s.r.IntN(12) == 0}
	binary.BigEndian.PutUint64(b.id[:8], s.r.Uint64())
	binary.BigEndian.PutUint64(b.id[8:], s.r.Uint64()|1)
	total := b.randomDuration(120 * time.Millisecond)
	if b.fails {
		total += 300 * time.Millisecond
	}
	start := end.Add(-total)
	switch s.r.IntN(3) {
	case 0:
		b.addBrowsing(start, total)
	default:
		b.addCheckout(start, total)
	}
	return b.td
}

// randomDuration is a skewed duration around the typical one.
func (s *shop) randomDuration(typical time.Duration) time.Duration {
	return time.Duration(float64(typical) * math.Exp(0.6*s.r.NormFloat64()))
}

func (b *basket) addSpan(
	service, name string, kind ptrace.SpanKind, parent pcommon.SpanID, start time.Time, d time.Duration,
) ptrace.Span {
	ss, ok := b.groups[service]
	if !ok {
		rs := b.td.ResourceSpans().AppendEmpty()
		a := rs.Resource().Attributes()
		a.PutStr("service.name", service)
		a.PutStr("service.version", "2.3.1")
		a.PutStr("deployment.environment.name", "demo")
		a.PutStr("k8s.pod.name", fmt.Sprintf("%s-%d", service, b.r.IntN(3)))
		ss = rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("demo-shop")
		ss.Scope().SetVersion("1.0.0")
		b.groups[service] = ss
	}
	s := ss.Spans().AppendEmpty()
	var id pcommon.SpanID
	binary.BigEndian.PutUint64(id[:], b.r.Uint64()|1)
	s.SetTraceID(b.id)
	s.SetSpanID(id)
	s.SetParentSpanID(parent)
	s.SetName(name)
	s.SetKind(kind)
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(start))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(start.Add(d)))
	return s
}

func (b *basket) addServerSpan(
	service, method, route string, parent pcommon.SpanID, start time.Time, d time.Duration, status int64,
) ptrace.Span {
	s := b.addSpan(service, method+" "+route, ptrace.SpanKindServer, parent, start, d)
	a := s.Attributes()
	a.PutStr("http.request.method", method)
	a.PutStr("http.route", route)
	a.PutInt("http.response.status_code", status)
	if status >= 500 {
		s.Status().SetCode(ptrace.StatusCodeError)
	}
	return s
}

func (b *basket) addQuerySpan(
	service, system, name, text string, parent pcommon.SpanID, start time.Time, d time.Duration, rows int,
) ptrace.Span {
	s := b.addSpan(service, name, ptrace.SpanKindClient, parent, start, d)
	a := s.Attributes()
	a.PutStr("db.system.name", system)
	a.PutStr("db.query.text", text)
	a.PutInt("db.response.returned_rows", int64(rows))
	return s
}

func (b *basket) addBrowsing(start time.Time, d time.Duration) {
	root := b.addServerSpan("web", "GET", "/products/{id}", pcommon.SpanID{}, start, d, 200)
	root.Attributes().PutStr("user_agent.original", "Mozilla/5.0")
	stock := b.addServerSpan("stock", "GET", "/stock/{sku}", root.SpanID(), start.Add(d/10), d/2, 200)
	b.addQuerySpan("stock", "redis", "GET", "GET sku:"+fmt.Sprint(b.r.IntN(5000)), stock.SpanID(), start.Add(d/5), d/8,
		1)
	b.addQuerySpan("stock", "postgresql", "SELECT stock", "SELECT count FROM stock WHERE sku = $1", stock.SpanID(),
		start.Add(d/3), d/6, 1)
}

func (b *basket) addCheckout(start time.Time, d time.Duration) {
	status := int64(200)
	if b.fails {
		status = 502
	}
	root := b.addServerSpan("web", "POST", "/checkout", pcommon.SpanID{}, start, d, status)
	root.Attributes().PutStr("enduser.id", fmt.Sprintf("customer-%d", b.r.IntN(400)))
	items := root.Attributes().PutEmptySlice("cart.items")
	for range 1 + b.r.IntN(3) {
		items.AppendEmpty().SetStr(fmt.Sprintf("sku-%d", b.r.IntN(5000)))
	}
	order := b.addServerSpan("orders", "POST", "/orders", root.SpanID(), start.Add(d/20), d*8/10, status)
	b.addQuerySpan("orders", "postgresql", "INSERT orders", "INSERT INTO orders (customer, total) VALUES ($1, $2)",
		order.SpanID(), start.Add(d/10), d/8, 1)
	call := b.addSpan("orders", "payment.Charge", ptrace.SpanKindClient, order.SpanID(), start.Add(d/4), d/2)
	call.Attributes().PutStr("rpc.system.name", "grpc")
	pay := b.addSpan("payment", "payment.Charge", ptrace.SpanKindServer, call.SpanID(), start.Add(d/4+time.Millisecond),
		d/2-2*time.Millisecond)
	pay.Attributes().PutDouble("payment.amount", math.Round(b.r.Float64()*20000)/100)
	pay.Attributes().PutBool("payment.retry", b.fails)
	if b.fails {
		for _, s := range []ptrace.Span{call, pay} {
			s.Status().SetCode(ptrace.StatusCodeError)
			s.Status().SetMessage("card processor did not answer")
		}
		e := pay.Events().AppendEmpty()
		e.SetName("exception")
		e.SetTimestamp(pay.EndTimestamp())
		e.Attributes().PutStr("exception.type", "TimeoutException")
		e.Attributes().PutStr("exception.message", "no answer within 300 ms")
		return
	}
	sent := b.addSpan("orders", "order.placed publish", ptrace.SpanKindProducer, order.SpanID(), start.Add(d*7/10),
		d/50)
	sent.Attributes().PutStr("messaging.system", "kafka")
	mail := b.addSpan("mail", "order.placed process", ptrace.SpanKindConsumer, sent.SpanID(), start.Add(d),
		b.randomDuration(40*time.Millisecond))
	l := mail.Links().AppendEmpty()
	l.SetTraceID(b.id)
	l.SetSpanID(sent.SpanID())
	l.Attributes().PutStr("messaging.destination.name", "order.placed")
}
