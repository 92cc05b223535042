package trace

import (
	"errors"
	"fmt"
)

// Errors about spans without ids. Their texts are the client's. Source: HTTP API §2.
var (
	ErrTraceID = errors.New("trace ids must be 128 bit, received 0 bits")
	ErrSpanID  = errors.New("span ids must be 64 bit and not all zero, received 0 bits")
)

// Splitter checks a request and cuts it into log records by partition. Spans are copied as sent,
// not encoded again, unless they must be changed; resources and scopes are written canonically in
// front of them. It keeps scratch memory between calls; not safe for concurrent use.
type Splitter struct {
	MaxRecordBytes int             // records are filled with so many bytes of spans, > 0; a single span may have more
	MaxSpanBytes   int             // a span above it is cut; 0: so that no record is above MaxRecordBytes
	MaxHeadBytes   int             // a resource above it is cut, and so is a scope; 0: a quarter of MaxRecordBytes
	Parts          int             // partitions of the log, ≥ 1
	Large          map[ID]struct{} // traces whose spans are refused; nil: none

	r        Reader
	tenant   string
	heads    []byte // canonical resources and scopes, one after another
	groups   []splitGroup
	spans    []splitSpan
	head     []int32 // by partition: its first and last span, -1 = none
	tail     []int32
	lastID   ID
	lastP    int32
	losses   Losses
	large    int // spans refused for their trace
	largeID  ID  // the last of these traces
	resource [2]int
	ordinal  int  // of the ResourceSpans that is read
	inGroup  bool // the ScopeSpans that is read has a group
	maxSpan  int
	maxHead  int

	pendingResource, pendingScope []byte // canonical, of the ScopeSpans that is read
}

// splitGroup is a ScopeSpans: ranges of Splitter.heads, and which ResourceSpans it is of.
type splitGroup struct {
	resource, scope [2]int
	of              int
}

type splitSpan struct {
	raw   []byte
	group int32
	next  int32 // of the same partition, -1 = last
}

// Split is a request cut into parts. Spans = those in Parts + Refused.
type Split struct {
	Parts []Part
	Spans int
	Losses
}

// Part is one log record: a TracesData message of at most Splitter.RecordBytes, newly allocated,
// all of one partition.
type Part struct {
	Partition int32
	Value     []byte
	Spans     int
}

// RecordBytes is the largest Part.Value that comes of what is configured.
func (s *Splitter) RecordBytes() int {
	s.setLimits()
	return max(s.MaxRecordBytes, s.maxSpan+2*s.maxHead+RecordTags)
}

// RecordTags is what the tags and lengths of a record of one span take at most.
const RecordTags = 32

func (s *Splitter) setLimits() {
	if s.maxHead = s.MaxHeadBytes; s.maxHead <= 0 {
		s.maxHead = s.MaxRecordBytes / 4
	}
	if s.maxSpan = s.MaxSpanBytes; s.maxSpan <= 0 {
		s.maxSpan = s.MaxRecordBytes - 2*s.maxHead - RecordTags
	}
}

