package otlp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
)

// batch is a request of ordinary spans, about 250 bytes each.
func batch(spans int) []byte {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "checkout")
	ss := rs.ScopeSpans().AppendEmpty()
	for i := range spans {
		s := ss.Spans().AppendEmpty()
		s.SetTraceID([16]byte{1, byte(i >> 8), byte(i)})
		s.SetSpanID([8]byte{2, byte(i >> 8), byte(i)})
		s.SetName("GET /api/products/{id}")
		s.SetStartTimestamp(1767225600e9)
		s.SetEndTimestamp(1767225601e9)
		for j := range 6 {
			s.Attributes().PutStr(fmt.Sprintf("http.request.header.%d", j), fmt.Sprintf("value %d", i*j))
		}
	}
	b, _ := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	return b
}

// BenchmarkPush is a push over loopback up to the distributor, which only answers: its time is that
// of receiving and unpacking.
func BenchmarkPush(b *testing.B) {
	w := newWorld(b, nil)
	w.Answer = func(*ingest.PushSpans) any {
		w.Mu.Lock()
		defer w.Mu.Unlock()
		w.Pushed = w.Pushed[:0]
		return &ingest.PushSpansReply{Spans: 1}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	web := w.HTTP()
	go func() { _ = web.Serve(l) }()
	b.Cleanup(func() { _ = web.Close() })
	l2, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	rpc := w.GRPC()
	go func() { _ = rpc.Serve(l2, nil) }()
	b.Cleanup(rpc.GracefulStop)
	c, err := grpc.NewClient(l2.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	url := "http://" + l.Addr().String() + "/v1/traces"
	for _, spans := range []int{40, 400, 4000, 12000} {
		plain := batch(spans)
		for _, encoding := range []string{"", "gzip", "zstd", "snappy"} {
			body := plain
			if encoding != "" {
				body = pack(encoding, plain)
			}
			b.Run(fmt.Sprintf("http/%d/%s", spans, encoding), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(plain)))
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						r, _ := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
						r.Header.Set("Content-Type", "application/x-protobuf")
						if encoding != "" {
							r.Header.Set("Content-Encoding", encoding)
						}
						a, err := http.DefaultClient.Do(r)
						if err != nil || a.StatusCode != 200 {
							b.Error(err, a)
							return
						}
						_, _ = io.Copy(io.Discard, a.Body)
						_ = a.Body.Close()
					}
				})
			})
			b.Run(fmt.Sprintf("grpc/%d/%s", spans, encoding), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(plain)))
				opts := []grpc.CallOption{grpc.ForceCodecV2(ingress.RawCodec{})}
				if encoding != "" {
					opts = append(opts, grpc.UseCompressor(encoding))
				}
				b.RunParallel(func(p *testing.PB) {
					for p.Next() {
						var out ingress.RawMessage
						if err := c.Invoke(context.Background(), export, plain, &out, opts...); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}
