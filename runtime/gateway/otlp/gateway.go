// Package otlp takes spans in over OTLP: gRPC and HTTP, protobuf and JSON. It passes the bytes on
// as they are; the distributor reads them.
//
// What a request holds of memory is reserved as it arrives and before it is unpacked, so that
// neither many clients nor a small body that unpacks to a large one can take more than
// Config.MaxBufferedBytes (memory.go).
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	grpcstatus "google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// pushTimeout is how long the distributor has to make a request durable. It answers much sooner;
// past this the disk or broker hangs.
const pushTimeout = 30 * time.Second

// Deps is what the gateway reaches.
type Deps struct {
	Asker        ask.Asker
	Directory    ask.Directory
	Multitenancy bool
	Logger       *slog.Logger
	Metrics      *Metrics
	Refusals     *refusals.Refusals // nil: refusals are not counted
}

// Gateway takes OTLP requests.
type Gateway struct {
	deps   Deps
	cfg    Config
	memory *memory
}

// New makes a gateway; GRPC and HTTP serve it.
func New(d Deps, cfg Config) *Gateway {
	return &Gateway{deps: d, cfg: cfg, memory: newMemory(cfg, d.Metrics.buffered)}
}

// FindTenant finds whose spans a request carries. values are those of the tenant header.
func (g *Gateway) FindTenant(values []string) (string, error) {
	if !g.deps.Multitenancy {
		return tenant.Single, nil
	}
	id, err := tenant.ForPush(values)
	switch {
	case errors.Is(err, tenant.ErrMissing):
		return "", Refuse(refusals.NoTenant, fmt.Errorf("%w: name the tenant of the spans in one header %s", err, tenant.Header))
	case err != nil:
		return "", Refuse(refusals.InvalidTenant, err)
	}
	return id, nil
}

// Push asks the distributor to make otlp durable. otlp is the distributor's from then on.
// Next: actors/distributor.
func (g *Gateway) Push(ctx context.Context, tenant string, otlp []byte) (*ingest.PushSpansReply, error) {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	to, err := g.deps.Directory.Find(kinds.Distributor, "")
	if err != nil {
		g.countUnanswered(tenant, otlp, err)
		return nil, err
	}
	reply, err := ask.Ask[*ingest.PushSpansReply](ctx, g.deps.Asker, to, &ingest.PushSpans{Tenant: tenant, Otlp: otlp})
	if err != nil && ctx.Err() != nil {
		g.countUnanswered(tenant, otlp, err)
	}
	return reply, err
}

// countUnanswered counts a request that no distributor has answered. What one refuses it counts
// itself.
func (g *Gateway) countUnanswered(tenant string, otlp []byte, err error) {
	g.deps.Refusals.CountRequest(tenant, refusals.Unavailable, int64(trace.CountSpans(otlp)), err.Error())
}

// GRPCStatus is the gRPC status of an error. Whatever may go well another time is Unavailable,
// which clients send again.
func (g *Gateway) GRPCStatus(err error) *grpcstatus.Status {
	if errors.Is(err, tenant.ErrMissing) {
		return grpcstatus.New(codes.Unauthenticated, err.Error())
	}
	e := status.Of(err)
	switch e.Class {
	case status.Invalid:
		return grpcstatus.New(codes.InvalidArgument, err.Error())
	case status.Limited:
		st := grpcstatus.New(codes.ResourceExhausted, err.Error())
		if after := e.RetryAfter; after > 0 {
			if with, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(after)}); err == nil {
				return with
			}
		}
		return st
	case status.Canceled:
		return grpcstatus.New(codes.Canceled, err.Error())
	case status.Timeout:
		return grpcstatus.New(codes.DeadlineExceeded, err.Error())
	case status.Internal:
		g.deps.Logger.Error("push failed", "err", err)
	}
	return grpcstatus.New(codes.Unavailable, err.Error())
}

// isUnreadable reports whether the distributor could not read the bytes as OTLP.
func isUnreadable(err error) bool { return errors.Is(err, trace.ErrMalformed) }
