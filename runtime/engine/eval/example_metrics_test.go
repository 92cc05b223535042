package eval_test

import (
	"context"
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Five spans in a live segment, counted by name in intervals of ten seconds.
func ExampleQueryRange() {
	const second = 1_000_000_000
	segment := live.New(live.Limits{})
	for i, name := range []string{"GET", "GET", "PUT", "GET", "GET"} {
		start := uint64(4*i+1) * second
		span := otlp.Encode(&otlp.Span{
			Trace: otlp.TraceID(uint64(i + 1)),
			ID:    otlp.SpanID(1),
			Name:  name,
			Start: start,
			End:   start + second,
		})
		if _, err := segment.Append(int64(i), 0, span); err != nil {
			panic(err)
		}
	}
	segment.Seal()

	query, err := traceql.Parse(`{ } | count_over_time() by (name)`)
	if err != nil {
		panic(err)
	}
	request := &eval.MetricsRequest{Query: query, Start: 0, End: 20 * second, Step: 10 * second}
	partial, err := eval.QueryRange(context.Background(), segment.Snapshot(0, 5), request, nil)
	if err != nil {
		panic(err)
	}
	result, err := partial.Result(request) // after merging the partials of other homes
	if err != nil {
		panic(err)
	}
	for _, s := range result.Series {
		fmt.Printf("%s=%s", s.Labels[0].Key, s.Labels[0].Value.Bytes)
		for _, sample := range s.Samples {
			fmt.Printf("  %v until %d s", sample.Value, sample.Time/second)
		}
		fmt.Println()
	}
	// Output:
	// name=GET  2 until 10 s  2 until 20 s
	// name=PUT  1 until 10 s  0 until 20 s
}