// Split checks all of otlp and cuts it up. Parts come in the order of their partitions, spans
// within one in the order sent.
//
// What is wrong inside a span, resource or scope costs that one and what it holds; the rest is
// kept. Spans, resources and scopes that are too large are cut (TruncatedKey), and values that are
// nested too deep are folded. Losses tell of all that. It returns ErrMalformed if otlp itself is
// not a message, and the first cause if all spans are refused because they or their ids are wrong;
// then nothing of the request may be written.
//
// Memory is bounded by 8 × the request + 4 × MaxRecordBytes, beyond which spans are refused: a
// large resource is repeated in each record that needs it.
func (s *Splitter) Split(tenant string, otlp []byte) (Split, error) {
	if s.MaxRecordBytes <= 0 || s.Parts <= 0 {
		return Split{}, errors.New("split request: record size and partitions must be above 0")
	}
	s.setLimits()
	s.r.strictID, s.r.check = true, true
	s.tenant, s.lastID, s.lastP, s.large, s.losses, s.ordinal = tenant, ID{}, 0, 0, Losses{}, 0
	s.r.losses = &s.losses
	s.heads, s.groups, s.spans = s.heads[:0], s.groups[:0], s.spans[:0]
	s.head, s.tail = s.head[:0], s.tail[:0]
	for range s.Parts {
		s.head, s.tail = append(s.head, -1), append(s.tail, -1)
	}
	if err := s.r.Walk(otlp, (*splitVisitor)(s)); err != nil {
		return Split{}, err
	}
	if s.large > 0 {
		s.losses.refuse(TraceTooLarge, s.large, nil, fmt.Sprintf(
			"TRACE_TOO_LARGE: %d spans refused: their trace has more bytes than the tenant's max_bytes_per_trace "+
				"(the last such trace is %s)", s.large, s.largeID))
	}
	if len(s.spans) == 0 && s.r.first != nil && s.wrong() == s.losses.Refused {
		return Split{}, s.r.first
	}
	out := Split{Spans: len(s.spans) + s.losses.Refused}
	budget := 8*len(otlp) + 4*s.MaxRecordBytes
	for p, first := range s.head {
		for first >= 0 {
			size, count, until := s.measure(first)
			if budget -= size; budget < 0 {
				s.losses.refuse(RequestTooLarge, count, nil,
					"their resources, repeated for each record, make the request too large")
			} else {
				record := s.encode(make([]byte, 0, size), first, until)
				out.Parts = append(out.Parts, Part{Partition: int32(p), Value: record, Spans: count})
			}
			first = until
		}
	}
	s.losses.complete()
	out.Losses = s.losses
	return out, nil
}

// wrong counts the spans that were refused because they, or what they came under, are not what they
// should be.
func (s *Splitter) wrong() (n int) {
	for _, r := range s.losses.Reasons {
		if r.Code == InvalidID || r.Code == MalformedSpan {
			n += r.Spans
		}
	}
	return n
}

type splitVisitor Splitter

func (v *splitVisitor) Resource(resource []byte) error {
	resource, err := v.fit(resourceShape, resource, 1)
	if err != nil {
		return err
	}
	v.pendingResource, v.resource = resource, [2]int{-1, -1}
	v.ordinal++
	return nil
}

func (v *splitVisitor) Scope(scope []byte) error {
	scope, err := v.fit(scopeShape, scope, 2)
	if err != nil {
		return err
	}
	v.pendingScope, v.inGroup = scope, false
	return nil
}

// group returns the group of the span that was read. Resources and scopes are kept once they have a
// span: a few bytes can be a million without.
func (v *splitVisitor) group() int32 {
	if !v.inGroup {
		v.inGroup = true
		if v.resource[0] < 0 {
			v.resource = v.keep(v.pendingResource)
		}
		v.groups = append(v.groups, splitGroup{resource: v.resource, scope: v.keep(v.pendingScope), of: v.ordinal})
	}
	return int32(len(v.groups) - 1)
}

func (v *splitVisitor) keep(b []byte) [2]int {
	from := len(v.heads)
	v.heads = append(v.heads, b...)
	return [2]int{from, len(v.heads)}
}

// fit cuts a resource or scope that is too large. One that cannot be cut is refused with its spans.
func (v *splitVisitor) fit(m *shape, head []byte, levels int) ([]byte, error) {
	if len(head) <= v.maxHead {
		return head, nil
	}
	out, what, ok := cutHead(m, head, v.maxHead)
	if !ok {
		return nil, &malformed{SpanTooLarge, fmt.Sprintf(
			"a resource or scope of %d bytes is larger than %d bytes, also with its values cut", len(head), v.maxHead)}
	}
	v.losses.change(ValuesCut, 1, v.r.place(levels), fmt.Sprintf(
		"a resource or scope of %d bytes was cut to %d bytes (%s)", len(head), v.maxHead, what))
	return out, nil
}

