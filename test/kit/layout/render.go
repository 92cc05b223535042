package layout

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Search writes the answer of a search as text: equal answers are equal texts.
func Search(traces []eval.TraceMatch) string {
	var b strings.Builder
	for _, t := range traces {
		fmt.Fprintf(&b, "trace %s start=%d duration=%d root=%q service=%q", t.ID, t.Start, t.Duration, t.RootName,
			t.RootService)
		for _, s := range t.Services {
			fmt.Fprintf(&b, " %q:%d/%d", s.Service, s.Spans, s.Errors)
		}
		if t.Cut {
			b.WriteString(" cut")
		}
		b.WriteString("\n")
		for _, s := range t.SpanSets {
			fmt.Fprintf(&b, "  set matched=%d%s\n", s.Matched, Attributes(s.Attributes))
			for _, m := range s.Spans {
				fmt.Fprintf(&b, "    span %s start=%d duration=%d name=%q%s\n", m.ID, m.Start, m.Duration, m.Name,
					Attributes(m.Attributes))
			}
		}
	}
	return b.String()
}

// Exemplars writes the exemplars of a metrics query as text.
func Exemplars(r *eval.MetricsResult) string {
	var b strings.Builder
	for _, s := range r.Series {
		for _, e := range s.Exemplars {
			fmt.Fprintf(&b, "exemplar of%s: %d=%s%s\n", Attributes(s.Labels), e.Time,
				strconv.FormatFloat(e.Value, 'g', -1, 64), Attributes(e.Labels))
		}
	}
	return b.String()
}

// Metrics writes the answer of a metrics query as text, without its exemplars.
func Metrics(r *eval.MetricsResult) string {
	var b strings.Builder
	for _, s := range r.Series {
		fmt.Fprintf(&b, "series%s:", Attributes(s.Labels))
		for _, p := range s.Samples {
			fmt.Fprintf(&b, " %d=%s", p.Time, strconv.FormatFloat(p.Value, 'g', -1, 64))
		}
		b.WriteString("\n")
	}
	if r.Truncated {
		b.WriteString("truncated\n")
	}
	return b.String()
}

// Tags writes names of attributes as text.
func Tags(n eval.TagNames) string {
	var b strings.Builder
	for _, scope := range slices.Sorted(maps.Keys(n)) {
		if names := slices.Sorted(maps.Keys(n[scope])); len(names) > 0 {
			fmt.Fprintf(&b, "%s: %q\n", scope, names)
		}
	}
	return b.String()
}

// Values writes values of a field as text.
func Values(set map[eval.TagValue]struct{}) string {
	var lines []string
	for v := range set {
		lines = append(lines, fmt.Sprintf("%s:%q\n", v.Type, v.Value))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// Attributes writes named values as text; every NaN is the same.
func Attributes(list []eval.Attribute) string {
	var b strings.Builder
	for _, a := range list {
		fmt.Fprintf(&b, " %q=%s", a.Key, valueText(a.Value))
	}
	return b.String()
}

func valueText(v trace.Value) string {
	switch v.Type {
	case trace.String:
		return strconv.Quote(string(v.Bytes))
	case trace.Int:
		return strconv.FormatInt(int64(v.Num), 10)
	case trace.Float:
		return "float(" + strconv.FormatFloat(math.Float64frombits(v.Num), 'g', -1, 64) + ")"
	case trace.Bool:
		return strconv.FormatBool(v.Num != 0)
	case trace.Array:
		var parts []string
		v.Elements(func(e trace.Value) { parts = append(parts, valueText(e)) })
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprintf("%d:%x", v.Type, v.Bytes)
}
