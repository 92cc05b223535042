package zipkin

import (
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/runtime/gateway/otlp"
)

// What is reserved before a body is decoded is at least what decoding it allocates, for the bodies that grow most, read or refused.
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
	const v2Span, v1Span = `[{"traceId":"1","id":"1",`, `[{"traceId":"0000000000000001","id":"0000000000000001",`
	for name, c := range map[string]struct {
		kind   string
		second bool
		body   string
	}{
		"v2 small spans":        {"application/json", true, list("[", `{"traceId":"1","id":"1"}`, "]")},
		"v2 annotations":        {"application/json", true, list(v2Span+`"annotations":[`, `{"timestamp":1,"value":"a"}`, "]}]")},
		"v1 empty spans":        {"application/json", false, list("[", "{}", "]")},
		"v1 annotations":        {"application/json", false, list(v1Span+`"annotations":[`, "{}", "]}]")},
		"v1 binary annotations": {"application/json", false, list(v1Span+`"binaryAnnotations":[`, "{}", "]}]")},
		"one span":              {"application/json", true, `[{"traceId":"1","id":"1"}]`},
		"protobuf empty spans":  {"application/x-protobuf", true, strings.Repeat("\x0a\x00", 64<<10)},
		"protobuf small spans":  {"application/x-protobuf", true, strings.Repeat("\x0a"+string(rune(len(span)))+span, 4<<10)},
		"protobuf annotations":  {"application/x-protobuf", true, field(span + strings.Repeat("\x52\x00", 64<<10))},
		"protobuf one span":     {"application/x-protobuf", true, "\x0a" + string(rune(len(span))) + span},
	} {
		read := v1
		if c.second {
			read = v2
		}
		_, _ = read(c.kind, []byte(c.body[:0]), true) // what is made once is not the body's
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		td, err := read(c.kind, []byte(c.body), true)
		if err == nil {
			_, err = (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
			require.NoError(t, err, name)
		}
		runtime.ReadMemStats(&after)
		require.LessOrEqual(t, int64(after.TotalAlloc-before.TotalAlloc), otlp.ForeignMemory(c.kind, int64(len(c.body))), name)
	}
}
