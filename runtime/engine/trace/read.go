package trace

import (
	"encoding/binary"
	"fmt"
)

// Visitor is called by Reader.Walk. Its arguments are valid until it returns. It MUST NOT call Walk
// of the same Reader. An error that it returns ends the walk, and Walk returns it as it is.
type Visitor interface {
	// Resource begins a ResourceSpans. It is called once for each, also if that holds no span.
	// resource is the canonical content of the ResourceSpans without its scope_spans: always
	// resource = 1, then schema_url = 3 if there is one.
	Resource(resource []byte) error
	// Scope begins a ScopeSpans. scope is its canonical content without its spans: always
	// scope = 1, then schema_url = 3 if there is one.
	Scope(scope []byte) error
	// Span is called for each span of the scope, in the order sent. Its ids may be zero; the
	// Splitter refuses such spans.
	Span(s *Span) error
}

// Reader walks TracesData messages (an ExportTraceServiceRequest has the same encoding). The zero
// Reader is ready. It keeps its scratch memory, so that a warm Reader allocates nothing. It is not
// safe for concurrent use.
type Reader struct {
	span       Span
	raw        []byte // the span as sent
	eventAttrs []Attribute
	linkAttrs  []Attribute
	attr       Attribute
	resource   []byte
	scope      []byte

	strictID  bool // ids of links, too, must be empty or of their full length
	checkOnly bool // attributes, events and links are checked but not handed out
	elements  int  // attributes, events and links of the span that were checked

	losses     *Losses // nil: a malformed part ends the walk; else it is left out and noted here
	firstError error   // of the parts that were left out because they are wrong
	indices    [3]int  // of the ResourceSpans, ScopeSpans and span where the walk is
}

// placeAt returns a function that names the place of the walk: as ResourceSpans (1 level),
// ScopeSpans (2) or span (3).
func (r *Reader) placeAt(levels int) func() string {
	return func() string {
		out := fmt.Sprintf("resourceSpans[%d]", r.indices[0])
		if levels > 1 {
			out += fmt.Sprintf(".scopeSpans[%d]", r.indices[1])
		}
		if levels > 2 {
			out += fmt.Sprintf(".spans[%d]", r.indices[2])
		}
		return out
	}
}

// leaveOut notes that a part of the message is left out with its spans, if err is about malformed
// bytes and those do not end the walk. Otherwise it returns err.
func (r *Reader) leaveOut(err error, levels int, spans int) error {
	bad, ok := err.(*malformedError)
	if !ok || r.losses == nil {
		return err
	}
	if r.firstError == nil && bad.code != SpanTooLarge {
		r.firstError = err
	}
	r.losses.addLost(bad.code, spans, r.placeAt(levels), bad.text)
	return nil
}

// Walk calls v for everything in otlp, in order. It returns v's error, or ErrMalformed with the
// name of the field; then v has been called for all that stands before the malformed part.
func (r *Reader) Walk(otlp []byte, v Visitor) error {
	r.indices, r.firstError = [3]int{-1, -1, -1}, nil
	for pos := 0; pos < len(otlp); {
		f, body := readField(otlp, pos)
		if f.end < 0 {
			return newMalformed("traces data", causeBytes)
		}
		pos = f.end
		if f.num != 1 {
			continue
		}
		if f.wire != wireLen {
			return newMalformed("resource spans", causeType)
		}
		r.indices[0]++
		if err := r.resourceSpans(body, v); err != nil {
			if err = r.leaveOut(err, 1, countInResource(body)); err != nil {
				return err
			}
		}
	}
	return nil
}

// oldScopeSpans is the field number of scope spans before OTLP 0.15. They are read if there are
// none under the new number.
const oldScopeSpans = 1000

