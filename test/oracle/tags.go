package oracle

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Tags lists the names of attributes.
func Tags(spans []*otlp.Span, r *eval.TagsRequest) eval.TagNames {
	return tagNames(assemble(spans), r)
}

func tagNames(traces []*aTrace, r *eval.TagsRequest) eval.TagNames {
	out := eval.TagNames{}
	add := func(scope string, attrs []otlp.Attr) {
		for _, a := range attrs {
			if out[scope] == nil {
				out[scope] = map[string]struct{}{}
			}
			out[scope][a.Key] = struct{}{}
		}
	}
	for _, v := range tagged(traces, r.Query, r.Start, r.End) {
		add("span", v.span.Attrs)
		add("resource", v.span.resourceAttrs())
		add("instrumentation", v.span.scope().Attrs)
		for _, e := range v.each(events) {
			add("event", e.event.Attrs)
		}
		for _, l := range v.each(links) {
			add("link", l.link.Attrs)
		}
	}
	return out
}

// Values lists the values of a field. Under a filter with conditions on events, only events that
// satisfy these count.
func Values(spans []*otlp.Span, r *eval.ValuesRequest) map[eval.TagValue]struct{} {
	return tagValues(assemble(spans), r)
}

func tagValues(traces []*aTrace, r *eval.ValuesRequest) map[eval.TagValue]struct{} {
	out := map[eval.TagValue]struct{}{}
	for _, v := range tagged(traces, r.Query, r.Start, r.End) {
		over := v.quantifies(r.Field)
		for _, at := range v.each(over) {
			if over != nothing && !at.satisfies(filterOf(r.Query), over) {
				continue
			}
			for _, x := range at.values(r.Field) {
				for _, e := range elements(x) {
					if tv, ok := tagValue(r.Field, e); ok {
						out[tv] = struct{}{}
					}
				}
			}
		}
	}
	return out
}

// tagged lists the spans that start in the range and satisfy the filter.
func tagged(traces []*aTrace, q *traceql.Query, start, end uint64) (out []env) {
	for _, t := range traces {
		for _, s := range t.spans {
			v := env{trace: t, span: s}
			if e := filterOf(q); s.Start >= start && s.Start < end && (e == nil || v.boolean(e) == true) {
				out = append(out, v)
			}
		}
	}
	return out
}

// unfinished is a condition whose value is still to be typed.
var unfinished = regexp.MustCompile(`[^\s{}()&|]+\s*(=~|!~|!=|<=|>=|=|<|>)\s*(}|\)|&&|\|\||$)`)

// Filter reads the filter of an autocomplete request, finished or not; nil is no filter. One filter
// in braces, without unscoped attributes, filters; everything else does not. Source:
// docs/spec/traceql.md, "Autocomplete".
func Filter(text string) *traceql.Query {
	q, err := traceql.Parse(text)
	if err != nil {
		text = unfinished.ReplaceAllString(text, "true $2")
		text += strings.Repeat(")", max(0, strings.Count(text, "(")-strings.Count(text, ")")))
		text += strings.Repeat("}", max(0, strings.Count(text, "{")-strings.Count(text, "}")))
		if q, err = traceql.Parse(text); err != nil {
			return nil
		}
	}
	first := q.Root
	if p, ok := first.(*traceql.Pipeline); ok {
		first = p.Stages[0]
	}
	f, ok := first.(*traceql.Filter)
	if !ok || slices.ContainsFunc(fields(f.Expr), func(f *traceql.Field) bool { return f.Scope == traceql.ScopeNone }) {
		return nil
	}
	return &traceql.Query{Root: f}
}

// filterOf is the expression of a query that is one filter.
func filterOf(q *traceql.Query) traceql.Expr {
	if q == nil {
		return nil
	}
	return q.Root.(*traceql.Filter).Expr
}

// satisfies says whether the chosen event or link satisfies the conditions on such in a chain of
// conditions.
func (v env) satisfies(e traceql.Expr, over quantifier) bool {
	if e == nil {
		return true
	}
	open := env{trace: v.trace, span: v.span}
	for _, o := range chain(e) {
		if isCondition(o) && open.quantifies(o) == over && v.boolean(o) != true {
			return false
		}
	}
	return true
}

func elements(v any) []any {
	if a, ok := v.(array); ok {
		return a
	}
	return []any{v}
}

// tagValue is a value as autocomplete shows it. Durations and ids have too many values to be
// listed.
func tagValue(f *traceql.Field, v any) (eval.TagValue, bool) {
	if f.Scope == traceql.ScopeIntrinsic {
		switch f.Name {
		case "trace:id", "span:id", "span:parentID", "link:traceID", "link:spanID", "nestedSetLeft", "nestedSetRight",
			"nestedSetParent":
			return eval.TagValue{}, false
		}
	}
	switch v := v.(type) {
	case string:
		return eval.TagValue{Type: "string", Value: v}, true
	case int64:
		return eval.TagValue{Type: "int", Value: strconv.FormatInt(v, 10)}, true
	case float64:
		return eval.TagValue{Type: "float", Value: strconv.FormatFloat(v, 'g', -1, 64)}, true
	case bool:
		return eval.TagValue{Type: "bool", Value: strconv.FormatBool(v)}, true
	case status, kind:
		return eval.TagValue{Type: "keyword", Value: fmt.Sprint(v)}, true
	}
	return eval.TagValue{}, false
}

// LegacyTags answers a search by tags: which traces have them all. Tags without a meaning of their
// own must meet in one resource. Source: docs/spec/traceql.md, "Autocomplete".
func LegacyTags(spans []*otlp.Span, tags map[string]string) (out []*aTrace) {
	for _, t := range assemble(spans) {
		if t.hasTags(tags) {
			out = append(out, t)
		}
	}
	return out
}

func (t *aTrace) hasTags(tags map[string]string) bool {
	generic := map[string]string{}
	for k, v := range tags {
		var has func(s *span) bool
		switch k {
		case "root.name":
			has = func(*span) bool { return strings.Contains(t.rootName(), v) }
		case "root.service.name":
			has = func(*span) bool { return strings.Contains(t.rootService(), v) }
		case "service.name":
			has = func(s *span) bool { return strings.Contains(s.service(), v) }
		case "name":
			has = func(s *span) bool { return strings.Contains(s.Name, v) }
		case "status.code":
			has = func(s *span) bool { return string(statusOf(s.Status)) == v }
		default:
			generic[k] = v
			continue
		}
		if !slices.ContainsFunc(t.spans, has) {
			return false
		}
	}
	return slices.ContainsFunc(t.spans, func(s *span) bool { return t.batchHas(string(s.identity.Resource), generic) })
}

// batchHas says whether a resource or one of its spans has each of the tags.
func (t *aTrace) batchHas(resource string, tags map[string]string) bool {
	for k, v := range tags {
		if !slices.ContainsFunc(t.spans, func(s *span) bool {
			return string(s.identity.Resource) == resource &&
				(slices.Contains(elementsOf(s.resourceAttrs(), k), any(v)) ||
					slices.Contains(elementsOf(s.Attrs, k), any(v)))
		}) {
			return false
		}
	}
	return true
}

func elementsOf(attrs []otlp.Attr, key string) (out []any) {
	for _, v := range valuesOf(attrs, key) {
		out = append(out, elements(v)...)
	}
	return out
}
