package zipkin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/jaegertracing/jaeger-idl/thrift-gen/zipkincore"
	thrift "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinthriftconverter"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// found is one span of what was read, with what it belongs to.
type found struct {
	view
	resource, attributes map[string]any
}

// spansOf are the spans by their ids.
func spansOf(got ingress.Spans) map[string]found {
	out := map[string]found{}
	for _, rs := range got.Traces.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				out[strings.TrimLeft(s.SpanID().String(), "0")] = found{view{s, rs.Resource(), ss.Scope()}, rs.Resource().Attributes().AsRaw(), s.Attributes().AsRaw()}
			}
		}
	}
	return out
}

// second sends spans with these tags in both forms of version 2, the first with the id 1.
func second(t *testing.T, parse bool, service string, tags ...map[string]string) []map[string]found {
	t.Helper()
	var list []map[string]any
	var protos zipkin_proto3.ListOfSpans
	for i, each := range tags {
		s := map[string]any{"traceId": "a1", "id": fmt.Sprint(i + 1), "tags": each}
		p := &zipkin_proto3.Span{TraceId: []byte("12345678"), Id: []byte{0, 0, 0, 0, 0, 0, 0, byte(i + 1)}, Tags: each}
		if service != "" {
			s["localEndpoint"] = map[string]string{"serviceName": service}
			p.LocalEndpoint = &zipkin_proto3.Endpoint{ServiceName: service}
		}
		list, protos.Spans = append(list, s), append(protos.Spans, p)
	}
	asJSON, err := json.Marshal(list)
	require.NoError(t, err)
	asProto, err := proto.Marshal(&protos)
	require.NoError(t, err)
	var out []map[string]found
	for kind, body := range map[string][]byte{"application/json": asJSON, typeProto: asProto} {
		got, err := readWhole(v2{parse}, kind, body)
		require.NoError(t, err, kind)
		require.Equal(t, len(tags), got.Traces.SpanCount(), kind)
		out = append(out, spansOf(got))
	}
	return out
}

const sourceless = "otel.zipkin.absentField.startTime"

func without(m map[string]any) map[string]any {
	delete(m, sourceless)
	return m
}

// A tag is found under the name that it was sent with.
func TestNamesStayAsSent(t *testing.T) {
	tags := map[string]string{"http.status_code": "500", "http.url": "http://x/", "http.method": "GET", "http.path": "/", "error": "true", "net.peer.name": "p",
		"sc.a": "b", "lc": "c", "ms": "d", "component": "e", "peer.service": "f", "sampler.type": "const", "jaeger.version": "g", "hostname": "h", "": "empty"}
	want := map[string]any{}
	for k, v := range tags {
		want[k] = v
	}
	for _, got := range second(t, false, "shop", tags, map[string]string{"http.response.status_code": "1"},
		map[string]string{"http.response.status_code": "1", "http.status_code": "2"}, map[string]string{"error": "Failed!"}) {
		require.Equal(t, want, without(got["1"].attributes))
		require.Equal(t, ptrace.StatusCodeError, got["1"].span.Status().Code())
		require.Equal(t, map[string]any{"http.response.status_code": "1"}, without(got["2"].attributes))
		require.Equal(t, map[string]any{"http.response.status_code": "1", "http.status_code": "2"}, without(got["3"].attributes))
		require.Equal(t, map[string]any{"error": "Failed!"}, without(got["4"].attributes))
	}
	for _, got := range second(t, true, "shop", map[string]string{"http.status_code": "500", "error": "true", "n": "-1.5"}) {
		require.Equal(t, map[string]any{"http.status_code": int64(500), "error": true, "n": -1.5}, without(got["1"].attributes))
	}
}

