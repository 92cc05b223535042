package eval_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// shopSegment returns a live segment with one trace of three spans, which starts at second 1.
func shopSegment() *live.Snapshot {
	const second = 1_000_000_000
	shop := &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: "shop"}}}
	span := func(n, parent uint64, name string, attrs ...otlp.Attr) *otlp.Span {
		s := &otlp.Span{
			Trace:    otlp.TraceID(7),
			ID:       otlp.SpanID(n),
			Name:     name,
			Start:    n * second,
			End:      (n + 1) * second,
			Resource: shop,
			Attrs:    attrs,
		}
		if parent > 0 {
			s.Parent = otlp.SpanID(parent)
		}
		return s
	}
	record := otlp.Encode(
		span(1, 0, "GET /cart"),
		span(2, 1, "SELECT", otlp.Attr{Key: "db.rows", Value: 3}),
		span(3, 1, "SELECT", otlp.Attr{Key: "db.rows", Value: 80}),
	)
	segment := live.New(live.Limits{})
	if _, err := segment.Append(0, 0, record); err != nil {
		panic(err)
	}
	return segment.Snapshot(0, 1)
}

// A search over one live segment: the newest traces that match, with the spans that match in them.
func ExampleSearch() {
	q, err := traceql.Parse(`{ name = "GET /cart" } >> { span.db.rows > 10 }`)
	if err != nil {
		panic(err)
	}
	found, err := eval.Search(context.Background(), shopSegment(), &eval.SearchRequest{
		Query:           q,
		Start:           0,
		End:             60_000_000_000,
		Limit:           20,
		SpansPerSpanSet: 3,
	}, nil)
	if err != nil {
		panic(err)
	}
	for _, t := range found.Traces {
		fmt.Println(t.ID, t.RootService, t.RootName)
		for _, set := range t.SpanSets {
			fmt.Println("matched:", set.Matched)
			for _, s := range set.Spans {
				fmt.Println(s.ID, s.Attributes[0].Key, s.Attributes[0].Value.Num)
			}
		}
	}
	// Output:
	// 00000000000000000000000000000007 shop GET /cart
	// matched: 1
	// 0000000000000003 db.rows 80
}

// The values of a field, as autocomplete offers them.
func ExampleValues() {
	field, err := traceql.ParseField("name")
	if err != nil {
		panic(err)
	}
	got, err := eval.Values(context.Background(), shopSegment(), &eval.ValuesRequest{
		Field: field,
		End:   60_000_000_000,
	})
	if err != nil {
		panic(err)
	}
	var texts []string
	for v := range got.Values {
		texts = append(texts, v.Value)
	}
	slices.Sort(texts)
	fmt.Println(texts)
	// Output:
	// [GET /cart SELECT]
}
