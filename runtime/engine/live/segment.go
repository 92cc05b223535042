// Package live keeps the newest spans of one tenant in one partition in memory, columnar,
// searchable as they come.
//
// A Segment takes records of the log in order and appends their spans, in order of arrival, to the
// columns of a column.Table. It is written by one goroutine. Readers get a Snapshot: views of
// append-only arrays by length, never a hash table and never a word that is still being filled, so
// they neither wait for the writer nor race with it.
//
// Sparse columns hold the rows that have a value; bitmaps are made when a page is read. What a span
// was sent under (resource, scope, group, record) is stored once for a run of rows; resource and
// scope attributes once for each distinct resource and scope, and read through the runs.
package live

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Limits bound a Segment.
type Limits struct {
	MaxColumns   int // attribute columns of each scope; more attributes go to Overflow. 0: 4096
	FirstColumns int // of those, how many each scope may have before it has rows; each row adds one. 0: 64
	MaxRows      int // spans; 0: 1<<24
	// secret of the hash tables, so that senders cannot make keys collide; any value will do for
	// trusted input
	Seed    uint64
	Scratch *Scratch // memory that appending uses between calls; nil: of its own
}

// Scratch is what decoding a record takes, which may be many times what it leaves in a segment. The
// segments that one goroutine appends to may share one.
type Scratch struct {
	reader      trace.Reader
	shape, over []byte
	span, old   []byte
	fragment    trace.Span
	list        []trace.Attribute // of a resource
	value       []byte
}

// ErrFull: the record does not fit in the segment; it fits in a new one, unless that is empty.
// Nothing was appended.
var ErrFull = errors.New("segment is full")

// ErrSealed: the segment takes no more records.
var ErrSealed = errors.New("segment is sealed")

// ErrOrder: the record's offset is not above those before it.
var ErrOrder = errors.New("record out of order")

// maxRows is the largest number of rows and of child rows: row numbers are 32 bits, and a table's
// entry needs one value for none.
const maxRows = math.MaxUint32 - 1

// head holds the small numbers of a span, which few spans have differently.
type head struct {
	kind, status                                          int32
	flags, droppedAttributes, droppedEvents, droppedLinks uint32
	hasStatus, hasParent                                  bool
}

// run is a sequence of rows that came in one record under one ResourceSpans and ScopeSpans, from
// row up to the next run's row.
type run struct{ row, resource, scope, group, record uint32 }

// record is a record of the log: its rows go from row up to the next record's row.
type record struct {
	offset, arrival int64 // arrival in unix ns
	row             uint32
}

// base are the arrays of a Segment that are not attribute columns. Its copy is a view.
type base struct {
	arena arena

	trace    vec[uint32]
	id       vec[trace.SpanID]
	parent   vec[trace.SpanID]
	start    vec[int64]
	duration vec[int64]
	heads    []head
	head     vec[uint32]
	name     strs
	shape    strs // empty string: no attributes

	runs    vec[run]
	records vec[record]

	traces   vec[trace.ID]
	firstRow vec[uint32] // of each trace; ascending

	resources, scopes []string // canonical contents

	earliest, latest uint64 // start of a span, of all that were ever appended
}

func (b *base) rows() int { return b.trace.len() }

// Segment holds the spans of a range of records. One goroutine appends and takes snapshots.
type Segment struct {
	limits Limits
	mem    memory
	base
	scratch *Scratch

	nameText, shapeText text
	headIndex           index
	traceIndex          index               // ids
	spanIndex           index               // (trace, span id): the first row with it
	contentIndex        index               // rows whose ids an earlier row has too, and those of byContent, by content
	byContent           map[uint32]struct{} // rows of spanIndex that contentIndex has too

	message, state, overflow sparseWriter
	attrs                    attrs

	resource, scope content
	events, links   child

	sealed     bool
	duplicates int64

	// The place in the record being appended.
	now         run
	open        bool // a run for now is in runs
	lastTrace   uint32
	lastTraceID trace.ID
	keys        []column.Key // sorted, for keyColumns columns; and of the child tables
	eventKeys   []column.Key
	linkKeys    []column.Key
	keyColumns  int
	names       names
}

