package answer

import (
	"context"
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Filter says which spans of a trace by id are wanted: those that match the query, with so many
// levels of their descendants and, if Hierarchy is set, of their ancestors. -1 is all levels.
type Filter struct {
	Query          *traceql.Query // a single filter in braces
	Hierarchy      bool
	MatchDepth     int
	AncestorDepth  int
	keepEverything bool
}

// NewFilter checks a query that is to filter one trace. Its errors are meant for clients.
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

// refuseTraceFields refuses fields that a single span does not answer.
func refuseTraceFields(e traceql.Expr) error {
	switch e := e.(type) {
	case *traceql.Binary:
		if err := refuseTraceFields(e.Left); err != nil {
			return err
		}
		return refuseTraceFields(e.Right)
	case *traceql.Unary:
		return refuseTraceFields(e.Of)
	case *traceql.Field:
		switch {
		case e.Scope == traceql.ScopeParent || e.Scope == traceql.ScopeParentSpan || e.Scope == traceql.ScopeParentResource:
			return fmt.Errorf("attribute is not supported by this filter: %q", e.String())
		case e.Scope == traceql.ScopeIntrinsic:
			switch e.Name {
			case "rootName", "rootServiceName", "traceDuration", "nestedSetLeft", "nestedSetRight", "nestedSetParent", "parent", "span:childCount":
				return fmt.Errorf("intrinsic is not supported by this filter: %q", e.String())
			}
		}
	}
	return nil
}

// Apply takes the spans that are not wanted out of a trace. dropped says that there were such.
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

// findMatches evaluates the query over the trace as a home of its own, by the engine that searches use.
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
	r := &traceql.SearchRequest{Query: f.Query, End: ^uint64(0), Limit: 1, SpansPerSpanSet: snap.Rows()}
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

// addRelatives adds the relatives that are wanted.
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

// kinship is who is whose parent.
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

// collectRelatives goes from a set of spans so many levels, over each span once, and returns those it met on
// its way.
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

// filterSpans copies a trace with the spans that keep wants. Resources and scopes that have none
// left go.
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
	resource, scope []byte // not yet written
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
