package query

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/answer"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// SeriesParams asks for series.
type SeriesParams struct {
	Query      string
	Start, End uint64 // unix ns; without an end it is DefaultEnd
	Step       time.Duration
	AutoStep   bool // Step is chosen by the length of the range
	Exemplars  int  // 0: the configured default, which is also the most
	MaxSeries  int  // 0: the configured limit
}

// ErrNotMetrics is the error of a query without a metrics function.
var ErrNotMetrics = errors.New("not a metrics query")

// errNoQuery is the error of a request without a query.
var errNoQuery = errors.New("parse error : syntax error: unexpected $end")

// IsQueryError reports whether an error is about the text of a metrics query. gRPC gives such
// errors another code than other mistakes.
func IsQueryError(err error) bool {
	var syntax *traceql.SyntaxError
	return errors.Is(err, ErrNotMetrics) || errors.Is(err, errNoQuery) || errors.As(err, &syntax)
}

// QueryRange evaluates a metrics query over intervals. each is as in SearchTraces.
func (s *Service) QueryRange(
	ctx context.Context,
	tenants []string,
	q SeriesParams,
	each func(*api.QueryRangeResponse) error,
) (*api.QueryRangeResponse, error) {
	r, err := s.rangeRequest(q, tenants)
	if err != nil {
		return nil, err
	}
	return askFor(ctx, s, tenants, seriesQuery(q, r), func(a *jobs.Answer) (*api.QueryRangeResponse, error) {
		return answer.RenderRange(a, r)
	}, each)
}

// rangeRequest checks a query over intervals and makes the scan of it.
func (s *Service) rangeRequest(q SeriesParams, tenants []string) (*eval.MetricsRequest, error) {
	q, asked := s.resolveSeries(q)
	r, err := s.metricsRequest(q, asked, tenants)
	if err != nil {
		return nil, err
	}
	step := q.Step
	if q.AutoStep {
		step = autoStep(asked)
	}
	if most := int64(s.Config.Metrics.MaxIntervals); step <= 0 || (r.End-r.Start)/int64(step) > most {
		least := max(time.Duration((r.End-r.Start)/most), 1)
		return nil, invalidf("step of %s is too small, minimum step for given range is %s", step, least)
	}
	r.Step = int64(step)
	// The first interval is made whole, and the one before it is there to begin from.
	r.Start = floorTo(r.Start, r.Step) - r.Step
	r.End = ceilTo(r.End, r.Step)
	r.Exemplars = exemplarCount(r.Query, q.Exemplars, s.Config.Metrics.MaxExemplars)
	r.MaxSeries = stricterOf(s.Config.Metrics.MaxSeries, q.MaxSeries)
	return r, nil
}

// QueryInstant evaluates a metrics query over its whole range as one interval. each is as in
// SearchTraces.
func (s *Service) QueryInstant(
	ctx context.Context,
	tenants []string,
	q SeriesParams,
	each func(*api.QueryInstantResponse) error,
) (*api.QueryInstantResponse, error) {
	q, asked := s.resolveSeries(q)
	r, err := s.metricsRequest(q, asked, tenants)
	if err != nil {
		return nil, err
	}
	if r.Start == 0 {
		// The start of a metrics query is excluded, but a query from the beginning of time includes
		// spans without a time.
		r.Start = -1
	}
	r.Instant, r.Step, r.MaxSeries = true, int64(asked), s.Config.Metrics.MaxSeries
	return askFor(ctx, s, tenants, seriesQuery(q, r), func(a *jobs.Answer) (*api.QueryInstantResponse, error) {
		return answer.RenderInstant(a, r)
	}, each)
}

func seriesQuery(q SeriesParams, r *eval.MetricsRequest) jobs.Query {
	return jobs.Query{Range: rangeOf(r), Text: q.Query, Scan: jobs.Scan{Metrics: r}}
}

// rangeOf returns the range of a metrics query, which excludes its start and includes its end.
func rangeOf(r *eval.MetricsRequest) jobs.Range {
	return jobs.Range{Start: uint64(max(r.Start, 0)), End: uint64(max(r.End, 0)) + 1}
}

// resolveSeries fills in the range where the client did not name it. asked is the length of the
// range that the client asked for. Where it named no end, the time ahead of now is not part of that
// length, and neither limits nor rates count it.
func (s *Service) resolveSeries(q SeriesParams) (_ SeriesParams, asked time.Duration) {
	// A request without any range is refused later, as in Tempo. Over HTTP there always is a start.
	if q.End > 0 || q.Start == 0 {
		return q, time.Duration(min(q.End-min(q.Start, q.End), math.MaxInt64))
	}
	now := s.Now()
	q.End = uint64(DefaultEnd(now).UnixNano())
	end := uint64(now.UnixNano())
	if q.Start >= end {
		end = max(q.End, q.Start)
	}
	return q, time.Duration(min(end-q.Start, math.MaxInt64))
}

// metricsRequest checks the query and the range of a metrics query.
func (s *Service) metricsRequest(
	q SeriesParams,
	asked time.Duration,
	tenants []string,
) (*eval.MetricsRequest, error) {
	if q.Query == "" {
		return nil, status.Errorf(status.Invalid, "%w", errNoQuery)
	}
	if len(q.Query) > int(s.Config.MaxQueryBytes) {
		return nil, invalidf("query of %d bytes is longer than the limit of %d "+
			"(query_frontend.max_query_expression_size_bytes)",
			len(q.Query), int(s.Config.MaxQueryBytes))
	}
	parsed, err := traceql.ParseMax(q.Query, int(s.Config.MaxQueryBytes))
	if err != nil {
		return nil, status.Errorf(status.Invalid, "%w", err)
	}
	if !parsed.IsMetrics() {
		return nil, status.Errorf(status.Invalid, "%w", ErrNotMetrics)
	}
	const last = math.MaxInt64 / 2 // leaves room for the alignment
	switch most := s.limitsFor(tenants).MaxMetricsDuration; {
	case q.End <= q.Start:
		return nil, invalidf("end must be greater than start")
	case q.End > last:
		return nil, invalidf("end is too far in the future")
	case most > 0 && asked > most:
		return nil, invalidf("metrics query time range exceeds the maximum allowed duration of %s", most)
	}
	return &eval.MetricsRequest{Query: parsed, Start: int64(q.Start), End: int64(q.End)}, nil
}

var roundSteps = [...]time.Duration{
	time.Hour, 5 * time.Minute, time.Minute, 15 * time.Second, 5 * time.Second, time.Second,
}

// autoStep divides a range into about 240 steps of a round length.
func autoStep(d time.Duration) time.Duration {
	step := d / 240
	if d < time.Minute {
		const least = 50 * time.Millisecond
		return max(step/least*least, least)
	}
	for _, round := range roundSteps {
		if step > round {
			return step / round * round
		}
	}
	return time.Second
}

func floorTo(v, step int64) int64 { return v - v%step }

func ceilTo(v, step int64) int64 {
	if r := v % step; r != 0 {
		return v - r + step
	}
	return v
}

// exemplarCount returns how many exemplars a client wants. A hint in the query goes before the
// parameter, asked, and neither can exceed most.
func exemplarCount(q *traceql.Query, asked, most int) int {
	n := asked
	if n == 0 {
		n = most
	}
	if h, ok := q.Hint("exemplars"); ok {
		switch {
		case h.Type == traceql.TypeBool && h.Int == 0:
			n = 0
		case h.Type == traceql.TypeBool:
			n = most
		case h.Type == traceql.TypeInt:
			n = int(min(max(h.Int, 0), math.MaxInt32))
		}
	}
	return min(n, most)
}