// New returns an empty Segment. It costs little: a query's scratch segments are made by it too.
func New(limits Limits) *Segment {
	if limits.MaxColumns <= 0 {
		limits.MaxColumns = 4096
	}
	if limits.MaxRows <= 0 {
		limits.MaxRows = 1 << 24
	}
	limits.MaxRows = min(limits.MaxRows, maxRows)
	if limits.FirstColumns <= 0 {
		limits.FirstColumns = firstColumns
	}
	s := &Segment{limits: limits, message: rareSparse(column.String), state: rareSparse(column.String), overflow: rareSparse(column.Bytes)}
	s.scratch = limits.Scratch
	s.mem.hash = newHasher(limits.Seed)
	s.mem.arena = &s.arena
	s.overflow.text.noDict = true
	s.attrs = newAttrs(column.Span, limits)
	s.resource.init(column.Resource, limits)
	s.scope.init(column.Instrumentation, limits)
	s.events.init(column.Event, limits)
	s.links.init(column.Link, limits)
	return s
}

// Append takes one record of the log: a TracesData message and when it arrived, in unix ns. It
// returns how many spans it held, with duplicates (same trace id, span id, kind and content, under
// an equal resource and scope), which are not appended but counted. It is all or nothing. Errors:
// ErrFull, ErrSealed, ErrOrder, trace.ErrMalformed. otlp may be reused afterwards.
func (s *Segment) Append(offset int64, arrivalUnixNano int64, otlp []byte) (spans int, err error) {
	switch {
	case s.sealed:
		return 0, ErrSealed
	case s.records.len() > 0 && offset < s.Next() || offset < 0 || offset == math.MaxInt64:
		return 0, fmt.Errorf("append record %d: %w", offset, ErrOrder)
	case s.records.len() >= maxRows || s.mem.arena.fullFor(4*len(otlp)):
		return 0, ErrFull
	}
	if s.scratch == nil {
		s.scratch = &Scratch{}
	}
	a := (*appender)(s)
	a.begin()
	s.now = run{record: uint32(s.records.len()), group: s.now.group}
	s.records.add(record{offset: offset, arrival: arrivalUnixNano, row: uint32(s.rows())}, &s.mem.bytes)
	if err := s.scratch.reader.Walk(otlp, a); err != nil {
		a.undo()
		return 0, err
	}
	s.duplicates += int64(a.names.duplicates)
	return a.names.spans, nil
}

// names counts the spans of the record being appended, and where the arrays stood before it.
type names struct {
	spans, duplicates                          int
	rows, runs, records, traces, events, links int
	group                                      uint32
}

// appender is the Segment as the wire reader's visitor.
type appender Segment

func (s *appender) begin() {
	s.names = names{rows: s.rows(), runs: s.runs.len(), records: s.records.len(), traces: s.traces.len(),
		events: s.events.rows(), links: s.links.rows(), group: s.now.group}
}

// undo takes back what the record appended. Entries of dictionaries, resources, columns and hash
// tables stay: without rows nobody sees the former, and the latter are checked against the arrays.
func (s *appender) undo() {
	m := s.names
	s.trace.truncate(m.rows)
	s.id.truncate(m.rows)
	s.parent.truncate(m.rows)
	s.start.truncate(m.rows)
	s.duration.truncate(m.rows)
	s.head.truncate(m.rows)
	s.name.truncate(m.rows)
	s.shape.truncate(m.rows)
	s.message.undo(m.rows)
	s.state.undo(m.rows)
	s.overflow.undo(m.rows)
	s.attrs.undo(m.rows)
	s.runs.truncate(m.runs)
	s.records.truncate(m.records)
	s.traces.truncate(m.traces)
	s.firstRow.truncate(m.traces)
	s.events.undo(m.events)
	s.links.undo(m.links)
	s.now.group = m.group
	s.lastTraceID = trace.ID{}
	maps.DeleteFunc(s.byContent, func(row uint32, _ struct{}) bool { return int(row) >= m.rows })
}

// Resource implements trace.Visitor.
func (s *appender) Resource(resource []byte) (err error) {
	s.now.group++
	s.open = false
	s.now.resource, err = s.resource.code(&s.resources, &s.mem, resource, s.scratch)
	return err
}

// Scope implements trace.Visitor.
func (s *appender) Scope(scope []byte) (err error) {
	s.open = false
	s.now.scope, err = s.scope.code(&s.scopes, &s.mem, scope, s.scratch)
	return err
}

