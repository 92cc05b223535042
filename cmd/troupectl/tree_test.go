package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

// traceOf makes a trace of spans that each name their parent; a parent of 0 is none.
func traceOf(parents ...int) ptrace.Traces {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "svc")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	id := func(n int) pcommon.SpanID { return pcommon.SpanID{byte(n >> 16), byte(n >> 8), byte(n)} }
	for i, parent := range parents {
		s := spans.AppendEmpty()
		s.SetName(fmt.Sprint("s", i+1))
		s.SetSpanID(id(i + 1))
		s.SetParentSpanID(id(parent))
		s.SetStartTimestamp(pcommon.Timestamp(1000 + i))
		s.SetEndTimestamp(pcommon.Timestamp(1000 + len(parents)))
	}
	return td
}

func drawTree(td ptrace.Traces, width int) []string {
	var out bytes.Buffer
	newTree(td).showTree(render.NewPrinter(&out, width, false), false)
	_, spans, _ := strings.Cut(out.String(), "\n\n") // behind the head
	spans, _, _ = strings.Cut(spans, "\n\n")         // before the resources
	return strings.Split(strings.TrimSuffix(spans, "\n"), "\n")
}

// names takes the text at the left of each line.
func names(lines []string) string {
	var out []string
	for _, line := range lines {
		left, _, _ := strings.Cut(line, "     ")
		out = append(out, strings.ReplaceAll(left, "svc  ", ""))
	}
	return strings.Join(out, "\n")
}

func TestTree(t *testing.T) {
	require.Equal(t, "s1\n├─ s2\n│  └─ s4\n└─ s3\ns5", names(drawTree(traceOf(0, 1, 1, 2, 99), 80)), "a span whose parent is missing stands at the left")
	for _, circle := range [][]int{{1}, {2, 1}, {3, 1, 2}, {2, 1, 1, 2}, {2, 3, 2}} {
		lines := drawTree(traceOf(circle...), 80)
		require.Len(t, lines, len(circle), "each span once: %v", lines)
	}
	require.Equal(t, []string{"the trace has no spans"}, strings.Split(func() string {
		var out bytes.Buffer
		newTree(ptrace.NewTraces()).showTree(render.NewPrinter(&out, 80, false), true)
		return strings.TrimSpace(out.String())
	}(), "\n"))

	// A client and a server share an id: what the server caused stands below the server.
	td := traceOf(0, 1, 2)
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	server := spans.AppendEmpty()
	spans.At(1).CopyTo(server)
	server.SetName("server")
	server.SetKind(ptrace.SpanKindServer)
	require.Equal(t, "s1\n├─ s2\n└─ server  server\n   └─ s3", names(drawTree(td, 80)))
}

// The lines of a deep trace fit too, and what is printed of it grows with its spans only.
func TestDeepTree(t *testing.T) {
	size := func(n, width int) int {
		parents := make([]int, n)
		for i := range parents {
			parents[i] = i
		}
		lines := drawTree(traceOf(parents...), width)
		require.Equal(t, n, len(lines))
		sum := 0
		for _, line := range lines {
			sum += len(line)
			if width > 0 && len([]rune(line)) > width {
				t.Fatalf("%q is wider than %d", line, width)
			}
		}
		require.True(t, strings.HasPrefix(lines[n-1], fmt.Sprintf("%d dee", n-1)), lines[n-1])
		return sum
	}
	for _, width := range []int{0, 20, 80} {
		require.Less(t, size(20000, width), 22*size(1000, width))
	}
}

// Times that make no sense, as senders send them, are printed all the same.
func TestTreeOddTimes(t *testing.T) {
	td := traceOf(0, 1, 2, 2)
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	spans.At(1).SetStartTimestamp(0)
	spans.At(2).SetEndTimestamp(1<<64 - 1)
	spans.At(3).SetEndTimestamp(1)
	lines := drawTree(td, 80)
	require.Len(t, lines, 4)
	for _, line := range lines {
		require.LessOrEqual(t, len([]rune(line)), 80)
	}
}
