package eval

import (
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/series"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Result makes the series of a query from everything that was merged. p stays as it is. Errors:
// ErrLimit.
func (p *MetricsPartial) Result(r *MetricsRequest) (*MetricsResult, error) {
	w, err := r.seriesWindow()
	if err != nil {
		return nil, err
	}
	e := seriesMaker{window: w, counts: map[string]stageCounts{}}
	stages := firstStages(r.Query.Root)
	for i, m := range stages {
		var c stageCounts
		if i < len(p.counts) {
			c = p.counts[i]
			c.open()
		} else if c, err = newStageCounts(r, m, len(stages)); err != nil {
			return nil, err
		}
		e.counts[traceql.FormatNode(m)] = c
	}
	out := &MetricsResult{}
	if isConstantFalse(r.Query.Root) {
		return out, nil
	}
	set, err := e.makeSeries(r.Query.Root)
	if err != nil {
		return nil, err
	}
	out.Truncated = set.KeepFirst(r.MaxSeries)
	out.Series = make([]Series, len(set.Series))
	for i := range set.Series {
		out.Series[i] = answerSeries(&w, &set.Series[i])
	}
	return out, nil
}

// seriesMaker evaluates the tree of a metrics query over what its first stages have counted.
type seriesMaker struct {
	window series.Window
	counts map[string]stageCounts // by the text of the first stage
}

// makeSeries returns the series of a node.
func (e *seriesMaker) makeSeries(n traceql.Node) (series.Set, error) {
	switch n := n.(type) {
	case *traceql.Metrics:
		c := e.counts[traceql.FormatNode(n)]
		if c.comparison != nil {
			return c.comparison.MakeSeries(e.window, int(n.Compare.Top)), nil
		}
		if err := checkSeriesMemory(c.tally.MaxSeriesBytes(&e.window)); err != nil {
			return series.Set{}, err
		}
		return c.tally.MakeSeries(e.window), nil
	case *traceql.Second:
		s, err := e.makeSeries(n.Of)
		switch {
		case err != nil:
		case n.Func != "":
			s.KeepTop(int(min(n.Limit, math.MaxInt32)), n.Func == "bottomk")
		default:
			s.KeepWhere(string(n.Op), constantNumber(n.Value))
		}
		return s, err
	case *traceql.Arithmetic:
		return e.makeArithmetic(n)
	}
	panic("BUG: a metrics query has no other nodes")
}

// makeArithmetic returns the series of an operator between series, or between series and a
// constant.
func (e *seriesMaker) makeArithmetic(n *traceql.Arithmetic) (series.Set, error) {
	switch {
	case traceql.IsConstant(n.Left):
		s, err := e.makeSeries(n.Right)
		s.ApplyConstant(string(n.Op), constantNumber(n.Left), true)
		return s, err
	case traceql.IsConstant(n.Right):
		s, err := e.makeSeries(n.Left)
		s.ApplyConstant(string(n.Op), constantNumber(n.Right), false)
		return s, err
	}
	l, err := e.makeSeries(n.Left)
	if err != nil {
		return l, err
	}
	r, err := e.makeSeries(n.Right)
	if err != nil {
		return r, err
	}
	return series.Join(string(n.Op), l, r), nil
}

// constantNumber returns the constant of a second stage or of arithmetic, durations in seconds. If
// it cannot be computed it is NaN.
func constantNumber(n traceql.Node) float64 {
	switch v := foldConstant(n); v.kind {
	case durationValue:
		return float64(v.num) / 1e9
	case nothing:
		return math.NaN()
	default:
		return v.toFloat()
	}
}

// isConstantFalse reports whether the query has filters and all of them are false for any span.
// Such a query has no series, not even the zeros of a count without groups.
func isConstantFalse(n traceql.Node) bool {
	some, all := false, true // filters; false ones
	traceql.EachMetrics(n, func(m *traceql.Metrics) {
		traceql.Walk(m.Pipeline, func(n traceql.Node) bool {
			f, ok := n.(*traceql.Filter)
			if !ok {
				return true
			}
			some = true
			if f.Expr == nil || traceql.DependsOnSpan(f.Expr) {
				all = false
				return false
			}
			v, err := computeConstant(f.Expr)
			all = all && err == nil && !(v.kind == boolValue && v.num != 0)
			return false
		})
	})
	return some && all
}

// answerSeries returns a series as answers have it, without the intervals that have no sample.
func answerSeries(w *series.Window, s *series.Series) Series {
	out := Series{Labels: answerLabels(s.Labels)}
	for i, v := range s.Values {
		if v == v {
			out.Samples = append(out.Samples, Sample{Time: w.IntervalEnd(i), Value: v})
		}
	}
	for _, e := range s.Exemplars {
		labels := slices.Insert(answerLabels(e.Labels), 0, traceLabel(e.Trace))
		out.Exemplars = append(out.Exemplars, Exemplar{Labels: labels, Time: e.Time, Value: e.Value})
	}
	return out
}

// traceLabel returns the label that names the trace of an exemplar.
func traceLabel(id trace.ID) Attribute {
	return Attribute{Key: "trace:id", Value: trace.Value{Type: trace.String, Bytes: []byte(id.String())}}
}

func answerLabels(labels []series.Label) []Attribute {
	out := make([]Attribute, len(labels))
	for i, l := range labels {
		v := trace.Value{Type: l.Value.Type, Num: l.Value.Num}
		if v.Type == trace.String || v.Type == trace.Array {
			v.Bytes = viewBytes(l.Value.Text)
		}
		out[i] = Attribute{Key: l.Name, Value: v}
	}
	return out
}
