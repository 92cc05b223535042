package zipkin

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/otlp"
)

// What is reserved before a body is decoded is at least what decoding it allocates, for the bodies
// that grow most, read or refused.
func TestMemoryHolds(t *testing.T) {
	list := func(pre, item, post string) string {
		n := (128 << 10) / (len(item) + 1)
		return pre + strings.Repeat(item+",", n-1) + item + post
	}
	const span = "\x0a\x10abcdefghijklmnop\x1a\x08abcdefgh"
	field := func(b string) string {
		n := len(b)
		return "\x0a" + string([]byte{byte(n)&127 | 128, byte(n>>7)&127 | 128, byte(n >> 14)}) + b
	}
	var tags string
	for i := range maxTags {
		tags += fmt.Sprintf(`,"%d":""`, i)
	}
	tags = tags[1:]
	const v2Span, v1Span = `[{"traceId":"1","id":"1",`, `[{"traceId":"0000000000000001","id":"0000000000000001",`
	for name, c := range map[string]struct {
		kind   string
		second bool
		body   string
	}{
		"v2 small spans":                 {"application/json", true, list("[", `{"traceId":"1","id":"1"}`, "]")},
		"v2 annotations":                 {"application/json", true, list(v2Span+`"annotations":[`, `{"timestamp":1,"value":"a"}`, "]}]")},
		"v1 empty spans":                 {"application/json", false, list("[", "{}", "]")},
		"v1 annotations":                 {"application/json", false, list(v1Span+`"annotations":[`, "{}", "]}]")},
		"v1 binary annotations":          {"application/json", false, list(v1Span+`"binaryAnnotations":[`, "{}", "]}]")},
		"one span":                       {"application/json", true, `[{"traceId":"1","id":"1"}]`},
		"protobuf empty spans":           {"application/x-protobuf", true, strings.Repeat("\x0a\x00", 64<<10)},
		"protobuf small spans":           {"application/x-protobuf", true, strings.Repeat("\x0a"+string(rune(len(span)))+span, 4<<10)},
		"protobuf annotations":           {"application/x-protobuf", true, field(span + strings.Repeat("\x52\x00", 64<<10))},
		"v2 tags":                        {"application/json", true, list("[", v2Span[1:]+`"tags":{`+tags+"}}", "]")},
		"v1 tags":                        {"application/json", false, list("[", v1Span[1:]+`"binaryAnnotations":[`+strings.Repeat(`{"key":"k","value":1},`, maxTags-1)+"{}]}", "]")},
		"protobuf tags":                  {"application/x-protobuf", true, strings.Repeat(field(span+strings.Repeat("\x5a\x00", maxTags)), 20)},
		"v2 a bad one last":              {"application/json", true, list("[", `{"traceId":"1","id":"1","annotations":[{"timestamp":1,"value":"a"}]}`, `,{"id":5}]`)},
		"v2 all bad":                     {"application/json", true, list("[", `{}`, "]")},
		"v2 tags that do not fit":        {"application/json", true, list("[", `{"traceId":"1","id":"1","tags":{"host.name":"a"}}`, "]")},
		"v2 annotations twice":           {"application/json", true, list(v2Span+`"tags":{"host.name":"a"},"annotations":[`, `{"timestamp":1,"value":"a"}`, "]}]")},
		"v2 texts with bars":             {"application/json", true, list(v2Span+`"annotations":[`, `{"timestamp":1,"value":"a|b"}`, "]}]")},
		"v2 links":                       {"application/json", true, list("[", `{"traceId":"1","id":"1","tags":{"otlp.link.0":"||||"}}`, "]")},
		"v1 small spans":                 {"application/json", false, list("[", `{"traceId":"0000000000000001","id":"0000000000000001"}`, "]")},
		"v1 numbers":                     {"application/json", false, list("[", v1Span[1:]+`"binaryAnnotations":[{"key":"k","value":1}]}`, "]")},
		"v1 services":                    {"application/json", false, list("[", v1Span[1:]+`"annotations":[{"value":"a","endpoint":{"serviceName":"b"}}]}`, "]")},
		"protobuf unfit":                 {"application/x-protobuf", true, field(span + "\x5a\x0e\x0a\x09host.name\x12\x01a" + strings.Repeat("\x52\x00", 64<<10))},
		"protobuf short ids":             {"application/x-protobuf", true, strings.Repeat("\x0a\x14\x0a\x08abcdefgh\x1a\x08abcdefgh", 4<<10)},
		"protobuf short id, annotations": {"application/x-protobuf", true, field("\x0a\x08abcdefgh\x1a\x08abcdefgh" + strings.Repeat("\x52\x00", 64<<10))},
		"thrift empty spans":             {"application/x-thrift", false, "\x0c\x00\x01\x00\x00" + strings.Repeat("\x00", 64<<10)},
		"thrift small spans":             {"application/x-thrift", false, "\x0c\x00\x00\x10\x00" + strings.Repeat("\x0a\x00\x01abcdefgh\x0a\x00\x04abcdefgh\x00", 4<<10)},
		"thrift annotations":             {"application/x-thrift", false, "\x0c\x00\x00\x00\x01\x0a\x00\x01abcdefgh\x0a\x00\x04abcdefgh\x0f\x00\x06\x0c\x00\x00\x80\x00" + strings.Repeat("\x00", 32<<10) + "\x00"},
		"thrift a long claim":            {"application/x-thrift", false, "\x0c\x00\x00\x00\x01\x0f\x00\x06\x0c\x00\x00\xff\x00" + strings.Repeat("\x00", 64<<10)},
		"protobuf groups first":          {"application/x-protobuf", true, "\x2b\x2c" + field("\x2b\x2c"+span+strings.Repeat("\x52\x00", 64<<10))},
		"protobuf one span":              {"application/x-protobuf", true, "\x0a" + string(rune(len(span))) + span},
	} {
		var format ingress.Format = v1{true}
		if c.second {
			format = v2{true}
		}
		_, _ = format.Read(c.kind, nil) // what is made once is not the body's
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		td, err := format.Read(c.kind, []byte(c.body))
		if err == nil {
			_, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(td.Traces)
			require.NoError(t, err, name)
		}
		runtime.ReadMemStats(&after)
		require.LessOrEqual(t, int64(after.TotalAlloc-before.TotalAlloc), format.Memory(c.kind, []byte(c.body)), name)
	}
}

// A body of ordinary spans may be as large as the default limit of bodies.
func TestOrdinarySpansFit(t *testing.T) {
	const span = `{"traceId":"5982fe77008310cc80f1da5e10147517","parentId":"90394f6bcffb5d13","id":"67fae42571535f60","kind":"SERVER","name":"get /owners/{ownerid}",
		"timestamp":1516781775726000,"duration":26000,"localEndpoint":{"serviceName":"customers","ipv4":"10.57.50.83","port":8080},
		"remoteEndpoint":{"serviceName":"gateway","ipv4":"10.57.50.70","port":40210},"tags":{"http.method":"GET","http.path":"/owners/17","http.status_code":"200",
		"mvc.controller.class":"OwnerResource","mvc.controller.method":"findOwner","instance.id":"customers-7f9c4d5b6-x2x8q"},"annotations":[{"timestamp":1516781775730000,"value":"ws"}]},`
	body := []byte("[" + strings.Repeat(span, (4<<20)/len(span)-1) + "{}]")
	require.Less(t, v2{}.Memory("application/json", body)+int64(len(body)), int64(otlp.DefaultConfig().MaxBufferedBytes))
}
