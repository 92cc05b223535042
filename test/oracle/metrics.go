package oracle

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Metrics answers a metrics query over spans, without exemplars.
func Metrics(spans []*otlp.Span, r *eval.MetricsRequest) *eval.MetricsResult {
	return measure(assemble(spans), r)
}

// over is the evaluation of a request over what it sees of traces.
func over(traces []*aTrace, r *eval.MetricsRequest) metrics {
	q := metrics{r: r}
	for _, t := range traces {
		if w, ok := t.window(uint64(r.Start), uint64(r.End)+1, r.Window()); ok {
			q.traces = append(q.traces, w)
		}
	}
	return q
}

func measure(traces []*aTrace, r *eval.MetricsRequest) *eval.MetricsResult {
	q := over(traces, r)
	var all []*series
	if !never(r.Query.Root) {
		all = inLabelOrder(q.eval(r.Query.Root))
	}
	out := &eval.MetricsResult{}
	for _, s := range all {
		if r.MaxSeries > 0 && len(out.Series) == r.MaxSeries {
			out.Truncated = true
			break
		}
		out.Series = append(out.Series, s.answer())
	}
	return out
}

// series is the samples that belong to one set of labels, by the end of their interval in unix ns.
type series struct {
	labels  []attr
	samples map[int64]float64
	bare    bool // stays without samples
}

func (s *series) answer() (out eval.Series) {
	for _, l := range s.labels {
		out.Labels = append(out.Labels, attribute(l.key, l.value))
	}
	for t, v := range s.samples {
		out.Samples = append(out.Samples, eval.Sample{Time: t, Value: v})
	}
	slices.SortFunc(out.Samples, func(a, b eval.Sample) int { return cmp.Compare(a.Time, b.Time) })
	return out
}

// key is the same for equal labels and for no others.
func key(labels []attr) string {
	var b strings.Builder
	for _, l := range labels {
		fmt.Fprintf(&b, "%q=%d%q ", l.key, rank(l.value), text(l.value))
	}
	return b.String()
}

// inLabelOrder sorts series and leaves out samples that are NaN and series without samples.
func inLabelOrder(all []*series) (out []*series) {
	for _, s := range all {
		for t, v := range s.samples {
			if math.IsNaN(v) {
				delete(s.samples, t)
			}
		}
		if len(s.samples) > 0 || s.bare {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b *series) int {
		return cmp.Or(len(a.labels)-len(b.labels), slices.CompareFunc(a.labels, b.labels, func(a, b attr) int {
			return cmp.Or(strings.Compare(a.key, b.key), strings.Compare(text(a.value), text(b.value)),
				rank(a.value)-rank(b.value))
		}))
	})
	return out
}

// never says whether every filter is constant and false.
func never(n traceql.Node) bool {
	filters, never := 0, true
	var walk func(traceql.Node)
	walk = func(n traceql.Node) {
		switch n := n.(type) {
		case *traceql.Pipeline:
			for _, s := range n.Stages {
				walk(s)
			}
		case *traceql.SpansetOp:
			walk(n.Left)
			walk(n.Right)
		case *traceql.Metrics:
			walk(n.Pipeline)
		case *traceql.Second:
			walk(n.Of)
		case *traceql.Arithmetic:
			walk(n.Left)
			walk(n.Right)
		case *traceql.Filter:
			filters++
			never = never && n.Expr != nil && len(fields(n.Expr)) == 0 && (env{}).boolean(n.Expr) != true
		}
	}
	walk(n)
	return filters > 0 && never
}

// metrics evaluates one request.
type metrics struct {
	r      *eval.MetricsRequest
	traces []*aTrace
}

func (q metrics) eval(n traceql.Node) []*series {
	switch n := n.(type) {
	case *traceql.Metrics:
		if n.Compare != nil {
			return inLabelOrder(q.compare(n))
		}
		return inLabelOrder(q.first(n))
	case *traceql.Second:
		return inLabelOrder(second(n, q.eval(n.Of)))
	case *traceql.Arithmetic:
		return inLabelOrder(q.arithmetic(n))
	}
	panic("BUG: not metrics")
}

// step is the length of an interval.
func (q metrics) step() time.Duration {
	if q.r.Instant && q.r.Step == 0 {
		return time.Duration(q.r.End - q.r.Start)
	}
	return time.Duration(q.r.Step)
}

// interval returns the end of the interval that a time lies in.
func (q metrics) interval(t int64) int64 {
	if q.r.Instant {
		return q.r.End
	}
	below := t / q.r.Step
	if t%q.r.Step < 0 {
		below--
	}
	if below*q.r.Step == t {
		return t
	}
	return (below + 1) * q.r.Step
}

// intervals lists the ends of all intervals.
func (q metrics) intervals() (out []int64) {
	if q.r.Instant {
		return []int64{q.r.End}
	}
	for t := q.interval(q.r.Start + 1); t <= q.interval(q.r.End); t += q.r.Step {
		out = append(out, t)
	}
	return out
}

// each calls f for every span that leaves the pipeline and counts.
func (q metrics) each(p *traceql.Pipeline, f func(env)) {
	for _, t := range q.traces {
		for _, s := range t.inOrder(spansOf(t.pipeline(p, []spanset{{spans: t.spans}}))) {
			if start := int64(s.Start); q.r.Start < start && start <= q.r.End {
				f(env{trace: t, span: s})
			}
		}
	}
}

