package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

func partialSuccess(refused int64, message string) []byte {
	r := ptraceotlp.NewExportResponse()
	r.PartialSuccess().SetRejectedSpans(refused)
	r.PartialSuccess().SetErrorMessage(message)
	b, _ := r.MarshalProto()
	return b
}

// receiver keeps what was posted to it, and answers the first requests with failures.
type receiver struct {
	mu       sync.Mutex
	failures []int
	got      []ptrace.Traces
	sizes    []int
	tries    int
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tries++
	if len(r.failures) > 0 {
		w.WriteHeader(r.failures[0])
		if len(r.failures) > 1 || r.failures[0] != http.StatusServiceUnavailable { // the last 503 stays
			r.failures = r.failures[1:]
		}
		return
	}
	b, _ := io.ReadAll(req.Body)
	td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.got, r.sizes = append(r.got, td), append(r.sizes, len(b))
}

func (r *receiver) spans() map[string]ptrace.Span {
	out := map[string]ptrace.Span{}
	for _, td := range r.got {
		eachSpan(td, func(s ptrace.Span) { out[s.TraceID().String()+s.SpanID().String()] = s })
	}
	return out
}

func packed(t *testing.T, how string, b []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&out)
	if how == "zstd" {
		var err error
		w, err = zstd.NewWriter(&out)
		require.NoError(t, err)
	}
	_, err := w.Write(b)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// framed writes messages as the Collector's file exporter does.
func framed(messages ...[]byte) (out []byte) {
	for _, m := range messages {
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(m))), m...)
	}
	return out
}

// Each kind of file gives the same spans, from a file and from standard input.
func TestLoadFiles(t *testing.T) {
	shop := newShop(1)
	a, b := shop.makeTrace(time.Now()), shop.makeTrace(time.Now())
	var protos, jsons [][]byte
	for _, td := range []ptrace.Traces{a, b} {
		p, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		j, err := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		protos, jsons = append(protos, p), append(jsons, j)
	}
	var pretty bytes.Buffer
	require.NoError(t, json.Indent(&pretty, jsons[0], "", "  "))
	lines := bytes.Join(jsons, []byte("\n"))
	both, one := a.SpanCount()+b.SpanCount(), a.SpanCount()
	for name, c := range map[string]struct {
		content []byte
		spans   int
	}{
		"json": {jsons[0], one}, "indented": {pretty.Bytes(), one}, "lines": {lines, both}, "empty lines first": {append([]byte("\n\n"), lines...), both},
		"byte order mark": {append([]byte("\xef\xbb\xbf"), lines...), both}, "array": {[]byte("[" + string(bytes.Join(jsons, []byte(","))) + "]"), both},
		"protobuf": {protos[0], one}, "several protobufs": {framed(protos...), both}, "protobufs packed one by one": {framed(packed(t, "zstd", protos[0]), packed(t, "zstd", protos[1])), both},
		"gzip": {packed(t, "gzip", lines), both}, "zstd": {packed(t, "zstd", protos[0]), one}, "gzip twice": {packed(t, "gzip", packed(t, "gzip", protos[0])), one},
	} {
		file := filepath.Join(t.TempDir(), "whatever.dat")
		require.NoError(t, os.WriteFile(file, c.content, 0o600))
		to := &receiver{}
		r := runAt(t, t.Context(), to, "load", file)
		require.Zero(t, r.code, "%s: %s", name, r.errs)
		require.Len(t, to.spans(), c.spans, name)
		require.Contains(t, r.out, "look at one: troupectl trace ")

		got := 0
		src, err := stdinSource(bytes.NewReader(c.content), true)
		require.NoError(t, err)
		for range 2 { // --shift-to-now reads twice
			require.NoError(t, src.eachRequest(io.Discard, func(td ptrace.Traces) error { got += td.SpanCount(); return nil }))
		}
		require.Equal(t, 2*c.spans, got, name)
	}
}

// A file that is not what it should be ends the command with its name and what is wrong, and
// nothing is sent of it.
func TestLoadBadFiles(t *testing.T) {
	for want, content := range map[string]string{
		"holds no spans":                    "",
		"holds no spans: it must":           "{}",
		"holds no spans: it must be OTLP":   `{"resourceSpans":[{"scopeSpans":[{"spans":[]}]}]}`,
		"no traces but OTLP metrics":        `{"resourceMetrics":[]}`,
		"no traces but an answer of Tempo":  `{"batches":[{}]}`,
		"request 1: at byte":                `{"resourceSpans":`,
		"neither OTLP/JSON nor":             "hello",
		"no OTLP protobuf":                  "\x0a\xff\xff\xff\xff\xff",
		"request 1: 50 of its 99 bytes are": "\x00\x00\x00\x63" + strings.Repeat("x", 49),
		"more than 512 MiB":                 "\x00\x00\x00\x00\xff\xff\xff\xff",
		"its length is cut off":             "\x00\x00",
		"unpack":                            "\x1f\x8b\x00",
		"unexpected EOF":                    string(packed(t, "gzip", bytes.Repeat([]byte("{}\n"), 1000))[:30]),
	} {
		file := filepath.Join(t.TempDir(), "bad.json")
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
		to := &receiver{}
		r := runAt(t, t.Context(), to, "load", file)
		require.Equal(t, 1, r.code, "%q", content)
		require.Contains(t, r.errs, want, "%q", content)
		require.Contains(t, r.errs, "bad.json")
		require.Empty(t, to.got)
	}
	r := runAt(t, t.Context(), &receiver{}, "load", t.TempDir())
	require.Contains(t, r.errs, "is a folder")
	for _, args := range [][]string{{"load"}, {"load", "x", "--demo"}, {"load", "x", "--live"}, {"load", "no such file"}} {
		require.Equal(t, 1, runAt(t, t.Context(), &receiver{}, args...).code, "%v", args)
	}
}

