package diff_test

import (
	"context"
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/diff"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Of two traces of the same request, the second one takes longer and calls the database once more.
func ExampleNewSummary() {
	const ms = 1_000_000
	cart := &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: "cart"}}}
	span := func(trace, id, parent uint64, name string, start, end uint64) *otlp.Span {
		s := &otlp.Span{Trace: otlp.TraceID(trace), ID: otlp.SpanID(id), Name: name, Resource: cart}
		s.Parent, s.Start, s.End = otlp.SpanID(parent), start*ms, end*ms
		return s
	}
	base := otlp.Encode(
		span(1, 1, 0, "GET /cart", 100, 150),
		span(1, 2, 1, "SELECT", 110, 120),
	)
	compare := otlp.Encode(
		span(2, 7, 0, "GET /cart", 500, 580),
		span(2, 8, 7, "SELECT", 510, 520),
		span(2, 9, 7, "SELECT", 530, 540),
	)
	summary, err := diff.NewSummary(context.Background(), base, compare)
	if err != nil {
		panic(err)
	}
	fmt.Println("latency", summary.Signals.TraceLatency, "by", summary.Stats.TraceLatencyDeltaMs, "ms")
	fmt.Println("matched", summary.Stats.MatchedSpans, "added", summary.Stats.AddedSpans)
	// Output:
	// latency increased by 30 ms
	// matched 2 added 1
}
