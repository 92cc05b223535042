package tempofiles

import (
	"fmt"
	"slices"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Show renders every field of every span, in an order that depends on the content alone.
func Show(td ptrace.Traces) (out []string) {
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				text := fmt.Sprintf("%s %s %s %q %v %q %d %d %v %q %d %d %d\n", s.TraceID(), s.SpanID(), s.ParentSpanID(),
					s.Name(), s.Kind(), s.TraceState().AsRaw(), s.StartTimestamp(), s.EndTimestamp(), s.Status().Code(),
					s.Status().Message(), s.DroppedAttributesCount(), s.DroppedEventsCount(), s.DroppedLinksCount())
				text += fmt.Sprintf("%#v\n%#v\n%q %q %#v\n", s.Attributes().AsRaw(), rs.Resource().Attributes().AsRaw(),
					ss.Scope().Name(), ss.Scope().Version(), ss.Scope().Attributes().AsRaw())
				for _, e := range s.Events().All() {
					text += fmt.Sprintf("event %q %d %d %#v\n", e.Name(), e.Timestamp(), e.DroppedAttributesCount(),
						e.Attributes().AsRaw())
				}
				for _, l := range s.Links().All() {
					text += fmt.Sprintf("link %s %s %q %#v\n", l.TraceID(), l.SpanID(), l.TraceState().AsRaw(), l.Attributes().AsRaw())
				}
				out = append(out, text)
			}
		}
	}
	slices.Sort(out)
	return out
}
