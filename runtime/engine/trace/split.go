package trace

import (
	"errors"
	"fmt"
)

// Errors that refuse a whole request. Their texts are the client's. Source: HTTP API §2.
var (
	ErrTraceID = errors.New("trace ids must be 128 bit, received 0 bits")
	ErrSpanID  = errors.New("span ids must be 64 bit and not all zero, received 0 bits")
)

// Splitter checks a request and cuts it into log records by partition. Spans are copied as sent, not encoded again; resources and
// scopes are written canonically in front of them. It keeps scratch memory between calls; not safe for concurrent use.
type Splitter struct {
	MaxRecordBytes int             // the largest Part.Value, > 0
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
	idErr    error
	refused  int
	largest  int
	large    int // spans refused for their trace
	largeID  ID  // the last of these traces
	resource [2]int
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

// Part is one log record: a TracesData message of at most MaxRecordBytes, newly allocated, all of one partition.
type Part struct {
	Partition int32
	Value     []byte
	Spans     int
}

// Split checks all of otlp and cuts it up. Parts come in the order of their partitions, spans within one in the order sent.
// A span that does not fit a record is refused, the rest is kept. It returns ErrMalformed (also for ids of a wrong length), ErrTraceID
// or ErrSpanID; then nothing of the request may be written. The content of a span above MaxRecordBytes is not checked.
// Memory is bounded by 8 × the request + 4 × MaxRecordBytes, beyond which spans are refused: a large resource is repeated
// in each record that needs it.
func (s *Splitter) Split(tenant string, otlp []byte) (Split, error) {
	if s.MaxRecordBytes <= 0 || s.Parts <= 0 {
		return Split{}, errors.New("split request: record size and partitions must be above 0")
	}
	s.r.maxSpan, s.r.strictID, s.r.check = s.MaxRecordBytes, true, true
	s.tenant, s.lastID, s.lastP, s.idErr, s.refused, s.largest, s.large = tenant, ID{}, 0, nil, 0, 0, 0
	s.heads, s.groups, s.spans = s.heads[:0], s.groups[:0], s.spans[:0]
	s.head, s.tail = s.head[:0], s.tail[:0]
	for range s.Parts {
		s.head, s.tail = append(s.head, -1), append(s.tail, -1)
	}
	if err := s.r.Walk(otlp, (*splitVisitor)(s)); err != nil {
		return Split{}, err
	}
	if s.idErr != nil {
		return Split{}, s.idErr
	}
	out := Split{Spans: len(s.spans) + s.refused + s.large}
	budget, over := 8*len(otlp)+4*s.MaxRecordBytes, 0
	for p, first := range s.head {
		for first >= 0 {
			if s.alone(first) > s.MaxRecordBytes {
				s.refused++
				s.largest = max(s.largest, len(s.spans[first].raw))
				first = s.spans[first].next
				continue
			}
			size, count, until := s.measure(first)
			if budget -= size; budget < 0 {
				over += count
			} else {
				out.Parts = append(out.Parts, Part{Partition: int32(p), Value: s.encode(make([]byte, 0, size), first, until), Spans: count})
			}
			first = until
		}
	}
	if s.refused > 0 {
		out.Reasons = append(out.Reasons, Reason{Code: SpanTooLarge, Spans: s.refused, Text: fmt.Sprintf(
			"%d spans refused: with its resource a span is larger than the record size of %d bytes (the largest has %d bytes)",
			s.refused, s.MaxRecordBytes, s.largest)})
	}
	if over > 0 {
		out.Reasons = append(out.Reasons, Reason{Code: RequestTooLarge, Spans: over, Text: fmt.Sprintf(
			"%d spans refused: their resources, repeated for each record, make the request too large", over)})
	}
	if s.large > 0 {
		out.Reasons = append(out.Reasons, Reason{Code: TraceTooLarge, Spans: s.large, Text: fmt.Sprintf(
			"TRACE_TOO_LARGE: %d spans refused: their trace has more bytes than the tenant's max_bytes_per_trace (the last such trace is %s)", s.large, s.largeID)})
	}
	out.Refused = s.refused + over + s.large
	return out, nil
}

type splitVisitor Splitter

func (v *splitVisitor) Resource(resource []byte) error {
	v.resource = v.keep(resource)
	v.groups = append(v.groups, splitGroup{}) // a mark, so that ResourceSpans of equal content stay apart
	return nil
}

func (v *splitVisitor) Scope(scope []byte) error {
	of := len(v.groups)
	if last := v.groups[len(v.groups)-1]; last.scope[1] > 0 {
		of = last.of
	}
	v.groups = append(v.groups, splitGroup{resource: v.resource, scope: v.keep(scope), of: of})
	return nil
}

func (v *splitVisitor) keep(b []byte) [2]int {
	from := len(v.heads)
	v.heads = append(v.heads, b...)
	return [2]int{from, len(v.heads)}
}

func (v *splitVisitor) Span(s *Span) error {
	if v.r.unread {
		v.refused++
		v.largest = max(v.largest, len(v.r.raw))
		return nil
	}
	switch {
	case v.idErr != nil: // decoding errors of later spans come first
		return nil
	case s.TraceID.IsZero():
		v.idErr = ErrTraceID
		return nil
	case s.SpanID.IsZero():
		v.idErr = ErrSpanID
		return nil
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
	v.spans = append(v.spans, splitSpan{raw: v.r.raw, group: int32(len(v.groups) - 1), next: -1})
	if t := v.tail[v.lastP]; t >= 0 {
		v.spans[t].next = n
	} else {
		v.head[v.lastP] = n
	}
	v.tail[v.lastP] = n
	return nil
}

// alone is the size of a record of this span only.
func (s *Splitter) alone(i int32) int {
	g := &s.groups[s.spans[i].group]
	scope := g.scope[1] - g.scope[0] + sizeLen(len(s.spans[i].raw))
	return sizeLen(g.resource[1] - g.resource[0] + sizeLen(scope))
}

// measure finds the longest run of a partition's spans, starting with first, that fits a record: its exact size, and the span
// after it.
func (s *Splitter) measure(first int32) (size, count int, until int32) {
	closed, resource, scope, last := 0, 0, 0, int32(-1) // bytes of closed ResourceSpans, and of the two open messages
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
		if count > 0 && total > s.MaxRecordBytes {
			return size, count, i
		}
		closed, resource, scope, last, size = c, r, sc, sp.group, total
		count++
	}
	return size, count, -1
}

// encode appends the record of the spans from first up to until. What it appends has the size that measure gave.
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
