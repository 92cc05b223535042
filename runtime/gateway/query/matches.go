package query

import (
	"context"
	"math"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// SpanMatches are the places of the spans that match, and how complete the answer is.
type SpanMatches struct {
	eval.SpanMatches
	Completeness
}

// Completeness says how complete an answer is that has no message of the API.
type Completeness struct {
	Complete  bool
	Warnings  []string
	Watermark uint64 // unix ns; 0: not known
}

// GetComplete reports whether everything could be read.
func (c Completeness) GetComplete() bool { return c.Complete }

// GetWarnings returns what could not be read.
func (c Completeness) GetWarnings() []string { return c.Warnings }

// GetWatermark returns the time up to which the answer has everything that arrived.
func (c Completeness) GetWatermark() uint64 { return c.Watermark }

func completenessOf(a *jobs.Answer) Completeness {
	return Completeness{Complete: a.Complete, Warnings: a.Warnings, Watermark: uint64(max(a.Watermark, 0))}
}

// MatchSpans finds which spans of a trace a query selects, by their places in its outline. Without
// any span the trace was not found. Errors: Limited where several tenants have the trace, and those
// of the query.
func (s *Service) MatchSpans(
	ctx context.Context, tenants []string, id trace.ID, text string,
) (*SpanMatches, error) {
	q, err := traceql.ParseMax(text, int(s.Config.MaxQueryBytes))
	if err != nil {
		return nil, invalidQuery("invalid TraceQL query: ", err)
	}
	if q.IsMetrics() {
		return nil, invalidf("invalid TraceQL query: a metrics query selects no spans")
	}
	a, err := s.askTenants(ctx, tenants, jobs.Query{
		Text:  text,
		Range: jobs.Range{End: math.MaxUint64},
		Scan:  jobs.Scan{Matches: &eval.MatchesRequest{Trace: id, Query: q}},
	}, nil)
	if err != nil {
		return nil, invalidQuery("", err)
	}
	out := &SpanMatches{Completeness: completenessOf(a)}
	if m := a.Partial.Matches; m != nil {
		out.SpanMatches = *m
	}
	if out.Several {
		return nil, status.Limitedf(0,
			"several tenants have the trace, and places are those of one; ask for one of them")
	}
	return out, nil
}
