package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
	"github.com/troupe-tracing/troupe/runtime/gateway/grpcapi"
	"github.com/troupe-tracing/troupe/runtime/gateway/jaeger"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/gateway/rpc"
)

// server is one thing that a node listens with.
type server struct {
	name       string // in errors
	address    string // host:port; empty: off
	addressKey string
	tls        config.TLS
	tlsKey     string
	protocol   protocol

	elsewhere bool // where the port is taken, any free one serves instead

	bound *boundPort // nil until the port is bound, or off
}

// protocol is how a server speaks with those who send to it.
type protocol interface {
	listenOn(address string, secured *tls.Config) (*boundPort, error) // secured may be nil
	shutDown(ctx context.Context)                                 // finishes what was taken as long as ctx lasts
}

// boundPort is a port that is bound.
type boundPort struct {
	io.Closer              // frees a port that was not served
	addr      net.Addr     // with the port that was chosen, where any was asked for
	serve     func() error // until the server is stopped
}

// servers are what a node listens with.
type servers struct {
	cfg       Config
	log       *slog.Logger
	overHTTP  *grpc.Server // query API on the HTTP port; apart, because the library cannot end it gracefully there
	pages     *server      // query API, readiness, metrics, and gRPC where it is on
	operator  *server      // the pages that only the operator sees
	queries   *server      // query API over gRPC
	receivers []*server    // where spans come in
}

// newReceiver makes a server whose address and certificate are in one section of the configuration.
func newReceiver(name, section, endpoint string, tls config.TLS, p protocol) *server {
	return &server{name: name, address: endpoint, addressKey: section + ".endpoint", tls: tls, tlsKey: section + ".tls", protocol: p}
}

// allServers are the servers in the order in which their ports are bound.
func (s *servers) allServers() []*server {
	return append([]*server{s.pages, s.queries}, append(s.receivers, s.operator)...)
}

// bindPorts binds every port.
func (s *servers) bindPorts() error {
	for _, l := range s.allServers() {
		if err := l.bindPort(); err != nil {
			s.close()
			return err
		}
	}
	if !slices.ContainsFunc(s.receivers, func(r *server) bool { return r.address != "" }) {
		s.log.Warn("no receiver is on: nothing can be sent to this node", "key", "distributor.receivers")
	}
	return nil
}

// bindPort binds the port of a server that is on.
func (l *server) bindPort() error {
	if l.address == "" {
		return nil
	}
	secured, err := l.tls.Server()
	if err != nil {
		return fmt.Errorf("%s: %w", l.tlsKey, err)
	}
	l.bound, err = l.protocol.listenOn(l.address, secured)
	if errors.Is(err, syscall.EADDRINUSE) && l.elsewhere {
		host, _, _ := net.SplitHostPort(l.address)
		l.bound, err = l.protocol.listenOn(net.JoinHostPort(host, "0"), secured)
	}
	if err != nil {
		return fmt.Errorf("%w: end what listens there, or choose another port with %s", err, l.addressKey)
	}
	return nil
}

// operatorAddress is where the operator's pages are served; empty where they are off.
func (s *servers) operatorAddress() string {
	if s.operator.bound == nil {
		return ""
	}
	return s.operator.bound.addr.String()
}

// close frees the ports of servers that were not started.
func (s *servers) close() {
	for _, l := range s.allServers() {
		if l.bound != nil {
			_ = l.bound.Close() // a server that ended has closed it
		}
	}
}

// serveHTTP starts the servers of the status pages.
func (s *servers) serveHTTP(failed chan<- error) {
	s.pages.startServing(failed)
	s.operator.startServing(failed)
}

// serveRest starts the others, once there are actors to ask.
func (s *servers) serveRest(failed chan<- error) {
	for _, l := range append([]*server{s.queries}, s.receivers...) {
		l.startServing(failed)
	}
}

// startServing serves in a goroutine, where the server is on.
func (l *server) startServing(failed chan<- error) {
	if l.bound == nil {
		return
	}
	go func() {
		err := l.bound.serve()
		if err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) {
			failed <- fmt.Errorf("serve %s: %w", l.name, err)
		}
	}()
}

// splitByProtocol sends gRPC to its server and the rest to the pages.
func (s *servers) splitByProtocol(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.Contains(r.Header.Get("Content-Type"), "application/grpc") {
			// a stream lasts as long as its query
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
			// gRPC reads ahead here as far as the client sends
			r.Body = http.MaxBytesReader(w, r.Body, int64(s.cfg.Server.MaxRecv)+1<<10)
			s.overHTTP.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// queryServer makes a gRPC server of the query API, with health and reflection.
func queryServer(cfg Server, q query.Deps, notReady func(context.Context) string, m *delivery.Metrics) *grpc.Server {
	s := rpc.NewServer(q.Logger, cfg.MaxRecv, grpc.MaxSendMsgSize(cfg.MaxSend), grpc.MaxConcurrentStreams(uint32(cfg.MaxStreams)),
		grpc.ChainStreamInterceptor(delivery.StreamInterceptor(cfg.deliveryLimits(), m)),
		// a client that is gone holds nothing
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}))
	grpcapi.Register(s, q)
	healthpb.RegisterHealthServer(s, &healthService{notReady: notReady})
	reflection.Register(s)
	return s
}

// healthService answers grpc.health.v1 with the node's readiness.
type healthService struct {
	healthpb.UnimplementedHealthServer
	notReady func(context.Context) string
}

// Check answers for the node whatever service is asked for.
func (h *healthService) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if h.notReady(ctx) != "" {
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, nil
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

// Watch is not part of what Tempo serves.
func (h *healthService) Watch(*healthpb.HealthCheckRequest, grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	return grpcstatus.Error(codes.Unimplemented, "ask Check")
}

// stopTaking ends the receivers: open requests are answered, new ones find nobody.
func (s *servers) stopTaking(ctx context.Context) { s.stopServers(ctx, s.receivers...) }

// stopAnswering ends the query servers.
func (s *servers) stopAnswering(ctx context.Context) {
	s.stopServers(ctx, s.pages, s.queries, s.operator)
	s.overHTTP.Stop()
}

func (s *servers) stopServers(ctx context.Context, those ...*server) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Server.GracefulShutdown)
	defer cancel()
	var wg sync.WaitGroup
	for _, l := range those {
		wg.Go(func() { l.protocol.shutDown(ctx) })
	}
	wg.Wait()
}

// httpProtocol takes the certificate itself, because it adds the protocols that it speaks.
type httpProtocol struct {
	*http.Server
	limits delivery.Limits // of connections; zero where the handler looks at each answer
}

func (p httpProtocol) listenOn(address string, secured *tls.Config) (*boundPort, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	l = delivery.Listen(l, p.limits)
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

type grpcProtocol struct {
	*grpc.Server
	limits delivery.Limits
}

func (p grpcProtocol) listenOn(address string, secured *tls.Config) (*boundPort, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	l = delivery.Listen(l, p.limits)
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

// otlpProtocol is a gRPC server of the gateway, which looks at its connections itself.
type otlpProtocol struct {
	gatewayServer
	limits delivery.Limits
}

type gatewayServer interface {
	Serve(l net.Listener, secured *tls.Config) error
	Stop(ctx context.Context)
}

func (p otlpProtocol) listenOn(address string, secured *tls.Config) (*boundPort, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	l = delivery.Listen(l, p.limits)
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