// Span implements trace.Visitor.
func (s *appender) Span(sp *trace.Span) error {
	row := s.rows()
	if row >= s.limits.MaxRows || s.events.rows()+len(sp.Events) > maxRows || s.links.rows()+len(sp.Links) > maxRows {
		return ErrFull
	}
	s.names.spans++
	ordinal := s.traceOf(sp.TraceID, row)
	if s.seen(ordinal, sp, row) {
		s.names.duplicates++
		return nil
	}
	m := &s.mem
	if !s.open {
		s.now.row = uint32(row)
		s.runs.add(s.now, &m.bytes)
		s.open = true
	}
	s.trace.add(ordinal, &m.bytes)
	s.id.add(sp.SpanID, &m.bytes)
	s.parent.add(sp.ParentID, &m.bytes)
	s.start.add(int64(sp.StartUnixNano), &m.bytes)
	if row == 0 {
		s.earliest = sp.StartUnixNano
	}
	s.earliest, s.latest = min(s.earliest, sp.StartUnixNano), max(s.latest, sp.StartUnixNano)
	s.duration.add(int64(sp.EndUnixNano-sp.StartUnixNano), &m.bytes)
	s.head.add(s.headOf(sp), &m.bytes)
	s.nameText.add(&s.name, m, sp.Name)
	if len(sp.StatusMessage) > 0 {
		s.message.addText(row, m, sp.StatusMessage)
	}
	if len(sp.TraceState) > 0 {
		s.state.addText(row, m, sp.TraceState)
	}
	x := s.scratch
	s.attrs.add(row, sp.Attributes, m, x)
	s.shapeText.add(&s.shape, m, x.shape)
	if len(x.over) > 0 {
		s.overflow.addText(row, m, x.over)
	}
	for i := range sp.Events {
		s.events.addEvent(row, sp.StartUnixNano, &sp.Events[i], m, x)
	}
	for i := range sp.Links {
		s.links.addLink(row, &sp.Links[i], m, x)
	}
	return nil
}

// traceOf returns the ordinal of a trace, a new one if its first span is to be row.
func (s *appender) traceOf(id trace.ID, row int) uint32 {
	if s.lastTraceID == id && !id.IsZero() {
		return s.lastTrace
	}
	h := s.mem.hash.bytes(id[:])
	found := false
	var n uint32
	for i, at := s.traceIndex.find(h, 0); at != 0; i, at = s.traceIndex.find(h, at) {
		if int(i) < s.traces.len() && s.traces.at(int(i)) == id {
			n, found = i, true
			break
		}
	}
	if !found {
		n = uint32(s.traces.len())
		s.traces.add(id, &s.mem.bytes)
		s.firstRow.add(uint32(row), &s.mem.bytes)
		s.traceIndex.add(h, n, &s.mem.bytes)
	}
	s.lastTrace, s.lastTraceID = n, id
	return n
}

// seen says whether the segment holds the span already, and enters it as row otherwise.
func (s *appender) seen(ordinal uint32, sp *trace.Span, row int) bool {
	h := s.mem.hash.pair(uint64(ordinal), *(*uint64)(unsafe.Pointer(&sp.SpanID)))
	found := false
	for i, at := s.spanIndex.find(h, 0); at != 0; i, at = s.spanIndex.find(h, at) {
		if int(i) >= row || s.trace.at(int(i)) != ordinal || s.id.at(int(i)) != sp.SpanID {
			continue
		}
		found = true
		if _, ok := s.byContent[i]; ok || !s.alike(int(i), sp) {
			continue
		}
		if s.same(int(i), sp) {
			return true
		}
		// Put together once, the row is found by its content from now on: it may be large, and many
		// small spans may have its ids.
		if s.byContent == nil {
			s.byContent = map[uint32]struct{}{}
		}
		s.byContent[i] = struct{}{}
		s.mem.bytes += byContentBytes
		s.contentIndex.add(s.contentHash(s.scratch.old), i, &s.mem.bytes)
	}
	if !found {
		s.spanIndex.add(h, uint32(row), &s.mem.bytes)
		return false
	}
	// Other spans with these ids are found by content, so that a sender who gives all spans one id
	// cannot make every append a search.
	s.scratch.span = trace.AppendSpan(s.scratch.span[:0], sp)
	h = s.contentHash(s.scratch.span)
	for i, at := s.contentIndex.find(h, 0); at != 0; i, at = s.contentIndex.find(h, at) {
		if int(i) < row && s.trace.at(int(i)) == ordinal && s.id.at(int(i)) == sp.SpanID && s.alike(int(i), sp) && s.same(int(i), sp) {
			return true
		}
	}
	s.contentIndex.add(h, uint32(row), &s.mem.bytes)
	return false
}

// byContentBytes is about what an entry of byContent takes.
const byContentBytes = 12

// contentHash hashes a span that came under the present resource and scope.
func (s *appender) contentHash(span []byte) uint64 {
	return s.mem.hash.pair(s.mem.hash.bytes(span), uint64(s.now.resource)<<32|uint64(s.now.scope))
}

