package trace_test

import (
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// A request in JSON becomes protobuf and is cut into records, one for each partition that gets
// spans. The span without an id is refused alone.
func ExampleSplitter() {
	request := []byte(`{"resourceSpans":[{
	  "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
	  "scopeSpans":[{"scope":{"name":"http"},"spans":[
	    {"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0000000000000001","name":"GET /cart"},
	    {"traceId":"f0e0d0c0b0a090807060504030201000","spanId":"0000000000000002","name":"GET /pay"},
	    {"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"","name":"lost"}
	  ]}]}]}`)
	otlp, _, err := trace.FromJSON(request)
	if err != nil {
		fmt.Println(err)
		return
	}

	splitter := trace.Splitter{MaxRecordBytes: 1 << 20, Parts: 4}
	split, err := splitter.Split("tenant-a", otlp)
	fmt.Println("spans:", split.Spans, "refused:", split.Refused, err)
	for _, part := range split.Parts {
		fmt.Println("partition", part.Partition, "spans:", part.Spans)
	}
	fmt.Println(split.Reasons[0].Code, split.Reasons[0].Spans)
	// Output:
	// spans: 3 refused: 1 <nil>
	// partition 0 spans: 1
	// partition 1 spans: 1
	// invalid_id 1
}

// printer is a Visitor that prints what it visits.
type printer struct{}

func (printer) Resource(resource []byte) error {
	attributes, err := trace.ResourceAttributes(resource, nil)
	fmt.Println("resource", trace.Plain(attributes))
	return err
}

func (printer) Scope(scope []byte) error {
	content, err := trace.ReadScope(scope, nil)
	fmt.Printf("scope %s\n", content.Name)
	return err
}

func (printer) Span(s *trace.Span) error {
	fmt.Printf("span %s %s\n", s.SpanID, s.Name)
	return nil
}

// A Reader hands the parts of a message to a Visitor, without building objects.
func ExampleReader() {
	otlp, _, _ := trace.FromJSON([]byte(`{"resourceSpans":[{
	  "resource":{"attributes":[{"key":"service.name","value":{"stringValue":"shop"}}]},
	  "scopeSpans":[{"scope":{"name":"http"},"spans":[
	    {"traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0000000000000001","name":"GET /cart"}]}]}]}`))
	var reader trace.Reader
	if err := reader.Walk(otlp, printer{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// resource map[service.name:shop]
	// scope http
	// span 0000000000000001 GET /cart
}
