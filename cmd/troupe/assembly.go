package main

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
	"github.com/troupe-tracing/troupe/runtime/gateway/admin"
	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
	"github.com/troupe-tracing/troupe/runtime/gateway/grpcapi"
	"github.com/troupe-tracing/troupe/runtime/gateway/httpapi"
	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/jaeger"
	"github.com/troupe-tracing/troupe/runtime/gateway/otlp"
	overridesapi "github.com/troupe-tracing/troupe/runtime/gateway/overrides"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/gateway/rpc"
	"github.com/troupe-tracing/troupe/runtime/gateway/ui"
	"github.com/troupe-tracing/troupe/runtime/gateway/zipkin"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/telemetry"
)

// makeServers makes the servers around the actors.
func (n *node) makeServers() *servers {
	door := ingress.New(ingress.Deps{
		Asker:        n.sys,
		Directory:    n.sys,
		Multitenancy: n.cfg.Multitenancy,
		Logger:       n.log,
		Metrics:      ingress.NewMetrics(n.registry),
		Refusals:     n.refusals,
	}, n.cfg.Distributor.Receivers.OTLP.Limits())
	gateway := otlp.New(door, n.cfg.Distributor.Receivers.OTLP)
	queries := n.queryDeps()
	errorLog := slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)
	s := &servers{cfg: n.cfg, log: n.log, overHTTP: n.makeQueryServer(queries)}
	pages := n.adminDeps(queries, s.operatorAddress)
	cfg := n.cfg.Server
	s.pages = &server{
		name:       "http",
		address:    net.JoinHostPort(cfg.HTTPAddress, strconv.Itoa(cfg.HTTPPort)),
		addressKey: "server.http_listen_port",
		tls:        cfg.HTTPTLS,
		tlsKey:     "server.http_tls_config",
		protocol:   httpProtocol{Server: n.makeWebServer(s, door, gateway, pages, errorLog)},
	}
	s.queries = &server{
		name:       "grpc",
		address:    net.JoinHostPort(cfg.GRPCAddress, strconv.Itoa(cfg.GRPCPort)),
		addressKey: "server.grpc_listen_port",
		tls:        cfg.GRPCTLS,
		tlsKey:     "server.grpc_tls_config",
		protocol:   grpcProtocol{n.makeQueryServer(queries), cfg.deliveryLimits()},
	}
	operator := n.makePacedServer(admin.OperatorRoutes(pages), errorLog)
	operator.Protocols.SetHTTP1(true)
	s.operator = &server{
		name:       "operator's pages",
		address:    cfg.adminAddress(),
		addressKey: "server.admin_listen_port",
		tls:        cfg.AdminTLS,
		tlsKey:     "server.admin_tls_config",
		elsewhere:  cfg.adminElsewhere,
		protocol:   httpProtocol{Server: operator},
	}
	s.receivers = n.makeReceivers(door, gateway, errorLog)
	return s
}

// queryDeps is what the query APIs reach.
func (n *node) queryDeps() query.Deps {
	api := n.cfg.QueryFrontend.API
	if most := n.cfg.Overrides.Defaults.Read.MaxConditionGroups; most > 0 {
		api.Search.MaxConditionGroups = most
	}
	d := query.Deps{
		Unwritten:    n.unwritten,
		Asker:        n.sys,
		Directory:    n.sys,
		Multitenancy: n.cfg.Multitenancy,
		Config:       api,
		Limits:       n.limits.ofQueries,
		Logger:       n.log,
		Metrics:      query.NewMetrics(n.registry),
	}
	if n.tracer != nil { // a nil *TracerProvider would be no nil interface
		d.Tracer = n.tracer
	}
	return d
}

