package live

import (
	"fmt"
	"maps"
	"math"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Append takes one record of the log: a TracesData message, and when it arrived, in unix ns. It
// returns how many spans the record held. Duplicates among them (same trace id, span id, times,
// content, under an equal resource and scope) are counted but not appended. A record is appended
// whole or not at all. Errors: ErrFull, ErrSealed, ErrOrder, trace.ErrMalformed. otlp may be reused
// afterwards.
func (s *Segment) Append(offset int64, arrivalUnixNano int64, otlp []byte) (spans int, err error) {
	switch {
	case s.sealed:
		return 0, ErrSealed
	case s.records.len() > 0 && offset < s.Next() || offset < 0 || offset == math.MaxInt64:
		return 0, fmt.Errorf("append record %d: %w", offset, ErrOrder)
	case s.records.len() >= maxRows || s.memory.arena.fullFor(4*len(otlp)):
		return 0, ErrFull
	}
	if s.scratch == nil {
		s.scratch = &Scratch{}
	}
	a := (*appender)(s)
	a.beginRecord()
	s.records.add(record{offset: offset, arrival: arrivalUnixNano, row: uint32(s.rowCount())}, &s.memory.bytes)
	if err := s.scratch.reader.Walk(otlp, a); err != nil {
		a.undoRecord()
		return 0, err
	}
	s.duplicates.found += int64(a.position.duplicates)
	return a.position.spans, nil
}

// appender is the Segment as the wire reader's visitor: Resource, Scope and Span are called in the
// order of the record.
type appender Segment

// position is where in a record the appender is, and what it needs to take the record back.
type position struct {
	run               run  // of the next row
	runOpen           bool // run has been added to the runs
	spans, duplicates int  // of the record so far
	before            recordMark
}

// recordMark is how long the arrays were before a record.
type recordMark struct {
	rows, runs, records, traces, events, links int
	group                                      uint32
}

func (s *appender) beginRecord() {
	group := s.position.run.group
	s.position = position{
		run: run{record: uint32(s.records.len()), group: group},
		before: recordMark{rows: s.rowCount(), runs: s.runs.len(), records: s.records.len(), traces: s.traces.len(),
			events: s.events.rowCount(), links: s.links.rowCount(), group: group},
	}
}

// undoRecord takes back what the record appended. Entries of dictionaries, resources, columns and
// hash tables stay: without rows nobody sees the former, and the latter are compared with the
// arrays by whoever finds them.
func (s *appender) undoRecord() {
	m := &s.position.before
	s.trace.truncate(m.rows)
	s.id.truncate(m.rows)
	s.parent.truncate(m.rows)
	s.start.truncate(m.rows)
	s.duration.truncate(m.rows)
	s.head.truncate(m.rows)
	s.name.truncate(m.rows)
	s.shape.truncate(m.rows)
	s.message.undoRows(m.rows)
	s.state.undoRows(m.rows)
	s.overflow.undoRows(m.rows)
	s.attributes.undoRows(m.rows)
	s.runs.truncate(m.runs)
	s.records.truncate(m.records)
	s.traces.truncate(m.traces)
	s.firstRow.truncate(m.traces)
	s.events.undoRows(m.events)
	s.links.undoRows(m.links)
	s.position.run.group = m.group
	s.traceNumbers.lastID = trace.ID{}
	maps.DeleteFunc(s.duplicates.hashed, func(row uint32, _ struct{}) bool { return int(row) >= m.rows })
}

// Resource implements trace.Visitor.
func (s *appender) Resource(resource []byte) (err error) {
	s.position.run.group++
	s.position.runOpen = false
	s.position.run.resource, err = s.resource.numberOf(&s.resources, &s.memory, resource, s.scratch)
	return err
}

// Scope implements trace.Visitor.
func (s *appender) Scope(scope []byte) (err error) {
	s.position.runOpen = false
	s.position.run.scope, err = s.scope.numberOf(&s.scopes, &s.memory, scope, s.scratch)
	return err
}

// Span implements trace.Visitor.
func (s *appender) Span(sp *trace.Span) error {
	row := s.rowCount()
	if row >= s.limits.MaxRows || s.events.rowCount()+len(sp.Events) > maxRows ||
		s.links.rowCount()+len(sp.Links) > maxRows {
		return ErrFull
	}
	s.position.spans++
	traceNumber := s.numberTrace(sp.TraceID, row)
	if s.isDuplicate(traceNumber, sp, row) {
		s.position.duplicates++
		return nil
	}
	m := &s.memory
	if !s.position.runOpen {
		s.position.run.row = uint32(row)
		s.runs.add(s.position.run, &m.bytes)
		s.position.runOpen = true
	}
	s.trace.add(traceNumber, &m.bytes)
	s.id.add(sp.SpanID, &m.bytes)
	s.parent.add(sp.ParentID, &m.bytes)
	s.start.add(int64(sp.StartUnixNano), &m.bytes)
	if row == 0 {
		s.earliest = sp.StartUnixNano
	}
	s.earliest, s.latest = min(s.earliest, sp.StartUnixNano), max(s.latest, sp.StartUnixNano)
	s.duration.add(int64(sp.EndUnixNano-sp.StartUnixNano), &m.bytes)
	s.head.add(s.numberHead(sp), &m.bytes)
	s.nameText.addString(&s.name, m, sp.Name)
	if len(sp.StatusMessage) > 0 {
		s.message.addText(row, m, sp.StatusMessage)
	}
	if len(sp.TraceState) > 0 {
		s.state.addText(row, m, sp.TraceState)
	}
	x := s.scratch
	s.attributes.addRow(row, sp.Attributes, m, x)
	s.shapeText.addString(&s.shape, m, x.shape)
	if len(x.overflow) > 0 {
		s.overflow.addText(row, m, x.overflow)
	}
	for i := range sp.Events {
		s.events.addEvent(row, sp.StartUnixNano, &sp.Events[i], m, x)
	}
	for i := range sp.Links {
		s.links.addLink(row, &sp.Links[i], m, x)
	}
	return nil
}

// traceNumbers finds the number of a trace. Spans of one trace often come one after another.
type traceNumbers struct {
	index  hashIndex // numbers of traces, by id
	last   uint32    // the number that was found last,
	lastID trace.ID  // and its trace; zero: none
}

// numberTrace returns the number of a trace. A new one gets the next number, and row as its first.
func (s *appender) numberTrace(id trace.ID, row int) uint32 {
	t := &s.traceNumbers
	if t.lastID == id && !id.IsZero() {
		return t.last
	}
	h := s.memory.hash.hashBytes(id[:])
	found := false
	var n uint32
	for i, at := t.index.findNext(h, 0); at != 0; i, at = t.index.findNext(h, at) {
		if int(i) < s.traces.len() && s.traces.at(int(i)) == id {
			n, found = i, true
			break
		}
	}
	if !found {
		n = uint32(s.traces.len())
		s.traces.add(id, &s.memory.bytes)
		s.firstRow.add(uint32(row), &s.memory.bytes)
		t.index.addNumber(h, n, &s.memory.bytes)
	}
	t.last, t.lastID = n, id
	return n
}

// headOf returns the head of a span.
func headOf(sp *trace.Span) head {
	return head{
		kind:              sp.Kind,
		status:            sp.Status,
		flags:             sp.Flags,
		droppedAttributes: sp.DroppedAttributes,
		droppedEvents:     sp.DroppedEvents,
		droppedLinks:      sp.DroppedLinks,
		hasStatus:         sp.HasStatus,
		hasParent:         sp.HasParent,
	}
}

// numberHead returns the number of a span's head, a new one if need be.
func (s *appender) numberHead(sp *trace.Span) uint32 {
	h := headOf(sp)
	if n := len(s.head.tail); n > 0 && s.heads[s.head.tail[n-1]] == h {
		return s.head.tail[n-1]
	}
	bits := uint64(uint32(h.kind))<<34 ^ uint64(uint32(h.status))<<2
	if h.hasStatus {
		bits |= 1
	}
	if h.hasParent {
		bits |= 2
	}
	hash := s.memory.hash.hashPair(bits, uint64(h.flags)<<32|uint64(h.droppedAttributes))
	if h.droppedEvents != 0 || h.droppedLinks != 0 {
		hash = s.memory.hash.hashPair(hash, uint64(h.droppedEvents)<<32|uint64(h.droppedLinks))
	}
	for i, at := s.headIndex.findNext(hash, 0); at != 0; i, at = s.headIndex.findNext(hash, at) {
		if s.heads[i] == h {
			return i
		}
	}
	n := uint32(len(s.heads))
	before := cap(s.heads)
	s.heads = append(s.heads, h)
	s.memory.bytes += int64(cap(s.heads)-before) * int64(unsafe.Sizeof(h))
	s.headIndex.addNumber(hash, n, &s.memory.bytes)
	return n
}