// Tags that stand for a scope, a resource or a field become that, for each span by itself; values
// that fit no field stay tags.
func TestTagsWithAMeaning(t *testing.T) {
	for _, got := range second(t, false, "shop",
		map[string]string{"otel.library.name": "lib", "otel.library.version": "1", "k8s.pod.name": "p1", "x": "y"},
		map[string]string{"otel.scope.name": "lib", "otel.scope.version": "2", "k8s.pod.name": "p2"},
		map[string]string{"otel.scope.version": "3", "otel.status_code": "Ok", "otel.status_description": "fine", "w3c.tracestate": "a=b"},
		map[string]string{"otel.status_code": "5", "span.kind": "internal"},
		map[string]string{"span.kind": "batch", "otlp.link.0": "no link"}) {
		require.Equal(t, "lib 1", got["1"].scope.Name()+" "+got["1"].scope.Version())
		require.Equal(t, map[string]any{"service.name": "shop", "k8s.pod.name": "p1"}, got["1"].resource)
		require.Equal(t, map[string]any{"x": "y"}, without(got["1"].attributes))
		require.Equal(t, "lib 2", got["2"].scope.Name()+" "+got["2"].scope.Version())
		require.Equal(t, map[string]any{"service.name": "shop", "k8s.pod.name": "p2"}, got["2"].resource)
		require.Equal(t, map[string]any{"otel.scope.version": "3"}, without(got["3"].attributes))
		require.Equal(t, map[string]any{"service.name": "shop"}, got["3"].resource)
		require.Equal(t, "Ok fine a=b", got["3"].span.Status().Code().String()+" "+got["3"].span.Status().Message()+" "+got["3"].span.TraceState().AsRaw())
		require.Equal(t, map[string]any{"otel.status_code": "5"}, without(got["4"].attributes))
		require.Equal(t, ptrace.SpanKindInternal, got["4"].span.Kind())
		require.Equal(t, map[string]any{"span.kind": "batch", "otlp.link.0": "no link"}, without(got["5"].attributes))
	}
	for _, got := range second(t, false, "", map[string]string{"host.name": "h", "a": "b"}) {
		require.Equal(t, map[string]any{"host.name": "h", "a": "b"}, without(got["1"].attributes), "nothing says whose resource it is")
	}
}

// Texts of annotations stay whole, whatever signs they have, except those that OpenTelemetry's
// exporter has made of events.
func TestAnnotationsStayAsSent(t *testing.T) {
	texts := []string{"ws", "a|b", "a|b|c", "|", "GET|{}|x", `retry|{"n":3}|0`}
	list, err := json.Marshal(texts)
	require.NoError(t, err)
	var annotations []string
	for _, text := range strings.Split(strings.Trim(string(list), "[]"), `","`) {
		annotations = append(annotations, `{"timestamp":1700000000000000,"value":"`+strings.Trim(text, `"`)+`"}`)
	}
	got, err := readWhole(v2{}, "application/json", []byte(`[{"traceId":"1","id":"1","annotations":[`+strings.ReplaceAll(strings.Join(annotations, ","), `\}`, `}`)+`]}]`))
	require.NoError(t, err)
	events := spansOf(got)["1"].span.Events()
	for i, text := range texts[:5] {
		require.Equal(t, text, events.At(i).Name())
	}
	require.Equal(t, "retry", events.At(5).Name())
	require.Equal(t, map[string]any{"n": int64(3)}, events.At(5).Attributes().AsRaw())
}

// A body that is sent again becomes the same bytes, so that its spans are known as duplicates.
func TestSentAgainIsTheSame(t *testing.T) {
	body := []byte(`[{"traceId":"1","id":"1","localEndpoint":{"serviceName":"shop"},"tags":{"a":"1","b":"2","c":"3","d":"4","e":"5","host.name":"h","host.id":"i",
		"os.type":"linux","k8s.pod.name":"p","otlp.link.0":"00000000000000000000000000000001|0000000000000001||{\"a\":1,\"b\":2,\"c\":3,\"d\":4}|0"},
		"annotations":[{"timestamp":1,"value":"e|{\"a\":1,\"b\":2,\"c\":3,\"d\":4}|0"}]},{"traceId":"1","id":"2","localEndpoint":{"serviceName":"shop"},"tags":{"host.name":"g","x":"1","y":"2"}}]`)
	var first []byte
	for range 30 {
		got, err := readWhole(v2{}, "application/json", body)
		require.NoError(t, err)
		b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(got.Traces)
		require.NoError(t, err)
		if first == nil {
			first = b
		}
		require.Equal(t, first, b)
	}
}

// A span that cannot be read is refused alone.
func TestBadSpansAlone(t *testing.T) {
	for _, c := range []struct {
		f      ingress.Format
		body   string
		reason refusals.Reason
	}{
		{v2{}, `[{"traceId":"1","id":"1"},{"traceId":"1","id":"2","tags":{"a":5}}]`, refusals.MalformedSpan},
		{v2{}, `[null,{"traceId":"1","id":"1"}]`, refusals.MalformedSpan},
		{v2{}, `[{"traceId":"1","id":"1"},{"traceId":"x","id":"2"}]`, refusals.MalformedSpan},
		{v2{}, `[{"traceId":"1","id":"1"},7]`, refusals.MalformedSpan},
		{v2{}, `[{"traceId":"1","id":"1"},{"traceId":"1","id":"2","tags":{"otlp.link.0":"x|y|z|{}|1"}}]`, refusals.MalformedSpan},
		{v1{}, `[{"traceId":"0000000000000001","id":"0000000000000001"},{"traceId":"1","id":"2"}]`, refusals.MalformedSpan},
	} {
		got, err := c.f.Read("application/json", []byte(c.body))
		require.NoError(t, err, c.body)
		require.Len(t, got.Refused, 1, c.body)
		require.Equal(t, c.reason, got.Refused[0].Reason, c.body)
		require.EqualValues(t, 1, got.Refused[0].Spans, c.body)
		require.Contains(t, spansOf(got), "1", c.body)
		require.Equal(t, 1, got.Traces.SpanCount(), c.body)
	}
}