// first evaluates a metrics function.
func (q metrics) first(n *traceql.Metrics) []*series {
	type group struct {
		labels []attr
		values map[int64][]any // by interval
	}
	groups := map[string]*group{}
	at := func(labels []attr) *group {
		k := key(labels)
		if groups[k] == nil {
			groups[k] = &group{labels: labels, values: map[int64][]any{}}
		}
		return groups[k]
	}
	counts := n.Func == "rate" || n.Func == "count_over_time"
	if counts && len(n.By) == 0 {
		at(labels(n, env{}))
	}
	q.each(n.Pipeline, func(v env) {
		var x any
		if !counts {
			x = v.value(n.Field)
			if f, ok := float(x); !ok || math.IsNaN(f) {
				return
			}
			if _, ok := bucket(x); !ok && (n.Func == "quantile_over_time" || n.Func == "histogram_over_time") {
				return
			}
		}
		g, t := at(labels(n, v)), q.interval(int64(v.span.Start))
		g.values[t] = append(g.values[t], x)
	})
	var out []*series
	for _, g := range groups {
		for _, f := range functions(n, g.values, q.step()) {
			s := &series{labels: append(slices.Clone(g.labels), f.labels...), samples: map[int64]float64{}}
			for _, t := range q.intervals() {
				if len(g.values[t]) > 0 || f.zero {
					s.samples[t] = f.of(g.values[t])
				}
			}
			out = append(out, s)
		}
	}
	return out
}

// labels are what by() makes of a span. A field that is absent is left out, but not the first if
// all are.
func labels(n *traceql.Metrics, v env) (out []attr) {
	if len(n.By) == 0 {
		if n.Func == "quantile_over_time" || n.Func == "histogram_over_time" {
			return nil
		}
		return []attr{{"__name__", n.Func}}
	}
	for i, f := range n.By {
		if slices.ContainsFunc(n.By[:i], func(o *traceql.Field) bool { return o.String() == f.String() }) {
			continue // written twice: a series has a label once
		}
		if x := v.value(f); rank(x) != 0 {
			out = append(out, attr{f.String(), shown(x)})
		}
	}
	if len(out) == 0 {
		return []attr{{n.By[0].String(), "nil"}}
	}
	return out
}

// function makes the samples of one series out of the values of an interval.
type function struct {
	labels []attr // beside those of by()
	zero   bool   // intervals without values have a sample too
	of     func(values []any) float64
}

func functions(n *traceql.Metrics, values map[int64][]any, step time.Duration) (out []function) {
	switch n.Func {
	case "rate":
		return []function{{zero: true, of: func(v []any) float64 { return float64(len(v)) / step.Seconds() }}}
	case "count_over_time":
		return []function{{zero: true, of: func(v []any) float64 { return float64(len(v)) }}}
	case "min_over_time":
		return []function{{of: func(v []any) float64 { return slices.Min(sampled(v)) }}}
	case "max_over_time":
		return []function{{of: func(v []any) float64 { return slices.Max(sampled(v)) }}}
	case "sum_over_time":
		return []function{{of: sampledSum}}
	case "avg_over_time":
		return []function{{of: func(v []any) float64 { return sampledSum(v) / float64(len(v)) }}}
	case "quantile_over_time":
		for _, l := range n.Quantiles {
			p, _ := float(literal(l))
			out = append(out, function{labels: []attr{{"p", p}}, zero: true,
				of: func(v []any) float64 { return quantile(p, v) }})
		}
		return out
	case "histogram_over_time":
		seen := map[float64]bool{}
		for _, vs := range values {
			for _, v := range vs {
				b, _ := bucket(v)
				if bound := inUnit(b, v); !seen[bound] {
					seen[bound] = true
					out = append(out, function{labels: []attr{{"__bucket", bound}}, zero: true,
						of: func(v []any) float64 { return float64(inBucket(v, b)) }})
				}
			}
		}
		return out
	}
	panic("BUG: metrics function " + n.Func)
}

// sampled are values in the unit of samples: durations in seconds.
func sampled(values []any) (out []float64) {
	for _, v := range values {
		f, _ := float(v)
		out = append(out, inUnit(f, v))
	}
	return out
}

// inUnit divides durations, of which like is one, to seconds.
func inUnit(f float64, like any) float64 {
	if _, ok := like.(time.Duration); ok {
		return f / 1e9
	}
	return f
}

// sampledSum is the exact sum, rounded once.
func sampledSum(values []any) float64 {
	total := exact(values)
	if _, ok := values[0].(time.Duration); ok {
		total.rat.Quo(total.rat, big.NewRat(1e9, 1))
	}
	return total.float()
}

// bucket is the smallest power of two that is not below an integer or a duration in ns. Values
// below 2 are in none.
func bucket(v any) (float64, bool) {
	i, ok := whole(v)
	if !ok || i < 2 {
		return 0, false
	}
	return math.Ldexp(1, bits.Len64(uint64(i-1))), true
}

func inBucket(values []any, bound float64) (n int) {
	for _, v := range values {
		if b, _ := bucket(v); b == bound {
			n++
		}
	}
	return n
}

// quantile walks up the buckets to the value below which a share p of the values lies, and
// interpolates exponentially within the last.
func quantile(p float64, values []any) float64 {
	if len(values) == 0 {
		return 0
	}
	var bounds []float64
	for _, v := range values {
		b, _ := bucket(v)
		bounds = append(bounds, b)
	}
	slices.Sort(bounds)
	bounds = slices.Compact(bounds)
	k := max(1, int(math.Ceil(p*float64(len(values)))))
	before := 0
	for j, b := range bounds {
		n := inBucket(values, b)
		switch {
		case before+n == k:
			return inUnit(b, values[0])
		case before+n > k:
			hi := math.Log2(b)
			lo := hi - 1
			if j > 0 {
				lo = math.Log2(bounds[j-1])
			}
			return inUnit(math.Exp2(lo+(hi-lo)*float64(k-before)/float64(n)), values[0])
		}
		before += n
	}
	panic("BUG: quantile beyond all values")
}
