package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
	"github.com/troupe-tracing/troupe/test/kit/intake"
)

// world is a gateway before a distributor whose answers a test decides.
type world struct {
	*Gateway
	*intake.Distributor
	registry *prometheus.Registry // of the door
}

func newWorld(t testing.TB, change func(*Config, *ingress.Deps)) *world {
	t.Helper()
	w := &world{Distributor: intake.Start(t), registry: prometheus.NewRegistry()}
	cfg := DefaultConfig()
	d := ingress.Deps{
		Asker:     w.System,
		Directory: w.System,
		Logger:    slog.New(slog.DiscardHandler),
		Metrics:   ingress.NewMetrics(w.registry),
	}
	if change != nil {
		change(&cfg, &d)
	}
	require.NoError(t, cfg.Validate())
	w.Gateway = New(ingress.New(d, cfg.Limits()), cfg)
	t.Cleanup(func() { require.Zero(t, w.buffered(t), "memory still reserved") })
	return w
}

// buffered is the memory that requests hold.
func (w *world) buffered(t testing.TB) float64 {
	t.Helper()
	families, err := w.registry.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == "troupe_otlp_buffered_bytes" {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal("there is no gauge of buffered bytes")
	return 0
}

func (w *world) post(contentType, encoding string, body []byte, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/v1/traces", bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	rec := httptest.NewRecorder()
	w.Handler().ServeHTTP(rec, r)
	return rec
}

func request(change func(ptrace.Span)) (pb, json []byte) {
	td := ptrace.NewTraces()
	s := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetTraceID([16]byte{1})
	s.SetSpanID([8]byte{2})
	s.SetName("name")
	if change != nil {
		change(s)
	}
	pb, _ = (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	json, _ = (&ptrace.JSONMarshaler{}).MarshalTraces(td)
	return pb, json
}

var packers = map[string]func(io.Writer) io.WriteCloser{
	"gzip":    func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) },
	"zlib":    func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) },
	"snappy":  func(w io.Writer) io.WriteCloser { return snappy.NewBufferedWriter(w) },
	"zstd":    func(w io.Writer) io.WriteCloser { z, _ := zstd.NewWriter(w); return z },
	"deflate": func(w io.Writer) io.WriteCloser { z, _ := flate.NewWriter(w, 5); return z },
}

func pack(encoding string, b []byte) []byte {
	var out bytes.Buffer
	z := packers[encoding](&out)
	_, _ = z.Write(b)
	_ = z.Close()
	return out.Bytes()
}