// alike says whether a row, whose ids are those of sp, has its times, its small numbers, its
// resource and its scope.
func (s *appender) alike(row int, sp *trace.Span) bool {
	if s.start.at(row) != int64(sp.StartUnixNano) || s.duration.at(row) != int64(sp.EndUnixNano-sp.StartUnixNano) {
		return false
	}
	if s.heads[s.head.at(row)] != headFrom(sp) {
		return false
	}
	r := runOf(&s.runs, row)
	return r.resource == s.now.resource && r.scope == s.now.scope
}

// same says whether a row that is alike has the content of sp. It leaves the row's content in the
// scratch.
func (s *appender) same(row int, sp *trace.Span) bool {
	d := data{base: &s.base, message: s.message.sparse, state: s.state.sparse, overflow: s.overflow.sparse, attr: s.attrs.at, keys: s.attrs.keys}
	d.events, d.links = s.events.live(), s.links.live()
	x := s.scratch
	d.span(row, &x.fragment)
	x.old = trace.AppendSpan(x.old[:0], &x.fragment)
	x.span = trace.AppendSpan(x.span[:0], sp)
	return string(x.old) == string(x.span)
}

func headFrom(sp *trace.Span) head {
	return head{kind: sp.Kind, status: sp.Status, flags: sp.Flags, droppedAttributes: sp.DroppedAttributes, droppedEvents: sp.DroppedEvents,
		droppedLinks: sp.DroppedLinks, hasStatus: sp.HasStatus, hasParent: sp.HasParent}
}

func (s *appender) headOf(sp *trace.Span) uint32 {
	h := headFrom(sp)
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
	hash := s.mem.hash.pair(bits, uint64(h.flags)<<32|uint64(h.droppedAttributes))
	if h.droppedEvents != 0 || h.droppedLinks != 0 {
		hash = s.mem.hash.pair(hash, uint64(h.droppedEvents)<<32|uint64(h.droppedLinks))
	}
	for i, at := s.headIndex.find(hash, 0); at != 0; i, at = s.headIndex.find(hash, at) {
		if s.heads[i] == h {
			return i
		}
	}
	n := uint32(len(s.heads))
	before := cap(s.heads)
	s.heads = append(s.heads, h)
	s.mem.bytes += int64(cap(s.heads)-before) * int64(unsafe.Sizeof(h))
	s.headIndex.add(hash, n, &s.mem.bytes)
	return n
}

// Rows returns the number of spans, without duplicates.
func (s *Segment) Rows() int { return s.rows() }

// Traces returns the number of traces.
func (s *Segment) Traces() int { return s.traces.len() }

// Duplicates returns how many spans were not appended because the segment held them.
func (s *Segment) Duplicates() int64 { return s.duplicates }

// Bytes returns about the memory the segment takes, in bytes: columns, dictionaries, hash tables,
// views, and what every segment takes.
func (s *Segment) Bytes() int64 { return s.mem.bytes + segmentBytes }

// segmentBytes is what a segment takes beside what grows with its rows: itself, its columns of
// resources and scopes, and its lists of columns.
const segmentBytes = int64(unsafe.Sizeof(Segment{})) + 12*sparseBytes + 3<<10

// From returns the offset of the first record, 0 without one.
func (s *Segment) From() int64 {
	if s.records.len() == 0 {
		return 0
	}
	return s.records.at(0).offset
}

// Next returns the offset after the last record, 0 without one.
func (s *Segment) Next() int64 {
	if n := s.records.len(); n > 0 {
		return s.records.at(n-1).offset + 1
	}
	return 0
}

// Seal ends appending and gives back what only that needs.
func (s *Segment) Seal() {
	if s.sealed {
		return
	}
	s.sealed = true
	drop := func(x *index) {
		s.mem.bytes -= int64(len(x.slots)) * 8
		*x = index{}
	}
	for _, x := range []*index{&s.headIndex, &s.traceIndex, &s.spanIndex, &s.contentIndex, &s.nameText.index, &s.shapeText.index} {
		drop(x)
	}
	s.mem.bytes -= int64(len(s.byContent)) * byContentBytes
	s.byContent = nil
	for _, w := range []*sparseWriter{&s.message, &s.state} {
		drop(&w.text.index)
	}
	for _, a := range []*attrs{&s.attrs, &s.resource.attrs, &s.scope.attrs, &s.events.attrs, &s.links.attrs} {
		drop(&a.index)
		for _, c := range a.cols {
			drop(&c.text.index)
		}
	}
	s.scratch = nil
}

// Sealed says whether Seal was called.
func (s *Segment) Sealed() bool { return s.sealed }
