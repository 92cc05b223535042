package jaeger

import (
	"context"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/agent"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	converter "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger/jaegerthriftcoverter"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/thriftread"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// form is one of the ways in which a batch is sent.
type form struct {
	name   string
	kind   string
	format ingress.Format
	pack   func(t testing.TB, process *model.Process, spans []*model.Span) []byte
}

var forms = []form{
	{"grpc", "", postSpans{}, packProto},
	{"http", "application/x-thrift", batch{}, func(t testing.TB, p *model.Process, s []*model.Span) []byte {
		return write(t, thriftread.Binary, thriftBatch(p, s).Write)
	}},
	{"compact", "", packet{thriftread.Compact}, func(t testing.TB, p *model.Process, s []*model.Span) []byte {
		return packCall(t, thriftread.Compact, thriftBatch(p, s))
	}},
	{"binary", "", packet{thriftread.Binary}, func(t testing.TB, p *model.Process, s []*model.Span) []byte {
		return packCall(t, thriftread.Binary, thriftBatch(p, s))
	}},
}

func packProto(t testing.TB, process *model.Process, spans []*model.Span) []byte {
	t.Helper()
	b, err := (&model.Batch{Process: process, Spans: spans}).Marshal()
	require.NoError(t, err)
	return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), b)
}

func thriftBatch(p *model.Process, spans []*model.Span) *jaeger.Batch {
	tags := converter.FromDomainSpan(&model.Span{Tags: p.Tags}).Tags
	return &jaeger.Batch{Process: &jaeger.Process{ServiceName: p.ServiceName, Tags: tags}, Spans: converter.FromDomain(spans)}
}

func write(t testing.TB, p thriftread.Protocol, value func(context.Context, thrift.TProtocol) error) []byte {
	t.Helper()
	buffer := thrift.NewTMemoryBuffer()
	var out thrift.TProtocol = thrift.NewTBinaryProtocolConf(buffer, nil)
	if p == thriftread.Compact {
		out = thrift.NewTCompactProtocolConf(buffer, nil)
	}
	require.NoError(t, value(t.Context(), out))
	return buffer.Bytes()
}

func packCall(t testing.TB, p thriftread.Protocol, b *jaeger.Batch) []byte {
	return write(t, p, func(ctx context.Context, out thrift.TProtocol) error {
		if err := out.WriteMessageBegin(ctx, "emitBatch", thrift.ONEWAY, 1); err != nil {
			return err
		}
		return (&agent.AgentEmitBatchArgs{Batch: b}).Write(ctx, out)
	})
}

func read(t testing.TB, f form, process *model.Process, spans ...*model.Span) ingress.Spans {
	t.Helper()
	body := f.pack(t, process, spans)
	got, err := f.format.Read(f.kind, body)
	require.NoError(t, err, f.name)
	return got
}

func clone(t testing.TB, s *model.Span) *model.Span {
	t.Helper()
	b, err := s.Marshal()
	require.NoError(t, err)
	var out model.Span
	require.NoError(t, out.Unmarshal(b))
	return &out
}

var start = time.Unix(1767225600, 1000).UTC()

func newSpan(id uint64, tags ...model.KeyValue) *model.Span {
	return &model.Span{TraceID: model.TraceID{Low: 0xa1}, SpanID: model.SpanID(id), OperationName: "get", StartTime: start,
		Duration: 5 * time.Millisecond, Tags: tags}
}

func only(t testing.TB, got ingress.Spans) (pcommon.Resource, ptrace.ScopeSpans, ptrace.Span) {
	t.Helper()
	require.Equal(t, 1, got.Traces.SpanCount())
	rs := got.Traces.ResourceSpans().At(0)
	return rs.Resource(), rs.ScopeSpans().At(0), rs.ScopeSpans().At(0).Spans().At(0)
}