// resourceSpans goes over the message twice, because the resource may stand behind the scopes.
func (r *Reader) resourceSpans(b []byte, v Visitor) error {
	var schema []byte
	scopes := uint32(oldScopeSpans)
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return newMalformed("resource spans", causeBytes)
		}
		pos = f.end
		if f.num > 3 && f.num != oldScopeSpans {
			continue
		}
		if f.wire != wireLen {
			return newMalformed("resource spans", causeType)
		}
		switch f.num {
		case 2:
			scopes = 2
		case 3:
			schema = body
		}
	}
	err := r.readResource(b)
	if err == errDeep && r.losses != nil {
		r.losses.addChanged(ValuesNested, 1, r.placeAt(1), causeFolded)
		err = r.readResource(foldMessage(headLayout(resourceLayout), b))
	}
	if err != nil {
		return err
	}
	r.resource = appendText(r.resource, 3, schema)
	if err := v.Resource(r.resource); err != nil {
		return err
	}
	r.indices[1] = -1
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		pos = f.end
		if f.num != scopes {
			continue
		}
		r.indices[1]++
		if err := r.scopeSpans(body, v); err != nil {
			if err = r.leaveOut(err, 2, countInScope(body)); err != nil {
				return err
			}
		}
	}
	return nil
}

// readResource writes the canonical resource of a ResourceSpans to r.resource. The tags of the
// message have been checked.
func (r *Reader) readResource(b []byte) error {
	var mark int
	var dropped uint32
	entities := false
	dst, mark := openMessage(r.resource[:0], 1<<3|wireLen)
	for pos := 0; pos < len(b); {
		f, res := readField(b, pos)
		pos = f.end
		if f.num != 1 {
			continue
		}
		for p := 0; p < len(res); {
			g, body := readField(res, p)
			if g.end < 0 {
				return newMalformed("resource", causeBytes)
			}
			p = g.end
			switch g.num {
			case 1:
				if g.wire != wireLen {
					return newMalformed("resource attribute", causeType)
				}
				var err error
				if dst, err = appendCanonical(dst, 1<<3|wireLen, body, &r.attr); err != nil {
					return err
				}
			case 2:
				if g.wire != wireVarint {
					return newMalformed("resource dropped attributes count", causeType)
				}
				dropped = uint32(g.val)
			case 3:
				if g.wire != wireLen {
					return newMalformed("resource entity", causeType)
				}
				entities = true
			}
		}
	}
	dst = appendUint(dst, 2, dropped)
	if entities {
		var err error
		if dst, err = appendEntities(dst, b); err != nil {
			return err
		}
	}
	r.resource = closeMessage(dst, mark)
	return nil
}

// appendEntities appends the entity references of all resources in a ResourceSpans: schema_url 1,
// type 2, id_keys 3, description_keys 4.
func appendEntities(dst, b []byte) ([]byte, error) {
	for pos := 0; pos < len(b); {
		f, res := readField(b, pos)
		pos = f.end
		if f.num != 1 {
			continue
		}
		for p := 0; p < len(res); {
			g, ref := readField(res, p)
			p = g.end
			if g.num != 3 {
				continue
			}
			var mark int
			dst, mark = openMessage(dst, 3<<3|wireLen)
			for want := uint32(1); want <= 4; want++ {
				var last []byte
				for q := 0; q < len(ref); {
					h, body := readField(ref, q)
					if h.end < 0 {
						return nil, newMalformed("resource entity", causeBytes)
					}
					q = h.end
					if h.num != want {
						continue
					}
					if h.wire != wireLen {
						return nil, newMalformed("resource entity", causeType)
					}
					if last = body; want > 2 {
						dst = appendLen(dst, byte(want)<<3|wireLen, body)
					}
				}
				if want <= 2 {
					dst = appendText(dst, byte(want), last)
				}
			}
			dst = closeMessage(dst, mark)
		}
	}
	return dst, nil
}

