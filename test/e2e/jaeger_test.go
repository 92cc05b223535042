package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/proto-gen/api_v2"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/agent"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	"github.com/opentracing/opentracing-go"
	"github.com/stretchr/testify/require"
	client "github.com/uber/jaeger-client-go"
	"github.com/uber/jaeger-client-go/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/troupe-tracing/troupe/test/kit"
)

// What Jaeger's own client of Go reports over UDP and over HTTP is found by id, and by search under
// the names that it set.
func TestJaegerClient(t *testing.T) {
	n := kit.NewNode(t)
	n.WithJaeger()
	n.Start()
	overUDP, err := client.NewUDPTransport(n.Jaeger.Compact, 0)
	require.NoError(t, err)
	for service, way := range map[string]client.Transport{"over-udp": overUDP,
		"over-http": transport.NewHTTPTransport("http://" + n.Jaeger.HTTP + "/api/traces?format=jaeger.thrift")} {
		tracer, closer := client.NewTracer(service, client.NewConstSampler(true), client.NewRemoteReporter(way),
			client.TracerOptions.Gen128Bit(service == "over-http"), client.TracerOptions.Tag("fleet", "blue"))
		root := tracer.StartSpan("checkout")
		root.SetTag("span.kind", "server").SetTag("http.status_code", 503).SetTag("error", true)
		child := tracer.StartSpan("pay", opentracing.ChildOf(root.Context()))
		child.SetTag("span.kind", "client").SetTag("peer.service", "bank").SetTag("ratio", 0.5)
		child.LogKV("event", "retry", "attempt", 2)
		child.Finish()
		root.Finish()
		require.NoError(t, closer.Close()) // sends what is left
		id := root.Context().(client.SpanContext).TraceID().String()
		require.Eventually(t, func() bool {
			code, body := n.Get("/api/traces/" + id)
			return code == http.StatusOK && strings.Contains(string(body), "checkout") && strings.Contains(string(body), "pay")
		}, time.Minute, 50*time.Millisecond, service)
		for _, q := range []string{
			fmt.Sprintf(`{ resource.service.name = "%s" && span.http.status_code = 503 && status = error && kind = server && span.error = true }`, service),
			fmt.Sprintf(`{ resource.service.name = "%s" && resource.fleet = "blue" && name = "pay" && span.peer.service = "bank" && span.ratio = 0.5 && kind = client }`, service),
			fmt.Sprintf(`{ resource.service.name = "%s" && event:name = "retry" && event.attempt = 2 }`, service),
			fmt.Sprintf(`{ resource.service.name = "%s" && name = "checkout" } > { name = "pay" }`, service),
			fmt.Sprintf(`{ resource.service.name = "%s" && resource.hostname = resource.host.name }`, service),
		} {
			require.Eventually(t, func() bool { return countTraces(t, n, q) == 1 }, time.Minute, 50*time.Millisecond, q)
		}
	}
}

func countTraces(t *testing.T, n *kit.Node, query string) int {
	t.Helper()
	_, body := n.Get("/api/search?q=" + url.QueryEscape(query))
	var answer struct{ Traces []struct{} }
	require.NoError(t, json.Unmarshal(body, &answer), "%s: %s", query, body)
	return len(answer.Traces)
}

// batchOf is one span with an id of its own.
func batchOf(id uint64) model.Batch {
	return model.Batch{Process: &model.Process{ServiceName: "shop"}, Spans: []*model.Span{{TraceID: model.TraceID{Low: id}, SpanID: 7,
		OperationName: "call", StartTime: time.Now().Add(-time.Minute), Duration: time.Millisecond, Tags: model.KeyValues{model.String("w", "x")}}}}
}

// generated is the codec of messages whose code gogo has made.
type generated struct{}

func (generated) Name() string { return "proto" }
func (generated) Marshal(v any) ([]byte, error) {
	return v.(interface{ Marshal() ([]byte, error) }).Marshal()
}
func (generated) Unmarshal(b []byte, v any) error {
	return v.(interface{ Unmarshal([]byte) error }).Unmarshal(b)
}

// post sends a batch by a generated client of the collector's service.
func post(t *testing.T, addr string, b model.Batch, tenants ...string) error {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.ForceCodec(generated{})))
	require.NoError(t, err)
	defer conn.Close()
	ctx := t.Context()
	for _, name := range tenants {
		ctx = metadata.AppendToOutgoingContext(ctx, "X-Scope-OrgID", name)
	}
	_, err = api_v2.NewCollectorServiceClient(conn).PostSpans(ctx, &api_v2.PostSpansRequest{Batch: b})
	return err
}