// What may be taken later is sent again; what is refused for good, or for too long, ends the
// command.
func TestLoadRefusals(t *testing.T) {
	to := &receiver{failures: []int{429, 502, 504}}
	r := runAt(t, t.Context(), to, "load", "--demo", "--traces", "2")
	require.Zero(t, r.code, r.errs)
	require.Equal(t, 5, to.tries)
	require.Len(t, to.got, 2)

	for _, status := range []int{400, 401, 404, 413} {
		to = &receiver{failures: []int{status}}
		r = runAt(t, t.Context(), to, "load", "--demo", "--traces", "2")
		require.Equal(t, 1, r.code)
		require.Equal(t, 1, to.tries)
		require.Contains(t, r.errs, fmt.Sprint("send request 1: refused with ", status))
	}
	to = &receiver{failures: []int{503}} // for ever
	r = runAt(t, t.Context(), to, "load", "--demo", "--traces", "2", "--patience", "250ms")
	require.Equal(t, 1, r.code)
	require.Greater(t, to.tries, 1)
	require.Contains(t, r.errs, "given up after")
	require.Contains(t, r.errs, "503")

	r = runAt(t, t.Context(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(partialSuccess(0, "values were cut")) }),
		"load", "--demo", "--traces", "1")
	require.Zero(t, r.code)
	require.Contains(t, r.errs, "warning: values were cut")
	code := execute(t.Context(), []string{"load", "--demo", "--otlp", "127.0.0.1:1"}, io.Discard, io.Discard)
	require.Equal(t, 1, code, "nothing listens: not waited for")
}

// The demo is new each time: other ids, times that end now; with a seed it is the same.
func TestDemo(t *testing.T) {
	load := func(args ...string) *receiver {
		to := &receiver{}
		r := runAt(t, t.Context(), to, append([]string{"load", "--demo", "--traces", "5"}, args...)...)
		require.Zero(t, r.code, r.errs)
		return to
	}
	first, second, seeded, again := load().spans(), load().spans(), load("--seed", "9").spans(), load("--seed", "9").spans()
	for id := range first {
		require.NotContains(t, second, id)
	}
	for id := range seeded {
		require.Contains(t, again, id)
	}
	newest := pcommon.Timestamp(0)
	for _, s := range first {
		newest = max(newest, s.EndTimestamp())
	}
	require.WithinDuration(t, time.Now(), newest.AsTime(), 5*time.Minute)
}

// The live demo goes on until it is interrupted, which is its end and no failure; its traces end
// now.
func TestLiveDemo(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	to := &receiver{}
	r := runAt(t, ctx, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		to.ServeHTTP(w, req)
		if len(to.got) == 10 {
			stop()
		}
	}), "load", "--demo", "--live", "--rate", "1000")
	require.Zero(t, r.code, r.errs)
	require.GreaterOrEqual(t, len(to.got), 10)
	require.Contains(t, r.out, "sent ")
	for _, s := range to.spans() {
		require.WithinDuration(t, time.Now(), s.EndTimestamp().AsTime(), time.Minute)
	}
}

// A request that receivers would refuse for its size is sent in parts that hold each span once,
// with its resource.
func TestSplitRequest(t *testing.T) {
	td := ptrace.NewTraces()
	for i := range 3 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutInt("resource", int64(i))
		rs.SetSchemaUrl("schema")
		for range 2 {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName("scope")
			for range 500 {
				s := ss.Spans().AppendEmpty()
				n := td.SpanCount()
				s.SetSpanID(pcommon.SpanID{byte(n), byte(n >> 8), 1})
				s.SetTraceID(pcommon.TraceID{1})
				s.Attributes().PutInt("resource", int64(i))
				s.Attributes().PutStr("text", strings.Repeat("x", 5000))
			}
		}
	}
	total := td.SpanCount()
	parts := splitRequest(td)
	seen := map[pcommon.SpanID]bool{}
	for _, part := range parts {
		require.LessOrEqual(t, (&ptrace.ProtoMarshaler{}).TracesSize(part), maxSent)
		for _, rs := range part.ResourceSpans().All() {
			of, _ := rs.Resource().Attributes().Get("resource")
			for _, ss := range rs.ScopeSpans().All() {
				require.Equal(t, "scope", ss.Scope().Name())
				for _, s := range ss.Spans().All() {
					its, _ := s.Attributes().Get("resource")
					require.Equal(t, of.Int(), its.Int())
					seen[s.SpanID()] = true
				}
			}
		}
	}
	require.Len(t, seen, total)
	require.Greater(t, len(parts), 1)
}

func FuzzReadRequests(f *testing.F) {
	td := newShop(1).makeTrace(time.Unix(1, 0))
	p, _ := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	j, _ := (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, _ = w.Write(j)
	_ = w.Close()
	for _, b := range [][]byte{p, j, z.Bytes(), framed(p, p), {0, 0xff, 0xff, 0xff, 0xff}, []byte("[{}]"), []byte("\n{"), []byte("null")} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = readRequests(bytes.NewReader(b), func(td ptrace.Traces) error {
			moveTimes(td, 1)
			newTree(td)
			for _, part := range splitRequest(td) {
				firstTraceID(part)
			}
			return nil
		})
	})
}