func (r *Reader) scopeSpans(b []byte, v Visitor) error {
	var schema []byte
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return newMalformed("scope spans", causeBytes)
		}
		pos = f.end
		if f.num > 3 {
			continue
		}
		if f.wire != wireLen {
			return newMalformed("scope spans", causeType)
		}
		if f.num == 3 {
			schema = body
		}
	}
	err := r.readScope(b)
	if err == errDeep && r.losses != nil {
		r.losses.addChanged(ValuesNested, 1, r.placeAt(2), causeFolded)
		err = r.readScope(foldMessage(headLayout(scopeLayout), b))
	}
	if err != nil {
		return err
	}
	r.scope = appendText(r.scope, 3, schema)
	if err := v.Scope(r.scope); err != nil {
		return err
	}
	r.indices[2] = -1
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		pos = f.end
		if f.num != 2 {
			continue
		}
		r.indices[2]++
		r.raw = body
		if err := r.readSpan(body); err != nil {
			if err == errDeep && r.losses != nil {
				r.raw = foldMessage(spanLayout, body)
				err = r.readSpan(r.raw)
				if err == nil {
					r.losses.addChanged(ValuesNested, 1, r.placeAt(3), causeFolded)
				}
			}
			if err != nil {
				if err = r.leaveOut(err, 3, 1); err != nil {
					return err
				}
				continue
			}
		}
		if err := v.Span(&r.span); err != nil {
			return err
		}
	}
	return nil
}

// readScope writes the canonical scope of a ScopeSpans to r.scope. The tags of the message have
// been checked.
func (r *Reader) readScope(b []byte) error {
	var name, version []byte
	var dropped uint32
	attrs := 0
	for pass := range 2 {
		var mark int
		dst := r.scope
		if pass == 1 {
			dst, mark = openMessage(r.scope[:0], 1<<3|wireLen)
			dst = appendText(dst, 1, name)
			dst = appendText(dst, 2, version)
		}
		for pos := 0; pos < len(b) && (pass == 0 || attrs > 0); {
			f, scope := readField(b, pos)
			pos = f.end
			if f.num != 1 {
				continue
			}
			for p := 0; p < len(scope); {
				g, body := readField(scope, p)
				if g.end < 0 {
					return newMalformed("scope", causeBytes)
				}
				p = g.end
				want := uint8(wireLen)
				switch g.num {
				case 1:
					name = body
				case 2:
					version = body
				case 3:
					attrs++
				case 4:
					want, dropped = wireVarint, uint32(g.val)
				default:
					continue
				}
				if g.wire != want {
					return newMalformed("scope", causeType)
				}
				if g.num == 3 && pass == 1 {
					var err error
					if dst, err = appendCanonical(dst, 3<<3|wireLen, body, &r.attr); err != nil {
						return err
					}
				}
			}
		}
		if pass == 1 {
			r.scope = closeMessage(appendUint(dst, 4, dropped), mark)
		}
	}
	return nil
}

// readAttribute reads a KeyValue message and appends it to list; with checkOnly it is only checked.
func (r *Reader) readAttribute(list []Attribute, b []byte) ([]Attribute, error) {
	if r.checkOnly {
		r.elements++
		if _, typ, _ := plainOf(b); typ != Empty {
			return list, nil
		}
		return list, readKeyValue(b, &r.attr, 1)
	}
	if n := len(list); n < cap(list) {
		list = list[:n+1]
	} else {
		list = append(list, Attribute{})
	}
	return list, readKeyValue(b, &list[len(list)-1], 1)
}

