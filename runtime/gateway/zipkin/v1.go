package zipkin

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/jaegertracing/jaeger-idl/thrift-gen/zipkincore"
	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/translator/zipkin/zipkinv1"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/thriftread"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// v1 reads lists of spans of version 1. Whatever does not say that it is thrift is JSON. Its spans
// are translated one by one: the translator reads lists only, and refuses a list for one of its
// spans.
type v1 struct{ parseTags bool }

func (v1) Memory(kind string, body []byte) int64 {
	if kind == typeThrift {
		spans := int64(0)
		// what is no list is refused when it is read
		_ = thriftread.Binary.Elements(body, func([]byte, error) { spans++ })
		return anyBody + 2*thriftread.Binary.Memory(body, thriftread.List) + eachOldSpan*spans
	}
	return jsonMemory(body) + eachOldSpan*countElements(body)
}

func (f v1) Read(kind string, body []byte) (ingress.Spans, error) {
	l := &oldList{list: newList(f.parseTags), json: zipkinv1.NewJSONTracesUnmarshaler(f.parseTags),
		resources: map[string]ptrace.SpanSlice{}}
	var err error
	if kind == typeThrift {
		err = thriftread.Binary.Elements(body, l.addThrift)
	} else {
		err = l.addJSON(body)
	}
	return l.toSpans(), err
}

// oldList collects spans of version 1.
type oldList struct {
	*list
	json      ptrace.Unmarshaler
	resources map[string]ptrace.SpanSlice // by what a resource says
}

// endpoint is where something happened.
type endpoint struct {
	ServiceName string `json:"serviceName"`
	IPv4        string `json:"ipv4"`
	IPv6        string `json:"ipv6"`
	Port        int32  `json:"port"`
}

// annotation is an event of a span of version 1.
type annotation struct {
	Value    string    `json:"value"`
	Endpoint *endpoint `json:"endpoint"`
}

// tag is a binary annotation.
type tag struct {
	key string
	put func(to pcommon.Map)
}

func (l *oldList) addJSON(body []byte) error {
	var each []json.RawMessage
	if err := json.Unmarshal(body, &each); err != nil {
		return err
	}
	for i, raw := range each {
		if err := l.addOne(raw); err != nil {
			l.refuseSpan(refusals.MalformedSpan, "span %d of the list: %w", i, err)
		}
	}
	return nil
}

// addOne adds a span of JSON.
func (l *oldList) addOne(raw json.RawMessage) error {
	var s struct {
		Annotations       []annotation `json:"annotations"`
		BinaryAnnotations []struct {
			Key      string          `json:"key"`
			Value    json.RawMessage `json:"value"`
			Endpoint json.RawMessage `json:"endpoint,omitempty"`
		} `json:"binaryAnnotations"`
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return err
	}
	if l.hasTooMany(len(s.BinaryAnnotations)) {
		return nil
	}
	tags, plain := make([]tag, len(s.BinaryAnnotations)), true
	for i, b := range s.BinaryAnnotations {
		var text string
		// version 1 has numbers and booleans too, which the translator does not read
		if len(b.Value) > 0 && b.Value[0] != '"' {
			text, plain = string(b.Value), false
			s.BinaryAnnotations[i].Value = strconv.AppendQuote(nil, text)
		} else if len(b.Value) > 0 {
			if err := json.Unmarshal(b.Value, &text); err != nil {
				return err
			}
		}
		tags[i] = tag{b.Key, func(to pcommon.Map) { l.putTag(to, b.Key, text) }}
	}
	if !plain {
		var whole map[string]json.RawMessage
		err := json.Unmarshal(raw, &whole)
		if err == nil {
			whole["binaryAnnotations"], err = json.Marshal(s.BinaryAnnotations)
		}
		if err == nil {
			raw, err = json.Marshal(whole)
		}
		if err != nil {
			return err
		}
	}
	td, err := l.json.UnmarshalTraces(append(append([]byte("["), raw...), ']'))
	if err != nil {
		return err
	}
	l.addSpan(td, s.Annotations, tags)
	return nil
}