// What comes over gRPC and in packets of the binary protocol is found; what cannot be kept is told
// where there is somebody to tell, and counted.
func TestJaegerWays(t *testing.T) {
	n := kit.NewNode(t)
	n.WithJaeger()
	n.Start()
	require.NoError(t, post(t, n.Jaeger.GRPC, batchOf(0x61)))
	sendBinary(t, n.Jaeger.Binary, 0x62)
	for _, id := range []string{"61", "62"} {
		require.Eventually(t, func() bool { code, _ := n.Get("/api/traces/" + id); return code == http.StatusOK }, time.Minute, 50*time.Millisecond, id)
	}
	half := batchOf(0x63)
	half.Spans = append(half.Spans, &model.Span{OperationName: "no ids"})
	err := post(t, n.Jaeger.GRPC, half)
	require.Equal(t, codes.InvalidArgument, grpcstatus.Code(err), err)
	require.ErrorContains(t, err, "1 of 2 spans are not kept: span 1 of the batch has no trace id or no span id")
	code, _ := n.Get("/api/traces/63")
	require.Equal(t, http.StatusOK, code, "the good span of a batch is kept")
	large := batchOf(0x64)
	large.Spans[0].OperationName = strings.Repeat("x", 5<<20)
	err = post(t, n.Jaeger.GRPC, large)
	require.Equal(t, codes.ResourceExhausted, grpcstatus.Code(err), err)
	for _, c := range []struct {
		method, kind string
		code         int
	}{{"GET", "", 405}, {"POST", "application/json", 400}, {"POST", "application/x-thrift", 400}} {
		req, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+n.Jaeger.HTTP+"/api/traces", bytes.NewReader([]byte("{}")))
		require.NoError(t, err)
		req.Header.Set("Content-Type", c.kind)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		text, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, c.code, resp.StatusCode, "%s", text)
		require.NotEmpty(t, text)
	}
	to, err := net.Dial("udp", n.Jaeger.Compact)
	require.NoError(t, err)
	_, err = to.Write([]byte("no thrift"))
	require.NoError(t, err)
	require.NoError(t, to.Close())
	for _, line := range []string{`troupe_distributor_spans_refused_total{reason="invalid_id",tenant="single-tenant"} 1`,
		`troupe_distributor_requests_refused_total{reason="message_too_large",tenant="single-tenant"} 1`,
		`troupe_distributor_requests_refused_total{reason="unsupported_type",tenant="single-tenant"} 1`,
		`troupe_distributor_requests_refused_total{reason="wrong_endpoint",tenant="single-tenant"} 1`,
		`troupe_distributor_requests_refused_total{reason="malformed",tenant="single-tenant"} 2`} {
		require.Eventually(t, func() bool { _, body := n.Get("/metrics"); return strings.Contains(string(body), line) }, time.Minute, 50*time.Millisecond, line)
	}
	require.Contains(t, n.Log(), "reason=invalid_id")
	require.Equal(t, 0, n.Stop(time.Minute))
}

func sendBinary(t *testing.T, addr string, id int64) {
	t.Helper()
	buffer := thrift.NewTMemoryBuffer()
	out := thrift.NewTBinaryProtocolConf(buffer, nil)
	ctx := context.Background()
	require.NoError(t, out.WriteMessageBegin(ctx, "emitBatch", thrift.ONEWAY, 1))
	require.NoError(t, (&agent.AgentEmitBatchArgs{Batch: &jaeger.Batch{Process: &jaeger.Process{ServiceName: "shop"}, Spans: []*jaeger.Span{{
		TraceIdLow: id, SpanId: 7, OperationName: "call", StartTime: time.Now().Add(-time.Minute).UnixMicro(), Duration: 1000}}}}).Write(ctx, out))
	to, err := net.Dial("udp", addr)
	require.NoError(t, err)
	defer to.Close()
	_, err = to.Write(buffer.Bytes())
	require.NoError(t, err)
}

// Where tenants are on, each way needs one, and packets, which can name none, are refused and
// counted.
func TestJaegerTenants(t *testing.T) {
	n := kit.NewNode(t)
	n.WithJaeger()
	n.Config = "multitenancy_enabled: true\n"
	n.Start()
	require.Equal(t, codes.Unauthenticated, grpcstatus.Code(post(t, n.Jaeger.GRPC, batchOf(0x71))))
	require.NoError(t, post(t, n.Jaeger.GRPC, batchOf(0x72), "a"))
	sendBinary(t, n.Jaeger.Binary, 0x73)
	require.Eventually(t, func() bool {
		_, body := n.Get("/metrics")
		return strings.Contains(string(body), `troupe_distributor_requests_refused_total{reason="no_tenant",tenant="no tenant"} 2`)
	}, time.Minute, 50*time.Millisecond)
	require.Contains(t, n.Log(), "no_tenant")
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+n.HTTP+"/api/traces/72", nil)
	require.NoError(t, err)
	req.Header.Set("X-Scope-OrgID", "a")
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
}
