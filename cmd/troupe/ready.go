package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/config"
)

// awaitReady waits until the node can serve and then says so: in the log, and to a person who reads
// out.
func (n *node) awaitReady(ctx context.Context, s *servers, out io.Writer) {
	for n.notReady(ctx) != "" {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	web := scheme(n.cfg.Server.HTTPTLS) + reachableAddress(s.pages.address)
	operator := n.operatorURL(s, web)
	otlp := n.cfg.Distributor.Receivers.OTLP.Protocols
	n.log.Info("ready",
		"after", time.Since(n.began).Round(time.Millisecond),
		"otlp_grpc", otlp.GRPC.Endpoint,
		"otlp_http", otlp.HTTP.Endpoint,
		"http", web,
		"operator", operator)
	if !isLoopback(n.cfg.Server.HTTPAddress) {
		n.log.Info("whoever reaches this machine can query: "+
			"the port of the query API is bound to more than the machine itself; "+
			"server.http_listen_address and server.grpc_listen_address: 127.0.0.1 keep it to the machine",
			"http", s.pages.address,
			"grpc", s.queries.address)
	}
	if n.terminal {
		_, _ = io.WriteString(out, n.welcome(web, operator)) // nobody reads it otherwise
	}
}

// operatorURL is where the operator's pages are: on a port of their own, on that of web, or
// nowhere, which is empty.
func (n *node) operatorURL(s *servers, web string) string {
	if address := s.operatorAddress(); address != "" {
		return scheme(n.cfg.Server.AdminTLS) + reachableAddress(address)
	}
	if n.cfg.Server.sharesAdmin() {
		return web
	}
	return ""
}

// welcome tells a person at a terminal where to send spans and where to look at them.
func (n *node) welcome(web, operator string) string {
	otlp := n.cfg.Distributor.Receivers.OTLP.Protocols
	var b strings.Builder
	b.WriteString("\n  Troupe is ready.\n\n")
	if otlp.GRPC.Endpoint != "" {
		fmt.Fprintf(&b, "  Send traces   OTLP over gRPC   %s\n", reachableAddress(otlp.GRPC.Endpoint))
	}
	if otlp.HTTP.Endpoint != "" {
		fmt.Fprintf(&b, "                OTLP over HTTP   %s%s%s\n",
			scheme(otlp.HTTP.TLS), reachableAddress(otlp.HTTP.Endpoint), otlp.HTTP.TracesPath)
	}
	fmt.Fprintf(&b, "  Look at them  Grafana          add a Tempo data source with the URL %s\n", web)
	b.WriteString("                terminal         ./bin/troupectl search '{ status = error }'\n")
	if operator != "" {
		fmt.Fprintf(&b, "  See it work   actors           %s/status/actors\n", operator)
		fmt.Fprintf(&b, "                configuration    %s/status/config\n", operator)
	}
	b.WriteString("\n  Stop it with Ctrl-C.\n\n")
	return b.String()
}

// scheme is how the URL of a server with this certificate begins.
func scheme(t config.TLS) string {
	if t.On() {
		return "https://"
	}
	return "http://"
}

// reachableAddress replaces an address that stands for all of the machine by a name that a client
// can use.
func reachableAddress(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && (host == "" || host == "0.0.0.0" || host == "::") {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}

// notReady returns why the node cannot serve, and nothing when it can. Once a node is ready it
// stays so until it stops: a live-store that restarts is behind for a moment, and queries wait for
// it.
func (n *node) notReady(ctx context.Context) string {
	switch {
	case n.stopping.Load():
		return "Application is stopping"
	case n.ready.Load():
		return ""
	case !n.started.Load(): // HTTP answers before there is anybody to ask
		if why := n.brokers.whyWaiting(); why != "" {
			return "Starting: the node waits for Kafka: " + why
		}
		return "Starting"
	}
	waiting := []string{}
	seen := 0
	for _, a := range n.sys.Inspect(ctx) {
		if a.Kind != kinds.LiveStore && a.Kind != kinds.BackendScheduler {
			continue
		}
		if seen++; a.State != "ready" {
			waiting = append(waiting, strings.TrimSpace(a.Kind+" "+a.Key)+": "+a.State)
		}
	}
	if seen == 0 {
		return "Starting"
	}
	if len(waiting) == 0 {
		n.ready.Store(true)
		return ""
	}
	return "Starting:\n" + strings.Join(waiting, "\n")
}

// isLoopback reports whether only this machine can reach an address.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
