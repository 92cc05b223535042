package otlp

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// port is one on which spans may be sent in both forms.
type port struct {
	name, addr string
	secured    bool
}

// ports opens every kind of port of a gateway, with and without TLS, and beside other pages.
func ports(t *testing.T, w *world) []port {
	t.Helper()
	cert := httptest.NewTLSServer(nil)
	cert.Close()
	secured := func() *tls.Config { return &tls.Config{Certificates: cert.TLS.Certificates} }
	open := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		return l
	}
	var out []port
	for _, config := range []*tls.Config{nil, secured()} {
		rpc, l := w.GRPC(), open()
		go func() { _ = rpc.Serve(l, config) }()
		t.Cleanup(func() { rpc.Stop(t.Context()) })
		out = append(out, port{"gRPC", l.Addr().String(), config != nil})
	}
	beside := w.door.Server(w.Beside(http.NotFoundHandler()))
	beside.Protocols.SetUnencryptedHTTP2(true)
	for name, s := range map[string]*http.Server{"HTTP": w.HTTP(), "query": beside} {
		plain, l := open(), open()
		s.TLSConfig = secured()
		go func() { _ = s.Serve(plain) }()
		go func() { _ = s.ServeTLS(l, "", "") }()
		t.Cleanup(func() { _ = s.Close() })
		out = append(out, port{name, plain.Addr().String(), false}, port{name, l.Addr().String(), true})
	}
	return out
}

func (p port) dial(t *testing.T) *grpc.ClientConn {
	t.Helper()
	c := insecure.NewCredentials()
	if p.secured {
		c = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true})
	}
	conn, err := grpc.NewClient(p.addr, grpc.WithTransportCredentials(c))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// post sends over HTTP/1, over HTTP/2 where both is wanted.
func (p port) post(t *testing.T, path string, two bool, kind string, body []byte) (int, string) {
	t.Helper()
	scheme, transport := "http://", &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, Protocols: new(http.Protocols)}
	if p.secured {
		scheme = "https://"
	}
	transport.Protocols.SetHTTP1(!two)
	transport.Protocols.SetHTTP2(two)
	transport.Protocols.SetUnencryptedHTTP2(two)
	defer transport.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodPost, scheme+p.addr+path, bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", kind)
	a, err := (&http.Client{Transport: transport}).Do(r)
	require.NoError(t, err, "%v", p)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	require.NoError(t, err)
	return a.StatusCode, string(text)
}

// Spans are taken in both forms on each port, plain and by TLS. The exception is HTTP/2 without
// gRPC on the port of gRPC.
func TestBothFormsOnEachPort(t *testing.T) {
	w := newWorld(t, nil)
	pb, _ := request(nil)
	large := batch(8000)
	for _, p := range ports(t, w) {
		for _, body := range [][]byte{pb, large} {
			var out ingress.RawMessage
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			for _, compression := range []string{"", "gzip"} {
				opts := []grpc.CallOption{grpc.ForceCodecV2(ingress.RawCodec{}), grpc.WaitForReady(true)}
				if compression != "" {
					opts = append(opts, grpc.UseCompressor(compression))
				}
				require.NoError(t, p.dial(t).Invoke(ctx, export, body, &out, opts...), "%v", p)
				require.Equal(t, body, w.Pushed[len(w.Pushed)-1].Otlp)
			}
			cancel()
			code, text := p.post(t, "/v1/traces", false, typeProto, body)
			require.Equal(t, 200, code, "%v %s", p, text)
			require.Equal(t, body, w.Pushed[len(w.Pushed)-1].Otlp)
			if p.name != "gRPC" {
				code, text = p.post(t, "/v1/traces", true, typeProto, body)
				require.Equal(t, 200, code, "%v over HTTP/2: %s", p, text)
			}
		}
		err := p.dial(t).Invoke(t.Context(), export, make([]byte, int(w.maxMessage())+1), &ingress.RawMessage{}, grpc.ForceCodecV2(ingress.RawCodec{}))
		require.Equal(t, codes.ResourceExhausted, grpcstatus.Code(err), "%v: %v", p, err)
		require.ErrorContains(t, err, "max_recv_msg_size_mib")
	}
}

// SDKs send metrics and logs where they send spans. They get the answer after which they are
// silent, and the refusal is counted.
func TestMetricsAndLogsAreAnswered(t *testing.T) {
	registry := prometheus.NewRegistry()
	var log bytes.Buffer
	w := newWorld(t, func(_ *Config, d *ingress.Deps) { d.Refusals = refusals.New(registry, textLogger(&log)) })
	for _, p := range ports(t, w) {
		c := p.dial(t)
		m, err := pmetricotlp.NewGRPCClient(c).Export(t.Context(), pmetricotlp.NewExportRequest(), grpc.UseCompressor("gzip"))
		require.NoError(t, err, "%v", p)
		require.Empty(t, m.PartialSuccess().ErrorMessage())
		_, err = plogotlp.NewGRPCClient(c).Export(t.Context(), plogotlp.NewExportRequest())
		require.NoError(t, err, "%v", p)
		for _, path := range []string{"/v1/metrics", "/v1/logs"} {
			code, text := p.post(t, path, false, typeProto, make([]byte, 1<<20))
			require.Equal(t, 200, code, "%v %s", p, text)
			require.Empty(t, text)
			code, text = p.post(t, path, false, typeJSON, []byte(`{"resourceMetrics":[]}`))
			require.Equal(t, 200, code)
			require.Equal(t, "{}", text)
		}
	}
	require.Empty(t, w.Pushed)
	require.Equal(t, 36.0, counter(t, registry, "troupe_distributor_requests_refused_total", "wrong_endpoint"))
	require.Contains(t, log.String(), "OTEL_METRICS_EXPORTER=none")
	require.Equal(t, 1, strings.Count(log.String(), "\n"), "one line a minute: %s", &log)
}
