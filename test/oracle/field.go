package oracle

import (
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// env is what an expression is evaluated on: a span and, inside a condition on events or links, one
// of them.
type env struct {
	trace *aTrace
	span  *span
	event *otlp.Event
	link  *otlp.Link
}

func ofEvent(f *traceql.Field) bool {
	return f.Scope == traceql.ScopeEvent || f.Scope == traceql.ScopeIntrinsic && strings.HasPrefix(f.Name, "event:")
}

func ofLink(f *traceql.Field) bool {
	return f.Scope == traceql.ScopeLink || f.Scope == traceql.ScopeIntrinsic && strings.HasPrefix(f.Name, "link:")
}

// values returns all values a field has here, none if it is absent. The first is the one that
// counts where only one can.
func (v env) values(f *traceql.Field) []any {
	switch {
	case ofEvent(f):
		return v.eventValues(f)
	case ofLink(f):
		return v.linkValues(f)
	}
	switch f.Scope {
	case traceql.ScopeSpan:
		return valuesOf(v.span.Attrs, f.Name)
	case traceql.ScopeResource:
		return v.span.resourceValues(f.Name)
	case traceql.ScopeInstrumentation:
		return valuesOf(v.span.scope().Attrs, f.Name)
	case traceql.ScopeNone:
		if own := valuesOf(v.span.Attrs, f.Name); len(own) > 0 {
			return own
		}
		return v.span.resourceValues(f.Name)
	case traceql.ScopeIntrinsic:
		return []any{v.intrinsic(f.Name)}
	case traceql.ScopeParentResource:
		return v.parentService()
	}
	panic("BUG: scope of " + f.String())
}

// value is the value of a field where only one can count; nil if it is absent.
func (v env) value(f *traceql.Field) any {
	if all := v.values(f); len(all) > 0 {
		return all[0]
	}
	return nil
}

// parentService is the service of the parent: its first text, or the empty one.
func (v env) parentService() []any {
	if v.span.parent == nil {
		return nil
	}
	for _, x := range v.span.parent.resourceValues("service.name") {
		if text, ok := x.(string); ok {
			return []any{text}
		}
	}
	return []any{""}
}

func (v env) intrinsic(name string) any {
	t, s := v.trace, v.span
	switch name {
	case "name":
		return s.Name
	case "duration":
		return s.duration()
	case "status":
		return statusOf(s.Status)
	case "statusMessage":
		return s.Message
	case "kind":
		return kindOf(s.Kind)
	case "span:id":
		return s.ID.String()
	case "span:parentID":
		return s.Parent.String()
	case "span:childCount":
		return int64(len(t.children(s)))
	case "nestedSetLeft":
		return int64(s.left)
	case "nestedSetRight":
		return int64(s.right)
	case "nestedSetParent":
		return nestedSetParent(s)
	case "traceDuration":
		return time.Duration(t.end() - t.start())
	case "rootName":
		return t.rootName()
	case "rootServiceName":
		return t.rootService()
	case "trace:id":
		return short(t.id)
	case "instrumentation:name":
		return s.scope().Name
	case "instrumentation:version":
		return s.scope().Version
	}
	panic("BUG: intrinsic " + name)
}

func nestedSetParent(s *span) int64 {
	switch {
	case s.Parent.IsZero():
		return -1
	case s.left == 0:
		return 0
	}
	return int64(s.parent.left)
}

// short is an id as text, without leading zeros.
func short(id trace.ID) string { return strings.TrimLeft(id.String(), "0") }

// Status and kind by their numbers. The last stand for all other numbers.
var (
	statuses = []status{"unset", "ok", "error", "unknown"}
	kinds    = []kind{"unspecified", "internal", "server", "client", "producer", "consumer", "unknown"}
)

func statusOf(n int32) status { return named(statuses, n) }

func kindOf(n int32) kind { return named(kinds, n) }

func named[T any](names []T, n int32) T {
	if n < 0 || int(n) >= len(names) {
		return names[len(names)-1]
	}
	return names[n]
}

// eventValues are the values on the event of the condition or, outside of one, on the first event
// that has any.
func (v env) eventValues(f *traceql.Field) []any {
	if v.event != nil {
		return v.onEvent(f, v.event)
	}
	for i := range v.span.Events {
		if all := v.onEvent(f, &v.span.Events[i]); len(all) > 0 {
			return all
		}
	}
	if f.Scope == traceql.ScopeIntrinsic && f.Name == "event:name" {
		return []any{""}
	}
	return nil
}

func (v env) onEvent(f *traceql.Field, e *otlp.Event) []any {
	switch {
	case f.Scope == traceql.ScopeEvent:
		return valuesOf(e.Attrs, f.Name)
	case f.Name == "event:name":
		return []any{e.Name}
	case f.Name == "event:timeSinceStart":
		return []any{time.Duration(e.Time - v.span.Start)}
	}
	panic("BUG: intrinsic " + f.Name)
}

func (v env) linkValues(f *traceql.Field) []any {
	if v.link != nil {
		return onLink(f, v.link)
	}
	for i := range v.span.Links {
		if all := onLink(f, &v.span.Links[i]); len(all) > 0 {
			return all
		}
	}
	if f.Scope == traceql.ScopeIntrinsic {
		return []any{""}
	}
	return nil
}

func onLink(f *traceql.Field, l *otlp.Link) []any {
	switch {
	case f.Scope == traceql.ScopeLink:
		return valuesOf(l.Attrs, f.Name)
	case f.Name == "link:traceID":
		return []any{short(l.Trace)}
	case f.Name == "link:spanID":
		return []any{l.Span.String()}
	}
	panic("BUG: intrinsic " + f.Name)
}
