package e2e

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/test/kit"
)

// one makes a request of one span that the caller changes.
func one(change func(rs ptrace.ResourceSpans, s ptrace.Span)) ([]byte, string) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "odd")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	var id pcommon.TraceID
	for i := range id {
		id[i] = byte(rand.Uint32())
	}
	s.SetTraceID(id)
	s.SetSpanID(pcommon.SpanID{1, 2, 3, 4, 5, 6, 7, 8})
	s.SetName("odd")
	now := time.Now()
	s.SetStartTimestamp(pcommon.NewTimestampFromTime(now))
	s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(time.Millisecond)))
	change(rs, s)
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		panic(err)
	}
	return b, hex.EncodeToString(id[:])
}

// Whatever is sent, the answer names the cause, the process lives, and what was acknowledged before
// is still there.
func TestBadInput(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	ctx := context.Background()
	good, goodID := one(func(ptrace.ResourceSpans, ptrace.Span) {})
	code, _, err := n.Push(ctx, "application/x-protobuf", good)
	require.NoError(t, err)
	require.Equal(t, 200, code)

	gzipped := func(b []byte) []byte {
		var buf bytes.Buffer
		w := gzip.NewWriter(&buf)
		_, _ = w.Write(b)
		_ = w.Close()
		return buf.Bytes()
	}
	zero, _ := one(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetTraceID(pcommon.TraceID{}) })
	zeroSpan, _ := one(func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetSpanID(pcommon.SpanID{}) })
	flipped := bytes.Clone(good)
	flipped[1] ^= 0x55
	for _, c := range []struct {
		name, contentType string
		body              []byte
		headers           []string
		code              int
		says              string
	}{
		{"truncated protobuf", "application/x-protobuf", good[:len(good)-7], nil, 400, ""},
		{"flipped bits", "application/x-protobuf", flipped, nil, 400, ""},
		{"wrong content type", "text/plain", good, nil, 415, "415 unsupported media type"},
		{"no JSON", "application/json", []byte("{"), nil, 400, ""},
		{"bad gzip", "application/x-protobuf", good, []string{"Content-Encoding", "gzip"}, 400, "gzip"},
		{"unknown encoding", "application/x-protobuf", good, []string{"Content-Encoding", "br"}, 400, "unsupported Content-Encoding: br; send one of gzip, "},
		{"100 MB body", "application/x-protobuf", make([]byte, 100<<20), nil, 400, "request body too large"},
		{"100 MB in 100 kB", "application/x-protobuf", gzipped(make([]byte, 100<<20)), []string{"Content-Encoding", "gzip"}, 400, "too large"},
		{"zero trace id", "application/x-protobuf", zero, nil, 400, "trace ids must be 128 bit"},
		{"zero span id", "application/x-protobuf", zeroSpan, nil, 400, "span ids must be 64 bit"},
		{"short trace id", "application/json", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"abcd","spanId":"0102030405060708"}]}]}]}`), nil, 400, ""},
	} {
		code, body, err := n.Push(ctx, c.contentType, c.body, c.headers...)
		if err != nil { // a server may hang up on a body it will not read to the end
			require.Contains(t, c.name, "100 MB body", "%v", err)
			continue
		}
		require.Equal(t, c.code, code, "%s: %s", c.name, body)
		require.Contains(t, string(body), c.says, c.name)
	}

	accepted := map[string]func(ptrace.ResourceSpans, ptrace.Span){
		"end before start": func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetEndTimestamp(s.StartTimestamp() - 5) },
		"no times":         func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetStartTimestamp(0); s.SetEndTimestamp(0) },
		"far future":       func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetEndTimestamp(math.MaxUint64) },
		"far past":         func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetStartTimestamp(1) },
		"no resource":      func(rs ptrace.ResourceSpans, _ ptrace.Span) { rs.Resource().Attributes().Clear() },
		"odd enums":        func(_ ptrace.ResourceSpans, s ptrace.Span) { s.SetKind(77); s.Status().SetCode(9) },
		"invalid UTF-8":    func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Attributes().PutStr("k", "a\xff\xfeb") },
		"empty key":        func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Attributes().PutStr("", "") },
		"long value":       func(_ ptrace.ResourceSpans, s ptrace.Span) { s.Attributes().PutStr("k", strings.Repeat("x", 500_000)) },
		"10,000 attributes": func(_ ptrace.ResourceSpans, s ptrace.Span) {
			for i := range 10_000 {
				s.Attributes().PutInt(fmt.Sprintf("key-%d", i), int64(i))
			}
		},
		"deep value": func(_ ptrace.ResourceSpans, s ptrace.Span) {
			v := s.Attributes().PutEmpty("deep")
			for range 50 {
				v = v.SetEmptySlice().AppendEmpty()
			}
			v.SetStr("bottom")
		},
	}
	ids := map[string]string{}
	for name, change := range accepted {
		b, id := one(change)
		code, body, err := n.Push(ctx, "application/x-protobuf", b)
		require.NoError(t, err, name)
		require.Equal(t, 200, code, "%s: %s", name, body)
		ids[name] = id
	}
	million, _ := one(func(_ ptrace.ResourceSpans, s ptrace.Span) {
		attributes := make(map[string]any, 1_000_000)
		for i := range 1_000_000 {
			attributes[fmt.Sprintf("k%d", i)] = true
		}
		require.NoError(t, s.Attributes().FromRaw(attributes)) // Put would look each key up in all others
	})
	code, body, err := n.Push(ctx, "application/x-protobuf", million)
	if err == nil {
		// over the body's or the span's limit: said, by an error or by partial success
		require.Contains(t, []int{200, 400}, code)
		require.NotEqual(t, `{"partialSuccess":{}}`, string(body))
	}

	check := func() {
		require.Len(t, fetch(t, n, goodID), 1)
		for name, id := range ids {
			require.Eventually(t, func() bool { return len(fetch(t, n, id)) == 1 }, 20*time.Second, 10*time.Millisecond, name)
			code, body := n.Get("/api/traces/" + id) // the JSON form must be valid too
			require.Equal(t, 200, code, "%s: %s", name, body)
		}
	}
	check()
	for _, q := range []string{"{", "{ nope }", "}", "{ .a = }", strings.Repeat("(", 5000), "{ .a =~ \"(\" }", "{}" + strings.Repeat(" ", 200_000)} {
		code, body := n.Get("/api/search", "q", q)
		require.Equal(t, 400, code, "%.40q: %s", q, body)
	}
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	n.Start()
	check()
}

// What keeps a node from starting is said in one line that names the cause and the remedy.
func TestCannotStart(t *testing.T) {
	t.Run("unknown key", func(t *testing.T) {
		n := kit.NewNode(t)
		n.Config = "query_frontend:\n  serach: {}\n"
		n.Launch()
		require.NotEqual(t, 0, n.Exit(10*time.Second))
		require.Contains(t, n.Log(), "query_frontend.serach")
	})
	t.Run("port taken", func(t *testing.T) {
		n := kit.NewNode(t)
		l, err := net.Listen("tcp", n.HTTP)
		require.NoError(t, err)
		defer l.Close()
		n.Launch()
		require.NotEqual(t, 0, n.Exit(20*time.Second))
		require.Contains(t, n.Log(), "address already in use")
	})
	t.Run("folder locked by another process", func(t *testing.T) {
		n := kit.NewNode(t)
		n.Start()
		other := kit.NewNode(t)
		other.Dir = n.Dir
		other.Launch()
		require.NotEqual(t, 0, other.Exit(20*time.Second))
		require.Contains(t, other.Log(), "lock")
		code, _ := n.Get("/ready")
		require.Equal(t, 200, code)
	})
	t.Run("folder is a file", func(t *testing.T) {
		n := kit.NewNode(t)
		require.NoError(t, os.WriteFile(filepath.Join(n.Dir, "log"), nil, 0o600))
		n.Launch()
		require.NotEqual(t, 0, n.Exit(20*time.Second))
		require.Contains(t, n.Log(), filepath.Join(n.Dir, "log"))
	})
}

// A Tempo single-binary file starts the node; what means nothing here is accepted with a warning
// that names it.
func TestTempoFileStarts(t *testing.T) {
	n := kit.NewNode(t)
	n.Config = `    pool:
      max_workers: 100
    block:
      version: vParquet4
