package zipkin

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv1"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv2"
	"github.com/openzipkin/zipkin-go/model"
	"github.com/openzipkin/zipkin-go/proto/zipkin_proto3"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/troupe-tracing/troupe/runtime/gateway/otlp"
)

const (
	typeProto  = "application/x-protobuf"
	typeThrift = "application/x-thrift"
)

// maxTags bounds the tags of a span: the translator compares each with all before it.
const maxTags = 1000

func checkTags(span, tags int) error {
	if tags > maxTags {
		return fmt.Errorf("span %d of the list has %d tags, at most %d are read: send fewer", span, tags, maxTags)
	}
	return nil
}

// v1 reads lists of spans of version 1.
type v1 struct{ parseTags bool }

func (v1) Memory(_ string, body []byte) int64 { return jsonMemory(body) }

func (f v1) Read(kind string, body []byte) (otlp.Spans, error) {
	if kind == typeThrift {
		return otlp.Spans{}, errors.New("thrift is not read here: send JSON, or version 2 to /api/v2/spans")
	}
	var spans []struct {
		BinaryAnnotations []struct{} `json:"binaryAnnotations"` // tags, which become attributes
	}
	if err := json.Unmarshal(body, &spans); err != nil {
		return otlp.Spans{}, err
	}
	for i, s := range spans {
		if err := checkTags(i, len(s.BinaryAnnotations)); err != nil {
			return otlp.Spans{}, err
		}
	}
	td, err := zipkinv1.NewJSONTracesUnmarshaler(f.parseTags).UnmarshalTraces(body)
	return otlp.Spans{Traces: td}, err
}

// v2 reads lists of spans of version 2. Whatever does not say that it is protobuf is JSON.
type v2 struct{ parseTags bool }

func (v2) Memory(kind string, body []byte) int64 {
	if kind == typeProto {
		return protoMemory(body)
	}
	return jsonMemory(body)
}

func (f v2) Read(kind string, body []byte) (otlp.Spans, error) {
	var spans []*model.SpanModel
	var err error
	if kind == typeProto {
		spans, err = zipkin_proto3.ParseSpans(body, false)
	} else {
		err = json.Unmarshal(body, &spans)
	}
	if err != nil {
		return otlp.Spans{}, err
	}
	for i, s := range spans {
		if s == nil {
			return otlp.Spans{}, fmt.Errorf("span %d of the list is null", i)
		}
		if err := checkTags(i, len(s.Tags)); err != nil {
			return otlp.Spans{}, err
		}
	}
	td, err := zipkinv2.ToTranslator{ParseStringTags: f.parseTags}.ToTraces(spans)
	return otlp.Spans{Traces: td}, err
}

// What decoding allocates, all in all. An empty span is 3 bytes of JSON and takes 210, an empty annotation is 2 bytes of protobuf and takes 420; a test holds
// the worst bodies against these.
const (
	anyBody   = 64 << 10 // whatever its size
	eachByte  = 8        // texts, which are copied several times
	eachBrace = 256      // of JSON: an object
	eachComma = 384      // of JSON: a member or an element
	eachField = 480      // of protobuf: of the list or of a span
)

func jsonMemory(body []byte) int64 {
	n := int64(anyBody) + eachByte*int64(len(body))
	for _, c := range body {
		switch c {
		case '{':
			n += eachBrace
		case ',':
			n += eachComma
		}
	}
	return n
}

// protoMemory counts fields as far as they can be read: where they end, so does the decoder.
func protoMemory(body []byte) int64 {
	n := int64(anyBody) + eachByte*int64(len(body))
	fields(body, func(span []byte) {
		n += eachField
		fields(span, func([]byte) { n += eachField })
	})
	return n
}

// fields calls each for every field of a message, with the bytes of those that have a length.
func fields(message []byte, each func([]byte)) {
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return
		}
		n := protowire.ConsumeFieldValue(number, kind, message[tag:])
		if n < 0 {
			return
		}
		var value []byte
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(message[tag:])
		}
		each(value)
		message = message[tag+n:]
	}
}
