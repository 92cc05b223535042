package main

import (
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// maxSent is the size of a request above which it is sent in parts: what receivers take by default
// is 4 MiB.
const maxSent = 3 << 20

// splitRequest cuts a large request into parts of at most maxSent bytes; a part of one span may be
// larger.
func splitRequest(td ptrace.Traces) []ptrace.Traces {
	sizer := &ptrace.ProtoMarshaler{}
	size, spans := sizer.TracesSize(td), td.SpanCount()
	if size <= maxSent || spans < 2 {
		return []ptrace.Traces{td}
	}
	parts := min(size/maxSent+1, spans)
	each := (spans + parts - 1) / parts
	var out []ptrace.Traces
	for _, part := range cutBySpans(td, each) {
		out = append(out, splitRequest(part)...)
	}
	return out
}

// cutBySpans moves spans, with copies of their resource and scope, into requests of n spans each.
func cutBySpans(td ptrace.Traces, n int) []ptrace.Traces {
	var out []ptrace.Traces
	left := 0
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			var to ptrace.SpanSlice
			open := false // whether `to` takes spans of this scope
			for _, s := range ss.Spans().All() {
				if left == 0 {
					out, left, open = append(out, ptrace.NewTraces()), n, false
				}
				if !open {
					to, open = appendScope(out[len(out)-1], rs, ss), true
				}
				s.MoveTo(to.AppendEmpty())
				left--
			}
		}
	}
	return out
}

// appendScope adds an empty copy of a resource and a scope.
func appendScope(td ptrace.Traces, rs ptrace.ResourceSpans, ss ptrace.ScopeSpans) ptrace.SpanSlice {
	r := td.ResourceSpans().AppendEmpty()
	rs.Resource().CopyTo(r.Resource())
	r.SetSchemaUrl(rs.SchemaUrl())
	s := r.ScopeSpans().AppendEmpty()
	ss.Scope().CopyTo(s.Scope())
	s.SetSchemaUrl(ss.SchemaUrl())
	return s.Spans()
}
