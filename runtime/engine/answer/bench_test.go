package answer

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// hundred is an answer of a hundred traces with three spans each.
func hundred() *jobs.Answer {
	p := &eval.SearchPartial{}
	for i := range 100 {
		m := eval.TraceMatch{ID: trace.ID{1, 15: byte(i)}, RootService: "web", RootName: "GET /checkout",
			Start: 1700000000000000000 + uint64(i), Duration: 5e8,
			Services: []eval.ServiceStats{{Service: "cart", Spans: 7, Errors: 1}, {Service: "web", Spans: 3}}}
		set := eval.SpanSet{Matched: 9}
		for j := range 3 {
			set.Spans = append(set.Spans, eval.SpanMatch{ID: trace.SpanID{7: byte(j)}, Start: 1700000000000000000,
				Duration: 4e6, Attributes: []eval.Attribute{
					{Key: "http.method", Value: trace.Value{Type: trace.String, Bytes: []byte("GET")}},
					{Key: "http.status_code", Value: trace.Value{Type: trace.Int, Num: 500}}}})
		}
		m.SpanSets = []eval.SpanSet{set}
		p.Traces = append(p.Traces, m)
	}
	return &jobs.Answer{Complete: true, Partial: jobs.Partial{Search: p}}
}

func BenchmarkSearchJSON(b *testing.B) {
	a, r := hundred(), &eval.SearchRequest{Limit: 100}
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = AppendSearchJSON(buf[:0], RenderSearch(a, r, false), false)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkSearchProtobuf(b *testing.B) {
	a, r := hundred(), &eval.SearchRequest{Limit: 100}
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf, _ = proto.MarshalOptions{}.MarshalAppend(buf[:0], RenderSearch(a, r, false))
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkTagValuesJSON(b *testing.B) {
	v := &eval.TagValues{Values: map[eval.TagValue]struct{}{}}
	for i := range 10000 {
		v.Values[eval.TagValue{Type: "string", Value: fmt.Sprint("value ", i)}] = struct{}{}
	}
	a := &jobs.Answer{Complete: true, Partial: jobs.Partial{Values: v}}
	b.ReportAllocs()
	var buf []byte
	for b.Loop() {
		buf = AppendValuesV2JSON(buf[:0], RenderValuesV2(a, nil, 0), false)
	}
	b.SetBytes(int64(len(buf)))
}