func (v *splitVisitor) Span(s *Span) error {
	switch {
	case s.TraceID.IsZero():
		v.refuse(ErrTraceID)
		return nil
	case s.SpanID.IsZero():
		v.refuse(ErrSpanID)
		return nil
	}
	raw := v.r.raw
	if len(raw) > v.maxSpan || v.r.elements > maxElements {
		out, what, ok := cutMessage(spanShape, raw, min(v.maxSpan, len(raw)+markBytes))
		if !ok {
			v.losses.refuse(SpanTooLarge, 1, v.r.place(3), fmt.Sprintf(
				"a span of %d bytes is larger than %d bytes, also with its values cut", len(raw), v.maxSpan))
			return nil
		}
		v.losses.change(ValuesCut, 1, v.r.place(3), fmt.Sprintf(
			"a span of %d bytes was cut to %d bytes (%s)", len(raw), len(out), what))
		raw = out
	}
	if s.TraceID != v.lastID {
		v.lastID, v.lastP = s.TraceID, Partition(v.tenant, s.TraceID, v.Parts)
	}
	if _, large := v.Large[s.TraceID]; large {
		v.large++
		v.largeID = s.TraceID
		return nil
	}
	n := int32(len(v.spans))
	v.spans = append(v.spans, splitSpan{raw: raw, group: v.group(), next: -1})
	if t := v.tail[v.lastP]; t >= 0 {
		v.spans[t].next = n
	} else {
		v.head[v.lastP] = n
	}
	v.tail[v.lastP] = n
	return nil
}

// refuse refuses a span for its ids.
func (v *splitVisitor) refuse(err error) {
	if v.r.first == nil {
		v.r.first = err
	}
	v.losses.refuse(InvalidID, 1, v.r.place(3), err.Error())
}

// measure finds the longest run of a partition's spans, starting with first, that fits a record:
// its exact size, and the span after it.
func (s *Splitter) measure(first int32) (size, count int, until int32) {
	closed, resource, scope, last := 0, 0, 0, int32(-1) // bytes of closed ResourceSpans, and of the two open messages
	most := s.fill(&s.groups[s.spans[first].group])
	for i := first; i >= 0; i = s.spans[i].next {
		sp := &s.spans[i]
		g := &s.groups[sp.group]
		c, r, sc := closed, resource, scope
		if last >= 0 && sp.group != last {
			r, sc = r+sizeLen(sc), 0
		}
		if last >= 0 && g.of != s.groups[last].of {
			c, r = c+sizeLen(r), 0
		}
		if r == 0 {
			r = g.resource[1] - g.resource[0]
		}
		if sc == 0 {
			sc = g.scope[1] - g.scope[0]
		}
		sc += sizeLen(len(sp.raw))
		total := c + sizeLen(r+sizeLen(sc))
		if count > 0 && total > most {
			return size, count, i
		}
		closed, resource, scope, last, size = c, r, sc, sp.group, total
		count++
	}
	return size, count, -1
}

// fill is the size up to which a record is filled that begins with a group. The group's resource
// and scope do not count, so that a record of a large resource has room for spans.
func (s *Splitter) fill(g *splitGroup) int {
	head := g.resource[1] - g.resource[0] + g.scope[1] - g.scope[0]
	return min(s.MaxRecordBytes+head, s.RecordBytes())
}

// encode appends the record of the spans from first up to until. What it appends has the size that
// measure gave.
func (s *Splitter) encode(dst []byte, first, until int32) []byte {
	var resource, scope int
	last := int32(-1)
	for i := first; i != until; i = s.spans[i].next {
		sp := &s.spans[i]
		g := &s.groups[sp.group]
		newScope := sp.group != last
		newResource := last < 0 || g.of != s.groups[last].of
		if newScope && last >= 0 {
			dst = finish(dst, scope)
		}
		if newResource && last >= 0 {
			dst = finish(dst, resource)
		}
		if newResource {
			dst, resource = open(dst, 1<<3|wireLen)
			dst = append(dst, s.heads[g.resource[0]:g.resource[1]]...)
		}
		if newScope {
			dst, scope = open(dst, 2<<3|wireLen)
			dst = append(dst, s.heads[g.scope[0]:g.scope[1]]...)
		}
		dst = appendLen(dst, 2<<3|wireLen, sp.raw)
		last = sp.group
	}
	return finish(finish(dst, scope), resource)
}
