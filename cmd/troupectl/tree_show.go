package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

const (
	treeWidth   = 120 // columns of a tree that is piped
	maxIndent   = 24  // columns of indentation; what is deeper shows its depth as a number
	columnsDeep = 3   // of indentation for each level
)

// treePrinter prints the spans of one trace.
type treePrinter struct {
	*tree
	p          *render.Printer
	attributes bool
	open       []bool // by depth: further children follow, so that their line goes on
}

// showTree prints the trace.
func (t *tree) showTree(p *render.Printer, attributes bool) {
	if len(t.all) == 0 {
		p.Linef("the trace has no spans")
		return
	}
	tp := &treePrinter{tree: t, p: p, attributes: attributes}
	tp.showHead()
	t.walkSpans(tp.showSpan)
	if !attributes {
		t.showResources(p)
	}
}

func (tp *treePrinter) showHead() {
	parts := []render.Part{{Text: tp.all[0].span.TraceID().String(), Style: render.Cyan},
		{Text: "  " + render.Time(tp.start.AsTime())},
		{Text: "  " + render.Duration(timeBetween(tp.start, tp.end)), Style: render.Bold},
		{Text: "  " + render.Count(len(tp.all), "span", "spans")},
		{Text: "  " + render.Count(tp.services, "service", "services")}}
	if tp.failed > 0 {
		parts = append(parts, render.Part{Text: "  " + render.Count(tp.failed, "error", "errors"), Style: render.Red})
	}
	tp.p.Line(2, parts...)
	tp.p.Linef("")
}

// showSpan prints the line of a span and what belongs to it.
func (tp *treePrinter) showSpan(n *spanNode, depth int, last bool) {
	tp.open = append(tp.open[:min(depth, len(tp.open))], !last)
	style, name := render.Plain, render.Bold
	if n.hasFailed() {
		style, name = render.Red, render.Red
	}
	left := []render.Part{{Text: tp.drawBranch(depth, last), Style: render.Dim},
		{Text: n.service + "  ", Style: render.Cyan},
		{Text: n.span.Name(), Style: name}}
	if kind := kindText(n.span.Kind()); kind != "" {
		left = append(left, render.Part{Text: "  " + kind, Style: render.Dim})
	}
	took := render.Duration(timeBetween(n.span.StartTimestamp(), n.span.EndTimestamp()))
	bar := render.Bar{From: tp.placeInTrace(n.span.StartTimestamp()), To: tp.placeInTrace(n.span.EndTimestamp()),
		Style: style}
	tp.p.BarLine(tp.p.Width(treeWidth), left, took, bar)

	under := tp.drawBeside(depth, len(n.children) > 0)
	for _, line := range tp.detailLines(n) {
		tp.p.Under(under, line...)
	}
}

// drawBranch draws the lines that lead to a span.
func (tp *treePrinter) drawBranch(depth int, last bool) string {
	if depth == 0 {
		return ""
	}
	end := "├─ "
	if last {
		end = "└─ "
	}
	return tp.drawTrunk(depth) + end
}

// drawTrunk draws the lines of the spans above. If they are too many, it draws their number
// instead.
func (tp *treePrinter) drawTrunk(depth int) string {
	shown := min(maxIndent, tp.p.Width(treeWidth)/4) / columnsDeep
	if depth-1 > shown {
		return fmt.Sprintf("%-*s", shown*columnsDeep, fmt.Sprintf("%d deep", depth))
	}
	var b strings.Builder
	for _, goesOn := range tp.open[1:depth] {
		if goesOn {
			b.WriteString("│  ")
		} else {
			b.WriteString("   ")
		}
	}
	return b.String()
}

// drawBeside draws the lines beside what belongs to a span.
func (tp *treePrinter) drawBeside(depth int, children bool) string {
	out := ""
	if depth > 0 {
		out = tp.drawTrunk(depth)
		if tp.open[depth] {
			out += "│  "
		} else {
			out += "   "
		}
	}
	if children {
		return out + "│  "
	}
	return out + "   "
}

// placeInTrace places a time between the start and the end of the trace, from 0 to 1.
func (tp *treePrinter) placeInTrace(at pcommon.Timestamp) float64 {
	if at <= tp.start || tp.end <= tp.start {
		return 0
	}
	return min(float64(at-tp.start)/float64(tp.end-tp.start), 1)
}

// timeBetween returns the time from a to b, which is negative if b is earlier.
func timeBetween(a, b pcommon.Timestamp) time.Duration {
	switch {
	case b >= a && uint64(b-a) <= math.MaxInt64:
		return time.Duration(b - a)
	case b >= a:
		return math.MaxInt64
	case uint64(a-b) <= math.MaxInt64:
		return -time.Duration(a - b)
	}
	return math.MinInt64
}

func kindText(k ptrace.SpanKind) string {
	switch k {
	case ptrace.SpanKindInternal, ptrace.SpanKindClient, ptrace.SpanKindServer, ptrace.SpanKindProducer,
		ptrace.SpanKindConsumer:
		return strings.ToLower(k.String())
	}
	return ""
}
