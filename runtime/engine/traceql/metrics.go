package traceql

import "context"

// MetricsPartial is what one or more homes contribute to the series of a query: mergeable, in any order, with the same result.
type MetricsPartial struct{}

// QueryRange evaluates a metrics query over one home. Traces of shared are left out and named as candidates where they may match.
func QueryRange(ctx context.Context, t Fetcher, r *MetricsRequest, shared Set) (*MetricsPartial, error) {
	panic("BUG: not built")
}

// Merge adds the partial result of another home.
func (p *MetricsPartial) Merge(o *MetricsPartial) { panic("BUG: not built") }

// Candidates lists the traces that must be looked at whole.
func (p *MetricsPartial) Candidates() []Candidate { panic("BUG: not built") }

// Result makes the series of a query out of everything that was merged.
func (p *MetricsPartial) Result(r *MetricsRequest) (*MetricsResult, error) {
	panic("BUG: not built")
}