// What was sent reaches the distributor byte for byte, in every encoding, and is answered in the
// request's own.
func TestHTTPAccepts(t *testing.T) {
	w := newWorld(t, nil)
	pb, json := request(nil)
	for _, encoding := range []string{"", "gzip", "zlib", "snappy", "zstd", "deflate"} {
		for range 2 { // the second time with used readers
			body, jsonBody := pb, json
			if encoding != "" {
				body, jsonBody = pack(encoding, pb), pack(encoding, json)
			}
			rec := w.post("application/x-protobuf", encoding, body)
			require.Equal(t, 200, rec.Code, "%s: %s", encoding, rec.Body)
			require.Equal(t, []byte{0x0a, 0x00}, rec.Body.Bytes())
			require.Equal(t, "application/x-protobuf", rec.Header().Get("Content-Type"))
			require.Equal(t, pb, w.Pushed[len(w.Pushed)-1].Otlp)
			rec = w.post("application/json; charset=utf-8", encoding, jsonBody)
			require.Equal(t, 200, rec.Code, "%s: %s", encoding, rec.Body)
			require.Equal(t, `{"partialSuccess":{}}`, rec.Body.String())
			require.Equal(t, "application/json", rec.Header().Get("Content-Type"))
			td, err := (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(w.Pushed[len(w.Pushed)-1].Otlp)
			require.NoError(t, err)
			again, _ := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
			require.Equal(t, pb, again)
			require.Equal(t, "single-tenant", w.Pushed[len(w.Pushed)-1].Tenant)
		}
	}
	for _, c := range [][2]string{{"application/x-protobuf", ""}, {"application/json", "null"}, {"application/json", "{}"}, {"application/json", `{"later":[1]}`}} {
		require.Equal(t, 200, w.post(c[0], "", []byte(c[1])).Code, c[1])
	}
}

// Refusals have the codes and texts that clients know. Source: docs/spec/api.md,
// "Pushing spans".
func TestHTTPRefuses(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *ingress.Deps) { c.Protocols.HTTP.MaxBodySize = 1 << 20 })
	pb, _ := request(nil)
	zeroTrace, _ := request(func(s ptrace.Span) { s.SetTraceID([16]byte{}) })
	zeroSpan, zeroSpanJSON := request(func(s ptrace.Span) { s.SetSpanID([8]byte{}) })
	large := make([]byte, 1<<20+1)
	for _, c := range []struct {
		name, kind, encoding string
		body                 []byte
		code                 int
		text                 string
	}{
		{"content type", "text/plain", "", pb, 415, "415 unsupported media type, supported: [application/json, application/x-protobuf]"},
		{"no content type", "", "", pb, 415, "415 unsupported media type, supported: [application/json, application/x-protobuf]"},
		{"other protobuf", "application/protobuf", "", pb, 415, "415 unsupported media type, supported: [application/json, application/x-protobuf]"},
		{"encoding", "application/json", "br", pb, 400, `{"code":3,"message":"unsupported Content-Encoding: br; send one of gzip`},
		{"no gzip", "application/json", "gzip", bytes.Repeat([]byte("x"), 50), 400, `{"code":3,"message":"unpack: gzip: invalid header"}`},
		{"empty gzip", "application/json", "gzip", nil, 400, `{"code":3,"message":"unpack: unexpected EOF"}`},
		{"half gzip", "application/json", "gzip", pack("gzip", large[:1000])[:20], 400, `{"code":3,"message":"unpack: unexpected EOF"}`},
		{"large", "application/json", "", large, 400, `{"code":3,"message":"http: request body too large: it has more than 1MiB: send smaller batches, or raise distributor.receivers.otlp.protocols.http.max_request_body_size"}`},
		{"zero span id", "application/json", "", zeroSpanJSON, 400, `{"code":3,"message":"span ids must be 64 bit and not all zero, received 0 bits"}`},
		{"empty JSON", "application/json", "", nil, 400, `{"code":3,`},
		{"half JSON", "application/json", "", []byte("{"), 400, `{"code":3,`},
		{"short id", "application/json", "", []byte(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"ab"}]}]}]}`), 400, "traceId: want 32 hex digits, found 2 characters"},
	} {
		rec := w.post(c.kind, c.encoding, c.body)
		require.Equal(t, c.code, rec.Code, c.name)
		require.Contains(t, rec.Body.String(), c.text, c.name)
	}
	for encoding := range packers {
		rec := w.post("application/json", encoding, pack(encoding, large))
		require.Equal(t, 400, rec.Code, encoding)
		require.Contains(t, rec.Body.String(), "http: request body too large: it has more than 1MiB when unpacked: send smaller batches, or raise "+maxBodyKey, encoding)
	}
	for text, body := range map[string][]byte{"trace ids must be 128 bit, received 0 bits": zeroTrace, "span ids must be 64 bit and not all zero, received 0 bits": zeroSpan} {
		rec := w.post("application/x-protobuf", "", body)
		require.Equal(t, 400, rec.Code)
		var st rpcstatus.Status
		require.NoError(t, proto.Unmarshal(rec.Body.Bytes(), &st))
		require.EqualValues(t, 3, st.Code)
		require.Equal(t, text, st.Message)
	}
	require.Equal(t, 400, w.post("application/x-protobuf", "", pb[:len(pb)-1]).Code)

	get := httptest.NewRecorder()
	w.Handler().ServeHTTP(get, httptest.NewRequest(http.MethodGet, "/v1/traces", nil))
	require.Equal(t, 405, get.Code)
	require.Equal(t, "405 method not allowed, supported: [POST]", get.Body.String())
	slash := httptest.NewRecorder()
	w.Handler().ServeHTTP(slash, httptest.NewRequest(http.MethodPost, "/v1/traces/", nil))
	require.Equal(t, 404, slash.Code)
}

// A body of unknown length is read up to the limit and no further.
func TestHTTPChunked(t *testing.T) {
	w := newWorld(t, func(c *Config, _ *ingress.Deps) { c.Protocols.HTTP.MaxBodySize = 1 << 20 })
	post := func(body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequest(http.MethodPost, "/v1/traces", io.NopCloser(body))
		r.ContentLength = -1
		r.Header.Set("Content-Type", "application/x-protobuf")
		rec := httptest.NewRecorder()
		w.Handler().ServeHTTP(rec, r)
		return rec
	}
	pb, _ := request(func(s ptrace.Span) { s.SetName(string(bytes.Repeat([]byte("n"), 900_000))) })
	require.Equal(t, 200, post(bytes.NewReader(pb)).Code)
	require.Equal(t, pb, w.Pushed[0].Otlp)
	endless := &counted{}
	rec := post(endless)
	require.Equal(t, 400, rec.Code)
	require.Contains(t, rec.Body.String(), "http: request body too large")
	require.Less(t, endless.n, 2<<20)
	require.Equal(t, 400, post(io.MultiReader(bytes.NewReader(pb), broken{})).Code)
}

type counted struct{ n int }

func (c *counted) Read(b []byte) (int, error) { c.n += len(b); return len(b), nil }

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// What the distributor answers reaches the client with its class, over both protocols.
func TestAnswers(t *testing.T) {
	w := newWorld(t, nil)
	pb, json := request(nil)
	client := dial(t, w)
	for _, c := range []struct {
		answer any
		grpc   codes.Code
		http   int
		json   string
		retry  string
	}{
		{&ingest.PushSpansReply{Spans: 5, Rejected: 2, Message: "2 spans refused"}, codes.OK, 200, `{"partialSuccess":{"rejectedSpans":"2","errorMessage":"2 spans refused"}}`, ""},
		{status.Limitedf(4100*time.Millisecond, "RATE_LIMITED: <too much>"), codes.ResourceExhausted, 429,
			`{"code":8,"message":"RATE_LIMITED: <too much>","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"4.1s"}]}`, "5"},
		{status.Limitedf(0, "full"), codes.ResourceExhausted, 429, `{"code":8,"message":"full"}`, ""},
		{status.Errorf(status.Unavailable, "append to the log: disk full"), codes.Unavailable, 503, `{"code":14,"message":"append to the log: disk full"}`, ""},
		{status.Errorf(status.Internal, "BUG"), codes.Unavailable, 503, `{"code":14,"message":"BUG"}`, ""},
		{status.Errorf(status.Invalid, "no"), codes.InvalidArgument, 400, `{"code":3,"message":"no"}`, ""},
	} {
		w.Mu.Lock()
		w.Answer = func(*ingest.PushSpans) any { return c.answer }
		w.Mu.Unlock()
		rec := w.post("application/json", "", json)
		require.Equal(t, c.http, rec.Code)
		require.Equal(t, c.json, rec.Body.String())
		require.Equal(t, c.retry, rec.Header().Get("Retry-After"))

		var out ingress.RawMessage
		err := client.Invoke(context.Background(), export, pb, &out, grpc.ForceCodecV2(ingress.RawCodec{}))
		st := grpcstatus.Convert(err)
		require.Equal(t, c.grpc, st.Code())
		if e, ok := c.answer.(*status.Error); ok {
			require.Equal(t, e.Error(), st.Message())
			require.Equal(t, e.RetryAfter > 0, len(st.Details()) == 1)
			if e.RetryAfter > 0 {
				require.Equal(t, e.RetryAfter, st.Details()[0].(*errdetails.RetryInfo).GetRetryDelay().AsDuration())
			}
			continue
		}
		reply := ptraceotlp.NewExportResponse()
		require.NoError(t, reply.UnmarshalProto(out.Bytes))
		require.EqualValues(t, 2, reply.PartialSuccess().RejectedSpans())
		require.Equal(t, "2 spans refused", reply.PartialSuccess().ErrorMessage())
	}
}

