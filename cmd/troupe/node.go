package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.yaml.in/yaml/v3"

	"github.com/troupe-tracing/troupe/actors/overrides"
	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/admin"
	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
	"github.com/troupe-tracing/troupe/runtime/gateway/httpapi"
	"github.com/troupe-tracing/troupe/runtime/gateway/jaeger"
	"github.com/troupe-tracing/troupe/runtime/gateway/otlp"
	overridesapi "github.com/troupe-tracing/troupe/runtime/gateway/overrides"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/gateway/rpc"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/gateway/zipkin"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/telemetry"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// node is one process: its actors and the servers around them.
type node struct {
	cfg       Config
	log       *slog.Logger
	registry  *prometheus.Registry
	refusals  *refusals.Refusals
	terminal  bool
	began     time.Time
	sys       *system.System
	limits    liveLimits
	unwritten *delivery.Budget         // memory of answers that clients have not read yet
	tracer    *sdktrace.TracerProvider // nil: the node does not trace itself
	started   atomic.Bool              // every kind of the table runs and every port is open
	stopping  atomic.Bool
	ready     atomic.Bool
}

func newNode(cfg Config, logger *slog.Logger, registry *prometheus.Registry) *node {
	n := &node{cfg: cfg, log: logger, registry: registry, began: time.Now(), sys: system.New(system.Options{Logger: logger, Registerer: registry}),
		refusals: refusals.New(registry, logger)}
	n.unwritten = &delivery.Budget{Max: cfg.QueryFrontend.MaxResults}
	n.unwritten.Metrics = delivery.NewMetrics(registry, n.unwritten.Bytes)
	if !cfg.Multitenancy {
		n.refusals.Tenants().Grant(tenant.Single)
	}
	return n
}

// run starts everything, serves until ctx ends or a role gives up, and ends in order. All ports are
// bound before anything else, so that a second process ends at once; the status pages are there
// from then on.
func (n *node) run(ctx context.Context, out io.Writer) error {
	if err := n.readLimits(); err != nil {
		return err
	}
	if err := n.traceSelf(); err != nil {
		return err
	}
	s := n.makeServers()
	if err := s.bindPorts(); err != nil {
		return err
	}
	defer s.close()
	failed := make(chan error, len(s.allServers()))
	s.serveHTTP(failed)

	d, err := openDeps(ctx, n.cfg, n.sys, n.log, n.registry)
	if err != nil {
		return err
	}
	d.limits, d.refusals, d.unwritten = &n.limits, n.refusals, n.unwritten.Bytes
	if d.documents, err = openDocuments(ctx, n.cfg.Overrides.Own, d.bucket); err != nil {
		return errors.Join(err, d.close())
	}
	if err := n.sys.Start(kindTable(d, n.cfg), keysPerKind(d.log.Partitions())); err != nil {
		return errors.Join(err, d.close())
	}
	s.serveRest(failed)
	n.started.Store(true)
	go n.awaitReady(ctx, s, out)

	select {
	case err = <-failed: // of a server, or
	case err = <-n.sys.Failed(): // of an actor that has used up its restarts
	case <-ctx.Done():
		n.log.Info("stopping", "within", n.cfg.ShutdownTimeout)
	}
	n.stopping.Store(true)
	if err == nil {
		time.Sleep(n.cfg.ShutdownDelay)
	}
	began := time.Now()
	err = errors.Join(err, n.drainNode(s), d.close())
	n.refusals.Close()
	if err == nil {
		n.log.Info("stopped", "took", time.Since(began).Round(time.Millisecond))
	}
	return err
}

// readLimits puts the first limits of tenants in force. A file that cannot be read keeps the node
// from starting.
func (n *node) readLimits() error {
	first, err := overrides.ReadFile(n.cfg.Overrides)
	if err != nil {
		return err
	}
	n.limits.Store(first)
	if n.cfg.Overrides.File != "" {
		overrides.LogRead(n.log, first)
	}
	return nil
}

// traceSelf has the node put traces of its own queries to its own distributor, where that is
// configured.
func (n *node) traceSelf() (err error) {
	if !n.cfg.SelfTracing.Enabled {
		return nil
	}
	n.tracer, err = telemetry.Tracer(n.cfg.SelfTracing, func(ctx context.Context, otlp []byte) error {
		to, err := n.sys.Find(kinds.Distributor, "")
		if err != nil {
			return err
		}
		_, err = ask.Ask[*ingest.PushSpansReply](ctx, n.sys, to, &ingest.PushSpans{Tenant: telemetry.SelfTenant, Otlp: otlp})
		return err
	})
	return err
}