// readSpan reads a Span message into r.span.
func (r *Reader) readSpan(b []byte) error {
	s := &r.span
	s.reset()
	r.eventAttrs, r.linkAttrs, r.elements = r.eventAttrs[:0], r.linkAttrs[:0], 0
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return newMalformed("span", causeBytes)
		}
		pos = f.end
		want := uint8(wireLen)
		var err error
		switch f.num {
		case 1:
			err = setTraceID(&s.TraceID, body)
		case 2:
			err = setSpanID(&s.SpanID, body)
		case 3:
			s.TraceState = body
		case 4:
			err = setSpanID(&s.ParentID, body)
		case 5:
			s.Name = body
		case 6:
			want, s.Kind = wireVarint, int32(f.val)
		case 7:
			want, s.StartUnixNano = wireI64, min(f.val, MaxUnixNano)
		case 8:
			want, s.EndUnixNano = wireI64, min(f.val, MaxUnixNano)
		case 9:
			s.Attributes, err = r.readAttribute(s.Attributes, body)
		case 10:
			want, s.DroppedAttributes = wireVarint, uint32(f.val)
		case 11:
			if r.checkOnly {
				r.elements++
				s.Events = s.Events[:0]
			}
			s.Events = append(s.Events, Event{})
			err = r.readEvent(body, &s.Events[len(s.Events)-1])
		case 12:
			want, s.DroppedEvents = wireVarint, uint32(f.val)
		case 13:
			if r.checkOnly {
				r.elements++
				s.Links = s.Links[:0]
			}
			s.Links = append(s.Links, Link{})
			err = r.readLink(body, &s.Links[len(s.Links)-1])
		case 14:
			want, s.DroppedLinks = wireVarint, uint32(f.val)
		case 15:
			err = s.readStatus(body)
		case 16:
			want, s.Flags = wireI32, uint32(f.val)
		default:
			continue
		}
		if f.wire != want {
			return newMalformed(spanFields[f.num], causeType)
		}
		if err != nil {
			return err
		}
	}
	s.HasParent = !s.ParentID.IsZero()
	return nil
}

// spanFields are the names of a Span's fields in errors, by number.
var spanFields = [...]string{
	"span", "trace id", "span id", "span trace state", "parent span id", "span name", "span kind",
	"span start", "span end", "span attribute", "span dropped attributes count",
	"event", "span dropped events count", "link", "span dropped links count", "status", "span flags",
}

// The texts of these two errors are pdata's, which clients of other backends know.
var (
	errTraceIDLength error = &malformedError{InvalidID, "unmarshal: invalid TraceID length"}
	errSpanIDLength  error = &malformedError{InvalidID, "unmarshal: invalid SpanID length"}
)

func setTraceID(id *ID, b []byte) error {
	if len(b) != 0 && len(b) != len(id) {
		return errTraceIDLength
	}
	*id = ID{}
	copy(id[:], b)
	return nil
}

func setSpanID(id *SpanID, b []byte) error {
	switch len(b) {
	case 8:
		binary.BigEndian.PutUint64(id[:], binary.BigEndian.Uint64(b))
	case 0:
		*id = SpanID{}
	default:
		return errSpanIDLength
	}
	return nil
}

func (s *Span) readStatus(b []byte) error {
	s.HasStatus = true
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return newMalformed("status", causeBytes)
		}
		pos = f.end
		switch {
		case f.num == 2 && f.wire == wireLen:
			s.StatusMessage = body
		case f.num == 3 && f.wire == wireVarint:
			s.Status = int32(f.val)
		case f.num == 2 || f.num == 3:
			return newMalformed("status", causeType)
		}
	}
	return nil
}

func (r *Reader) readEvent(b []byte, e *Event) error {
	first := len(r.eventAttrs)
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return newMalformed("event", causeBytes)
		}
		pos = f.end
		want := uint8(wireLen)
		var err error
		switch f.num {
		case 1:
			want, e.TimeUnixNano = wireI64, min(f.val, MaxUnixNano)
		case 2:
			e.Name = body
		case 3:
			r.eventAttrs, err = r.readAttribute(r.eventAttrs, body)
		case 4:
			want, e.Dropped = wireVarint, uint32(f.val)
		default:
			continue
		}
		if f.wire != want {
			return newMalformed("event", causeType)
		}
		if err != nil {
			return err
		}
	}
	// Earlier events keep their attributes when the array moves, because the old array stays as it
	// is.
	e.Attributes = r.eventAttrs[first:len(r.eventAttrs):len(r.eventAttrs)]
	return nil
}

