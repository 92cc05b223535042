package oracle

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// second applies a second stage to series in label order.
func second(n *traceql.Second, in []*series) []*series {
	switch n.Func {
	case "topk":
		return best(in, int(n.Limit), func(a, b float64) int { return cmp.Compare(b, a) })
	case "bottomk":
		slices.Reverse(in) // of equal samples the last wins
		return best(in, int(n.Limit), func(a, b float64) int { return cmp.Compare(a, b) })
	}
	c := factor(constant(n.Value))
	for _, s := range in {
		for t, v := range s.samples {
			if !holds(string(n.Op), v, c) {
				delete(s.samples, t)
			}
		}
	}
	return in
}

// factor is a constant as samples are compared with it: durations in seconds, NaN if it is none.
func factor(v any) float64 {
	f, ok := float(v)
	if !ok {
		return math.NaN()
	}
	if _, ok := v.(time.Duration); ok {
		return f / 1e9
	}
	return f
}

// best keeps in each interval the k samples that come first by better; equal ones in the order of
// the series.
func best(in []*series, k int, better func(a, b float64) int) []*series {
	if len(in) <= k {
		return in
	}
	times := map[int64]bool{}
	for _, s := range in {
		for t := range s.samples {
			times[t] = true
		}
	}
	for t := range times {
		var competing []*series
		for _, s := range in {
			if _, ok := s.samples[t]; ok {
				competing = append(competing, s)
			}
		}
		slices.SortStableFunc(competing, func(a, b *series) int { return better(a.samples[t], b.samples[t]) })
		for _, s := range competing[min(k, len(competing)):] {
			delete(s.samples, t)
		}
	}
	return in
}

// arithmetic combines metrics with a constant or with metrics.
func (q metrics) arithmetic(n *traceql.Arithmetic) []*series {
	op := string(n.Op)
	switch {
	case isConstant(n.Left):
		c := factor(constant(n.Left))
		return apply(q.eval(n.Right), func(v float64) float64 { return operate(op, c, v) })
	case isConstant(n.Right):
		c := factor(constant(n.Right))
		return apply(q.eval(n.Left), func(v float64) float64 { return operate(op, v, c) })
	}
	return join(op, q.eval(n.Left), q.eval(n.Right))
}

func isConstant(n traceql.Node) bool {
	switch n := n.(type) {
	case *traceql.Literal, *traceql.Negate:
		return true
	case *traceql.Arithmetic:
		return isConstant(n.Left) && isConstant(n.Right)
	}
	return false
}

func apply(in []*series, f func(float64) float64) []*series {
	for _, s := range in {
		for t, v := range s.samples {
			s.samples[t] = f(v)
		}
	}
	return in
}

// operate is NaN, which is no sample, for everything divided by 0.
func operate(op string, a, b float64) float64 {
	if op == "/" && b == 0 {
		return math.NaN()
	}
	return arithmetic(op, a, b).(float64)
}

// join combines the series that have the same labels. A series without labels goes with every one
// of the other side.
func join(op string, left, right []*series) (out []*series) {
	of := left
	if find(right, "") == nil {
		of = right
	}
	for _, s := range of {
		k := key(withName(s.labels, false))
		l, r := cmp.Or(find(left, k), find(left, "")), cmp.Or(find(right, k), find(right, ""))
		if l == nil || r == nil {
			continue
		}
		joined := &series{labels: joinLabels(op, l.labels, r.labels), samples: map[int64]float64{}}
		for t, v := range l.samples {
			if w, ok := r.samples[t]; ok {
				joined.samples[t] = operate(op, v, w)
			}
		}
		out = append(out, joined)
	}
	return out
}

// find returns the series with these labels, its name aside.
func find(in []*series, k string) *series {
	i := slices.IndexFunc(in, func(s *series) bool { return key(withName(s.labels, false)) == k })
	if i < 0 {
		return nil
	}
	return in[i]
}

// named returns the label __name__, or the others.
func withName(labels []attr, name bool) (out []attr) {
	for _, l := range labels {
		if (l.key == "__name__") == name {
			out = append(out, l)
		}
	}
	return out
}

func joinLabels(op string, left, right []attr) (out []attr) {
	if l, r := withName(left, true), withName(right, true); len(l) > 0 && len(r) > 0 {
		out = append(out, attr{"__name__", "(" + l[0].value.(string) + " " + op + " " + r[0].value.(string) + ")"})
	}
	out = append(out, withName(left, false)...)
	for _, l := range withName(right, false) {
		if !slices.ContainsFunc(out, func(o attr) bool { return o.key == l.key }) {
			out = append(out, l)
		}
	}
	return out
}
