package series

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Join returns the series l op r, where series with the same labels are combined, sample by sample.
// op is one of Calculate's. A series without labels stands for every label set that its side lacks.
// The result has the label sets of the left side if the right side has a series without labels, and
// those of the right side otherwise. Exemplars of both sides get the value of the new sample in
// their interval. l and r must have the same window; they must not be used afterwards.
//
//	left          right        result of /
//	{a} 6         {a} 2        {a} 3          same labels
//	{b} 8         {} 4         {b} 2          the right side has no {b}: its series without labels
func Join(op string, l, r Set) Set {
	left, right := byLabels(l.Series), byLabels(r.Series)
	base := &r
	if _, ok := right[""]; ok {
		base = &l
	}
	out := Set{Window: l.Window}
	for i := range base.Series {
		key := labelKey(base.Series[i].Labels)
		a, b := seriesFor(left, key), seriesFor(right, key)
		if a == nil || b == nil {
			continue
		}
		x := Series{Labels: joinLabels(op, a.Labels, b.Labels), Values: make([]float64, len(a.Values))}
		for k := range x.Values {
			x.Values[k] = Calculate(op, a.Values[k], b.Values[k])
		}
		for _, e := range slices.Concat(a.Exemplars, b.Exemplars) {
			e.Value = x.Values[e.Interval]
			x.Exemplars = append(x.Exemplars, e)
		}
		slices.SortStableFunc(x.Exemplars, func(a, b Exemplar) int { return cmp.Compare(a.Time, b.Time) })
		out.Series = append(out.Series, x)
	}
	out.dropEmpty()
	out.sortSeries()
	return out
}

// seriesFor returns the series of a label set or, if there is none, the one without labels; nil:
// there is neither.
func seriesFor(m map[string]*Series, key string) *Series {
	if s := m[key]; s != nil {
		return s
	}
	return m[""]
}

// byLabels maps series by labelKey; of series with the same key it has the first.
func byLabels(all []Series) map[string]*Series {
	m := make(map[string]*Series, len(all))
	for i := range all {
		if key := labelKey(all[i].Labels); m[key] == nil {
			m[key] = &all[i]
		}
	}
	return m
}

// labelKey returns a text that identifies a set of labels, whatever their order. The name of the
// function does not count; without other labels the key is "".
func labelKey(labels []Label) string {
	parts := make([]string, 0, len(labels))
	for _, l := range labels {
		if l.Name != NameLabel {
			parts = append(parts, fmt.Sprintf("%q=%d:%q", l.Name, l.Value.Type, l.Value))
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ",")
}

// joinLabels returns the labels of both sides, each name once. If both are named, the name of the
// result is the expression.
func joinLabels(op string, l, r []Label) []Label {
	var out []Label
	var names []string
	for _, side := range [][]Label{l, r} {
		for _, x := range side {
			if x.Name == NameLabel {
				names = append(names, x.Value.String())
			} else if !slices.ContainsFunc(out, func(o Label) bool { return o.Name == x.Name }) {
				out = append(out, x)
			}
		}
	}
	if len(names) == 2 {
		expression := "(" + names[0] + " " + op + " " + names[1] + ")"
		out = append([]Label{{NameLabel, String(expression)}}, out...)
	}
	return out
}
