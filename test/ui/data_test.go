package ui

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// pushSpans sends spans, many in each request, and waits where the node has to catch up.
func pushSpans(t *testing.T, n *kit.Node, spans int, span func(i int) *otlp.Span) {
	t.Helper()
	for from := 0; from < spans; from += 5000 {
		var list []*otlp.Span
		for i := from; i < min(from+5000, spans); i++ {
			list = append(list, span(i))
		}
		body := otlp.Encode(list...)
		for {
			code, answer, err := n.Push(t.Context(), "application/x-protobuf", body)
			require.NoError(t, err)
			if code == 200 {
				break
			}
			require.Equal(t, 429, code, "%s", answer)
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// treeSpan makes the spans of a trace in which each span but the root is a child of an earlier one.
func treeSpan(id trace.ID, spans int) func(i int) *otlp.Span {
	began := uint64(time.Now().Add(-10 * time.Minute).UnixNano())
	var services []*otlp.Resource
	for i := range 20 {
		services = append(services, serviceNamed(fmt.Sprint("service-", i)))
	}
	attrs := []otlp.Attr{
		{Key: "http.route", Value: "/items/{id}"}, {Key: "http.response.status_code", Value: 200},
		{Key: "db.statement", Value: "SELECT a, b, c FROM items WHERE id = $1"},
	}
	return func(i int) *otlp.Span {
		start := began + uint64(i)*1000
		s := &otlp.Span{
			Trace: id, ID: otlp.SpanID(uint64(i + 1)), Name: fmt.Sprint("step ", i%500), Kind: int32(1 + i%5),
			Start: start, End: start + uint64(spans-i)*1200, Resource: services[i/1000%len(services)], Attrs: attrs,
		}
		if i > 0 {
			s.Parent = otlp.SpanID(uint64((i-1)/8 + 1))
		}
		if i == spans-1 {
			s.Name = "the last step"
		}
		return s
	}
}

// deepSpan makes a chain in which each span is the child of the one before it, of 10,000 services.
func deepSpan(id trace.ID) func(i int) *otlp.Span {
	began := uint64(time.Now().Add(-10 * time.Minute).UnixNano())
	var service *otlp.Resource
	return func(i int) *otlp.Span {
		if i%100 == 0 {
			service = serviceNamed(fmt.Sprint("deep-", i/100))
		}
		start := began + uint64(i)*1000
		s := &otlp.Span{
			Trace: id, ID: otlp.SpanID(uint64(i + 1)), Name: "link", Resource: service,
			Start: start, End: start + 2_000_000_000 - uint64(i)*1500,
		}
		if i > 0 {
			s.Parent = otlp.SpanID(uint64(i))
		}
		return s
	}
}

func serviceNamed(name string) *otlp.Resource {
	return &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: name}}}
}

func push(t *testing.T, n *kit.Node, body string, headers ...string) {
	t.Helper()
	code, answer, err := n.Push(context.Background(), "application/json", []byte(body), headers...)
	require.NoError(t, err)
	require.Equal(t, 200, code, "%s", answer)
}

// oneSpan is a trace of one span, which starts some time from now.
func oneSpan(service string, from time.Duration) string {
	now := time.Now().Add(from).UnixNano()
	return fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%q}}]},"scopeSpans":[{"spans":[
		{"traceId":"%032x","spanId":"%016x","name":"work","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`, service, now, now, now, now+5e6)
}

// slowVersion is a service of which one version is slow, because of its reads of a shelf.
func slowVersion() string {
	var resources []string
	for i := range 200 {
		version, took := "1.9", int64(5e6)
		if i%5 == 0 {
			version, took = "2.0.1-slow", 800e6
		}
		start := time.Now().Add(-time.Duration(5+i) * time.Second).UnixNano()
		resources = append(resources, fmt.Sprintf(`{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"catalog"}},{"key":"service.version","value":{"stringValue":%q}}]},
			"scopeSpans":[{"spans":[
			{"traceId":"%032x","spanId":"%016x","name":"GET /catalog","kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"},
			{"traceId":"%032x","spanId":"%016x","parentSpanId":"%016x","name":"read shelf","kind":3,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}`,
			version, 1<<40+i, 2*i+1, start, start+took, 1<<40+i, 2*i+2, 2*i+1, start+1e6, start+took-1e6))
	}
	return `{"resourceSpans":[` + strings.Join(resources, ",") + `]}`
}

// hostileTrace has a script in every text, a value of 1 MB, many attributes, signs that turn the
// direction of writing, a cycle, ids that come twice, and times that no clock shows.
func hostileTrace(id string) string {
	now := time.Now().Add(-time.Minute).UnixNano()
	bad := `<script>window.hacked=true</script><img src=x onerror=window.hacked=true>` + "\u202e\u0000\n'\"`{}"
	text := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprintf(`{"key":%s,"value":{"stringValue":%s}}`, text(fmt.Sprintf("%s%d", bad, i)), text(bad))
	}
	span := func(n, parent int, name string, start, end int64, more string) string {
		return fmt.Sprintf(`{"traceId":%q,"spanId":"%016x","parentSpanId":"%016x","name":%s,"kind":2,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"%s}`,
			id, n, parent, text(name), start, end, more)
	}
	spans := []string{
		span(1, 0, bad, now, now+1e9, fmt.Sprintf(`,"attributes":[%s,{"key":"long","value":{"stringValue":%s}}],"status":{"code":2,"message":%s},"events":[{"timeUnixNano":"%d","name":%s,"attributes":[{"key":"javascript:alert(1)","value":{"stringValue":"javascript:alert(1)"}}]}]`,
			strings.Join(many, ","), text(strings.Repeat("<b>long</b> ", 90_000)), text(bad), now, text(bad))),
		span(2, 3, bad, now+1, now+2, ""), span(3, 2, "cycle", now+2, now+3, ""),
		span(4, 1, "twice", now+4, now+5, ""), span(4, 1, "twice, with another name", now+4, now+6, ""),
		span(5, 1, "ends before it starts", now+9, now+8, ""), span(6, 1, "1970", 1, 2, ""), span(7, 1, "2262", 9223372036854775800, 9223372036854775807, ""),
		span(8, 99, "orphan", now, now+1, ""),
	}
	return fmt.Sprintf(`{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":%s}}]},"scopeSpans":[{"scope":{"name":%s},"spans":[%s]}]}]}`,
		text("a<script>b"), text(bad), strings.Join(spans, ","))
}
