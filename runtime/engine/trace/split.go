package trace

import (
	"errors"
	"fmt"
)

// Errors about spans without ids. Their texts are the client's. Source: docs/spec/api.md,
// "Pushing spans".
var (
	ErrTraceID = errors.New("trace ids must be 128 bit, received 0 bits")
	ErrSpanID  = errors.New("span ids must be 64 bit and not all zero, received 0 bits")
)

// Splitter checks a request and cuts it into log records by partition. Spans are copied as they
// were sent, unless they must be changed; resources and scopes are written canonically in front of
// them. It keeps scratch memory between calls and is not safe for concurrent use.
type Splitter struct {
	MaxRecordBytes int             // of the spans of a record, > 0; a single span may have more
	MaxSpanBytes   int             // a larger span is cut; 0: so that no record is above MaxRecordBytes
	MaxHeadBytes   int             // a larger resource or scope is cut; 0: a quarter of MaxRecordBytes
	Parts          int             // partitions of the log, ≥ 1
	Large          map[ID]struct{} // traces whose spans are refused; nil: none

	r      Reader
	limits splitLimits
	tenant string
	splitContent
	splitPosition
	losses Losses
	large  largeTraces
}

// splitLimits are the bounds of a Splitter with the defaults filled in, in bytes.
type splitLimits struct{ span, head int }

// splitContent is what was kept of the request that is being split.
type splitContent struct {
	heads  []byte       // canonical resources and scopes, one after another
	groups []splitGroup // of the spans, in the order of the request
	spans  []splitSpan
	parts  []spanList // by partition
}

// spanList is the spans of one partition, which are linked by splitSpan.next; -1: none.
type spanList struct{ first, last int32 }

// splitGroup is a ScopeSpans that has spans: ranges of splitContent.heads, and the number of its
// ResourceSpans.
type splitGroup struct {
	resource, scope [2]int
	resourceSpans   int
}

type splitSpan struct {
	raw   []byte
	group int32
	next  int32 // the next span of the same partition; -1: this is the last
}

// splitPosition is where the walk over the request is.
type splitPosition struct {
	resourceSpans   int    // the number of the ResourceSpans, from 1
	pendingResource []byte // its canonical resource
	resource        [2]int // its range of heads; -1: it is not kept yet
	pendingScope    []byte // the canonical scope of the ScopeSpans
	inGroup         bool   // the ScopeSpans has a group
	lastID          ID     // of the span before
	lastPartition   int32  // and its partition
}

// largeTraces counts the spans that are refused because their trace is in Splitter.Large.
type largeTraces struct {
	spans int
	last  ID // the trace of the last of them
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
	return max(s.MaxRecordBytes, s.limits.span+2*s.limits.head+RecordTags)
}

// RecordTags is what the tags and lengths of a record of one span take at most.
const RecordTags = 32

