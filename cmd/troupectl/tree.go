package main

import (
	"slices"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// spanNode is a span in the tree of its trace.
type spanNode struct {
	span     ptrace.Span
	resource pcommon.Resource
	scope    pcommon.InstrumentationScope
	service  string
	parent   *spanNode
	children []*spanNode
}

func (n *spanNode) hasFailed() bool { return n.span.Status().Code() == ptrace.StatusCodeError }

// tree is a trace with its spans under their parents, each list in the order of the starts.
type tree struct {
	all        []*spanNode
	roots      []*spanNode // also the spans whose parent is not in the trace
	start, end pcommon.Timestamp
	services   int
	failed     int
}

func newTree(td ptrace.Traces) *tree {
	t := &tree{}
	services := map[string]bool{}
	byID := map[pcommon.SpanID]*spanNode{}
	for _, rs := range td.ResourceSpans().All() {
		service := "?"
		if v, ok := rs.Resource().Attributes().Get("service.name"); ok {
			service = v.AsString()
		}
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				n := &spanNode{span: s, resource: rs.Resource(), scope: ss.Scope(), service: service}
				t.all = append(t.all, n)
				services[service] = true
				if n.hasFailed() {
					t.failed++
				}
				// A client and a server may share an id; spans that the server caused name that id
				// as their parent.
				if other := byID[s.SpanID()]; other == nil || s.Kind() == ptrace.SpanKindServer {
					byID[s.SpanID()] = n
				}
			}
		}
	}
	t.services = len(services)
	slices.SortStableFunc(t.all, func(a, b *spanNode) int {
		return compareTimes(a.span.StartTimestamp(), b.span.StartTimestamp())
	})
	t.linkParents(byID)
	t.measureTime()
	return t
}

func compareTimes(a, b pcommon.Timestamp) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// linkParents finds the parents. Where parents go in a circle, one of its spans becomes a root.
func (t *tree) linkParents(byID map[pcommon.SpanID]*spanNode) {
	for _, n := range t.all {
		if p := byID[n.span.ParentSpanID()]; p != n && !n.span.ParentSpanID().IsEmpty() {
			n.parent = p
		}
	}
	settled := map[*spanNode]bool{} // there is a way from it to a root
	for _, n := range t.all {
		var way []*spanNode
		onWay := map[*spanNode]bool{}
		at := n
		for ; at != nil && !settled[at] && !onWay[at]; at = at.parent {
			way = append(way, at)
			onWay[at] = true
		}
		if at != nil && onWay[at] {
			at.parent = nil
		}
		for _, w := range way {
			settled[w] = true
		}
	}
	for _, n := range t.all {
		if n.parent == nil {
			t.roots = append(t.roots, n)
		} else {
			n.parent.children = append(n.parent.children, n)
		}
	}
}

// measureTime finds the time that the trace covers; spans without a start do not count.
func (t *tree) measureTime() {
	for _, n := range t.all {
		if n.span.StartTimestamp() == 0 {
			continue
		}
		if t.start == 0 || n.span.StartTimestamp() < t.start {
			t.start = n.span.StartTimestamp()
		}
		t.end = max(t.end, n.span.EndTimestamp(), n.span.StartTimestamp())
	}
}

// walkSpans visits each span after its parent. It does not recurse, because a trace may be deeper
// than a stack. last says whether a span is the last child of its parent.
func (t *tree) walkSpans(visit func(n *spanNode, depth int, last bool)) {
	type step struct {
		n     *spanNode
		depth int
		last  bool
	}
	var open []step
	push := func(list []*spanNode, depth int) {
		for i, n := range slices.Backward(list) {
			open = append(open, step{n, depth, i == len(list)-1})
		}
	}
	push(t.roots, 0)
	for len(open) > 0 {
		s := open[len(open)-1]
		open = open[:len(open)-1]
		visit(s.n, s.depth, s.last)
		push(s.n.children, s.depth+1)
	}
}
