package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/troupe-tracing/troupe/actors/overrides"
	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
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
	brokers   brokers
	unwritten *delivery.Budget         // memory of answers that clients have not read yet
	tracer    *sdktrace.TracerProvider // nil: the node does not trace itself
	started   atomic.Bool              // every kind of the table runs and every port is open
	stopping  atomic.Bool
	ready     atomic.Bool
}

func newNode(cfg Config, logger *slog.Logger, registry *prometheus.Registry) *node {
	n := &node{
		cfg:       cfg,
		log:       logger,
		registry:  registry,
		refusals:  refusals.New(registry, logger),
		began:     time.Now(),
		sys:       system.New(system.Options{Logger: logger, Registerer: registry}),
		unwritten: &delivery.Budget{Max: int64(cfg.QueryFrontend.MaxResults)},
	}
	n.unwritten.Metrics = delivery.NewMetrics(registry, n.unwritten.Bytes)
	if !cfg.Multitenancy {
		n.refusals.Tenants().Grant(tenant.Single)
	}
	return n
}

// run starts everything, serves until ctx ends or a role gives up, and ends in order. All ports are
// bound before anything else, so that a second process ends at once. From then on the status pages
// answer. What a person is told goes to out.
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

	d, err := n.openDeps(ctx)
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		n.log.Info("stopped before the node was ready")
		return nil
	}
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
	case err = <-failed: // a server has ended
	case err = <-n.sys.Failed(): // an actor has used up its restarts
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

// traceSelf sends traces of the node's own queries to its own distributor, if that is configured.
func (n *node) traceSelf() (err error) {
	if !n.cfg.SelfTracing.Enabled {
		return nil
	}
	n.tracer, err = telemetry.Tracer(n.cfg.SelfTracing, func(ctx context.Context, otlp []byte) error {
		to, err := n.sys.Find(kinds.Distributor, "")
		if err != nil {
			return err
		}
		push := &ingest.PushSpans{Tenant: telemetry.SelfTenant, Otlp: otlp}
		_, err = ask.Ask[*ingest.PushSpansReply](ctx, n.sys, to, push)
		return err
	})
	return err
}

// drainOrder is the order in which kinds finish the work that they have accepted. First spans
// become durable, then they become blocks. Queries are answered as long as there is somebody to
// ask. Kinds that are not listed follow in the order of the table.
var drainOrder = []string{
	kinds.Distributor,
	kinds.BlockBuilder,
	kinds.QueryFrontend,
	kinds.Querier,
	kinds.LiveStore,
}

// drainNode ends the servers and the actors within the configured time. It is no failure if
// something is not finished by then: it is in the log.
//
// A client that has stalled must not use up the time of the others. Therefore the receivers and the
// tracer have a sixth of the time each, at most five seconds, after which whatever is open is cut
// off. The actors have the rest.
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
	within(min(2*time.Second, part), s.stopAnswering) // every query has been answered by now
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
