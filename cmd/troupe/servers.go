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

	"github.com/troupe-tracing/troupe/runtime/config"
)

// server is one port that a node listens on.
type server struct {
	name       string // in errors
	address    string // host:port; empty: the server is off
	addressKey string // the key of the configuration that sets it
	tls        config.TLS
	tlsKey     string
	protocol   protocol
	elsewhere  bool // if the port is taken, any free one serves instead

	bound *boundPort // nil while the port is not bound, and if the server is off
}

// protocol is how a server speaks with its clients.
type protocol interface {
	// listenOn binds a port. secured is nil for plain connections.
	listenOn(address string, secured *tls.Config) (*boundPort, error)
	// shutDown finishes the requests that were accepted, as long as ctx lasts.
	shutDown(ctx context.Context)
}

// boundPort is a port that is bound, and maybe served.
type boundPort struct {
	io.Closer              // frees a port that was not served
	addr      net.Addr     // with the port that was chosen, if any free one was asked for
	serve     func() error // until the server is stopped
}

// servers are all that a node listens with.
type servers struct {
	cfg       Config
	log       *slog.Logger
	pages     *server   // query API, readiness, metrics, and gRPC if it is on
	operator  *server   // the pages that only the operator sees
	queries   *server   // query API over gRPC
	receivers []*server // where spans come in

	// The query API over gRPC on the HTTP port. It is a server of its own, because the library
	// cannot end it gracefully there.
	overHTTP *grpc.Server
}

// newReceiver makes a server whose address and certificate are in one section below
// distributor.receivers.
func newReceiver(name, section, endpoint string, tls config.TLS, p protocol) *server {
	section = "distributor.receivers." + section
	return &server{
		name:       name,
		address:    endpoint,
		addressKey: section + ".endpoint",
		tls:        tls,
		tlsKey:     section + ".tls",
		protocol:   p,
	}
}

// allServers lists the servers in the order in which their ports are bound.
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

// operatorAddress is where the operator's pages are served; empty if they are off.
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

// startServing serves in a goroutine, if the server is on. An error of the server goes to failed.
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
			// A stream lasts as long as its query.
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
			// gRPC reads ahead here as far as the client sends.
			r.Body = http.MaxBytesReader(w, r.Body, int64(s.cfg.Server.MaxRecv)+1<<10)
			s.overHTTP.ServeHTTP(w, r)
			return
		}
		pages.ServeHTTP(w, r)
	})
}

// stopTaking ends the receivers: open requests are answered, and new ones are not accepted.
func (s *servers) stopTaking(ctx context.Context) { s.stopServers(ctx, s.receivers...) }

// stopAnswering ends the query servers.
func (s *servers) stopAnswering(ctx context.Context) {
	s.stopServers(ctx, s.pages, s.queries, s.operator)
	s.overHTTP.Stop()
}

// stopServers ends servers at the same time, within the configured grace.
func (s *servers) stopServers(ctx context.Context, list ...*server) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Server.GracefulShutdown)
	defer cancel()
	var wg sync.WaitGroup
	for _, l := range list {
		wg.Go(func() { l.protocol.shutDown(ctx) })
	}
	wg.Wait()
}