// adminDeps is what the status pages reach.
func (n *node) adminDeps(q query.Deps, operatorAddress func() string) admin.Deps {
	return admin.Deps{
		Pages:           n.webPages(),
		PagesPath:       n.cfg.UI.Path,
		Prefix:          n.cfg.APIPrefix,
		Query:           httpapi.Routes(q),
		Metrics:         n.registry,
		NotReady:        n.notReady,
		Config:          n.printConfig,
		Limits:          n.printLimits,
		Overrides:       n.overridesDeps(),
		Actors:          n.inspectActors,
		Upkeep:          n.describeUpkeep,
		Promise:         n.durabilityPromises,
		Queries:         httpapi.OperatorQueries(q),
		OperatorAddress: operatorAddress,
		ActorsForAll:    !n.cfg.Multitenancy && isLoopback(n.cfg.Server.HTTPAddress),
		Build: admin.Build{
			Version:   telemetry.Version,
			Revision:  telemetry.Revision,
			GoVersion: runtime.Version(),
		},
	}
}

// overridesDeps is what the API of overrides reaches.
func (n *node) overridesDeps() overridesapi.Deps {
	d := overridesapi.Deps{
		Multitenancy: n.cfg.Multitenancy,
		Limits:       n.limits.currentSet,
		Check:        n.cfg.Overrides.Own.API.Check,
		Logger:       n.log,
	}
	if n.cfg.Overrides.Own.Enabled {
		d.Documents = overridesapi.AskActor(n.sys, n.sys)
	}
	return d
}

// webPages serves the web pages; nil if they are off.
func (n *node) webPages() http.Handler {
	if !n.cfg.UI.Enabled {
		return nil
	}
	api := n.cfg.QueryFrontend.API
	return ui.New(n.cfg.UI, ui.Facts{
		Version:      telemetry.Version,
		APIPrefix:    n.cfg.APIPrefix,
		Multitenancy: n.cfg.Multitenancy,
		Limits: ui.Limits{
			SearchSeconds:  int64(api.Search.MaxDuration / time.Second),
			MetricsSeconds: int64(api.Metrics.MaxDuration / time.Second),
			SearchLimit:    api.Search.MaxLimit,
		},
	})
}

// makeWebServer makes the server of the query API over HTTP. It takes spans too, where OTLP is on,
// because senders are often given the port that they query.
func (n *node) makeWebServer(
	s *servers, door *ingress.Door, g *otlp.Gateway, pages admin.Deps, errorLog *log.Logger,
) *http.Server {
	routes := admin.Routes(pages)
	if n.cfg.Server.sharesAdmin() {
		routes = admin.AllRoutes(pages)
	}
	everything := s.splitByProtocol(routes)
	if p := n.cfg.Distributor.Receivers.OTLP.Protocols; p.GRPC.Endpoint != "" || p.HTTP.Endpoint != "" {
		everything = g.Beside(everything)
	}
	web := n.makePacedServer(rpc.Guard(n.log, everything), errorLog)
	web.ConnContext = door.ConnContext
	web.Protocols.SetHTTP1(true)
	web.Protocols.SetHTTP2(n.cfg.StreamOverHTTP)
	web.Protocols.SetUnencryptedHTTP2(n.cfg.StreamOverHTTP)
	return web
}

// makePacedServer makes a server whose answers must be read in time. It has no WriteTimeout: that
// begins with the request, so the answers of long queries would be thrown away.
func (n *node) makePacedServer(h http.Handler, errorLog *log.Logger) *http.Server {
	limits := n.cfg.Server.deliveryLimits()
	return &http.Server{
		Handler:        delivery.Handler(h, limits, n.unwritten.Metrics),
		ReadTimeout:    n.cfg.Server.ReadTimeout,
		IdleTimeout:    n.cfg.Server.IdleTimeout,
		MaxHeaderBytes: 256 << 10,
		ErrorLog:       errorLog,
		Protocols:      new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: n.cfg.Server.MaxStreams,
			WriteByteTimeout:     limits.Stall,
		},
	}
}

