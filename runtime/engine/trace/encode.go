package trace

// Encoder is a Visitor that writes what it visits as a canonical TracesData message. Call Bytes
// once, at the end. The zero Encoder is ready; Change, if set, may alter each
// span before it is written.
type Encoder struct {
	Change func(s *Span)

	dst             []byte
	resource, scope int    // marks of the open messages, 0 = none
	resourceTail    []byte // schema_url, which comes behind the scopes
	scopeTail       []byte
}

// Resource implements Visitor.
func (e *Encoder) Resource(resource []byte) error {
	e.closeResource()
	e.dst, e.resource = openMessage(e.dst, 1<<3|wireLen)
	head, tail := cutFirst(resource)
	e.dst = append(e.dst, head...)
	e.resourceTail = append(e.resourceTail[:0], tail...)
	return nil
}

// Scope implements Visitor.
func (e *Encoder) Scope(scope []byte) error {
	e.closeScope()
	e.dst, e.scope = openMessage(e.dst, 2<<3|wireLen)
	head, tail := cutFirst(scope)
	e.dst = append(e.dst, head...)
	e.scopeTail = append(e.scopeTail[:0], tail...)
	return nil
}

// Span implements Visitor.
func (e *Encoder) Span(s *Span) error {
	if e.Change != nil {
		e.Change(s)
	}
	var mark int
	e.dst, mark = openMessage(e.dst, 2<<3|wireLen)
	e.dst = closeMessage(AppendSpan(e.dst, s), mark)
	return nil
}

// NewEncoder returns an Encoder that appends to dst.
func NewEncoder(dst []byte) *Encoder { return &Encoder{dst: dst} }

// AppendEncoded appends a span that is canonical already.
func (e *Encoder) AppendEncoded(span []byte) { e.dst = appendLen(e.dst, 2<<3|wireLen, span) }

// Bytes ends the message and returns it; the caller owns it.
func (e *Encoder) Bytes() []byte {
	e.closeResource()
	return e.dst
}

func (e *Encoder) closeScope() {
	if e.scope > 0 {
		e.dst = closeMessage(append(e.dst, e.scopeTail...), e.scope)
		e.scope = 0
	}
}

func (e *Encoder) closeResource() {
	e.closeScope()
	if e.resource > 0 {
		e.dst = closeMessage(append(e.dst, e.resourceTail...), e.resource)
		e.resource = 0
	}
}

// cutFirst splits canonical content behind its first field.
func cutFirst(b []byte) (first, rest []byte) {
	if len(b) == 0 {
		return nil, nil
	}
	if f, _ := readField(b, 0); f.end > 0 {
		return b[:f.end], b[f.end:]
	}
	return nil, nil
}
