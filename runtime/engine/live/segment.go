package live

import (
	"errors"
	"math"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Limits bound a Segment.
type Limits struct {
	MaxColumns   int // attribute columns of each scope; further keys go to the overflow. 0: 4096
	FirstColumns int // columns that each scope may have before it has rows; each row allows one more. 0: 64
	MaxRows      int // spans; 0: 1<<24
	// Seed is the secret of the hash tables, so that senders cannot choose keys that collide. Any
	// value will do for trusted input.
	Seed    uint64
	Scratch *Scratch // memory that appending uses between calls; nil: the segment has its own
}

// Scratch is the memory that decoding a record takes, which may be many times what the record
// leaves in a segment. Segments that one goroutine appends to may share one.
type Scratch struct {
	reader          trace.Reader
	shape, overflow []byte            // of the row being appended
	span, old       []byte            // two spans that are compared
	fragment        trace.Span        // the older one of them
	list            []trace.Attribute // of a resource or scope
	value           []byte
}

// ErrFull is the error of a record that does not fit in the segment. It fits in a new one, unless
// this one is empty. Nothing was appended.
var ErrFull = errors.New("segment is full")

// ErrSealed is the error of appending to a sealed segment.
var ErrSealed = errors.New("segment is sealed")

// ErrOrder is the error of a record whose offset is not above those of the records before it.
var ErrOrder = errors.New("record out of order")

// maxRows is the largest number of rows and of child rows: row numbers have 32 bits, and an entry
// of a hash table needs one value for "empty".
const maxRows = math.MaxUint32 - 1

// head holds the small numbers of a span. Few spans differ in them, so each distinct head is kept
// once, and a row has its number.
type head struct {
	kind, status                                          int32
	flags, droppedAttributes, droppedEvents, droppedLinks uint32
	hasStatus, hasParent                                  bool
}

// run is a sequence of rows that came in one record under one ResourceSpans and one ScopeSpans. It
// goes from row up to the next run's row. group is the number of the ResourceSpans.
type run struct{ row, resource, scope, group, record uint32 }

// record is a record of the log. Its rows go from row up to the next record's row.
type record struct {
	offset, arrival int64 // arrival in unix ns
	row             uint32
}

// spanArrays have an element for each row.
type spanArrays struct {
	trace    vec[uint32] // the trace's number
	id       vec[trace.SpanID]
	parent   vec[trace.SpanID]
	start    vec[int64] // unix ns
	duration vec[int64] // ns; end - start, modulo 2^64
	head     vec[uint32]
	name     stringColumn
	shape    stringColumn // the empty string: no attributes
}

// arrays are what readers see of a Segment, except for its sparse columns. A copy is a view.
type arrays struct {
	arena arena
	spanArrays
	heads   []head
	runs    vec[run]
	records vec[record]

	traces   vec[trace.ID]
	firstRow vec[uint32] // of each trace; ascending

	resources, scopes []string // the distinct canonical contents

	earliest, latest uint64 // start of all spans that were ever appended, those taken back included
}

func (b *arrays) rowCount() int { return b.trace.len() }

// spanColumns are the columns of the span table that are sparse, and the writers of its strings.
type spanColumns struct {
	nameText, shapeText      stringWriter
	message, state, overflow sparseWriter
	attributes               attributeWriter
}

// Segment holds the spans of a range of records. One goroutine appends and takes snapshots.
type Segment struct {
	limits  Limits
	memory  memory
	scratch *Scratch // nil: not needed yet

	arrays
	spanColumns
	resource, scope contentWriter
	events, links   childWriter

	headIndex    hashIndex // numbers of heads
	traceNumbers traceNumbers
	duplicates   duplicateIndex

	position position // in the record being appended
	keys     keyLists
	sealed   bool
}

// New returns an empty Segment. It costs little, because queries make segments for scratch, too.
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
	s := &Segment{limits: limits, scratch: limits.Scratch}
	s.memory.hash = newHasher(limits.Seed)
	s.memory.arena = &s.arena
	s.message = rareSparse(column.String)
	s.state = rareSparse(column.String)
	s.overflow = rareSparse(column.Bytes)
	s.overflow.text.noDict = true
	s.attributes = newAttributeWriter(column.Span, limits)
	s.resource.initColumns(column.Resource, limits)
	s.scope.initColumns(column.Instrumentation, limits)
	s.events.initColumns(column.Event, limits)
	s.links.initColumns(column.Link, limits)
	return s
}

// Rows returns the number of spans, without duplicates.
func (s *Segment) Rows() int { return s.rowCount() }

// Traces returns the number of traces.
func (s *Segment) Traces() int { return s.traces.len() }

// Duplicates returns how many spans were not appended because the segment held them.
func (s *Segment) Duplicates() int64 { return s.duplicates.found }

// Bytes returns about how much memory the segment takes, in bytes: columns, dictionaries, hash
// tables, views, and what an empty segment takes.
func (s *Segment) Bytes() int64 { return s.memory.bytes + segmentBytes }

// segmentBytes is the memory of an empty segment: itself, its columns of resources and scopes, and
// its lists of columns.
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

// Seal ends appending and gives back the memory that only appending needs.
func (s *Segment) Seal() {
	if s.sealed {
		return
	}
	s.sealed = true
	drop := func(x *hashIndex) {
		s.memory.bytes -= int64(len(x.slots)) * 8
		*x = hashIndex{}
	}
	for _, x := range []*hashIndex{&s.headIndex, &s.traceNumbers.index, &s.duplicates.byID, &s.duplicates.byContent,
		&s.nameText.index, &s.shapeText.index, &s.message.text.index, &s.state.text.index} {
		drop(x)
	}
	s.memory.bytes -= int64(len(s.duplicates.hashed)) * hashedRowBytes
	s.duplicates.hashed = nil
	for _, a := range []*attributeWriter{&s.attributes, &s.resource.attributes, &s.scope.attributes,
		&s.events.attributes, &s.links.attributes} {
		drop(&a.index)
		for _, c := range a.columns {
			drop(&c.text.index)
		}
	}
	s.scratch = nil
}

// Sealed reports whether Seal was called.
func (s *Segment) Sealed() bool { return s.sealed }
