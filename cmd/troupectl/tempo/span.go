package tempo

import (
	"fmt"

	"github.com/parquet-go/parquet-go"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// readSpan reads one span and adds it to the record.
func (r *reader) readSpan(n *node) error {
	s := trace.Span{TraceID: r.traceID}
	var took uint64
	var relative []bool // of events: their times count from the start
	err := r.eachChild(n, func(c *node) (err error) {
		switch c.role {
		case attributes:
			s.Attributes, err = r.readAttributes(c, s.Attributes)
		case attribute:
			var a trace.Attribute
			var ok bool
			if a, ok, err = r.readDedicated(c); ok {
				s.Attributes = append(s.Attributes, a)
			}
		case events:
			err = r.each(c, func(n *node) error {
				e, isRelative, err := r.readEvent(n)
				s.Events, relative = append(s.Events, e), append(relative, isRelative)
				return err
			})
		case links:
			err = r.each(c, func(n *node) error {
				l, err := r.readLink(n)
				s.Links = append(s.Links, l)
				return err
			})
		case derived:
			err = r.drop(c, false)
		case unknown, group:
			err = r.drop(c, true)
		default:
			err = r.takeEach(c, func(v parquet.Value) error { return r.setField(&s, c.role, v, &took) })
		}
		return err
	})
	if err != nil {
		return err
	}
	if s.EndUnixNano == 0 {
		s.EndUnixNano = s.StartUnixNano + took
	}
	for i := range s.Events {
		if relative[i] {
			s.Events[i].TimeUnixNano += s.StartUnixNano
		}
	}
	sortAttributes(s.Attributes)
	s.HasParent = !s.ParentID.IsZero()
	s.HasStatus = s.Status != 0 || len(s.StatusMessage) > 0
	return r.addSpan(&s)
}

func (r *reader) addSpan(s *trace.Span) error {
	if err := r.beginRecord(); err != nil {
		return err
	}
	r.spans++
	r.out.Spans++
	r.out.MinStart = min(r.out.MinStart, s.StartUnixNano)
	r.out.End = max(r.out.End, s.StartUnixNano, s.EndUnixNano)
	return r.encoder.Span(s)
}

// setField sets a field of a span from its column.
func (r *reader) setField(s *trace.Span, of role, v parquet.Value, took *uint64) error {
	switch of {
	case traceID:
		if err := r.setTraceID(v); err != nil {
			return err
		}
		s.TraceID = r.traceID
	case spanID:
		return setSpanID(&s.SpanID, v)
	case parentID:
		return setSpanID(&s.ParentID, v)
	case spanName:
		s.Name = v.ByteArray()
	case kind:
		s.Kind = int32(toInt(v))
	case traceState:
		s.TraceState = v.ByteArray()
	case start:
		s.StartUnixNano = uint64(toInt(v))
	case end:
		s.EndUnixNano = uint64(toInt(v))
	case duration:
		*took = uint64(toInt(v))
	case status:
		s.Status = int32(toInt(v))
	case statusMessage:
		s.StatusMessage = v.ByteArray()
	case droppedAttributes:
		s.DroppedAttributes = uint32(toInt(v))
	case droppedEvents:
		s.DroppedEvents = uint32(toInt(v))
	case droppedLinks:
		s.DroppedLinks = uint32(toInt(v))
	case flags:
		s.Flags = uint32(toInt(v))
	}
	return nil
}

func setSpanID(dst *trace.SpanID, v parquet.Value) error {
	id := v.ByteArray()
	if len(id) > len(dst) {
		return fmt.Errorf("%w: a span id has %d bytes", errDamaged, len(id))
	}
	copy(dst[len(dst)-len(id):], id)
	return nil
}

// readEvent reads one event, and whether its time counts from the start of the span.
func (r *reader) readEvent(n *node) (e trace.Event, relative bool, err error) {
	err = r.eachChild(n, func(c *node) error {
		switch c.role {
		case attributes:
			e.Attributes, err = r.readAttributes(c, e.Attributes)
			return err
		case attribute:
			a, ok, err := r.readDedicated(c)
			if ok {
				e.Attributes = append(e.Attributes, a)
			}
			return err
		case spanName:
			return r.takeEach(c, func(v parquet.Value) error { e.Name = v.ByteArray(); return nil })
		case start, offset:
			return r.takeEach(c, func(v parquet.Value) error {
				e.TimeUnixNano, relative = uint64(toInt(v)), c.role == offset
				return nil
			})
		case droppedAttributes:
			return r.takeEach(c, func(v parquet.Value) error { e.Dropped = uint32(toInt(v)); return nil })
		}
		return r.drop(c, true)
	})
	sortAttributes(e.Attributes)
	return e, relative, err
}

func (r *reader) readLink(n *node) (l trace.Link, err error) {
	err = r.eachChild(n, func(c *node) error {
		switch c.role {
		case attributes:
			l.Attributes, err = r.readAttributes(c, l.Attributes)
			return err
		case traceID:
			return r.takeEach(c, func(v parquet.Value) error { l.TraceID = v.ByteArray(); return nil })
		case spanID:
			return r.takeEach(c, func(v parquet.Value) error { l.SpanID = v.ByteArray(); return nil })
		case traceState:
			return r.takeEach(c, func(v parquet.Value) error { l.TraceState = v.ByteArray(); return nil })
		case flags:
			return r.takeEach(c, func(v parquet.Value) error { l.Flags = uint32(toInt(v)); return nil })
		case droppedAttributes:
			return r.takeEach(c, func(v parquet.Value) error { l.Dropped = uint32(toInt(v)); return nil })
		}
		return r.drop(c, true)
	})
	sortAttributes(l.Attributes)
	return l, err
}
