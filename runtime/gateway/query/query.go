package query

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/telemetry"
)

// Deps is what the query API reaches.
type Deps struct {
	Asker        ask.Asker
	Directory    ask.Directory
	Multitenancy bool
	Now          func() time.Time           // nil: the machine's clock
	Limits       func(tenant string) Limits // nil: no tenant has limits of its own
	Config       Config
	Logger       *slog.Logger
	Metrics      *Metrics                 // nil: none
	Tracer       oteltrace.TracerProvider // of the node's own traces; nil: it makes none
	Unwritten    *delivery.Budget         // of the memory of answers that clients have not read yet; nil: no bound
}

// Limits are those of one tenant. Where a value is zero the configuration decides.
type Limits struct {
	MaxSearchDuration  time.Duration // read.max_search_duration
	MaxMetricsDuration time.Duration // read.max_metrics_duration
	MaxTagBytes        int           // read.max_bytes_per_tag_values_query
	LeftPadTraceIDs    bool          // read.left_pad_trace_ids: 32 digits in searches
}

// Service answers queries. It is safe for concurrent use.
type Service struct {
	Deps
	bounds workBounds // of WorkOn
	tails  tails
}

// New makes a service.
func New(d Deps) *Service {
	if d.Now == nil {
		d.Now = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{Deps: d, bounds: newWorkBounds()}
}

// maxTenants bounds how many queries one request becomes.
const maxTenants = 100

// TenantsOf returns the tenants that the header of a request names. Errors: tenant.ErrMissing, or
// Invalid.
func (s *Service) TenantsOf(header string) ([]string, error) {
	if !s.Multitenancy {
		if s.Tracer != nil && header == telemetry.SelfTenant {
			// The node's own traces can be read without multitenancy.
			return []string{telemetry.SelfTenant}, nil
		}
		return []string{tenant.Single}, nil
	}
	ids, err := tenant.ForQuery(header)
	switch {
	case err != nil:
		return nil, err
	case len(ids) > 1 && !s.Config.MultiTenant:
		return nil, status.Errorf(status.Invalid, "multiple org IDs present")
	case len(ids) > maxTenants:
		return nil, invalidf("%d org IDs present: one query covers at most %d", len(ids), maxTenants)
	}
	return ids, nil
}

// limitsFor returns the limits that hold for a query over all of the tenants, which are the
// strictest of each. Ids are padded only where every tenant wants it.
func (s *Service) limitsFor(tenants []string) Limits {
	out := Limits{
		MaxSearchDuration:  s.Config.Search.MaxDuration,
		MaxMetricsDuration: s.Config.Metrics.MaxDuration,
		MaxTagBytes:        s.Config.MaxTagBytes,
	}
	if s.Limits == nil {
		return out
	}
	var own Limits // of the tenants together
	out.LeftPadTraceIDs = true
	for _, t := range tenants {
		l := s.Limits(t)
		own.MaxSearchDuration = stricterOf(own.MaxSearchDuration, l.MaxSearchDuration)
		own.MaxMetricsDuration = stricterOf(own.MaxMetricsDuration, l.MaxMetricsDuration)
		own.MaxTagBytes = stricterOf(own.MaxTagBytes, l.MaxTagBytes)
		out.LeftPadTraceIDs = out.LeftPadTraceIDs && l.LeftPadTraceIDs
	}
	out.MaxSearchDuration = cmp.Or(own.MaxSearchDuration, out.MaxSearchDuration)
	out.MaxMetricsDuration = cmp.Or(own.MaxMetricsDuration, out.MaxMetricsDuration)
	out.MaxTagBytes = cmp.Or(own.MaxTagBytes, out.MaxTagBytes)
	return out
}

// stricterOf returns the smaller of two limits. A limit of 0 or less is none.
func stricterOf[T int | time.Duration](a, b T) T {
	if a <= 0 || b > 0 && b < a {
		return max(b, 0)
	}
	return a
}

// FindTrace looks for a trace by its id. It returns the trace as OTLP bytes, nil where none is
// found, and beside it the message of the API without its Trace. filter may be nil. An answer that
// lacks something, and perhaps the whole trace, is marked as partial. Error: ErrLong, and those of
// the query.
func (s *Service) FindTrace(
	ctx context.Context,
	tenants []string,
	id trace.ID,
	filter *answer.Filter,
) ([]byte, *api.TraceByIDResponse, error) {
	a, err := s.askTenants(ctx, tenants, jobs.Query{Trace: &id, Text: id.String()}, nil)
	if err != nil {
		return nil, nil, err
	}
	if a.Long {
		return nil, nil, errLong()
	}
	// Relink changes spans, so it comes after those of several tenants have been compared.
	otlp := trace.Relink(a.Trace)
	dropped := false
	if filter != nil {
		if otlp, dropped, err = s.filterTrace(ctx, filter, otlp); err != nil {
			return nil, nil, err
		}
	}
	return otlp, describeTrace(a, nil, dropped), nil
}

// FindSpans looks for some spans of a trace by their ids. It returns what FindTrace does, of these
// spans alone and as they were sent. Errors: Limited where they are too large together, and those
// of the query.
func (s *Service) FindSpans(
	ctx context.Context, tenants []string, id trace.ID, only []trace.SpanID,
) ([]byte, *api.TraceByIDResponse, error) {
	only = slices.SortedFunc(slices.Values(only), func(a, b trace.SpanID) int { return bytes.Compare(a[:], b[:]) })
	a, err := s.askTenants(ctx, tenants, jobs.Query{Trace: &id, Text: id.String(), Only: slices.Compact(only)}, nil)
	if err != nil {
		return nil, nil, err
	}
	if a.Long {
		return nil, nil, status.Limitedf(0, "these spans are too large to be held in memory together; ask for fewer")
	}
	return a.Trace, describeTrace(a, nil, false), nil
}

// AllTenants stands for every tenant in List and Cancel. No tenant has this name.
const AllTenants = ""

// ListQueries returns the queries of the tenants that run or wait, by tenant and then in the order
// in which they came.
func (s *Service) ListQueries(ctx context.Context, tenants []string) ([]jobs.QueryStatus, error) {
	to, err := s.Directory.Find(kinds.QueryFrontend, "")
	if err != nil {
		return nil, err
	}
	out := []jobs.QueryStatus{}
	for _, t := range tenants {
		q, err := ask.Ask[*jobs.Queries](ctx, s.Asker, to, &jobs.ListQueries{Tenant: t})
		if err != nil {
			return nil, err
		}
		out = append(out, q.Queries...)
	}
	return out, nil
}

// CancelQuery ends a running query of one of the tenants. The client of that query is told so.
// Errors: NotFound.
func (s *Service) CancelQuery(ctx context.Context, tenants []string, id string) error {
	to, err := s.Directory.Find(kinds.QueryFrontend, "")
	if err != nil {
		return err
	}
	for _, t := range tenants {
		if _, err = ask.Ask[*jobs.QueryCanceled](ctx, s.Asker, to, &jobs.CancelQuery{Tenant: t, ID: id}); err == nil {
			return nil
		}
	}
	return err
}

// RequireComplete returns an error where an answer lacks something, for clients that accept only
// complete answers.
func RequireComplete(m answer.Completeness) error {
	if m.GetComplete() {
		return nil
	}
	return status.Errorf(status.Unavailable, "incomplete answer: %s", strings.Join(m.GetWarnings(), "; "))
}

// PanicError makes the error of a request out of a panic, and logs where the panic came from.
func (s *Service) PanicError(op string, p any) error {
	s.Logger.Error("request panicked", "op", op, "err", fmt.Sprint(p), "stack", string(debug.Stack()))
	return status.Errorf(status.Internal, "the request met a defect of the server, which is logged: %v", p)
}

func invalidf(format string, args ...any) error {
	return status.Errorf(status.Invalid, "%s", fmt.Sprintf(format, args...))
}
