package corpus

import (
	"fmt"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// shop makes traces of a web shop.
type shop struct {
	*generator
	services map[string]*resource
}

func newShop(g *generator) *shop {
	return &shop{generator: g, services: map[string]*resource{}}
}

// serviceNamed returns the resource of a service. Every third one has few attributes.
func (s *shop) serviceNamed(name string) *resource {
	r, ok := s.services[name]
	if !ok {
		n := len(s.services)
		r = &resource{attributes: []attribute{
			{"service.name", name}, {"host.hostname", fmt.Sprintf("host-%02d", n)}}}
		if n%3 != 0 {
			r.attributes = append(r.attributes, attribute{"telemetry.sdk.name", "opentelemetry"},
				attribute{"telemetry.sdk.language", []string{"java", "python", "go"}[n%3]},
				attribute{"telemetry.sdk.version", fmt.Sprintf("1.%d.0", n)},
				attribute{"service.instance.id", fmt.Sprintf("%s-7d9f-%d", name, n)},
				attribute{"process.pid", int64(1000 + n)})
		}
		s.services[name] = r
	}
	return r
}

var shopServices = []string{"frontend", "checkout", "cart", "payment", "shipping", "inventory", "quote", "currency",
	"recommendation", "advert", "account", "email", "fraud-detection", "accounting", "search", "catalogue", "review",
	"loyalty", "tax", "warehouse", "gateway", "session"}

// callHTTP returns the client's and the server's span of a call over HTTP.
func (s *shop) callHTTP(parent *span, service string) (client, server *span) {
	path := fmt.Sprintf("/api/%s/%d", service, s.random.IntN(500))
	url := "http://" + service + ":8080" + path
	client = s.startChild(parent, parent.under, s.scopeNamed("example.http.client", "0.14b0"), "HTTP GET",
		ptrace.SpanKindClient)
	client.attributes = []attribute{{"component", "http"}, {"http.method", "GET"}, {"http.url", url},
		{"http.status_code", int64(200)}, {"http.status_text", "OK"}, {"net.peer.port", int64(8080)}}
	server = s.startChild(client, s.serviceNamed(service), s.scopeNamed("example.servlet", "0.17.0"), "GET "+path,
		ptrace.SpanKindServer)
	server.attributes = []attribute{{"component", "http"}, {"http.method", "GET"}, {"http.target", path},
		{"http.route", "/api/" + service + "/{id}"}, {"http.status_code", int64(200)}, {"http.flavor", "1.1"},
		{"http.host", service + ":8080"}, {"http.scheme", "http"}, {"http.server_name", service},
		{"http.user_agent", "python-requests/2.25.1"}, {"net.peer.ip",
			fmt.Sprintf("10.0.%d.%d", s.random.IntN(4), s.random.IntN(256))},
		{"net.peer.port", int64(s.between(30000, 60000))}, {"cache.hit", s.chance(2)}}
	return client, server
}

// startQuery returns the span of a SQL statement.
func (s *shop) startQuery(parent *span) *span {
	table := []string{"orders", "stock", "customers", "payments"}[s.random.IntN(4)]
	q := s.startChild(parent, s.serviceNamed("database"), s.scopeNamed("example.mysql", "0.14b0"), "mysql.query",
		ptrace.SpanKindClient)
	q.attributes = []attribute{{"component", "mysql"}, {"db.type", "sql"}, {"db.instance", "shop"}, {"db.user", "root"},
		{"db.statement", fmt.Sprintf("SELECT id, amount FROM %s WHERE id = %%s AND state <> 'gone' LIMIT %d", table,
			s.between(1, 100))},
		{"db.statement.parameters", fmt.Sprintf("(%d,)", s.random.IntN(100000))},
		{"net.peer.name", "mysql"}, {"net.peer.port", int64(3306)}}
	return q
}

// addLog adds lines of a log to a span, as events.
func (s *shop) addLog(to *span, lines int) {
	lasts := int64(to.end.Sub(to.start))
	for i := range lines {
		e := event{after: time.Duration(lasts * int64(i) / int64(lines)), name: s.makeSentence(3),
			attributes: []attribute{{"level", "info"}, {"customer_id", fmt.Sprint(s.random.IntN(1000))}}}
		if s.chance(4) {
			e.attributes = append(e.attributes, attribute{"retry_no", int64(s.between(1, 5))}, attribute{"eta", 1.5})
		}
		to.events = append(to.events, e)
	}
}

// failSpan marks a span as failed by an exception.
func (s *shop) failSpan(at *span) {
	at.status = status{ptrace.StatusCodeError, "timeout: " + s.makeSentence(4)}
	at.attributes = append(at.attributes, attribute{"error", true})
	at.events = append(at.events, event{after: at.end.Sub(at.start), name: "exception", attributes: []attribute{
		{"exception.type", "TimeoutError"}, {"exception.message", s.makeSentence(5)},
		{"exception.stacktrace", "Traceback:\n  File \"shop.py\", line 7\n    " + s.makeSentence(12)}}})
}

// growCalls adds calls below a server's span until the trace has its number of spans.
func (s *shop) growCalls(spans []*span, server *span, count, depth int) []*span {
	for calls := s.between(1, 5); calls > 0 && len(spans) < count; calls-- {
		switch {
		case depth < 6 && !s.chance(3):
			client, next := s.callHTTP(server, shopServices[s.random.IntN(len(shopServices))])
			if s.chance(6) {
				s.addLog(next, s.between(1, 9))
			}
			if s.chance(20) {
				s.failSpan(next)
			}
			spans = s.growCalls(append(spans, client, next), next, count, depth+1)
		case s.chance(8):
			inside := s.startChild(server, server.under, s.scopeNamed("", ""), "render page", ptrace.SpanKindInternal)
			spans = append(spans, inside)
		default:
			spans = append(spans, s.startQuery(server))
		}
	}
	return spans
}

// fanOut publishes a message that several services consume; some consumers link to the producer.
func (s *shop) fanOut(spans []*span, parent *span) []*span {
	attributes := []attribute{{"messaging.system", "kafka"}, {"messaging.destination", "orders"},
		{"messaging.message.payload_size", int64(s.between(100, 9000))}}
	producer := s.startChild(parent, parent.under, s.scopeNamed("example.kafka", "2.1"), "orders publish",
		ptrace.SpanKindProducer)
	producer.attributes = attributes
	spans = append(spans, producer)
	for _, name := range []string{"accounting", "fraud-detection", "email"} {
		consumer := s.startChild(producer, s.serviceNamed(name), s.scopeNamed("example.kafka", "2.1"), "orders process",
			ptrace.SpanKindConsumer)
		consumer.attributes = attributes
		if s.chance(2) {
			consumer.links = []link{{producer.trace, producer.id,
				[]attribute{{"messaging.batch.index", int64(len(spans))}}}}
		}
		spans = append(spans, consumer, s.startQuery(consumer))
	}
	return spans
}

func generateDemoApps() []ptrace.Traces {
	var out []ptrace.Traces
	s := newShop(newGenerator(1, time.Date(2021, 3, 25, 17, 21, 1, 992579399, time.UTC)))
	for n := range 123 {
		switch n {
		case 80:
			s.now = time.Date(2023, 1, 24, 9, 30, 0, 7, time.UTC)
		case 120:
			s.now = time.Date(2024, 1, 28, 4, 54, 15, 127373312, time.UTC)
		}
		root := s.startTrace(s.serviceNamed("frontend-client"), s.scopeNamed("__main__", ""), "client_create_order",
			ptrace.SpanKindInternal, time.Duration(s.between(5, 900))*time.Millisecond, time.Second)
		count := s.between(2, 16)
		if n%20 == 0 {
			count = 45
		}
		client, server := s.callHTTP(root, "frontend")
		spans := s.growCalls([]*span{root, client, server}, server, count, 0)
		if n%15 == 0 {
			spans = s.fanOut(spans, server)
		}
		switch { // what was lost on the way to the recording
		case n%4 == 1:
			spans = spans[1:] // no root
		case n%10 == 3 && len(spans) > 6:
			spans = slices.Delete(spans, 3, 5) // the children of these name an absent parent
		}
		if n%12 == 0 { // a client that does not tell the kind
			for _, at := range spans {
				at.kind = ptrace.SpanKindUnspecified
			}
		}
		out = append(out, encodeRequest(spans))
	}
	return out
}

// generateSample makes one trace of 22 spans over four services.
func generateSample() []ptrace.Traces {
	s := newShop(newGenerator(2, time.Date(2021, 3, 25, 17, 21, 22, 74882304, time.UTC)))
	root := s.startTrace(s.serviceNamed("frontend-client"), s.scopeNamed("__main__", ""), "client_create_order",
		ptrace.SpanKindInternal, 429*time.Millisecond, time.Second)
	spans := []*span{root}
	at := root
	for _, service := range []string{"order", "analytics", "order"} {
		client, server := s.callHTTP(at, service)
		spans = append(spans, client, server)
		for range 5 {
			spans = append(spans, s.startQuery(server))
		}
		at = server
	}
	return []ptrace.Traces{encodeRequest(spans)}
}

// generateBoutique makes volume: spans with a name and times only, ordered by end and cut into
// requests every 1,000 spans.
func generateBoutique() []ptrace.Traces {
	g := newGenerator(3, time.Date(2022, 8, 22, 3, 52, 19, 209875609, time.UTC))
	var pods []*resource
	for i := range 10 {
		name := shopServices[i] + "service"
		pods = append(pods, &resource{attributes: []attribute{
			{"service.name", name}, {"k8s.pod.name", fmt.Sprintf("%s-579b9bff58-t2dbm", name)}}})
	}
	call := func(pod, method int) string { return fmt.Sprintf("hipster.%s/Method%d", shopServices[pod], method) }
	var spans []*span
	var grow func(at *span, count, depth int) int
	grow = func(at *span, count, depth int) int {
		made := 0
		for made < count {
			pod := g.random.IntN(len(pods))
			child := g.startChild(at, pods[pod], g.scopeNamed("", ""), call(pod, g.random.IntN(4)),
				ptrace.SpanKindUnspecified)
			spans = append(spans, child)
			made++
			if depth < 8 && g.chance(2) && made < count {
				made += grow(child, min(count-made, g.between(1, 9)), depth+1)
			}
		}
		return made
	}
	for range 300 {
		root := g.startTrace(pods[0], g.scopeNamed("", ""), "hipster.Frontend/Recv.", ptrace.SpanKindUnspecified,
			time.Duration(g.between(3, 300))*time.Millisecond, 40*time.Millisecond)
		spans = append(spans, root)
		count := g.between(30, 65)
		if g.chance(20) {
			count = g.between(1, 99)
		}
		grow(root, count, 1)
	}
	slices.SortStableFunc(spans, func(a, b *span) int { return a.end.Compare(b.end) })
	var out []ptrace.Traces
	for request := range slices.Chunk(spans, 1000) {
		out = append(out, encodeRequest(request))
	}
	return out
}