func (r *Reader) readLink(b []byte, l *Link) error {
	first := len(r.linkAttrs)
	for pos := 0; pos < len(b); {
		f, body := readField(b, pos)
		if f.end < 0 {
			return newMalformed("link", causeBytes)
		}
		pos = f.end
		want := uint8(wireLen)
		var err error
		switch f.num {
		case 1:
			l.TraceID = body
		case 2:
			l.SpanID = body
		case 3:
			l.TraceState = body
		case 4:
			r.linkAttrs, err = r.readAttribute(r.linkAttrs, body)
		case 5:
			want, l.Dropped = wireVarint, uint32(f.val)
		case 6:
			want, l.Flags = wireI32, uint32(f.val)
		default:
			continue
		}
		if f.wire != want {
			return newMalformed("link", causeType)
		}
		if err != nil {
			return err
		}
		if r.strictID && f.num == 1 {
			var id ID
			err = setTraceID(&id, body)
		} else if r.strictID && f.num == 2 {
			var id SpanID
			err = setSpanID(&id, body)
		}
		if err != nil {
			return err
		}
	}
	l.Attributes = r.linkAttrs[first:len(r.linkAttrs):len(r.linkAttrs)]
	return nil
}

// ReadSpan reads the content of one Span message. The span aliases b and the Reader's memory, and
// is valid until the Reader is used again. It returns ErrMalformed.
func (r *Reader) ReadSpan(b []byte) (*Span, error) {
	if err := r.readSpan(b); err != nil {
		return nil, err
	}
	return &r.span, nil
}

// ResourceAttributes appends the attributes of an argument of Visitor.Resource to dst. They alias
// resource. It returns ErrMalformed.
func ResourceAttributes(resource []byte, dst []Attribute) ([]Attribute, error) {
	return attributesOf(resource, 1, dst)
}

// ScopeContent is the parts of an argument of Visitor.Scope, which they alias.
type ScopeContent struct {
	Name, Version []byte
	Attributes    []Attribute
}

// ReadScope reads an argument of Visitor.Scope. The attributes are appended to dst. It returns
// ErrMalformed.
func ReadScope(scope []byte, dst []Attribute) (out ScopeContent, err error) {
	out.Attributes = dst
	for pos := 0; pos < len(scope); {
		f, msg := readField(scope, pos)
		if f.end < 0 {
			return out, newMalformed("scope", causeBytes)
		}
		pos = f.end
		if f.num != 1 || f.wire != wireLen {
			continue
		}
		for p := 0; p < len(msg); {
			g, body := readField(msg, p)
			if g.end < 0 {
				return out, newMalformed("scope", causeBytes)
			}
			p = g.end
			switch {
			case g.num == 1 && g.wire == wireLen:
				out.Name = body
			case g.num == 2 && g.wire == wireLen:
				out.Version = body
			}
		}
	}
	out.Attributes, err = attributesOf(scope, 3, dst)
	return out, err
}

// attributesOf appends the attributes of the message in field 1 of b to dst. attribute is their
// field number there.
func attributesOf(b []byte, attribute uint32, dst []Attribute) ([]Attribute, error) {
	for pos := 0; pos < len(b); {
		f, msg := readField(b, pos)
		if f.end < 0 {
			return dst, newMalformed("attributes", causeBytes)
		}
		pos = f.end
		if f.num != 1 || f.wire != wireLen {
			continue
		}
		for p := 0; p < len(msg); {
			g, body := readField(msg, p)
			if g.end < 0 {
				return dst, newMalformed("attributes", causeBytes)
			}
			p = g.end
			if g.num != attribute || g.wire != wireLen {
				continue
			}
			dst = append(dst, Attribute{})
			if err := readKeyValue(body, &dst[len(dst)-1], 1); err != nil {
				return dst, err
			}
		}
	}
	return dst, nil
}
