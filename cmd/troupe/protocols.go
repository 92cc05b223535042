package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
	"github.com/troupe-tracing/troupe/runtime/gateway/jaeger"
)

// listenTCP binds a port whose connections are given up when a client does not read.
func listenTCP(address string, limits delivery.Limits) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	return delivery.Listen(l, limits), nil
}

// httpProtocol is HTTP. The library takes the certificate, because it adds the protocols that it
// speaks.
type httpProtocol struct {
	*http.Server
	limits delivery.Limits // of connections; zero if the handler watches each answer
}

func (p httpProtocol) listenOn(address string, secured *tls.Config) (*boundPort, error) {
	l, err := listenTCP(address, p.limits)
	if err != nil {
		return nil, err
	}
	if secured == nil {
		return &boundPort{l, l.Addr(), func() error { return p.Serve(l) }}, nil
	}
	p.TLSConfig = secured
	return &boundPort{l, l.Addr(), func() error { return p.ServeTLS(l, "", "") }}, nil
}

func (p httpProtocol) shutDown(ctx context.Context) {
	if p.Shutdown(ctx) != nil {
		_ = p.Close() // what is still open has had its time
	}
}

// grpcProtocol is gRPC of the query API.
type grpcProtocol struct {
	*grpc.Server
	limits delivery.Limits
}

func (p grpcProtocol) listenOn(address string, secured *tls.Config) (*boundPort, error) {
	l, err := listenTCP(address, p.limits)
	if err != nil {
		return nil, err
	}
	if secured != nil {
		secured.NextProtos = []string{"h2"}
		l = tls.NewListener(l, secured)
	}
	return &boundPort{l, l.Addr(), func() error { return p.Serve(l) }}, nil
}

func (p grpcProtocol) shutDown(ctx context.Context) {
	defer context.AfterFunc(ctx, p.Server.Stop)()
	p.GracefulStop()
}

// otlpProtocol is gRPC of a receiver, which watches its connections itself.
type otlpProtocol struct {
	gatewayServer
	limits delivery.Limits
}

type gatewayServer interface {
	Serve(l net.Listener, secured *tls.Config) error
	Stop(ctx context.Context)
}

func (p otlpProtocol) listenOn(address string, secured *tls.Config) (*boundPort, error) {
	l, err := listenTCP(address, p.limits)
	if err != nil {
		return nil, err
	}
	return &boundPort{l, l.Addr(), func() error { return p.Serve(l, secured) }}, nil
}

func (p otlpProtocol) shutDown(ctx context.Context) { p.Stop(ctx) }

// udpProtocol takes packets, which have no certificates.
type udpProtocol struct{ *jaeger.UDPServer }

func (p udpProtocol) listenOn(address string, _ *tls.Config) (*boundPort, error) {
	to, err := net.ResolveUDPAddr("udp", address)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenUDP("udp", to)
	if err != nil {
		return nil, err
	}
	return &boundPort{socket, socket.LocalAddr(), func() error { return p.Serve(socket) }}, nil
}

func (p udpProtocol) shutDown(ctx context.Context) { p.Stop(ctx) }

// healthService answers grpc.health.v1 with the node's readiness.
type healthService struct {
	healthpb.UnimplementedHealthServer
	notReady func(context.Context) string
}

type (
	healthRequest  = healthpb.HealthCheckRequest
	healthResponse = healthpb.HealthCheckResponse
)

// Check answers for the node, whichever service is asked about.
func (h *healthService) Check(ctx context.Context, _ *healthRequest) (*healthResponse, error) {
	if h.notReady(ctx) != "" {
		return &healthResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, nil
	}
	return &healthResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

// Watch refuses: Tempo does not serve it either.
func (h *healthService) Watch(*healthRequest, grpc.ServerStreamingServer[healthResponse]) error {
	return grpcstatus.Error(codes.Unimplemented, "ask Check")
}