// drained is the order in which kinds finish what they have taken: what came in becomes durable,
// then blocks; questions are answered as long as there is someone to ask. The rest follows in the
// order of the table.
var drainOrder = []string{kinds.Distributor, kinds.BlockBuilder, kinds.QueryFrontend, kinds.Querier, kinds.LiveStore}

// drainNode ends the servers and actors within the configured time. What is not finished by then is in
// the log, and is no failure.
//
// A client that has stalled must not take the time of the others: the receivers and the tracer have
// a sixth of it each, at most five seconds, then what is still open is cut off. The actors have
// what is left.
func (n *node) drainNode(s *servers) error {
	all := n.cfg.ShutdownTimeout
	part := min(5*time.Second, all/6)
	within := func(t time.Duration, do func(context.Context)) {
		ctx, cancel := context.WithTimeout(context.Background(), t)
		defer cancel()
		do(ctx)
	}
	began := time.Now()
	within(part, s.stopTaking)
	if n.tracer != nil {
		within(part, func(ctx context.Context) {
			if err := n.tracer.Shutdown(ctx); err != nil {
				n.log.Warn("push the last own traces", "err", err)
			}
		})
	}
	var err error
	within(all-part-time.Since(began), func(ctx context.Context) { err = n.sys.Drain(ctx, drainOrder...) })
	within(min(2*time.Second, part), s.stopAnswering) // who asks has been answered by now
	if onlyLate(err) {
		n.log.Warn("stopped before everything was finished: what is left is in the log and is done at the next start",
			"err", err, "shutdown_timeout", all)
		return nil
	}
	return err
}

// onlyLate reports whether an error is one of time and nothing else.
func onlyLate(err error) bool {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range all.Unwrap() {
			if !onlyLate(e) {
				return false
			}
		}
		return true
	}
	return errors.Is(err, context.DeadlineExceeded)
}

// awaitReady says when the node can serve, and where.
func (n *node) awaitReady(ctx context.Context, s *servers, out io.Writer) {
	for n.notReady(ctx) != "" {
		select {
		case <-ctx.Done():
			return
		case <-time.After(20 * time.Millisecond):
		}
	}
	p := n.cfg.Distributor.Receivers.OTLP.Protocols
	scheme := map[bool]string{false: "http://", true: "https://"}
	web := scheme[n.cfg.Server.HTTPTLS.On()] + reachableAddress(s.pages.address)
	pages := web
	if address := s.operatorAddress(); address != "" {
		pages = scheme[n.cfg.Server.AdminTLS.On()] + reachableAddress(address)
	} else if !n.cfg.Server.sharesAdmin() {
		pages = ""
	}
	n.log.Info("ready", "after", time.Since(n.began).Round(time.Millisecond), "otlp_grpc", p.GRPC.Endpoint, "otlp_http", p.HTTP.Endpoint,
		"http", web, "operator", pages)
	if host := n.cfg.Server.HTTPAddress; !isLoopback(host) {
		n.log.Info("whoever reaches this machine can query: the port of the query API is bound to more than the machine itself; "+
			"server.http_listen_address and server.grpc_listen_address: 127.0.0.1 keep it to the machine",
			"http", s.pages.address, "grpc", s.queries.address)
	}
	if !n.terminal {
		return
	}
	var b strings.Builder
	b.WriteString("\n  Troupe is ready.\n\n")
	if p.GRPC.Endpoint != "" {
		fmt.Fprintf(&b, "  Send traces   OTLP over gRPC   %s\n", reachableAddress(p.GRPC.Endpoint))
	}
	if p.HTTP.Endpoint != "" {
		fmt.Fprintf(&b, "                OTLP over HTTP   %s%s%s\n", scheme[p.HTTP.TLS.On()], reachableAddress(p.HTTP.Endpoint), p.HTTP.TracesPath)
	}
	fmt.Fprintf(&b, "  Look at them  Grafana          add a Tempo data source with the URL %s\n", web)
	fmt.Fprintf(&b, "                terminal         ./bin/troupectl search '{ status = error }'\n")
	if pages != "" {
		fmt.Fprintf(&b, "  See it work   actors           %s/status/actors\n", pages)
		fmt.Fprintf(&b, "                configuration    %s/status/config\n", pages)
	}
	b.WriteString("\n  Stop it with Ctrl-C.\n\n")
	_, _ = io.WriteString(out, b.String())
}

