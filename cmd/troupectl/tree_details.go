package main

import (
	"fmt"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

// line is one line below a span.
type line []render.Part

// detailLines returns the lines below a span: errors, exceptions and links always, the rest with
// --attributes.
func (tp *treePrinter) detailLines(n *spanNode) []line {
	var out []line
	if message := n.span.Status().Message(); n.hasFailed() || message != "" {
		out = append(out, line{{Text: "ERROR ", Style: render.Red}, {Text: message}})
		if !n.hasFailed() {
			out[0][0] = render.Part{Text: "status ", Style: render.Dim}
		}
	}
	for _, e := range n.span.Events().All() {
		if e.Name() == "exception" {
			out = append(out, exceptionLine(e))
		}
	}
	for _, l := range n.span.Links().All() {
		out = append(out, linkLine(n.span, l))
		if tp.attributes {
			out = append(out, attributeLines("  link.", l.Attributes())...)
		}
	}
	if tp.attributes {
		out = append(out, spanLines(n)...)
	}
	return out
}

// exceptionLine shows the type and the message of an exception.
func exceptionLine(e ptrace.SpanEvent) line {
	text := func(key string) string {
		if v, ok := e.Attributes().Get(key); ok {
			return v.AsString()
		}
		return ""
	}
	kind, message := text("exception.type"), text("exception.message")
	switch {
	case kind != "" && message != "":
		kind += ": "
	case kind == "" && message == "":
		kind = "without type and message"
	}
	return line{{Text: "exception ", Style: render.Red}, {Text: kind, Style: render.Bold}, {Text: message}}
}

// linkLine shows where a link leads; a trace that is the span's own is not repeated.
func linkLine(s ptrace.Span, l ptrace.SpanLink) line {
	to := "span " + l.SpanID().String()
	if l.TraceID() != s.TraceID() {
		to = "trace " + l.TraceID().String() + " " + to
	}
	return line{{Text: "link to ", Style: render.Dim}, {Text: to}}
}

// spanLines shows resource and scope where they are not those of the parent, the attributes and the
// events. Names are written as TraceQL takes them.
func spanLines(n *spanNode) []line {
	var out []line
	if n.parent == nil || !n.resource.Attributes().Equal(n.parent.resource.Attributes()) {
		out = append(out, attributeLines("resource.", n.resource.Attributes())...)
	}
	if n.parent == nil || n.scope.Name() != n.parent.scope.Name() || n.scope.Version() != n.parent.scope.Version() ||
		!n.scope.Attributes().Equal(n.parent.scope.Attributes()) {
		out = append(out, scopeLines(n.scope)...)
	}
	if state := n.span.TraceState().AsRaw(); state != "" {
		out = append(out, line{{Text: "trace state ", Style: render.Dim}, {Text: state}})
	}
	out = append(out, attributeLines("span.", n.span.Attributes())...)
	for _, e := range n.span.Events().All() {
		out = append(out, line{{Text: "event ", Style: render.Dim}, {Text: e.Name(), Style: render.Bold},
			{Text: " at +" + render.Duration(timeBetween(n.span.StartTimestamp(), e.Timestamp())), Style: render.Dim}})
		out = append(out, attributeLines("  event.", e.Attributes())...)
	}
	return append(out, droppedLines(n.span)...)
}

// droppedLines says what the sender left out.
func droppedLines(s ptrace.Span) []line {
	var out []line
	for _, d := range []struct {
		count uint32
		what  string
	}{{s.DroppedAttributesCount(), "attributes"}, {s.DroppedEventsCount(), "events"}, {s.DroppedLinksCount(),
		"links"}} {
		if d.count > 0 {
			out = append(out, line{{Text: fmt.Sprintf("%d %s dropped by the sender", d.count, d.what),
				Style: render.Dim}})
		}
	}
	return out
}

func scopeLines(s pcommon.InstrumentationScope) []line {
	if s.Name() == "" && s.Version() == "" && s.Attributes().Len() == 0 {
		return nil
	}
	out := []line{{{Text: "scope ", Style: render.Dim}, {Text: strings.TrimSpace(s.Name() + " " + s.Version())}}}
	return append(out, attributeLines("  instrumentation.", s.Attributes())...)
}

func attributeLines(prefix string, attributes pcommon.Map) []line {
	var out []line
	for k, v := range attributes.All() {
		text := v.AsString()
		if v.Type() == pcommon.ValueTypeStr && (text == "" || strings.TrimSpace(text) != text) {
			text = strconv.Quote(text) // spaces at its ends would not be seen
		}
		out = append(out, line{{Text: prefix + k + " = ", Style: render.Dim}, {Text: text}})
	}
	return out
}
