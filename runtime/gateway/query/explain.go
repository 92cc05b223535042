package query

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// ExplainQuery evaluates a search or a metrics query and tells how: the answer's Explained is set.
// The step of a metrics query is chosen by the length of its range.
func (s *Service) ExplainQuery(ctx context.Context, tenants []string, q SearchParams) (*jobs.Answer, error) {
	if len(tenants) != 1 {
		return nil, invalidf("explain one tenant at a time, not %d", len(tenants))
	}
	jq := jobs.Query{Text: q.Query, Explain: true}
	parsed, err := traceql.ParseMax(q.Query, int(s.Config.MaxQueryBytes))
	if err == nil && parsed.IsMetrics() {
		span, err := s.resolveRange(q.Seconds, s.limitsFor(tenants).MaxMetricsDuration, false)
		if err != nil {
			return nil, err
		}
		series := SeriesParams{Query: q.Query, Start: span.Start, End: span.End, AutoStep: true}
		r, err := s.rangeRequest(series, tenants)
		if err != nil {
			return nil, err
		}
		jq.Scan.Metrics, jq.Range = r, rangeOf(r)
	} else {
		r, _, err := s.searchRequest(q, s.limitsFor(tenants))
		if err != nil {
			return nil, err
		}
		jq.Scan.Search, jq.Range = r, jobs.Range{Start: r.Start, End: r.End}
	}
	a, err := s.askTenants(ctx, tenants, jq, nil)
	return a, invalidQuery("", err)
}
