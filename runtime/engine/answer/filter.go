package answer

import (
	"context"
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Filter selects spans of one trace: those that match the query, their descendants down to
// MatchDepth levels and, if Hierarchy is set, their ancestors up to AncestorDepth levels. A depth
// of -1 stands for all levels.
type Filter struct {
	Query          *traceql.Query // a single filter in braces
	Hierarchy      bool
	MatchDepth     int
	AncestorDepth  int
	keepEverything bool // the query is {}
}

// NewFilter returns the filter of a query that is a single filter in braces. It refuses other
// queries, and fields that a single span cannot answer; its errors are worded for clients.
func NewFilter(q *traceql.Query) (*Filter, error) {
	if q.IsMetrics() {
		return nil, fmt.Errorf("only a single TraceQL filter is supported: got a metrics query")
	}
	f := &Filter{Query: q, AncestorDepth: -1}
	p, ok := q.Root.(*traceql.Pipeline)
	var root traceql.Node = q.Root
	if ok && len(p.Stages) == 1 {
		root = p.Stages[0]
	}
	only, ok := root.(*traceql.Filter)
	if !ok {
		return nil, fmt.Errorf("only a single TraceQL filter is supported: got a structural or aggregate query")
	}
	f.keepEverything = only.Expr == nil
	return f, refuseTraceFields(only.Expr)
}

// dependsOnTrace reports whether an intrinsic of a span depends on other spans of its trace.
func dependsOnTrace(intrinsic string) bool {
	switch intrinsic {
	case "rootName", "rootServiceName", "traceDuration",
		"nestedSetLeft", "nestedSetRight", "nestedSetParent",
		"parent", "span:childCount":
		return true
	}
	return false
}

// refuseTraceFields returns an error if the expression has a field that needs more than the span
// itself: its parent, or the whole trace.
func refuseTraceFields(e traceql.Expr) error {
	var err error
	traceql.EachField(e, func(f *traceql.Field) {
		switch {
		case err != nil:
		case f.Scope == traceql.ScopeParent, f.Scope == traceql.ScopeParentSpan, f.Scope == traceql.ScopeParentResource:
			err = fmt.Errorf("attribute is not supported by this filter: %q", f.String())
		case f.Scope == traceql.ScopeIntrinsic && dependsOnTrace(f.Name):
			err = fmt.Errorf("intrinsic is not supported by this filter: %q", f.String())
		}
	})
	return err
}

// NeedsTrace reports whether the filter needs all of a trace at once. Others judge each span by
// itself.
func (f *Filter) NeedsTrace() bool {
	return !f.keepEverything && (f.MatchDepth != 0 || f.Hierarchy && f.AncestorDepth != 0)
}

// Apply returns the trace, a TracesData message, with only the spans that the filter selects.
// dropped reports whether it left any out. A filter {} returns otlp itself.
func (f *Filter) Apply(ctx context.Context, otlp []byte) (out []byte, dropped bool, err error) {
	if f.keepEverything || len(otlp) == 0 {
		return otlp, false, nil
	}
	matched, err := f.findMatches(ctx, otlp)
	if err != nil {
		return nil, false, err
	}
	keep := f.addRelatives(otlp, matched)
	out, err = filterSpans(otlp, func(s *trace.Span) bool {
		if !keep[s.SpanID] {
			dropped = true
			return false
		}
		return true
	})
	return out, dropped, err
}

// findMatches evaluates the query over a live segment that holds nothing but this trace, so that a
// filter means here exactly what it means in a search.
func (f *Filter) findMatches(ctx context.Context, otlp []byte) (map[trace.SpanID]bool, error) {
	seg := live.New(live.Limits{MaxColumns: 1 << 14})
	if _, err := seg.Append(0, 0, otlp); err != nil {
		return nil, err
	}
	seg.Seal()
	snap := seg.Snapshot(0, 1)
	out := map[trace.SpanID]bool{}
	if snap.Rows() == 0 {
		return out, nil
	}
	r := &eval.SearchRequest{Query: f.Query, End: ^uint64(0), Limit: 1, SpansPerSpanSet: snap.Rows()}
	res, err := jobs.RunScan(ctx, []column.Table{snap}, jobs.Scan{Search: r}, nil)
	if err != nil || res.Partial.Search == nil {
		return out, err
	}
	for _, t := range res.Partial.Search.Traces {
		for _, set := range t.SpanSets {
			for _, s := range set.Spans {
				out[s.ID] = true
			}
		}
	}
	return out, nil
}

// addRelatives returns the matched spans together with the descendants and ancestors to keep. If
// the trace cannot be read it returns the matched spans alone.
func (f *Filter) addRelatives(otlp []byte, matched map[trace.SpanID]bool) map[trace.SpanID]bool {
	t := kinship{parent: map[trace.SpanID]trace.SpanID{}, children: map[trace.SpanID][]trace.SpanID{}}
	var r trace.Reader
	if err := r.Walk(otlp, &t); err != nil {
		return matched
	}
	keep := map[trace.SpanID]bool{}
	for id := range matched {
		keep[id] = true
	}
	for _, id := range collectRelatives(matched, t.childrenOf, f.MatchDepth) {
		keep[id] = true
	}
	if f.Hierarchy {
		for _, id := range collectRelatives(matched, t.parentOf, f.AncestorDepth) {
			keep[id] = true
		}
	}
	return keep
}

// kinship holds who is whose parent in a trace. It is a trace.Visitor.
type kinship struct {
	parent   map[trace.SpanID]trace.SpanID
	children map[trace.SpanID][]trace.SpanID
}

func (t *kinship) Resource([]byte) error { return nil }
func (t *kinship) Scope([]byte) error    { return nil }
func (t *kinship) Span(s *trace.Span) error {
	if s.HasParent && s.ParentID != s.SpanID {
		t.parent[s.SpanID] = s.ParentID
		t.children[s.ParentID] = append(t.children[s.ParentID], s.SpanID)
	}
	return nil
}

func (t *kinship) childrenOf(id trace.SpanID) []trace.SpanID { return t.children[id] }

func (t *kinship) parentOf(id trace.SpanID) []trace.SpanID {
	if p, ok := t.parent[id]; ok {
		return []trace.SpanID{p}
	}
	return nil
}

// collectRelatives follows step for at most so many levels (-1: all) from a set of spans, visits
// each span once, and returns those it reached beyond the set. Cycles of parents end it, too.
func collectRelatives(from map[trace.SpanID]bool, step func(trace.SpanID) []trace.SpanID, levels int) []trace.SpanID {
	seen := map[trace.SpanID]bool{}
	var open, out []trace.SpanID
	for id := range from {
		seen[id] = true
		open = append(open, id)
	}
	for ; len(open) > 0 && levels != 0; levels-- {
		var found []trace.SpanID
		for _, id := range open {
			for _, o := range step(id) {
				if !seen[o] {
					seen[o] = true
					found = append(found, o)
				}
			}
		}
		out, open = append(out, found...), found
	}
	return out
}

// filterSpans copies the spans of a trace for which keep returns true. Resources and scopes that
// have no span left are left out.
func filterSpans(otlp []byte, keep func(*trace.Span) bool) ([]byte, error) {
	f := spanFilter{keep: keep}
	var r trace.Reader
	if err := r.Walk(otlp, &f); err != nil {
		return nil, err
	}
	return f.to.Bytes(), nil
}

type spanFilter struct {
	to              trace.Encoder
	keep            func(*trace.Span) bool
	resource, scope []byte // of the spans to come; nil once written
}

func (f *spanFilter) Resource(resource []byte) error {
	f.resource, f.scope = append(f.resource[:0], resource...), nil
	return nil
}

func (f *spanFilter) Scope(scope []byte) error {
	f.scope = append(f.scope[:0], scope...)
	return nil
}

func (f *spanFilter) Span(s *trace.Span) error {
	if !f.keep(s) {
		return nil
	}
	if f.resource != nil {
		if err := f.to.Resource(f.resource); err != nil {
			return err
		}
		f.resource = nil
	}
	if f.scope != nil {
		if err := f.to.Scope(f.scope); err != nil {
			return err
		}
		f.scope = nil
	}
	return f.to.Span(s)
}