// makeReceivers makes the servers that take spans in. Those whose endpoint is empty stay off. A
// sender that does not read its answers holds nothing for long.
func (n *node) makeReceivers(door *ingress.Door, g *otlp.Gateway, errorLog *log.Logger) []*server {
	cfg, limits := n.cfg.Distributor.Receivers, n.cfg.Server.deliveryLimits()
	overHTTP := func(s *http.Server) protocol {
		s.ErrorLog = errorLog
		return httpProtocol{s, limits}
	}
	overRPC := g.GRPC()
	overRPC.LogTo(errorLog)
	o, j := cfg.OTLP.Protocols, cfg.Jaeger.Protocols
	return []*server{
		newReceiver("otlp grpc", "otlp.protocols.grpc", o.GRPC.Endpoint, o.GRPC.TLS,
			otlpProtocol{overRPC, limits}),
		newReceiver("otlp http", "otlp.protocols.http", o.HTTP.Endpoint, o.HTTP.TLS,
			overHTTP(g.HTTP())),
		newReceiver("zipkin", "zipkin", cfg.Zipkin.Endpoint, cfg.Zipkin.TLS,
			overHTTP(zipkin.Server(door, cfg.Zipkin))),
		newReceiver("jaeger grpc", "jaeger.protocols.grpc", j.GRPC.Endpoint, j.GRPC.TLS,
			otlpProtocol{jaeger.GRPCServer(door, j.GRPC), limits}),
		newReceiver("jaeger thrift_http", "jaeger.protocols.thrift_http", j.ThriftHTTP.Endpoint, j.ThriftHTTP.TLS,
			overHTTP(jaeger.HTTPServer(door, j.ThriftHTTP))),
		newReceiver("jaeger thrift_compact", "jaeger.protocols.thrift_compact", j.ThriftCompact.Endpoint, config.TLS{},
			udpProtocol{jaeger.CompactServer(door, j.ThriftCompact)}),
		newReceiver("jaeger thrift_binary", "jaeger.protocols.thrift_binary", j.ThriftBinary.Endpoint, config.TLS{},
			udpProtocol{jaeger.BinaryServer(door, j.ThriftBinary)}),
	}
}

// makeQueryServer makes a gRPC server of the query API, with health and reflection.
func (n *node) makeQueryServer(q query.Deps) *grpc.Server {
	cfg := n.cfg.Server
	s := rpc.NewServer(q.Logger, int(cfg.MaxRecv),
		grpc.MaxSendMsgSize(int(cfg.MaxSend)),
		grpc.MaxConcurrentStreams(uint32(cfg.MaxStreams)),
		grpc.ChainStreamInterceptor(delivery.StreamInterceptor(cfg.deliveryLimits(), n.unwritten.Metrics)),
		// a client that is gone holds nothing
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}))
	grpcapi.Register(s, q)
	healthpb.RegisterHealthServer(s, &healthService{notReady: n.notReady})
	reflection.Register(s)
	return s
}

// printConfig prints the configuration as /status/config shows it: all of it, the defaults, or what
// differs from them.
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

// inspectActors lists the actors as /status/actors shows them.
func (n *node) inspectActors(ctx context.Context) []*admin.Actor {
	return shownActors(n.sys.Inspect(ctx))
}

// describeUpkeep asks the backend-scheduler for what /status/backendscheduler shows.
func (n *node) describeUpkeep(ctx context.Context) (*upkeep.Status, error) {
	to, err := n.sys.Find(kinds.BackendScheduler, "")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return ask.Ask[*upkeep.Status](ctx, n.sys, to, upkeep.AskStatus{})
}

func shownActors(in []*system.ActorStatus) []*admin.Actor {
	out := make([]*admin.Actor, 0, len(in))
	for _, a := range in {
		out = append(out, &admin.Actor{
			Kind:         a.Kind,
			Key:          a.Key,
			State:        a.State,
			Detail:       a.Detail,
			MailboxDepth: a.MailboxDepth,
			Handled:      a.Handled,
			Restarts:     a.Restarts,
			LastError:    a.LastError,
			Loses:        a.Loses,
			Children:     shownActors(a.Children),
		})
	}
	return out
}

// printLimits prints the limits of tenants as /status/runtime_config shows them.
func (n *node) printLimits() ([]byte, error) { return overridesapi.YAML(n.limits.currentSet()) }
