package live_test

import (
	"context"
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// A record of the log is appended to a segment. A snapshot of it finds the trace by its id and puts
// it together again.
func Example() {
	shop := &otlp.Resource{Attrs: []otlp.Attr{{Key: "service.name", Value: "shop"}}}
	id := otlp.TraceID(7)
	record := otlp.Encode(
		&otlp.Span{Trace: id, ID: otlp.SpanID(1), Name: "GET /cart", Kind: trace.KindServer,
			Start: 1000, End: 1090, Resource: shop},
		&otlp.Span{Trace: id, ID: otlp.SpanID(2), Parent: otlp.SpanID(1), Name: "SELECT", Kind: trace.KindClient,
			Start: 1010, End: 1030, Resource: shop, Attrs: []otlp.Attr{{Key: "db.system", Value: "mysql"}}},
	)

	segment := live.New(live.Limits{})
	const offset, arrival = 70, 2000
	spans, err := segment.Append(offset, arrival, record)
	fmt.Println("appended:", spans, err)
	spans, _ = segment.Append(offset+1, arrival, record) // the sender sends it again
	fmt.Println("sent again:", spans, "of them duplicates:", segment.Duplicates())

	ctx := context.Background()
	snapshot := segment.Snapshot(segment.From(), segment.Next())
	number, found, _ := snapshot.Lookup(ctx, id)
	info, _ := snapshot.Trace(ctx, number)
	fmt.Println("found:", found, "root:", info.RootService, info.RootName, "ns:", info.End-info.Start)

	fragments, _ := column.Fragments(ctx, snapshot, snapshot.TraceRows(number, nil), nil)
	otlpAgain := trace.Assemble(fragments)
	fmt.Println("spans of the trace:", trace.CountSpans(otlpAgain))

	var vector column.Vector
	key := column.Key{Scope: column.Span, Name: "db.system", Type: column.String}
	_, _ = snapshot.Vector(ctx, key, 0, &vector)
	fmt.Println("rows:", vector.Rows, "with db.system:", vector.N, vector.Text(0))
	// Output:
	// appended: 2 <nil>
	// sent again: 2 of them duplicates: 2
	// found: true root: shop GET /cart ns: 90
	// spans of the trace: 2
	// rows: 2 with db.system: 1 mysql
}
