package live

import (
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// duplicateIndex finds the rows that may be the same span as one that arrives.
//
// Nearly every span is found, or found missing, by its ids. Spans with the same ids but other
// content are rare, unless a sender gives all its spans one id; then a search by ids would compare
// each new span with all before. So only the first row with some ids is in byID, and the others are
// found by content. Once the first row has been compared in full, which may be costly if it is
// large, it is found by content, too.
type duplicateIndex struct {
	byID      hashIndex           // by trace and span id: the first row that has them
	byContent hashIndex           // by content, resource and scope: further rows with the same ids, and those of hashed
	hashed    map[uint32]struct{} // rows of byID that byContent has, too
	found     int64               // duplicates, in all
}

// hashedRowBytes is about the memory of an entry of hashed.
const hashedRowBytes = 12

// isDuplicate reports whether the segment has the span already. If not, it enters the span as row
// into the index.
func (s *appender) isDuplicate(traceNumber uint32, sp *trace.Span, row int) bool {
	d := &s.duplicates
	h := s.memory.hash.hashPair(uint64(traceNumber), *(*uint64)(unsafe.Pointer(&sp.SpanID)))
	found := false
	for i, at := d.byID.findNext(h, 0); at != 0; i, at = d.byID.findNext(h, at) {
		if int(i) >= row || s.trace.at(int(i)) != traceNumber || s.id.at(int(i)) != sp.SpanID {
			continue
		}
		found = true
		if _, ok := d.hashed[i]; ok || !s.hasFixedFieldsOf(int(i), sp) {
			continue
		}
		if s.hasContentOf(int(i), sp) {
			return true
		}
		if d.hashed == nil {
			d.hashed = map[uint32]struct{}{}
		}
		d.hashed[i] = struct{}{}
		s.memory.bytes += hashedRowBytes
		d.byContent.addNumber(s.hashContent(s.scratch.old), i, &s.memory.bytes)
	}
	if !found {
		d.byID.addNumber(h, uint32(row), &s.memory.bytes)
		return false
	}
	s.scratch.span = trace.AppendSpan(s.scratch.span[:0], sp)
	h = s.hashContent(s.scratch.span)
	for i, at := d.byContent.findNext(h, 0); at != 0; i, at = d.byContent.findNext(h, at) {
		if int(i) < row && s.trace.at(int(i)) == traceNumber && s.id.at(int(i)) == sp.SpanID &&
			s.hasFixedFieldsOf(int(i), sp) && s.hasContentOf(int(i), sp) {
			return true
		}
	}
	d.byContent.addNumber(h, uint32(row), &s.memory.bytes)
	return false
}

// hashContent hashes a span that came under the present resource and scope.
func (s *appender) hashContent(span []byte) uint64 {
	in := &s.position.run
	return s.memory.hash.hashPair(s.memory.hash.hashBytes(span), uint64(in.resource)<<32|uint64(in.scope))
}

// hasFixedFieldsOf reports whether a row has the times, the head, the resource and the scope of sp,
// which are cheap to compare. The row has the ids of sp.
func (s *appender) hasFixedFieldsOf(row int, sp *trace.Span) bool {
	if s.start.at(row) != int64(sp.StartUnixNano) || s.duration.at(row) != int64(sp.EndUnixNano-sp.StartUnixNano) {
		return false
	}
	if s.heads[s.head.at(row)] != headOf(sp) {
		return false
	}
	r := runOf(&s.runs, row)
	return r.resource == s.position.run.resource && r.scope == s.position.run.scope
}

// hasContentOf reports whether a row has the canonical content of sp. It leaves the row's content
// in the scratch's old.
func (s *appender) hasContentOf(row int, sp *trace.Span) bool {
	d := rowReader{
		arrays:   &s.arrays,
		message:  s.message.sparseColumn,
		state:    s.state.sparseColumn,
		overflow: s.overflow.sparseColumn,
		columnAt: s.attributes.columnAt,
		keys:     s.attributes.keys,
		events:   s.events.writerView(),
		links:    s.links.writerView(),
	}
	x := s.scratch
	d.readSpan(row, &x.fragment)
	x.old = trace.AppendSpan(x.old[:0], &x.fragment)
	x.span = trace.AppendSpan(x.span[:0], sp)
	return string(x.old) == string(x.span)
}
