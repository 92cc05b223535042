package jaeger

import (
	"context"
	"fmt"

	"github.com/apache/thrift/lib/go/thrift"
	"github.com/jaegertracing/jaeger-idl/model/v1"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/agent"
	"github.com/jaegertracing/jaeger-idl/thrift-gen/jaeger"
	converter "github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/jaeger/jaegerthriftcoverter"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/thriftread"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// anyBody is what reading allocates whatever the size of the body.
const anyBody = 64 << 10

// postSpans reads the request of CollectorService.PostSpans.
type postSpans struct{}

func (postSpans) Memory(_ string, body []byte) int64 {
	n, _ := protoMemory(body)
	return anyBody + n
}

func (postSpans) Read(_ string, body []byte) (ingress.Spans, error) {
	// What the walk that counts cannot follow is not decoded: it may hold more than was reserved
	// for it.
	if _, ok := protoMemory(body); !ok {
		return ingress.Spans{}, ingress.Refusal(refusals.Malformed, "the message is not protobuf")
	}
	var b model.Batch
	for len(body) > 0 {
		number, kind, tag := protowire.ConsumeTag(body)
		size := protowire.ConsumeFieldValue(number, kind, body[tag:])
		if number == 1 && kind == protowire.BytesType { // the batch, the only field
			value, _ := protowire.ConsumeBytes(body[tag:])
			if err := b.Unmarshal(value); err != nil { // adds to what is there
				return ingress.Spans{}, err
			}
		}
		body = body[tag+size:]
	}
	return translateSpans(b.Process, b.Spans)
}

// batch reads a batch in thrift's binary protocol, as it comes over HTTP.
type batch struct{}

func (batch) Memory(_ string, body []byte) int64 {
	return anyBody + thriftread.Binary.Memory(body, thriftread.Struct)
}

func (batch) Read(kind string, body []byte) (ingress.Spans, error) {
	switch kind {
	case "application/x-thrift", "application/vnd.apache.thrift.binary":
	default:
		return ingress.Spans{}, ingress.Refusal(refusals.UnsupportedType,
			"content type %q is not read here: send thrift's binary protocol as application/x-thrift", kind)
	}
	var b jaeger.Batch
	if err := thriftread.Binary.Decode(body, b.Read); err != nil {
		return ingress.Spans{}, err
	}
	return fromThrift(&b)
}

// packet reads a call of the agent's function emitBatch, as it comes in a packet of UDP.
type packet struct{ protocol thriftread.Protocol }

func (p packet) Memory(_ string, body []byte) int64 {
	return anyBody + p.protocol.Memory(body, thriftread.Call)
}

func (p packet) Read(_ string, body []byte) (ingress.Spans, error) {
	var args agent.AgentEmitBatchArgs
	err := p.protocol.Decode(body, func(ctx context.Context, in thrift.TProtocol) error {
		name, _, _, err := in.ReadMessageBegin(ctx)
		switch {
		case err != nil:
			return err
		case name == "emitZipkinBatch":
			return ingress.Refusal(refusals.UnsupportedType,
				"spans of Zipkin are not read in packets: send them to the Zipkin receiver over HTTP")
		case name != "emitBatch":
			return fmt.Errorf("a call of %.40q where emitBatch should be", name)
		}
		return args.Read(ctx, in)
	})
	if err != nil {
		return ingress.Spans{}, err
	}
	if args.Batch == nil {
		return ingress.Spans{}, ingress.Refusal(refusals.Malformed, "the call of emitBatch has no batch")
	}
	return fromThrift(args.Batch)
}

func fromThrift(b *jaeger.Batch) (ingress.Spans, error) {
	return translateSpans(converter.ToDomainProcess(b.Process), converter.ToDomain(b.Spans, nil))
}
