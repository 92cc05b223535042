// Package ingress is the door that all receivers share. It reserves the memory of requests while
// they arrive, unpacks them, finds out whose spans they carry, hands the spans to the distributor
// as OTLP, and turns what went wrong into answers and counts.
//
// What a request holds of memory is reserved as it arrives and before it is unpacked, so that
// neither many clients nor a small body that unpacks to a large one can take more than
// Limits.BufferedBytes (memory.go). Over HTTP a body is read in steps (receive.go). gRPC collects a
// message by itself, so its connections are metered from outside (meter.go).
//
// The receiver of OTLP adds its services and paths to the door. Receivers of other formats only say
// how a body of theirs is read (Format).
package ingress

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// pushTimeout is how long the distributor may take to make a request durable. It answers much
// sooner; after this time the disk or the broker hangs.
const pushTimeout = 30 * time.Second

// Deps is what the door reaches.
type Deps struct {
	Asker        ask.Asker
	Directory    ask.Directory
	Multitenancy bool
	Logger       *slog.Logger
	Metrics      *Metrics
	Refusals     *refusals.Refusals // nil: refusals are not counted
}

// Limits bound what requests may take of memory and time.
type Limits struct {
	BufferedBytes  int64         // of all requests, from their first byte to their answer
	LargestRequest int64         // in bytes, unpacked
	MaxWait        time.Duration // how long a request waits for memory before it is refused
	ReceiveTimeout time.Duration // in which a request must arrive completely
	RetryAfter     time.Duration // told to clients that are refused for lack of memory; 0: nothing is told
}

// Door takes requests of all receivers. It is safe for concurrent use.
type Door struct {
	deps   Deps
	limits Limits
	memory *memory
}

// New makes a door.
func New(d Deps, l Limits) *Door {
	return &Door{deps: d, limits: l, memory: newMemory(l, d.Metrics.buffered)}
}

// Logger is where receivers log.
func (d *Door) Logger() *slog.Logger { return d.deps.Logger }

// Refusals counts spans that a receiver refuses or changes while it keeps the rest of a request. It
// is nil where nothing is counted.
func (d *Door) Refusals() *refusals.Refusals { return d.deps.Refusals }

// Limits are those that the door was made with.
func (d *Door) Limits() Limits { return d.limits }

// CountAnswer counts an answer by the code of its protocol.
func (d *Door) CountAnswer(protocol, code string) {
	d.deps.Metrics.requests.WithLabelValues(protocol, code).Inc()
}

// CountBytes counts the bytes of a request that has arrived completely, after unpacking.
func (d *Door) CountBytes(protocol string, n int) {
	d.deps.Metrics.bytes.WithLabelValues(protocol).Add(float64(n))
}

// FindTenant returns the tenant whose spans a request carries. values are those of the tenant
// header.
func (d *Door) FindTenant(values []string) (string, error) {
	if !d.deps.Multitenancy {
		return tenant.Single, nil
	}
	id, err := tenant.ForPush(values)
	switch {
	case errors.Is(err, tenant.ErrMissing):
		return "", Refuse(refusals.NoTenant, fmt.Errorf("%w: name the tenant of the spans in one header %s", err,
			tenant.Header))
	case err != nil:
		return "", Refuse(refusals.InvalidTenant, err)
	}
	return id, nil
}

// Push asks the distributor to make spans durable, which are OTLP bytes that the distributor owns
// from then on.
// Next: actors/distributor.
func (d *Door) Push(ctx context.Context, tenant string, otlp []byte) (*ingest.PushSpansReply, error) {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	to, err := d.deps.Directory.Find(kinds.Distributor, "")
	if err != nil {
		d.countUnanswered(tenant, otlp, err)
		return nil, err
	}
	reply, err := ask.Ask[*ingest.PushSpansReply](ctx, d.deps.Asker, to, &ingest.PushSpans{Tenant: tenant, Otlp: otlp})
	if err != nil && ctx.Err() != nil {
		d.countUnanswered(tenant, otlp, err)
	}
	return reply, err
}

// countUnanswered counts a request that no distributor has answered. A distributor counts what it
// refuses itself.
func (d *Door) countUnanswered(tenant string, otlp []byte, err error) {
	d.deps.Refusals.CountRequest(tenant, refusals.Unavailable, int64(trace.CountSpans(otlp)), err.Error())
}