// All that a span says is in what it becomes, whichever way it comes: under the name that it was
// sent with, or in the field of OTLP that the name stands for.
func TestNamesStayAsSent(t *testing.T) {
	process := &model.Process{ServiceName: "shop", Tags: model.KeyValues{model.String("hostname", "h1"), model.String("jaeger.version", "Go-2.30.0"),
		model.String("ip", "10.0.0.1"), model.Int64("http.response.status_code", 1)}}
	span := newSpan(0xb2,
		model.String("span.kind", "client"), model.Int64("http.status_code", 404), model.String("http.url", "http://x/"), model.String("http.method", "GET"),
		model.String("net.peer.name", "x"), model.Bool("error", true), model.String("otel.status_description", "gone"),
		model.String("w3c.tracestate", "a=b"), model.String("otel.scope.name", "lib"), model.String("otel.library.version", "1.2"),
		model.Float64("ratio", 0.5), model.Binary("raw", []byte{0, 255}), model.String("peer.service", "db"), model.String("sampler.type", "const"))
	span.Flags = model.SampledFlag | model.DebugFlag
	span.References = []model.SpanRef{model.NewChildOfRef(span.TraceID, 0xc3), model.NewFollowsFromRef(model.TraceID{Low: 9}, 0xd4)}
	span.Logs = []model.Log{{Timestamp: start.Add(time.Millisecond), Fields: model.KeyValues{model.String("event", "retry"), model.Int64("n", 3),
		model.Int64("http.response.status_code", 503)}}, {Timestamp: start, Fields: model.KeyValues{model.Int64("event", 7)}}}
	for _, f := range forms {
		resource, scope, got := only(t, read(t, f, process, clone(t, span)))
		require.Equal(t, map[string]any{"service.name": "shop", "hostname": "h1", "host.name": "h1", "jaeger.version": "Go-2.30.0", "ip": "10.0.0.1",
			"http.response.status_code": int64(1)}, resource.Attributes().AsRaw(), f.name)
		require.Equal(t, "lib", scope.Scope().Name(), f.name)
		require.Equal(t, "1.2", scope.Scope().Version(), f.name)
		require.Equal(t, map[string]any{"http.status_code": int64(404), "http.url": "http://x/", "http.method": "GET", "net.peer.name": "x",
			"error": true, "ratio": 0.5, "raw": []byte{0, 255}, "peer.service": "db", "sampler.type": "const"}, got.Attributes().AsRaw(), f.name)
		require.Equal(t, ptrace.SpanKindClient, got.Kind(), f.name)
		require.Equal(t, ptrace.StatusCodeError, got.Status().Code(), f.name)
		require.Equal(t, "gone", got.Status().Message(), f.name)
		require.Equal(t, "a=b", got.TraceState().AsRaw(), f.name)
		require.Equal(t, "000000000000000000000000000000a1", got.TraceID().String(), f.name)
		require.Equal(t, "00000000000000b2", got.SpanID().String(), f.name)
		require.Equal(t, "00000000000000c3", got.ParentSpanID().String(), f.name)
		require.Equal(t, start, got.StartTimestamp().AsTime(), f.name)
		require.EqualValues(t, 5_000_000, got.EndTimestamp()-got.StartTimestamp(), f.name)
		require.Equal(t, 1, got.Links().Len(), f.name)
		require.Equal(t, "00000000000000d4", got.Links().At(0).SpanID().String(), f.name)
		require.Equal(t, map[string]any{"opentracing.ref_type": "follows_from"}, got.Links().At(0).Attributes().AsRaw(), f.name)
		require.Equal(t, "retry", got.Events().At(0).Name(), f.name)
		require.Equal(t, map[string]any{"n": int64(3), "http.response.status_code": int64(503)}, got.Events().At(0).Attributes().AsRaw(), f.name)
		require.Equal(t, map[string]any{"event": int64(7)}, got.Events().At(1).Attributes().AsRaw(), f.name)
	}
}

