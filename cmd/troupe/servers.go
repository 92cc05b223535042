package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	grpcstatus "google.golang.org/grpc/status"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/grpcapi"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
)

// servers are what a node listens with.
type servers struct {
	cfg       Config
	log       *slog.Logger
	http      *http.Server // query API, status pages, and gRPC where it is on
	grpc      *grpc.Server // query API
	overHTTP  *grpc.Server // the same on the HTTP port; apart, because the library cannot end it gracefully there
	otlpGRPC  *grpc.Server
	otlpHTTP  *http.Server
	zipkin    *http.Server
	listeners [5]net.Listener // in this order; nil: off
}

// listen binds every port.
func (s *servers) listen() error {
	p, z := s.cfg.Distributor.Receivers.OTLP.Protocols, s.cfg.Distributor.Receivers.Zipkin
	const otlp = "distributor.receivers.otlp.protocols."
	for i, l := range []struct {
		addr, key string
		tls       config.TLS
		tlsKey    string
		server    *http.Server // that takes the certificate itself, because it adds the protocols that it speaks; nil: gRPC
	}{
		{net.JoinHostPort(s.cfg.Server.HTTPAddress, strconv.Itoa(s.cfg.Server.HTTPPort)), "server.http_listen_port", s.cfg.Server.HTTPTLS, "server.http_tls_config", s.http},
		{net.JoinHostPort(s.cfg.Server.GRPCAddress, strconv.Itoa(s.cfg.Server.GRPCPort)), "server.grpc_listen_port", s.cfg.Server.GRPCTLS, "server.grpc_tls_config", nil},
		{p.GRPC.Endpoint, otlp + "grpc.endpoint", p.GRPC.TLS, otlp + "grpc.tls", nil},
		{p.HTTP.Endpoint, otlp + "http.endpoint", p.HTTP.TLS, otlp + "http.tls", s.otlpHTTP},
		{z.Endpoint, "distributor.receivers.zipkin.endpoint", z.TLS, "distributor.receivers.zipkin.tls", s.zipkin},
	} {
		if l.addr == "" {
			continue
		}
		secured, err := l.tls.Server()
		if err != nil {
			s.close()
			return fmt.Errorf("%s: %w", l.tlsKey, err)
		}
		if s.listeners[i], err = net.Listen("tcp", l.addr); err != nil {
			s.close()
			return fmt.Errorf("%w: end what listens there, or choose another port with %s", err, l.key)
		}
		switch {
		case secured == nil:
		case l.server != nil:
			l.server.TLSConfig = secured
		default:
			secured.NextProtos = []string{"h2"}
			s.listeners[i] = tls.NewListener(s.listeners[i], secured)
		}
	}
	if p.GRPC.Endpoint == "" && p.HTTP.Endpoint == "" && z.Endpoint == "" {
		s.log.Warn("no receiver is on: nothing can be sent to this node", "key", "distributor.receivers")
	}
	return nil
}

// close frees the ports of servers that were not started.
func (s *servers) close() {
	for _, l := range s.listeners {
		if l != nil {
			_ = l.Close() // a server that ended has closed it
		}
	}
}

// serveHTTP starts the server of the status pages.
func (s *servers) serveHTTP(failed chan<- error) {
	s.http.Protocols = new(http.Protocols)
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetHTTP2(s.cfg.StreamOverHTTP)
	s.http.Protocols.SetUnencryptedHTTP2(s.cfg.StreamOverHTTP)
	go report(failed, "http", func() error { return serveOn(s.http, s.listeners[0]) })
}

// serveOn serves with TLS where the server has a certificate.
func serveOn(s *http.Server, l net.Listener) error {
	if s.TLSConfig != nil {
		return s.ServeTLS(l, "", "")
	}
	return s.Serve(l)
}

// serveRest starts the others, once there are actors to ask.
func (s *servers) serveRest(failed chan<- error) {
	go report(failed, "grpc", func() error { return s.grpc.Serve(s.listeners[1]) })
	if l := s.listeners[2]; l != nil {
		go report(failed, "otlp grpc", func() error { return s.otlpGRPC.Serve(l) })
	}
	if l := s.listeners[3]; l != nil {
		go report(failed, "otlp http", func() error { return serveOn(s.otlpHTTP, l) })
	}
	if l := s.listeners[4]; l != nil {
		go report(failed, "zipkin", func() error { return serveOn(s.zipkin, l) })
	}
}

func report(failed chan<- error, name string, serve func() error) {
	if err := serve(); err != nil && !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, grpc.ErrServerStopped) {
		failed <- fmt.Errorf("serve %s: %w", name, err)
	}
}

// multiplex sends gRPC to its server and the rest to the pages.
func (s *servers) multiplex(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.Contains(r.Header.Get("Content-Type"), "application/grpc") {
			c := http.NewResponseController(w)
			_, _ = c.SetWriteDeadline(time.Time{}), c.SetReadDeadline(time.Time{}) // a stream lasts as long as its query
			s.overHTTP.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// queryServer makes a gRPC server of the query API, with health and reflection.
func queryServer(cfg Server, q query.Deps, notReady func(context.Context) string) *grpc.Server {
	s := grpc.NewServer(grpc.MaxRecvMsgSize(cfg.MaxRecv), grpc.MaxSendMsgSize(cfg.MaxSend), grpc.MaxConcurrentStreams(uint32(cfg.MaxStreams)),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true})) // as clients of Tempo ping
	grpcapi.Register(s, q)
	healthpb.RegisterHealthServer(s, &health{notReady: notReady})
	reflection.Register(s)
	return s
}

// health answers grpc.health.v1 with the node's readiness.
type health struct {
	healthpb.UnimplementedHealthServer
	notReady func(context.Context) string
}

// Check answers for the node whatever service is asked for.
func (h *health) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if h.notReady(ctx) != "" {
		return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}, nil
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

// Watch is not part of what Tempo serves.
func (h *health) Watch(*healthpb.HealthCheckRequest, grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	return grpcstatus.Error(codes.Unimplemented, "ask Check")
}

// stopTaking ends the receivers: open requests are answered, new ones find nobody.
func (s *servers) stopTaking(ctx context.Context) {
	s.each(ctx, func(ctx context.Context) { stopGRPC(ctx, s.otlpGRPC) }, func(ctx context.Context) { stopHTTP(ctx, s.otlpHTTP) },
		func(ctx context.Context) { stopHTTP(ctx, s.zipkin) })
}

// stopAnswering ends the query servers.
func (s *servers) stopAnswering(ctx context.Context) {
	s.each(ctx, func(ctx context.Context) { stopHTTP(ctx, s.http) }, func(ctx context.Context) { stopGRPC(ctx, s.grpc) })
	s.overHTTP.Stop()
}

func (s *servers) each(ctx context.Context, stop ...func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Server.GracefulShutdown)
	defer cancel()
	var wg sync.WaitGroup
	for _, f := range stop {
		wg.Go(func() { f(ctx) })
	}
	wg.Wait()
}

func stopHTTP(ctx context.Context, s *http.Server) {
	if s.Shutdown(ctx) != nil {
		_ = s.Close() // what is still open has had its time
	}
}

func stopGRPC(ctx context.Context, s *grpc.Server) {
	defer context.AfterFunc(ctx, s.Stop)()
	s.GracefulStop()
}
