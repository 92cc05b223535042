package zipkin

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/otlp"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// readWhole reads a body of which every span is kept, or returns why not.
func readWhole(f ingress.Format, kind string, body []byte) (ingress.Spans, error) {
	got, err := f.Read(kind, body)
	if err == nil && len(got.Refused) > 0 {
		err = errors.New(got.Refused[0].Message)
	}
	return got, err
}

// What both versions say of a span is in the OTLP that they become; a span that cannot be one names
// why.
func TestTranslate(t *testing.T) {
	td, err := readWhole(v2{}, "application/json", []byte(`[{"traceId":"a1","id":"b2","parentId":"c3","name":"get","kind":"SERVER","timestamp":1700000000000000,"duration":1500,
		"localEndpoint":{"serviceName":"shop"},"tags":{"error":"boom","n":"1"}}]`))
	require.NoError(t, err)
	rs := td.Traces.ResourceSpans().At(0)
	service, _ := rs.Resource().Attributes().Get("service.name")
	require.Equal(t, "shop", service.Str())
	span := rs.ScopeSpans().At(0).Spans().At(0)
	require.Equal(t, "000000000000000000000000000000a1", span.TraceID().String())
	require.Equal(t, "00000000000000b2", span.SpanID().String())
	require.Equal(t, "00000000000000c3", span.ParentSpanID().String())
	require.Equal(t, "get", span.Name())
	require.Equal(t, "Server", span.Kind().String())
	require.EqualValues(t, 1500000, span.EndTimestamp()-span.StartTimestamp())
	require.Equal(t, "Error", span.Status().Code().String())

	td, err = readWhole(v1{}, "application/json", []byte(`[{"traceId":"00000000000000a1","id":"00000000000000b2","name":"old","timestamp":1700000000000000,"duration":1500,
		"annotations":[{"timestamp":1700000000000000,"value":"cs","endpoint":{"serviceName":"shop"}}]}]`))
	require.NoError(t, err)
	require.Equal(t, "old", td.Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Name())

	for body, want := range map[string]string{"{": "unexpected end of JSON input", `[{"traceId":"1"}]`: "id", `[{"traceId":"x","id":"1"}]`: "invalid"} {
		_, err = readWhole(v2{}, "application/json", []byte(body))
		require.ErrorContains(t, err, want, body)
	}
	_, err = readWhole(v1{}, "application/x-thrift", nil)
	require.Error(t, err)
}

// nobody is a node without a distributor.
type nobody struct{}

// Find finds nobody.
func (nobody) Find(string, string) (ask.Ref, error) {
	return nil, status.Errorf(status.Unavailable, "no distributor")
}

// Keys finds none.
func (nobody) Keys(string) []string { return nil }

// No bytes end the process, and whatever is not read as spans is refused: 503 shows that the spans
// would have gone on.
func FuzzTranslate(f *testing.F) {
	f.Add([]byte(`[{"traceId":"a1","id":"b2","tags":{"a":"b"}}]`), true)
	f.Add([]byte(`[{"traceId":"00000000000000a1","id":"00000000000000b2","annotations":[null],"binaryAnnotations":[{"key":"a","value":1}]}]`), false)
	f.Add([]byte("[null]"), true)
	f.Add([]byte("\x0a\x04\x0a\x02ab"), true)
	f.Add([]byte("\x0c\x00\x00\x00\x01\x0a\x00\x01abcdefgh\x0a\x00\x04abcdefgh\x0f\x00\x06\x0c\x00\x00\x00\x01\x00\x00"), false)
	g := ingress.New(ingress.Deps{Directory: nobody{}, Logger: slog.New(slog.DiscardHandler), Metrics: ingress.NewMetrics(prometheus.NewRegistry())}, otlp.DefaultConfig().Limits())
	h := newHandler(g, DefaultConfig())
	f.Fuzz(func(t *testing.T, body []byte, second bool) {
		path := "/api/v1/spans"
		if second {
			path = "/api/v2/spans"
		}
		for _, kind := range []string{"application/json", "application/x-protobuf", "application/x-thrift"} {
			r := httptest.NewRequest("POST", path, bytes.NewReader(body))
			r.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			require.Contains(t, []int{202, 400, 503}, w.Code)
		}
	})
}

// An empty list is no spans; ids of another length, a body cut in the middle and spans that are
// none are refused whole; of two equal keys the last holds.
func TestTranslateEdges(t *testing.T) {
	for _, format := range []ingress.Format{v1{}, v2{}} {
		td, err := readWhole(format, "application/json", []byte("[]"))
		require.NoError(t, err)
		require.Zero(t, td.Traces.SpanCount())
	}
	good := `{"traceId":"1","id":"2","tags":{"a":"first","a":"last"}}`
	td, err := readWhole(v2{}, "application/json", []byte("["+good+"]"))
	require.NoError(t, err)
	value, _ := td.Traces.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).Attributes().Get("a")
	require.Equal(t, "last", value.Str())
	for _, body := range []string{"[" + good + `,{"traceId":"1","id":"11111111111111111"}]`, "[" + good + `,{"traceId":"111111111111111111111111111111111","id":"1"}]`,
		"[" + good + `,{"traceId":"1"`, "[" + good, "[" + good + `,{"traceId":"","id":""}]`, good, "\x00"} {
		_, err := readWhole(v2{}, "application/json", []byte(body))
		require.Error(t, err, body)
	}
	for _, body := range []string{`[{"traceId":"1","id":"0000000000000001"}]`, `[{"traceId":"0000000000000001","id":"1"}]`, `[{"traceId":"0000`} {
		_, err := readWhole(v1{}, "application/json", []byte(body))
		require.Error(t, err, body)
	}
	const span = "\x0a\x1c\x0a\x10abcdefghijklmnop\x1a\x08abcdefgh"
	_, err = readWhole(v2{}, "application/x-protobuf", []byte(span))
	require.NoError(t, err)
	for _, body := range []string{span[:len(span)-1], span + "\x0a\x06\x0a\x04abcd", span + "\x0a"} {
		_, err := readWhole(v2{}, "application/x-protobuf", []byte(body))
		require.Error(t, err, "%q", body)
	}
}

// A span of too many tags is refused by both versions, before the translator takes the square of
// their time.
func TestTooManyTags(t *testing.T) {
	tags := make([]string, maxTags+1)
	for i := range tags {
		tags[i] = fmt.Sprintf(`"%d":""`, i)
	}
	_, err := readWhole(v2{}, "application/json", []byte(`[{"traceId":"1","id":"1","tags":{`+strings.Join(tags, ",")+`}}]`))
	require.ErrorContains(t, err, "has 1001 tags, at most 1000 are read")
	_, err = readWhole(v2{}, "application/json", []byte(`[{"traceId":"1","id":"1","tags":{`+strings.Join(tags[1:], ",")+`}}]`))
	require.NoError(t, err)
	_, err = readWhole(v1{}, "application/json", []byte(`[{"traceId":"0000000000000001","id":"0000000000000001","binaryAnnotations":[`+strings.Repeat("{},", maxTags)+"{}]}]"))
	require.ErrorContains(t, err, "1001 tags")
}