// A value that does not fit the field that its name stands for stays a tag.
func TestValuesThatFitNoField(t *testing.T) {
	tags := model.KeyValues{model.String("span.kind", "batch"), model.String("otel.status_code", "MAYBE"), model.Int64("w3c.tracestate", 1),
		model.Int64("otel.scope.name", 2), model.String("otel.scope.version", "3"), model.String("otel.library.version", "4"),
		model.Int64("otel.status_description", 5), model.String("http.status_code", "200"), model.String("http.response.status_code", "201"),
		model.String("error", "false")}
	for _, f := range forms {
		_, scope, got := only(t, read(t, f, &model.Process{ServiceName: "shop"}, newSpan(1, append(model.KeyValues(nil), tags...)...)))
		require.Equal(t, "3", scope.Scope().Version())
		require.Equal(t, map[string]any{"span.kind": "batch", "otel.status_code": "MAYBE", "w3c.tracestate": int64(1), "otel.scope.name": int64(2),
			"otel.library.version": "4", "otel.status_description": int64(5), "http.status_code": "200", "http.response.status_code": "201",
			"error": "false"}, got.Attributes().AsRaw(), f.name)
		require.Equal(t, ptrace.StatusCodeUnset, got.Status().Code(), f.name)
	}
}

// A span failed where its tag error says so in any type, unless it names its status itself.
func TestErrorTags(t *testing.T) {
	for _, c := range []struct {
		tags []model.KeyValue
		want ptrace.StatusCode
	}{
		{[]model.KeyValue{model.Bool("error", true)}, ptrace.StatusCodeError},
		{[]model.KeyValue{model.Bool("error", false)}, ptrace.StatusCodeUnset},
		{[]model.KeyValue{model.String("error", "true")}, ptrace.StatusCodeError},
		{[]model.KeyValue{model.String("error", "timeout")}, ptrace.StatusCodeError},
		{[]model.KeyValue{model.String("error", "")}, ptrace.StatusCodeUnset},
		{[]model.KeyValue{model.Int64("error", 1)}, ptrace.StatusCodeError},
		{[]model.KeyValue{model.String("error", "timeout"), model.String("otel.status_code", "OK")}, ptrace.StatusCodeOk},
		{[]model.KeyValue{model.String("otel.status_code", "ERROR")}, ptrace.StatusCodeError},
		{[]model.KeyValue{model.Int64("http.status_code", 500)}, ptrace.StatusCodeError},
		{nil, ptrace.StatusCodeUnset},
	} {
		for _, f := range forms {
			_, _, got := only(t, read(t, f, &model.Process{ServiceName: "shop"}, newSpan(1, append([]model.KeyValue(nil), c.tags...)...)))
			require.Equal(t, c.want, got.Status().Code(), "%s %v", f.name, c.tags)
		}
	}
}

// Spans keep their order and their own processes and scopes; those that cannot be kept are counted
// by reason, and the rest is read.
func TestBadSpansAlone(t *testing.T) {
	many := make(model.KeyValues, maxTags+1)
	for i := range many {
		many[i] = model.Int64("k", int64(i))
	}
	for _, f := range forms {
		spans := []*model.Span{newSpan(1, model.String("otel.scope.name", "a")), newSpan(2, append(model.KeyValues(nil), many...)...), newSpan(0),
			newSpan(3), newSpan(4, model.String("otel.scope.name", "a")), {Logs: []model.Log{{Fields: append(model.KeyValues(nil), many...)}},
				SpanID: 6, TraceID: model.TraceID{Low: 1}}, {}}
		if f.name == "grpc" {
			spans[3].Process = &model.Process{ServiceName: "other"}
		}
		got := read(t, f, &model.Process{ServiceName: "shop"}, spans...)
		require.Len(t, got.Refused, 2, f.name)
		for _, l := range got.Refused {
			require.EqualValues(t, 2, l.Spans, f.name)
			require.Contains(t, []refusals.Reason{refusals.InvalidID, refusals.TooManyTags}, l.Reason)
		}
		var found []string
		for _, rs := range got.Traces.ResourceSpans().All() {
			service, _ := rs.Resource().Attributes().Get("service.name")
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					found = append(found, service.Str()+" "+ss.Scope().Name()+" "+s.SpanID().String()[15:])
				}
			}
		}
		if f.name == "grpc" {
			require.Equal(t, []string{"shop a 1", "shop a 4", "other  3"}, found)
		} else {
			require.Equal(t, []string{"shop a 1", "shop a 4", "shop  3"}, found)
		}
		got = read(t, f, &model.Process{ServiceName: "shop", Tags: append(model.KeyValues(nil), many...)}, newSpan(1))
		require.EqualValues(t, 1, got.Refused[0].Spans, f.name)
		require.Zero(t, got.Traces.SpanCount())
	}
}