// addThrift adds the bytes of one span of thrift. err says that they are none, and that nothing
// follows.
func (l *oldList) addThrift(element []byte, err error) {
	var s zipkincore.Span
	if err == nil {
		err = thriftread.Binary.Decode(element, s.Read)
	}
	if err != nil {
		l.refuseSpan(refusals.MalformedSpan, "a span of the list, and what follows it, if it ends early: %w", err)
		return
	}
	if l.hasTooMany(len(s.BinaryAnnotations)) {
		return
	}
	if s.ID == 0 || s.TraceID == 0 && s.GetTraceIDHigh() == 0 {
		l.refuseSpan(refusals.InvalidID, "a span of the list has no trace id or no span id")
		return
	}
	annotations, tags := make([]annotation, len(s.Annotations)), make([]tag, len(s.BinaryAnnotations))
	for i, a := range s.Annotations {
		annotations[i] = annotation{Value: a.Value}
		if h := a.Host; h != nil {
			annotations[i].Endpoint = &endpoint{ServiceName: h.ServiceName, Port: int32(h.Port)}
			if h.Ipv4 != 0 {
				b := binary.BigEndian.AppendUint32(nil, uint32(h.Ipv4))
				annotations[i].Endpoint.IPv4 = fmt.Sprintf("%d.%d.%d.%d", b[0], b[1], b[2], b[3])
			}
		}
	}
	for i, b := range s.BinaryAnnotations {
		tags[i] = tag{b.Key, func(to pcommon.Map) { putBinary(to, b) }}
	}
	header := []byte{12, 0, 0, 0, 1} // of a list of one struct
	td, err := zipkinv1.NewThriftTracesUnmarshaler().UnmarshalTraces(append(header, element...))
	if err != nil {
		l.refuseSpan(refusals.MalformedSpan, "a span of the list: %w", err)
		return
	}
	l.addSpan(td, annotations, tags)
}

// putBinary puts a binary annotation of thrift under its own name.
func putBinary(to pcommon.Map, b *zipkincore.BinaryAnnotation) {
	v := b.Value
	switch b.AnnotationType {
	case zipkincore.AnnotationType_BOOL:
		to.PutBool(b.Key, len(v) == 1 && v[0] == 1)
	case zipkincore.AnnotationType_STRING:
		to.PutStr(b.Key, string(v))
	case zipkincore.AnnotationType_I16, zipkincore.AnnotationType_I32, zipkincore.AnnotationType_I64:
		n := int64(0)
		for i, c := range v[:min(8, len(v))] {
			if n = n<<8 | int64(c); i == 0 {
				n = int64(int8(c)) // the first byte has the sign
			}
		}
		to.PutInt(b.Key, n)
	case zipkincore.AnnotationType_DOUBLE:
		if len(v) == 8 {
			to.PutDouble(b.Key, math.Float64frombits(binary.BigEndian.Uint64(v)))
		}
	default:
		to.PutEmptyBytes(b.Key).FromRaw(v)
	}
}

// addSpan adds the one span of td, and puts back what the translator has lost of it.
func (l *oldList) addSpan(td ptrace.Traces, annotations []annotation, tags []tag) {
	from := td.ResourceSpans().At(0)
	span := from.ScopeSpans().At(0).Spans().At(0)
	restoreService(from.Resource().Attributes(), annotations)
	restoreOldTags(span, tags)
	key := fmt.Sprint(from.Resource().Attributes().AsRaw())
	to, ok := l.resources[key]
	if !ok {
		rs := l.traces.ResourceSpans().AppendEmpty()
		from.Resource().MoveTo(rs.Resource())
		to = rs.ScopeSpans().AppendEmpty().Spans()
		l.resources[key] = to
	}
	span.MoveTo(to.AppendEmpty())
}

// restoreService names the service if no annotation begins or ends the span. The translator looks
// at no others.
func restoreService(resource pcommon.Map, annotations []annotation) {
	var first *endpoint
	for _, a := range annotations {
		if a.Endpoint == nil || a.Endpoint.ServiceName == "" {
			continue
		}
		switch a.Value {
		case "cs", "cr", "ss", "sr", "ms", "mr":
			return
		}
		if first == nil {
			first = a.Endpoint
		}
	}
	if first == nil {
		return
	}
	resource.Clear()
	resource.PutStr("service.name", first.ServiceName)
	if first.IPv4 != "" {
		resource.PutStr("ipv4", first.IPv4)
	}
	if first.IPv6 != "" {
		resource.PutStr("ipv6", first.IPv6)
	}
	if first.Port != 0 {
		resource.PutStr("port", strconv.Itoa(int(first.Port)))
	}
}

// restoreOldTags puts tags back that the translator renamed or made a status of.
func restoreOldTags(span ptrace.Span, tags []tag) {
	attributes := span.Attributes()
	sent := make(map[string]bool, len(tags))
	for _, t := range tags {
		sent[t.key] = true
	}
	if sent[statusCode] && !sent[newStatusCode] {
		attributes.Remove(newStatusCode)
	}
	for _, t := range tags {
		_, ok := attributes.Get(t.key)
		if !ok || t.key == statusCode || t.key == newStatusCode {
			t.put(attributes)
		}
	}
}
