package trace

import "encoding/binary"

// MaxUnixNano is the latest time that the engine computes with, in April 2262. The reader replaces
// later times by it, so that every part of the engine sees the same time.
const MaxUnixNano = 1<<63 - 1

// Span is one OTLP span, with a field for each of the message's. Its times are at most MaxUnixNano.
// All slices alias the message that it was read from, or the reader's scratch memory.
type Span struct {
	TraceID                                        ID
	SpanID                                         SpanID
	ParentID                                       SpanID
	HasParent                                      bool // ParentID is not zero
	TraceState                                     []byte
	Name                                           []byte
	Kind                                           int32
	Status                                         int32
	StatusMessage                                  []byte
	HasStatus                                      bool // a status was sent, possibly empty
	StartUnixNano                                  uint64
	EndUnixNano                                    uint64
	Attributes                                     []Attribute
	Events                                         []Event
	Links                                          []Link
	Flags                                          uint32
	DroppedAttributes, DroppedEvents, DroppedLinks uint32
}

// reset empties s but keeps the memory of its lists. It does not write pointers that are nil
// already, because each write calls a barrier while garbage is collected.
func (s *Span) reset() {
	if s.TraceState != nil {
		s.TraceState = nil
	}
	if s.Name != nil {
		s.Name = nil
	}
	if s.StatusMessage != nil {
		s.StatusMessage = nil
	}
	s.TraceID, s.SpanID, s.ParentID = ID{}, SpanID{}, SpanID{}
	s.HasParent, s.HasStatus = false, false
	s.Kind, s.Status, s.Flags = 0, 0, 0
	s.StartUnixNano, s.EndUnixNano = 0, 0
	s.DroppedAttributes, s.DroppedEvents, s.DroppedLinks = 0, 0, 0
	s.Attributes, s.Events, s.Links = s.Attributes[:0], s.Events[:0], s.Links[:0]
}

// Event is one event of a span.
type Event struct {
	TimeUnixNano uint64
	Name         []byte
	Attributes   []Attribute
	Dropped      uint32 // attributes left out by the sender
}

// Link is one link of a span. Its ids are as sent, of any length.
type Link struct {
	TraceID, SpanID []byte
	TraceState      []byte
	Attributes      []Attribute
	Dropped, Flags  uint32
}

// Kinds of spans that mean something here.
const (
	KindServer = 2
	KindClient = 3
)

// AppendSpan appends the span as the content of a Span message, in canonical form.
func AppendSpan(dst []byte, s *Span) []byte {
	if !s.TraceID.IsZero() {
		dst = appendLen(dst, 1<<3|wireLen, s.TraceID[:])
	}
	if !s.SpanID.IsZero() {
		dst = appendLen(dst, 2<<3|wireLen, s.SpanID[:])
	}
	dst = appendText(dst, 3, s.TraceState)
	if s.HasParent {
		dst = appendLen(dst, 4<<3|wireLen, s.ParentID[:])
	}
	dst = appendText(dst, 5, s.Name)
	if s.Kind != 0 {
		dst = binary.AppendUvarint(append(dst, 6<<3|wireVarint), uint64(int64(s.Kind)))
	}
	dst = appendFixed64(dst, 7, s.StartUnixNano)
	dst = appendFixed64(dst, 8, s.EndUnixNano)
	dst = appendAttributes(dst, 9, s.Attributes)
	dst = appendUint(dst, 10, s.DroppedAttributes)
	for i := range s.Events {
		var mark int
		dst, mark = openMessage(dst, 11<<3|wireLen)
		dst = closeMessage(AppendEvent(dst, &s.Events[i]), mark)
	}
	dst = appendUint(dst, 12, s.DroppedEvents)
	for i := range s.Links {
		var mark int
		dst, mark = openMessage(dst, 13<<3|wireLen)
		dst = closeMessage(AppendLink(dst, &s.Links[i]), mark)
	}
	dst = appendUint(dst, 14, s.DroppedLinks)
	if s.HasStatus {
		var mark int
		dst, mark = openMessage(dst, 15<<3|wireLen)
		dst = appendText(dst, 2, s.StatusMessage)
		if s.Status != 0 {
			dst = binary.AppendUvarint(append(dst, 3<<3|wireVarint), uint64(int64(s.Status)))
		}
		dst = closeMessage(dst, mark)
	}
	if s.Flags != 0 {
		dst = binary.LittleEndian.AppendUint32(append(dst, 0x85, 0x01), s.Flags) // field 16, 32 bits
	}
	return dst
}

// AppendEvent appends the event as the content of an Event message, in canonical form.
func AppendEvent(dst []byte, e *Event) []byte {
	dst = appendFixed64(dst, 1, e.TimeUnixNano)
	dst = appendText(dst, 2, e.Name)
	dst = appendAttributes(dst, 3, e.Attributes)
	return appendUint(dst, 4, e.Dropped)
}

// AppendLink appends the link as the content of a Link message, in canonical form.
func AppendLink(dst []byte, l *Link) []byte {
	dst = appendText(dst, 1, l.TraceID)
	dst = appendText(dst, 2, l.SpanID)
	dst = appendText(dst, 3, l.TraceState)
	dst = appendAttributes(dst, 4, l.Attributes)
	dst = appendUint(dst, 5, l.Dropped)
	if l.Flags != 0 {
		dst = binary.LittleEndian.AppendUint32(append(dst, 6<<3|wireI32), l.Flags)
	}
	return dst
}

// The field numbers of these are below 16, so that a tag is one byte.

func appendText(dst []byte, num byte, text []byte) []byte {
	if len(text) == 0 {
		return dst
	}
	return appendLen(dst, num<<3|wireLen, text)
}

func appendUint(dst []byte, num byte, v uint32) []byte {
	if v == 0 {
		return dst
	}
	return binary.AppendUvarint(append(dst, num<<3|wireVarint), uint64(v))
}

func appendFixed64(dst []byte, num byte, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint64(append(dst, num<<3|wireI64), v)
}

func appendAttributes(dst []byte, num byte, attrs []Attribute) []byte {
	for i := range attrs {
		var mark int
		dst, mark = openMessage(dst, num<<3|wireLen)
		dst = closeMessage(AppendAttribute(dst, &attrs[i]), mark)
	}
	return dst
}
