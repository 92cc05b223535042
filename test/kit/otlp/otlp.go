// Package otlp writes spans that tests make up as OTLP bytes.
package otlp

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Span is one span as tests write it down: plain values, nothing shared but the pointers to its
// resource and scope. Spans that follow one another under the same pointers are sent in one
// ResourceSpans and ScopeSpans.
type Span struct {
	Trace      trace.ID
	ID, Parent trace.SpanID
	Name       string
	Kind       int32
	Status     int32
	Message    string // of the status
	Start, End uint64 // unix ns
	Resource   *Resource
	Scope      *Scope
	Attrs      []Attr
	Events     []Event
	Links      []Link
}

// Resource and Scope are what spans are sent under; nil is the empty one.
type (
	Resource struct{ Attrs []Attr }
	Scope    struct {
		Name, Version string
		Attrs         []Attr
	}
)

// Event is an event of a span.
type Event struct {
	Name  string
	Time  uint64 // unix ns
	Attrs []Attr
}

// Link is a link of a span.
type Link struct {
	Trace trace.ID
	Span  trace.SpanID
	Attrs []Attr
}

// Attr is one attribute. Its value is a string, int, int64, float64, bool, []byte, []any, Map, or
// nil for the empty value.
type Attr struct {
	Key   string
	Value any
}

// Map is the value of an attribute that holds attributes.
type Map []Attr

// SpanID makes a span id of a number.
func SpanID(n uint64) (id trace.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

// TraceID makes a trace id of a number.
func TraceID(n uint64) (id trace.ID) {
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// Encode writes spans, in this order, as a TracesData message.
func Encode(spans ...*Span) []byte {
	var out []byte
	for len(spans) > 0 {
		var group []byte
		group = message(group, 1, spans[0].Resource.encode())
		for r := spans[0].Resource; len(spans) > 0 && spans[0].Resource == r; {
			var scope []byte
			scope = message(scope, 1, spans[0].Scope.encode())
			for s := spans[0].Scope; len(spans) > 0 && spans[0].Resource == r &&
				spans[0].Scope == s; spans = spans[1:] {
				scope = message(scope, 2, spans[0].encode())
			}
			group = message(group, 2, scope)
		}
		out = message(out, 1, group)
	}
	return out
}

func message(dst []byte, num protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, num, protowire.BytesType), content)
}

func text(dst []byte, num protowire.Number, s string) []byte {
	if s == "" {
		return dst
	}
	return message(dst, num, []byte(s))
}

func number(dst []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, num, protowire.VarintType), v)
}

func fixed(dst []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(dst, num, protowire.Fixed64Type), v)
}

func attributes(dst []byte, num protowire.Number, attrs []Attr) []byte {
	for _, a := range attrs {
		dst = message(dst, num, message(text(nil, 1, a.Key), 2, AnyValue(a.Value)))
	}
	return dst
}

// AnyValue writes a value as an AnyValue message.
func AnyValue(v any) []byte {
	switch v := v.(type) {
	case nil:
		return nil
	case string:
		return message(nil, 1, []byte(v))
	case bool:
		return number(nil, 2, protowire.EncodeBool(v))
	case int:
		return number(nil, 3, uint64(v))
	case int64:
		return number(nil, 3, uint64(v))
	case float64:
		return fixed(nil, 4, math.Float64bits(v))
	case []any:
		var list []byte
		for _, e := range v {
			list = message(list, 1, AnyValue(e))
		}
		return message(nil, 5, list)
	case Map:
		return message(nil, 6, attributes(nil, 1, v))
	case []byte:
		return message(nil, 7, v)
	}
	panic(fmt.Sprintf("BUG: no attribute holds a %T", v))
}

func (r *Resource) encode() []byte {
	if r == nil {
		return nil
	}
	return attributes(nil, 1, r.Attrs)
}

func (s *Scope) encode() []byte {
	if s == nil {
		return nil
	}
	return attributes(text(text(nil, 1, s.Name), 2, s.Version), 3, s.Attrs)
}

func (s *Span) encode() []byte {
	b := message(nil, 1, s.Trace[:])
	b = message(b, 2, s.ID[:])
	if !s.Parent.IsZero() {
		b = message(b, 4, s.Parent[:])
	}
	b = text(b, 5, s.Name)
	b = number(b, 6, uint64(s.Kind))
	b = fixed(b, 7, s.Start)
	b = fixed(b, 8, s.End)
	b = attributes(b, 9, s.Attrs)
	for _, e := range s.Events {
		b = message(b, 11, attributes(text(fixed(nil, 1, e.Time), 2, e.Name), 3, e.Attrs))
	}
	for _, l := range s.Links {
		b = message(b, 13, attributes(message(message(nil, 1, l.Trace[:]), 2, l.Span[:]), 4, l.Attrs))
	}
	if s.Status != 0 || s.Message != "" {
		b = message(b, 15, number(text(nil, 2, s.Message), 3, uint64(s.Status)))
	}
	return b
}