// Version 1 keeps names, the service of spans that have only annotations of their own, and numbers
// and booleans, as JSON and as thrift.
func TestVersion1(t *testing.T) {
	asJSON := []byte(`[{"traceId":"00000000000000a1","id":"0000000000000001","name":"n","timestamp":1700000000000000,"duration":5,
		"annotations":[{"timestamp":1700000000000001,"value":"my event","endpoint":{"serviceName":"shop","ipv4":"10.0.0.1","port":80}}],
		"binaryAnnotations":[{"key":"http.status_code","value":"500"},{"key":"error","value":"boom"},{"key":"lc","value":"spring"},{"key":"ok","value":true},{"key":"n","value":5},
		{"key":"census.status_code","value":"7"}]},{"traceId":"00000000000000a1","id":"0000000000000002","annotations":[{"timestamp":1700000000000000,"value":"cs","endpoint":{"serviceName":"front"}},
		{"timestamp":1700000000000000,"value":"x","endpoint":{"serviceName":"shop"}}]}]`)
	span := &zipkincore.Span{TraceID: 0xa1, ID: 1, Name: "n", Timestamp: ptr(int64(1700000000000000)), Duration: ptr(int64(5)),
		Annotations: []*zipkincore.Annotation{{Timestamp: 1700000000000001, Value: "my event", Host: &zipkincore.Endpoint{ServiceName: "shop", Ipv4: 10<<24 + 1, Port: 80}}}}
	for _, kv := range []struct {
		key  string
		v    []byte
		kind zipkincore.AnnotationType
	}{{"http.status_code", []byte("500"), zipkincore.AnnotationType_STRING}, {"error", []byte("boom"), zipkincore.AnnotationType_STRING},
		{"lc", []byte("spring"), zipkincore.AnnotationType_STRING}, {"ok", []byte{1}, zipkincore.AnnotationType_BOOL},
		{"n", []byte{0, 0, 0, 5}, zipkincore.AnnotationType_I32}, {"census.status_code", []byte("7"), zipkincore.AnnotationType_STRING}} {
		span.BinaryAnnotations = append(span.BinaryAnnotations, &zipkincore.BinaryAnnotation{Key: kv.key, Value: kv.v, AnnotationType: kv.kind})
	}
	front := &zipkincore.Span{TraceID: 0xa1, ID: 2, Annotations: []*zipkincore.Annotation{{Timestamp: 1700000000000000, Value: "cs", Host: &zipkincore.Endpoint{ServiceName: "front"}},
		{Timestamp: 1700000000000000, Value: "x", Host: &zipkincore.Endpoint{ServiceName: "shop"}}}}
	asThrift, err := thrift.SerializeThrift(t.Context(), []*zipkincore.Span{span, front})
	require.NoError(t, err)
	for kind, body := range map[string][]byte{"application/json": asJSON, typeThrift: asThrift} {
		got, err := readWhole(v1{}, kind, body)
		require.NoError(t, err, kind)
		spans := spansOf(got)
		want := map[string]any{"http.status_code": "500", "error": "boom", "lc": "spring", "component": "spring", "ok": "true", "n": "5", "census.status_code": "7"}
		if kind == typeThrift {
			want["ok"], want["n"] = true, int64(5)
		}
		require.Equal(t, want, spans["1"].attributes, kind)
		require.Equal(t, map[string]any{"service.name": "shop", "ipv4": "10.0.0.1", "port": "80"}, spans["1"].resource, kind)
		require.Equal(t, "my event", spans["1"].span.Events().At(0).Name(), kind)
		require.Equal(t, ptrace.StatusCodeError, spans["1"].span.Status().Code(), kind)
		require.Equal(t, "front", spans["2"].resource["service.name"], kind)
		require.Equal(t, ptrace.SpanKindClient, spans["2"].span.Kind(), kind)
	}
	got, err := v1{}.Read(typeThrift, asThrift[:len(asThrift)-10])
	require.NoError(t, err)
	require.Equal(t, 1, got.Traces.SpanCount(), "what comes before the end is kept")
	require.Len(t, got.Refused, 1)
}

func ptr[T any](v T) *T { return &v }