func (s *Splitter) setLimits() {
	l := &s.limits
	if l.head = s.MaxHeadBytes; l.head <= 0 {
		l.head = s.MaxRecordBytes / 4
	}
	if l.span = s.MaxSpanBytes; l.span <= 0 {
		l.span = s.MaxRecordBytes - 2*l.head - RecordTags
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
	s.r.strictID, s.r.checkOnly = true, true
	s.tenant, s.losses, s.large = tenant, Losses{}, largeTraces{}
	s.r.losses = &s.losses
	s.splitPosition = splitPosition{}
	s.heads, s.groups, s.spans = s.heads[:0], s.groups[:0], s.spans[:0]
	s.parts = s.parts[:0]
	for range s.Parts {
		s.parts = append(s.parts, spanList{-1, -1})
	}
	if err := s.r.Walk(otlp, (*splitVisitor)(s)); err != nil {
		return Split{}, err
	}
	if s.large.spans > 0 {
		s.losses.addRefused(TraceTooLarge, s.large.spans, nil, fmt.Sprintf(
			"TRACE_TOO_LARGE: %d spans refused: their trace has more bytes than the tenant's max_bytes_per_trace "+
				"(the last such trace is %s)", s.large.spans, s.large.last))
	}
	if len(s.spans) == 0 && s.r.firstError != nil && s.countInvalid() == s.losses.Refused {
		return Split{}, s.r.firstError
	}
	out := Split{Spans: len(s.spans) + s.losses.Refused}
	budget := 8*len(otlp) + 4*s.MaxRecordBytes
	for p, list := range s.parts {
		for first := list.first; first >= 0; {
			m := s.measureRecord(first)
			if budget -= m.size; budget < 0 {
				s.losses.addRefused(RequestTooLarge, m.spans, nil,
					"their resources, repeated for each record, make the request too large")
			} else {
				record := s.encodeRecord(make([]byte, 0, m.size), first, m.until)
				out.Parts = append(out.Parts, Part{Partition: int32(p), Value: record, Spans: m.spans})
			}
			first = m.until
		}
	}
	s.losses.writeCounts()
	out.Losses = s.losses
	return out, nil
}

// countInvalid counts the spans that were refused because they, or what they came under, are not
// what they should be.
func (s *Splitter) countInvalid() (n int) {
	for _, r := range s.losses.Reasons {
		if r.Code == InvalidID || r.Code == MalformedSpan {
			n += r.Spans
		}
	}
	return n
}

type splitVisitor Splitter

func (v *splitVisitor) Resource(resource []byte) error {
	resource, err := v.fitHead(resourceLayout, resource, 1)
	if err != nil {
		return err
	}
	v.pendingResource, v.resource = resource, [2]int{-1, -1}
	v.resourceSpans++
	return nil
}

func (v *splitVisitor) Scope(scope []byte) error {
	scope, err := v.fitHead(scopeLayout, scope, 2)
	if err != nil {
		return err
	}
	v.pendingScope, v.inGroup = scope, false
	return nil
}

// groupOfSpan returns the group of the span that was read. Resources and scopes are kept once they
// have a span: a few bytes can be a million without.
func (v *splitVisitor) groupOfSpan() int32 {
	if !v.inGroup {
		v.inGroup = true
		if v.resource[0] < 0 {
			v.resource = v.keepHead(v.pendingResource)
		}
		v.groups = append(v.groups, splitGroup{
			resource:      v.resource,
			scope:         v.keepHead(v.pendingScope),
			resourceSpans: v.resourceSpans,
		})
	}
	return int32(len(v.groups) - 1)
}

func (v *splitVisitor) keepHead(b []byte) [2]int {
	from := len(v.heads)
	v.heads = append(v.heads, b...)
	return [2]int{from, len(v.heads)}
}

// fitHead cuts a resource or scope that is too large. One that cannot be cut is refused with its
// spans.
func (v *splitVisitor) fitHead(m *layout, head []byte, levels int) ([]byte, error) {
	if len(head) <= v.limits.head {
		return head, nil
	}
	out, what, ok := cutHead(m, head, v.limits.head)
	if !ok {
		return nil, &malformedError{SpanTooLarge, fmt.Sprintf(
			"a resource or scope of %d bytes is larger than %d bytes, also with its values cut",
			len(head), v.limits.head)}
	}
	v.losses.addChanged(ValuesCut, 1, v.r.placeAt(levels), fmt.Sprintf(
		"a resource or scope of %d bytes was cut to %d bytes (%s)", len(head), v.limits.head, what))
	return out, nil
}

func (v *splitVisitor) Span(s *Span) error {
	switch {
	case s.TraceID.IsZero():
		v.refuseSpan(ErrTraceID)
		return nil
	case s.SpanID.IsZero():
		v.refuseSpan(ErrSpanID)
		return nil
	}
	raw := v.r.raw
	if len(raw) > v.limits.span || v.r.elements > maxElements {
		out, what, ok := cutMessage(spanLayout, raw, min(v.limits.span, len(raw)+markBytes))
		if !ok {
			v.losses.addRefused(SpanTooLarge, 1, v.r.placeAt(3), fmt.Sprintf(
				"a span of %d bytes is larger than %d bytes, also with its values cut", len(raw), v.limits.span))
			return nil
		}
		v.losses.addChanged(ValuesCut, 1, v.r.placeAt(3), fmt.Sprintf(
			"a span of %d bytes was cut to %d bytes (%s)", len(raw), len(out), what))
		raw = out
	}
	if s.TraceID != v.lastID {
		v.lastID, v.lastPartition = s.TraceID, Partition(v.tenant, s.TraceID, v.Parts)
	}
	if _, large := v.Large[s.TraceID]; large {
		v.large.spans++
		v.large.last = s.TraceID
		return nil
	}
	n := int32(len(v.spans))
	v.spans = append(v.spans, splitSpan{raw: raw, group: v.groupOfSpan(), next: -1})
	list := &v.parts[v.lastPartition]
	if list.last >= 0 {
		v.spans[list.last].next = n
	} else {
		list.first = n
	}
	list.last = n
	return nil
}

// refuseSpan refuses a span for its ids.
func (v *splitVisitor) refuseSpan(err error) {
	if v.r.firstError == nil {
		v.r.firstError = err
	}
	v.losses.addRefused(InvalidID, 1, v.r.placeAt(3), err.Error())
}

// measuredRecord is a run of a partition's spans that fits a record.
type measuredRecord struct {
	size  int   // of the record, in bytes, exactly
	spans int   // in it
	until int32 // the span after it; -1: there is none
}

// openSizes are the sizes of a record's parts while spans are added to it, in bytes without tags
// and lengths.
type openSizes struct {
	closed   int // ResourceSpans that are complete, with tags and lengths
	resource int // the open ResourceSpans without its open ScopeSpans
	scope    int // the open ScopeSpans
}

func (o openSizes) total() int { return o.closed + sizeLen(o.resource+sizeLen(o.scope)) }

// measureRecord finds the longest run of a partition's spans, starting with first, that fits a
// record.
func (s *Splitter) measureRecord(first int32) measuredRecord {
	var m measuredRecord
	var open openSizes
	last := int32(-1) // the group of the span before
	most := s.fillLimit(&s.groups[s.spans[first].group])
	for i := first; i >= 0; i = s.spans[i].next {
		sp := &s.spans[i]
		g := &s.groups[sp.group]
		with := open // the record with this span
		if last >= 0 && sp.group != last {
			with.resource += sizeLen(with.scope)
			with.scope = 0
		}
		if last >= 0 && g.resourceSpans != s.groups[last].resourceSpans {
			with.closed += sizeLen(with.resource)
			with.resource = 0
		}
		if with.resource == 0 {
			with.resource = g.resource[1] - g.resource[0]
		}
		if with.scope == 0 {
			with.scope = g.scope[1] - g.scope[0]
		}
		with.scope += sizeLen(len(sp.raw))
		total := with.total()
		if m.spans > 0 && total > most {
			m.until = i
			return m
		}
		open, last, m.size = with, sp.group, total
		m.spans++
	}
	m.until = -1
	return m
}

// fillLimit is the size up to which a record is filled that begins with a group. The group's
// resource and scope do not count, so that a record of a large resource has room for spans.
func (s *Splitter) fillLimit(g *splitGroup) int {
	head := g.resource[1] - g.resource[0] + g.scope[1] - g.scope[0]
	return min(s.MaxRecordBytes+head, s.RecordBytes())
}

// encodeRecord appends the record of the spans from first up to until. What it appends has the size
// that measure gave.
func (s *Splitter) encodeRecord(dst []byte, first, until int32) []byte {
	var resource, scope int
	last := int32(-1)
	for i := first; i != until; i = s.spans[i].next {
		sp := &s.spans[i]
		g := &s.groups[sp.group]
		newScope := sp.group != last
		newResource := last < 0 || g.resourceSpans != s.groups[last].resourceSpans
		if newScope && last >= 0 {
			dst = closeMessage(dst, scope)
		}
		if newResource && last >= 0 {
			dst = closeMessage(dst, resource)
		}
		if newResource {
			dst, resource = openMessage(dst, 1<<3|wireLen)
			dst = append(dst, s.heads[g.resource[0]:g.resource[1]]...)
		}
		if newScope {
			dst, scope = openMessage(dst, 2<<3|wireLen)
			dst = append(dst, s.heads[g.scope[0]:g.scope[1]]...)
		}
		dst = appendLen(dst, 2<<3|wireLen, sp.raw)
		last = sp.group
	}
	return closeMessage(closeMessage(dst, scope), resource)
}