const export = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

func dial(t testing.TB, w *world) *grpc.ClientConn {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := w.GRPC()
	go func() { _ = s.Serve(l, nil) }()
	t.Cleanup(s.GracefulStop) // a refused message is answered before its handler has returned
	c, err := grpc.NewClient("passthrough:x", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// A collector's client is understood: unary, with each compression it has.
func TestGRPC(t *testing.T) {
	w := newWorld(t, nil)
	c := dial(t, w)
	pb, _ := request(nil)
	req := ptraceotlp.NewExportRequest()
	require.NoError(t, req.UnmarshalProto(pb))
	for _, compression := range []string{"", "gzip", "zstd", "snappy"} {
		for range 2 {
			opts := []grpc.CallOption{}
			if compression != "" {
				opts = append(opts, grpc.UseCompressor(compression))
			}
			_, err := ptraceotlp.NewGRPCClient(c).Export(context.Background(), req, opts...)
			require.NoError(t, err, compression)
			require.Equal(t, pb, w.Pushed[len(w.Pushed)-1].Otlp)
		}
	}
	var out ingress.RawMessage
	require.NoError(t, c.Invoke(context.Background(), export, pb, &out, grpc.ForceCodecV2(ingress.RawCodec{})))
	require.Equal(t, []byte{0x0a, 0x00}, out.Bytes)
}

func TestGRPCRefuses(t *testing.T) {
	registry := prometheus.NewRegistry()
	w := newWorld(t, func(c *Config, d *ingress.Deps) {
		c.Protocols.GRPC.MaxRecvMsgSize, d.Refusals = 1, refusals.New(registry, slog.New(slog.DiscardHandler))
	})
	c := dial(t, w)
	call := func(b []byte, opts ...grpc.CallOption) *grpcstatus.Status {
		var out ingress.RawMessage
		return grpcstatus.Convert(c.Invoke(context.Background(), export, b, &out, append(opts, grpc.ForceCodecV2(ingress.RawCodec{}))...))
	}
	st := call(make([]byte, 2<<20))
	require.Equal(t, codes.ResourceExhausted, st.Code())
	require.Contains(t, st.Message(), "grpc: received message larger than max (")
	require.Empty(t, st.Details())
	require.Eventually(t, func() bool {
		return testutil.CollectAndCount(registry, "troupe_distributor_requests_refused_total") == 1
	}, 10*time.Second,
		time.Millisecond, "gRPC ends the stream before the handler knows why, and still it is counted")
	for _, compression := range []string{"gzip", "zstd", "snappy"} {
		st = call(make([]byte, 8<<20), grpc.UseCompressor(compression)) // small when packed
		require.Equal(t, codes.ResourceExhausted, st.Code(), compression)
	}
	pb, _ := request(nil)
	st = call(pb[:len(pb)-1])
	require.Equal(t, codes.Internal, st.Code())
	require.Contains(t, st.Message(), "grpc: error unmarshalling request: ")
	zero, _ := request(func(s ptrace.Span) { s.SetTraceID([16]byte{}) })
	st = call(zero)
	require.Equal(t, codes.InvalidArgument, st.Code())
	require.Equal(t, "trace ids must be 128 bit, received 0 bits", st.Message())
}

// Where tenants are on, a request names exactly one.
func TestTenants(t *testing.T) {
	w := newWorld(t, func(_ *Config, d *ingress.Deps) { d.Multitenancy = true })
	c := dial(t, w)
	pb, json := request(nil)
	for _, tc := range []struct {
		values []string
		http   int
		code   codes.Code
		text   string
	}{
		{nil, 401, codes.Unauthenticated, "no org id: name the tenant of the spans in one header X-Scope-OrgID"},
		{[]string{"a", "b"}, 401, codes.Unauthenticated, "no org id: name the tenant of the spans in one header X-Scope-OrgID"},
		{[]string{""}, 400, codes.InvalidArgument, "no org id"},
		{[]string{"a|b"}, 400, codes.InvalidArgument, "multiple org IDs present"},
		{[]string{"a b"}, 400, codes.InvalidArgument, "tenant ID 'a b' contains unsupported character ' '"},
		{[]string{"team-1"}, 200, codes.OK, ""},
	} {
		var headers, md []string
		for _, v := range tc.values {
			headers = append(headers, "X-Scope-OrgID", v)
			md = append(md, "x-scope-orgid", v)
		}
		rec := w.post("application/json", "", json, headers...)
		require.Equal(t, tc.http, rec.Code, "%v", tc.values)
		require.Contains(t, rec.Body.String(), tc.text)
		var out ingress.RawMessage
		ctx := metadata.AppendToOutgoingContext(context.Background(), md...)
		st := grpcstatus.Convert(c.Invoke(ctx, export, pb, &out, grpc.ForceCodecV2(ingress.RawCodec{})))
		require.Equal(t, tc.code, st.Code(), "%v", tc.values)
		require.Equal(t, tc.text, st.Message())
	}
	require.Equal(t, "team-1", w.Pushed[len(w.Pushed)-1].Tenant)
}

// Whatever is sent is answered, with 200 or 400, and holds nothing afterwards.
func FuzzHTTP(f *testing.F) {
	pb, json := request(nil)
	f.Add("application/x-protobuf", "", pb)
	f.Add("application/json", "", json)
	for encoding := range packers {
		f.Add("application/x-protobuf", encoding, pack(encoding, pb))
	}
	w := newWorld(f, func(c *Config, _ *ingress.Deps) { c.Protocols.HTTP.MaxBodySize = 1 << 20 })
	f.Fuzz(func(t *testing.T, kind, encoding string, body []byte) {
		rec := w.post(kind, encoding, body)
		require.Contains(t, []int{200, 400, 415}, rec.Code)
		require.Zero(t, w.buffered(t))
	})
}