// reachableAddress puts a name in the place of an address that stands for all.
func reachableAddress(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && (host == "" || host == "0.0.0.0" || host == "::") {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}

// notReady says why the node cannot serve; empty when it can. Once ready it stays so until it
// stops: a live-store that starts again is behind for a moment, and queries wait for it.
func (n *node) notReady(ctx context.Context) string {
	switch {
	case n.stopping.Load():
		return "Application is stopping"
	case n.ready.Load():
		return ""
	case !n.started.Load(): // HTTP answers before there is anybody to ask
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

// makeServers makes the servers around the actors.
func (n *node) makeServers() *servers {
	gateway := otlp.New(otlp.Deps{Asker: n.sys, Directory: n.sys, Multitenancy: n.cfg.Multitenancy, Logger: n.log,
		Metrics: otlp.NewMetrics(n.registry), Refusals: n.refusals}, n.cfg.Distributor.Receivers.OTLP)
	api := n.cfg.QueryFrontend.API
	if most := n.cfg.Overrides.Defaults.Read.MaxConditionGroups; most > 0 {
		api.Search.MaxConditionGroups = most
	}
	limits := n.cfg.Server.deliveryLimits()
	q := query.Deps{Unwritten: n.unwritten, Asker: n.sys, Directory: n.sys, Multitenancy: n.cfg.Multitenancy, Config: api,
		Limits: n.limits.ofQueries, Logger: n.log,
		Metrics: query.NewMetrics(n.registry)}
	if n.tracer != nil {
		q.Tracer = n.tracer
	}
	s := &servers{cfg: n.cfg, log: n.log, overHTTP: queryServer(n.cfg.Server, q, n.notReady, n.unwritten.Metrics)}
	own := overridesapi.Deps{
		Multitenancy: n.cfg.Multitenancy,
		Limits:       n.limits.currentSet,
		Check:        n.cfg.Overrides.Own.API.Check,
		Logger:       n.log,
	}
	if n.cfg.Overrides.Own.Enabled {
		own.Documents = overridesapi.AskActor(n.sys, n.sys)
	}
	shown := admin.Deps{Prefix: n.cfg.APIPrefix, Query: httpapi.Routes(q), Metrics: n.registry, NotReady: n.notReady,
		Config: n.printConfig, Limits: func() ([]byte, error) { return overridesapi.YAML(n.limits.currentSet()) }, Overrides: own, Actors: n.inspectActors, Promise: durabilityPromises(n.cfg),
		Queries: httpapi.OperatorQueries(q), OperatorAddress: s.operatorAddress,
		ActorsForAll: !n.cfg.Multitenancy && isLoopback(n.cfg.Server.HTTPAddress),
		Build:        admin.Build{Version: telemetry.Version, Revision: telemetry.Revision, GoVersion: runtime.Version()}}
	pages := admin.Routes(shown)
	if n.cfg.Server.sharesAdmin() {
		pages = admin.AllRoutes(shown)
	}
	quiet := slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)
	// without a WriteTimeout, which begins with the request: the answers of long queries would be
	// thrown away
	paced := func(h http.Handler) *http.Server {
		return &http.Server{Handler: delivery.Handler(h, limits, n.unwritten.Metrics), ReadTimeout: n.cfg.Server.ReadTimeout, IdleTimeout: n.cfg.Server.IdleTimeout,
			MaxHeaderBytes: 256 << 10, ErrorLog: quiet, Protocols: new(http.Protocols),
			HTTP2: &http.HTTP2Config{MaxConcurrentStreams: n.cfg.Server.MaxStreams, WriteByteTimeout: limits.Stall}}
	}
	everything := s.splitByProtocol(pages)
	if p := n.cfg.Distributor.Receivers.OTLP.Protocols; p.GRPC.Endpoint != "" || p.HTTP.Endpoint != "" {
		everything = gateway.Beside(everything) // spans too: senders are often given the port that they query
	}
	web := paced(rpc.Guard(n.log, everything))
	web.ConnContext = gateway.ConnContext
	web.Protocols.SetHTTP1(true)
	web.Protocols.SetHTTP2(n.cfg.StreamOverHTTP)
	web.Protocols.SetUnencryptedHTTP2(n.cfg.StreamOverHTTP)
	operator := paced(admin.OperatorRoutes(shown))
	operator.Protocols.SetHTTP1(true)
	s.operator = &server{name: "operator's pages", address: n.cfg.Server.adminAddress(), addressKey: "server.admin_listen_port",
		tls: n.cfg.Server.AdminTLS, tlsKey: "server.admin_tls_config", elsewhere: n.cfg.Server.adminElsewhere, protocol: httpProtocol{Server: operator}}
	s.pages = &server{name: "http", address: net.JoinHostPort(n.cfg.Server.HTTPAddress, strconv.Itoa(n.cfg.Server.HTTPPort)),
		addressKey: "server.http_listen_port", tls: n.cfg.Server.HTTPTLS, tlsKey: "server.http_tls_config", protocol: httpProtocol{Server: web}}
	s.queries = &server{name: "grpc", address: net.JoinHostPort(n.cfg.Server.GRPCAddress, strconv.Itoa(n.cfg.Server.GRPCPort)),
		addressKey: "server.grpc_listen_port", tls: n.cfg.Server.GRPCTLS, tlsKey: "server.grpc_tls_config",
		protocol: grpcProtocol{queryServer(n.cfg.Server, q, n.notReady, n.unwritten.Metrics), limits}}
	s.receivers = n.makeReceivers(gateway, quiet)
	return s
}

// isLoopback reports whether only this machine reaches an address.
func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// makeReceivers are the servers that take spans in. Those whose endpoint is empty stay off.
func (n *node) makeReceivers(g *otlp.Gateway, errorLog *log.Logger) []*server {
	const section = "distributor.receivers."
	// a sender that does not read what it is answered holds nothing for long
	cfg, limits := n.cfg.Distributor.Receivers, n.cfg.Server.deliveryLimits()
	overHTTP := func(s *http.Server) protocol {
		s.ErrorLog = errorLog
		return httpProtocol{s, limits}
	}
	old := cfg.Jaeger.Protocols
	grpcCfg, httpCfg := cfg.OTLP.Protocols.GRPC, cfg.OTLP.Protocols.HTTP
	overRPC := g.GRPC()
	overRPC.LogTo(errorLog)
	return []*server{
		newReceiver("otlp grpc", section+"otlp.protocols.grpc", grpcCfg.Endpoint, grpcCfg.TLS, otlpProtocol{overRPC, limits}),
		newReceiver("otlp http", section+"otlp.protocols.http", httpCfg.Endpoint, httpCfg.TLS, overHTTP(g.HTTP())),
		newReceiver("zipkin", section+"zipkin", cfg.Zipkin.Endpoint, cfg.Zipkin.TLS,
			overHTTP(zipkin.Server(g, cfg.Zipkin))),
		newReceiver("jaeger grpc", section+"jaeger.protocols.grpc", old.GRPC.Endpoint, old.GRPC.TLS, otlpProtocol{jaeger.GRPCServer(g, old.GRPC), limits}),
		newReceiver("jaeger thrift_http", section+"jaeger.protocols.thrift_http", old.ThriftHTTP.Endpoint, old.ThriftHTTP.TLS,
			overHTTP(jaeger.HTTPServer(g, old.ThriftHTTP))),
		newReceiver("jaeger thrift_compact", section+"jaeger.protocols.thrift_compact", old.ThriftCompact.Endpoint, config.TLS{},
			udpProtocol{jaeger.CompactServer(g, old.ThriftCompact)}),
		newReceiver("jaeger thrift_binary", section+"jaeger.protocols.thrift_binary", old.ThriftBinary.Endpoint, config.TLS{},
			udpProtocol{jaeger.BinaryServer(g, old.ThriftBinary)}),
	}
}

// printConfig is what /status/config shows.
func (n *node) printConfig(mode string) ([]byte, error) {
	def := defaultConfig()
	switch mode {
	case "":
		return config.YAML(n.cfg)
	case "defaults":
		return config.YAML(def)
	case "diff":
		tree, err := config.Diff(n.cfg, def)
		if err != nil {
			return nil, err
		}
		return yaml.Marshal(tree)
	}
	return nil, fmt.Errorf("unknown value for mode query parameter: %s", mode)
}

func (n *node) inspectActors(ctx context.Context) []*admin.Actor { return shownActors(n.sys.Inspect(ctx)) }

func shownActors(in []*system.ActorStatus) []*admin.Actor {
	out := make([]*admin.Actor, 0, len(in))
	for _, a := range in {
		out = append(out, &admin.Actor{Kind: a.Kind, Key: a.Key, State: a.State, Detail: a.Detail, MailboxDepth: a.MailboxDepth, Handled: a.Handled,
			Restarts: a.Restarts, LastError: a.LastError, Loses: a.Loses, Children: shownActors(a.Children)})
	}
	return out
}
