package rpc

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

type service struct {
	healthpb.UnimplementedHealthServer
}

func (service) Check(_ context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if r.GetService() == "panic" {
		panic("BUG: in a handler")
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

func (service) Watch(r *healthpb.HealthCheckRequest, _ grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	panic("BUG: in a handler of a stream")
}

func dial(t *testing.T, log *bytes.Buffer) healthpb.HealthClient {
	t.Helper()
	l := bufconn.Listen(1 << 20)
	s := NewServer(slog.New(slog.NewTextHandler(log, nil)), 1<<20)
	healthpb.RegisterHealthServer(s, service{})
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	c, err := grpc.NewClient("passthrough:x", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithMaxHeaderListSize(1<<24),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return healthpb.NewHealthClient(c)
}

// A panic ends the request and not the process.
func TestPanic(t *testing.T) {
	var log bytes.Buffer
	c := dial(t, &log)
	_, err := c.Check(context.Background(), &healthpb.HealthCheckRequest{Service: "panic"})
	require.Equal(t, codes.Internal, grpcstatus.Code(err))
	s, err := c.Watch(context.Background(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	_, err = s.Recv()
	require.Equal(t, codes.Internal, grpcstatus.Code(err))
	_, err = c.Check(context.Background(), &healthpb.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(log.String(), "panic while answering"))
}

// Headers have a bound, which clients are told and hold to.
func TestHeaders(t *testing.T) {
	c := dial(t, &bytes.Buffer{})
	call := func(bytes int) error {
		ctx := metadata.AppendToOutgoingContext(context.Background(), "x-large", strings.Repeat("x", bytes))
		_, err := c.Check(ctx, &healthpb.HealthCheckRequest{}, grpc.WaitForReady(true))
		return err
	}
	require.NoError(t, call(32<<10))
	require.Error(t, call(MaxHeaderBytes))
}

// Compressed requests are unpacked, up to the bound.
func TestCompressed(t *testing.T) {
	c := dial(t, &bytes.Buffer{})
	for _, name := range []string{"gzip", "zstd", "snappy", "deflate", "lz4"} {
		_, err := c.Check(context.Background(), &healthpb.HealthCheckRequest{Service: strings.Repeat("x", 2<<20)}, grpc.UseCompressor(name))
		require.ErrorContains(t, err, "larger than the limit when unpacked", name)
	}
}

// A panic in a handler of HTTP is an answer too, and a line of the log.
func TestGuard(t *testing.T) {
	var log bytes.Buffer
	h := Guard(slog.New(slog.NewTextHandler(&log, nil)), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/abort" {
			panic(http.ErrAbortHandler)
		}
		panic("BUG: in a handler")
	}))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/some/page", nil))
	require.Equal(t, 500, rec.Code)
	require.Contains(t, log.String(), "where=/some/page")
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/abort", nil)) })
}
