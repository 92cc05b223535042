package outline

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Of is what the outline of a trace has, worked out span by span from the trace as OTLP.
func Of(otlp []byte) (out []Span, err error) {
	var c sentSpans
	var r trace.Reader
	if err := r.Walk(otlp, &c); err != nil {
		return nil, err
	}
	slices.SortFunc(c.list, func(a, b sentSpan) int {
		return cmp.Or(cmp.Compare(a.StartUnixNano, b.StartUnixNano), bytes.Compare(a.SpanID[:], b.SpanID[:]),
			compareDigests(trace.AppendSpan(nil, &a.Span), trace.AppendSpan(nil, &b.Span)),
			compareDigests(a.scope, b.scope), compareDigests(a.resource, b.resource))
	})
	type idOfKind struct {
		id   trace.SpanID
		kind int32 // -1: any
	}
	places := map[idOfKind]uint32{}
	for i := len(c.list) - 1; i >= 0; i-- {
		s := &c.list[i]
		places[idOfKind{s.SpanID, -1}], places[idOfKind{s.SpanID, s.Kind}] = uint32(i), uint32(i)
	}
	first := func(id trace.SpanID, kind int32) uint32 {
		if n, ok := places[idOfKind{id, kind}]; ok {
			return n
		}
		return Unknown
	}
	for _, s := range c.list {
		w := Span{
			Start:    float64(s.StartUnixNano - c.list[0].StartUnixNano),
			Duration: float64(int64(s.EndUnixNano - s.StartUnixNano)),
			ID:       binary.BigEndian.Uint64(s.SpanID[:]),
			Parent:   NoParent,
			Name:     string([]rune(string(s.Name))), // as JSON has it
			Service:  s.service,
			Flags:    uint8(min(uint32(s.Kind), 7)) | uint8(min(uint32(s.Status), 3))<<3,
		}
		if len(s.Events) > 0 {
			w.Flags |= 1 << 5
		}
		if len(s.Links) > 0 {
			w.Flags |= 1 << 6
		}
		client := first(s.SpanID, trace.KindClient)
		if s.Kind == trace.KindServer && client != Unknown {
			w.Parent = client
		} else if s.HasParent {
			w.Parent = first(s.ParentID, -1)
			if first(s.ParentID, trace.KindClient) != Unknown && first(s.ParentID, trace.KindServer) != Unknown {
				w.Parent = first(s.ParentID, trace.KindServer)
			}
		}
		out = append(out, w)
	}
	return out, nil
}

func compareDigests(a, b []byte) int {
	x, y := long.DigestOf(a), long.DigestOf(b)
	return bytes.Compare(x[:], y[:])
}

// sentSpans collects spans with what they were sent under.
type sentSpans struct {
	list            []sentSpan
	resource, scope []byte
	service         string
}

type sentSpan struct {
	trace.Span
	resource, scope []byte
	service         string
}

func (c *sentSpans) Resource(b []byte) error {
	c.resource, c.service = bytes.Clone(b), ""
	attrs, err := trace.ResourceAttributes(b, nil)
	for _, a := range attrs {
		if string(a.Key) == "service.name" && a.Value.Type == trace.String {
			c.service = string(a.Value.Bytes)
		}
	}
	return err
}
func (c *sentSpans) Scope(b []byte) error { c.scope = bytes.Clone(b); return nil }
func (c *sentSpans) Span(s *trace.Span) error {
	var r trace.Reader
	own, err := r.ReadSpan(trace.AppendSpan(nil, s)) // its memory is its own
	if err != nil {
		return err
	}
	c.list = append(c.list, sentSpan{Span: *own, resource: c.resource, scope: c.scope, service: c.service})
	return nil
}
