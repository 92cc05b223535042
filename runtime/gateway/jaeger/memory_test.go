package jaeger

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/otlp"
	"github.com/troupe-tracing/troupe/runtime/gateway/thriftread"
)

// allocated is what reading a body and writing it as OTLP allocates.
func allocated(t testing.TB, f ingress.Format, kind string, body []byte) int64 {
	t.Helper()
	_, _ = f.Read(kind, nil) // what is made once is not the body's
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if got, err := f.Read(kind, body); err == nil {
		_, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(got.Traces)
		require.NoError(t, err)
	}
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// message is a field of protobuf that holds others.
func message(number protowire.Number, parts ...string) string {
	b := protowire.AppendTag(nil, number, protowire.BytesType)
	return string(protowire.AppendString(b, strings.Join(parts, "")))
}

// What is reserved before a body is decoded is at least what decoding it allocates, for the bodies
// that grow most, read or refused.
func TestMemoryHolds(t *testing.T) {
	const ids = "\x0a\x10abcdefghijklmnop\x12\x08abcdefgh"
	some := func(s string) string { return strings.Repeat(s, (128<<10)/max(1, len(s))) }
	for name, body := range map[string]string{
		"empty spans":        message(1, some("\x0a\x00")),
		"small spans":        message(1, some(message(1, ids))),
		"own processes":      message(1, some(message(1, ids, message(10, message(1, "a"))))),
		"different ones":     message(1, manyProcesses(ids)),
		"empty tags":         message(1, message(1, ids, strings.Repeat("\x42\x00", maxTags)), some(message(1, ids, strings.Repeat("\x42\x00", maxTags)))),
		"too many tags":      message(1, message(1, ids, some("\x42\x00"))),
		"empty logs":         message(1, message(1, ids, some("\x4a\x00"))),
		"logs of a field":    message(1, message(1, ids, some("\x4a\x02\x12\x00"))),
		"logs of fields":     message(1, message(1, ids, some(message(9, strings.Repeat("\x12\x00", maxTags))))),
		"times":              message(1, message(1, ids, some("\x32\x00"))),
		"durations":          message(1, message(1, ids, some("\x3a\x00"))),
		"references":         message(1, message(1, ids, some(message(4, ids)))),
		"empty references":   message(1, message(1, ids, some("\x22\x00"))),
		"warnings":           message(1, message(1, ids, some("\x62\x00"))),
		"unknown fields":     message(1, message(1, ids, some("\xf8\x7f\x01"))),
		"tags of a process":  message(1, message(1, ids), message(2, some("\x12\x00"))),
		"empty processes":    message(1, message(1, ids), some("\x12\x00")),
		"batches":            some("\x0a\x00"),
		"spans in batches":   some(message(1, message(1, ids))),
		"a long text":        message(1, message(1, ids, message(3, some("a")))),
		"binary tags":        message(1, message(1, ids, some(message(8, "\x0a\x01a\x10\x04", message(7, "abcdefgh"))))),
		"statuses and kinds": message(1, some(message(1, ids, message(8, "\x0a\x09span.kind", message(3, "client")), message(8, "\x0a\x05error\x10\x01\x20\x01")))),
		"one span":           message(1, message(1, ids)),
		"nothing":            "",
	} {
		require.LessOrEqual(t, allocated(t, postSpans{}, "", []byte(body)), postSpans{}.Memory("", []byte(body)), name)
	}
	for _, f := range forms[1:] {
		for name, body := range worstThrift(t, f) {
			need := f.format.Memory(f.kind, body)
			require.LessOrEqual(t, allocated(t, f.format, f.kind, body), need, "%s: %s", f.name, name)
			if strings.HasPrefix(name, "claims") {
				require.Less(t, need, int64(1<<20), "%s: %s", f.name, name)
			}
		}
	}
}

func manyProcesses(ids string) string {
	var b strings.Builder
	for i := range 4 << 10 {
		b.WriteString(message(1, ids, message(10, message(1, fmt.Sprint(i)))))
	}
	return b.String()
}

func worstThrift(t testing.TB, f form) map[string][]byte {
	const n = 5000
	shop := &model.Process{ServiceName: "shop"}
	spans := func(n int, change func(*model.Span)) []byte {
		var out []*model.Span
		for i := range n {
			s := &model.Span{TraceID: model.TraceID{Low: 1}, SpanID: model.SpanID(i + 1)}
			change(s)
			out = append(out, s)
		}
		return f.pack(t, shop, out)
	}
	bodies := map[string][]byte{
		"small spans":   spans(n, func(*model.Span) {}),
		"tags":          spans(n/maxTags, func(s *model.Span) { s.Tags = make(model.KeyValues, maxTags) }),
		"too many tags": spans(1, func(s *model.Span) { s.Tags = make(model.KeyValues, n) }),
		"numbers":       spans(n/100, func(s *model.Span) { s.Tags = slicesOf(model.Int64("", 1), 100) }),
		"kinds of spans": spans(n, func(s *model.Span) {
			s.Tags = model.KeyValues{model.String("span.kind", "x"), model.Bool("error", true)}
		}),
		"empty logs":      spans(1, func(s *model.Span) { s.Logs = make([]model.Log, n) }),
		"logs of a field": spans(1, func(s *model.Span) { s.Logs = slicesOf(model.Log{Fields: model.KeyValues{{}}}, n) }),
		"references":      spans(1, func(s *model.Span) { s.References = make([]model.SpanRef, n) }),
		"texts":           spans(10, func(s *model.Span) { s.OperationName = strings.Repeat("x", 10<<10) }),
		"binary":          spans(10, func(s *model.Span) { s.Tags = model.KeyValues{model.Binary("b", make([]byte, 10<<10))} }),
		"one span":        spans(1, func(*model.Span) {}),
		"nothing":         {},
	}
	for name, body := range bodies {
		bodies["cut "+name] = body[:len(body)/2]
	}
	for _, size := range []uint32{1 << 31, 1<<31 - 1, 1 << 28, 1 << 20, 1000} {
		for _, kind := range []thrift.TType{thrift.STRUCT, thrift.BOOL, thrift.STOP, thrift.VOID, thrift.STRING, thrift.TType(77)} {
			bodies[fmt.Sprintf("claims %d of %d", size, kind)] = claim(t, f, kind, size)
		}
	}
	return bodies
}

func slicesOf[T any](v T, n int) []T {
	out := make([]T, n)
	for i := range out {
		out[i] = v
	}
	return out
}

// claim is a batch whose list of spans says that it is longer than it is.
func claim(t testing.TB, f form, kind thrift.TType, size uint32) []byte {
	if f.name == "compact" {
		call := packCall(t, thriftread.Compact, &jaeger.Batch{Process: &jaeger.Process{ServiceName: "shop"}, Spans: []*jaeger.Span{}})
		call = call[:len(call)-4] // the header of the empty list, and the ends of the batch, the arguments
		return append(binary.AppendUvarint(append(call, 0x19, 0xf0|byte(kind)&15), uint64(size)), make([]byte, 2000)...)
	}
	list := append([]byte{byte(thrift.LIST), 0, 2, byte(kind)}, binary.BigEndian.AppendUint32(nil, size)...)
	body := write(t, thriftread.Binary, func(ctx context.Context, out thrift.TProtocol) error {
		if f.name == "binary" {
			if err := out.WriteMessageBegin(ctx, "emitBatch", thrift.ONEWAY, 1); err != nil {
				return err
			}
			if err := out.WriteFieldBegin(ctx, "batch", thrift.STRUCT, 1); err != nil {
				return err
			}
		}
		if err := out.WriteFieldBegin(ctx, "process", thrift.STRUCT, 1); err != nil {
			return err
		}
		return (&jaeger.Process{ServiceName: "shop"}).Write(ctx, out)
	})
	return append(append(body, list...), make([]byte, 2000)...)
}

// A list of anything but structs is refused, because the counting walk and the decoder would read
// it differently.
func TestListsOfStructsOnly(t *testing.T) {
	for _, f := range forms[1:] {
		_, err := f.format.Read(f.kind, claim(t, f, thrift.BYTE, 1000))
		require.ErrorContains(t, err, "where one of structs should be", f.name)
	}
}

// A body of ordinary spans may be as large as the default limits of bodies, and a packet as large
// as packets are.
func TestOrdinarySpansFit(t *testing.T) {
	span := newSpan(1, model.String("span.kind", "server"), model.String("http.method", "GET"), model.String("http.url", "http://shop.example/owners/17"),
		model.Int64("http.status_code", 200), model.String("component", "net/http"), model.String("instance.id", "customers-7f9c4d5b6-x2x8q"),
		model.Bool("internal", false), model.Float64("ratio", 0.25))
	span.Logs = []model.Log{{Timestamp: start, Fields: model.KeyValues{model.String("event", "retry"), model.String("message", "connection reset by peer")}}}
	for _, f := range forms {
		one := f.pack(t, &model.Process{ServiceName: "shop"}, []*model.Span{span})
		most := 4 << 20
		if f.name == "compact" || f.name == "binary" {
			most = 65_000
		}
		spans := slicesOf(span, most/len(one))
		body := f.pack(t, &model.Process{ServiceName: "shop"}, spans)
		require.Less(t, f.format.Memory(f.kind, body)+int64(len(body)), int64(otlp.DefaultConfig().MaxBufferedBytes), f.name)
	}
}
