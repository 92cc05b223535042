package answer

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// RenderRange makes the answer of a range query. Its error is that of
// eval.MetricsPartial.Result.
func RenderRange(a *jobs.Answer, r *eval.MetricsRequest) (*api.QueryRangeResponse, error) {
	out := &api.QueryRangeResponse{
		Metrics:   searchMetricsOf(a),
		Complete:  &a.Complete,
		Warnings:  validTexts(a.Warnings),
		Watermark: uint64(a.Watermark),
	}
	res, err := metricsResult(a, r)
	if err != nil {
		return nil, err
	}
	out.Status, out.Message = partialStatusOf(a, r, res.Truncated)
	for i := range res.Series {
		if s := timeSeriesOf(&res.Series[i]); len(s.Samples) > 0 {
			out.Series = append(out.Series, s)
		}
	}
	return out, nil
}

// timeSeriesOf leaves out the intervals without a sample, which are NaN.
func timeSeriesOf(s *eval.Series) *api.TimeSeries {
	out := &api.TimeSeries{Labels: keyValuesOf(s.Labels), Samples: make([]*api.Sample, 0, len(s.Samples))}
	for _, p := range s.Samples {
		if !math.IsNaN(p.Value) {
			ms := p.Time / int64(time.Millisecond)
			out.Samples = append(out.Samples, &api.Sample{TimestampMs: ms, Value: p.Value})
		}
	}
	for _, e := range s.Exemplars {
		out.Exemplars = append(out.Exemplars, &api.Exemplar{
			Labels:      keyValuesOf(e.Labels),
			Value:       e.Value,
			TimestampMs: e.Time / int64(time.Millisecond),
		})
	}
	return out
}

// RenderInstant makes the answer of an instant query. Its error is that of
// eval.MetricsPartial.Result.
func RenderInstant(a *jobs.Answer, r *eval.MetricsRequest) (*api.QueryInstantResponse, error) {
	out := &api.QueryInstantResponse{
		Metrics:   searchMetricsOf(a),
		Complete:  &a.Complete,
		Warnings:  validTexts(a.Warnings),
		Watermark: uint64(a.Watermark),
	}
	res, err := metricsResult(a, r)
	if err != nil {
		return nil, err
	}
	out.Status, out.Message = partialStatusOf(a, r, res.Truncated)
	for i := range res.Series {
		s := &res.Series[i]
		if len(s.Samples) == 0 || math.IsNaN(s.Samples[0].Value) {
			continue
		}
		out.Series = append(out.Series, &api.InstantSeries{Labels: keyValuesOf(s.Labels), Value: s.Samples[0].Value})
	}
	return out, nil
}

// metricsResult returns the series of an answer. If nothing of the tenant was read there are none,
// not even the zeros of a count without groups.
func metricsResult(a *jobs.Answer, r *eval.MetricsRequest) (*eval.MetricsResult, error) {
	if a.Partial.Metrics == nil {
		return &eval.MetricsResult{}, nil
	}
	return a.Partial.Metrics.Result(r)
}

// partialStatusOf reports what an answer lacks, in the fields that Tempo has for it.
func partialStatusOf(a *jobs.Answer, r *eval.MetricsRequest, truncated bool) (api.PartialStatus, string) {
	var why []string
	if truncated {
		why = append(why, fmt.Sprintf("Response exceeds maximum series limit of %d, a partial response is returned. "+
			"Warning: the accuracy of each individual value is not guaranteed.", r.MaxSeries))
	}
	if !a.Complete {
		why = append(why, a.Warnings...)
	}
	if len(why) == 0 {
		return api.PartialStatus_COMPLETE, ""
	}
	return api.PartialStatus_PARTIAL, validText(strings.Join(why, "; "))
}