stream_over_http_enabled: true
overrides:
  defaults:
    metrics_generator:
      processors: [service-graphs, span-metrics]
memberlist:
  abort_if_cluster_join_fails: false
  join_members: []
usage_report:
  reporting_enabled: false
backend_worker:
  compaction:
    block_retention: 48h
metrics_generator:
  storage:
    path: /var/tempo/generator/wal
    remote_write:
      - url: http://prom:9090/api/v1/write
        send_exemplars: true
`
	n.Start()
	require.Contains(t, n.Log(), "storage.trace.block.version")
}

// A folder that cannot be written is named.
func TestNotWritable(t *testing.T) {
	for _, flag := range []string{"-storage.trace.wal.path", "-storage.trace.local.path"} {
		n := kit.NewNode(t)
		n.Args = []string{flag + "=/proc/troupe/data"}
		n.Launch()
		require.NotEqual(t, 0, n.Exit(20*time.Second))
		require.Contains(t, n.Log(), "/proc/troupe/data", flag)
	}
}

// Garbage beside good requests, on all receivers at once: every good one is acknowledged, and the
// process stays as it is.
func TestGarbageHarmsNobody(t *testing.T) {
	n := kit.NewNode(t)
	n.Start()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 5))
			for ctx.Err() == nil {
				b, _ := one(func(ptrace.ResourceSpans, ptrace.Span) {})
				for range 1 + r.IntN(8) {
					b[r.IntN(len(b))] ^= byte(1 << r.IntN(8))
				}
				kind := []string{"application/x-protobuf", "application/json"}[r.IntN(2)]
				encoding := []string{"", "gzip", "zstd", "snappy"}[r.IntN(4)]
				if c, err := net.Dial("tcp", []string{n.OTLPGRPC, n.GRPC, n.HTTP, n.OTLPHTTP}[r.IntN(4)]); err == nil {
					_, _ = c.Write(b)
					_ = c.Close()
				}
				_, _, _ = n.Push(ctx, kind, b[:r.IntN(len(b))+1], "Content-Encoding", encoding)
			}
		})
	}
	ids := []string{}
	for range 200 {
		b, id := one(func(ptrace.ResourceSpans, ptrace.Span) {})
		code, body, err := n.Push(ctx, "application/x-protobuf", b)
		require.NoError(t, err)
		require.Equal(t, 200, code, "%s", body)
		ids = append(ids, id)
	}
	cancel()
	wg.Wait()
	for _, id := range ids {
		require.Eventually(t, func() bool { return len(fetch(t, n, id)) == 1 }, 20*time.Second, 10*time.Millisecond)
	}
	code, metrics := n.Get("/metrics")
	require.Equal(t, 200, code)
	for line := range strings.Lines(string(metrics)) {
		if strings.HasPrefix(line, "troupe_kernel_restarts_total") {
			require.True(t, strings.HasSuffix(strings.TrimSpace(line), " 0"), line)
		}
	}
}
