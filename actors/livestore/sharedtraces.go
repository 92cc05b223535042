package livestore

import (
	"math"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// sharedTraces are the traces of one tenant's segments that have several homes, with what is known
// of their spans: the time, and whether one is in two homes.
//
// Spans of two homes can be the same only if they start together and have one span id and one kind.
// Mostly the starts tell that none are: what came later started later, or is a root, which starts
// before all others. A trace whose spans meet in time is in doubt: then the ids of its spans are
// kept, and those that blocks have are read (homereads.go), until a span is found in two homes or
// it is known that none is.
type sharedTraces struct {
	list   places[sharedTrace]
	parts  places[blockPart]
	blocks int32               // so far
	marked map[int]*markedRows // by number of the segment

	// live are the spans of the segments, with the highest offset that has one, and inBlocks the
	// spans of blocks, with the least ownTo of these blocks: of the traces whose ids are kept.
	live, inBlocks map[sharedSpan]int64
	// doubted are the places of the traces that are repeating from some offset on, or may be.
	doubted []int32
	// again are the places of the traces whose rows are to be read again, and from which segment
	// on.
	again     []int32
	againFrom int
	listed    sharedList
}

// sharedTrace is a trace with several homes. Segments are named by their numbers; 64-bit times are
// unix ns.
type sharedTrace struct {
	id trace.ID
	// last, before and third are the last three segments that have it, from the newest down; -1:
	// there are fewer.
	last, before, third int32
	part                int32      // place of the first of its parts in blocks; 0: none
	current             int32      // the last segment whose rows were read
	starts              startRange // of the spans in current
	earlier             startRange // of the spans in the segments before
	end                 uint64     // of its live spans
	blockTime           startRange // of its parts in blocks, from the first start to the last end
	// repeats is the highest offset of which a span is known to be in another home as well: the
	// trace is repeating for whoever asks for records from there or from before; -1: none.
	repeats int64
	flags   traceFlags
}

// traceFlags tell what is kept or to be done about a trace.
type traceFlags uint8

const (
	isHeld    traceFlags = 1 << iota // it has a place; the zero sharedTrace stands for none
	keepsIDs                         // the ids of its spans are kept
	isAgain                          // it is in sharedTraces.again
	isRead                           // its rows are being read again
	isDoubted                        // it is in sharedTraces.doubted
)

// startRange is a range of starts, both ends included. The zero value is to be emptied before use.
type startRange struct{ first, last uint64 }

var noStarts = startRange{first: math.MaxUint64}

func (r *startRange) add(o startRange) {
	r.first, r.last = min(r.first, o.first), max(r.last, o.last)
}

func (r startRange) has(start uint64) bool { return r.first <= start && start <= r.last }

// sharedBlock stands for a block that has shared traces.
type sharedBlock struct {
	number int32
	ownTo  int64 // the records of the block's partition below it are the block's own
}

// blockPart is what a block has of a trace.
type blockPart struct {
	block sharedBlock
	next  int32 // place of the trace's next part; 0: none
	state partState
	spans int
	time  startRange // its spans start in between
}

// partState tells whether the spans of a part are known.
type partState uint8

const (
	isApart   partState = iota // no live span starts between those of the part
	isInDoubt                  // one does, so the ids of the part are to be read
	isKnown                    // they were read
)

// mostCompared is how many spans a part of a trace may have that is read. A trace with a larger one
// is taken to be repeating if it is in doubt.
const mostCompared = 1 << 20

// sharedSpan is a span of a shared trace, as far as two homes must agree for it to be the same.
type sharedSpan struct {
	id    trace.SpanID
	place int32 // of the trace
	kind  int32
}

// spanBytes is about the memory of a sharedSpan in a map, in bytes.
const spanBytes = 40

// markedRows are the rows of shared traces in a segment.
type markedRows struct {
	marks []int32 // by the segment's number of the trace: its place; 0: it is not shared
	read  int     // rows of the segment below are read
}

func newSharedTraces() sharedTraces {
	return sharedTraces{
		marked:    map[int]*markedRows{},
		live:      map[sharedSpan]int64{},
		inBlocks:  map[sharedSpan]int64{},
		againFrom: math.MaxInt,
	}
}

// bytes returns about how much memory the traces take, in bytes.
func (s *sharedTraces) bytes() int64 {
	n := s.list.bytes() + s.parts.bytes() + int64(len(s.live)+len(s.inBlocks))*spanBytes +
		int64(cap(s.doubted)+cap(s.again))*4 + int64(cap(s.listed.traces))*int64(unsafe.Sizeof(catalog.Extent{}))
	for _, m := range s.marked {
		n += int64(cap(m.marks)) * 4
	}
	return n
}

// addTrace gives a trace a place.
func (s *sharedTraces) addTrace(id trace.ID) (place int32) {
	return s.list.add(sharedTrace{id: id, last: -1, before: -1, third: -1, current: -1, repeats: -1,
		starts: noStarts, earlier: noStarts, blockTime: noStarts, flags: isHeld})
}

// dropTrace forgets a trace that no segment has any longer. Place 0 stands for none.
func (s *sharedTraces) dropTrace(place int32) {
	if place == 0 {
		return
	}
	for i := s.list.at(place).part; i != 0; {
		next := s.parts.at(i).next
		s.parts.drop(i)
		i = next
	}
	s.list.drop(place)
}

// addSegment notes that a segment has a shared trace, whose rows are to be read.
func (s *sharedTraces) addSegment(e *indexedTrace) {
	m := s.marked[int(e.segment)]
	if m == nil {
		m = &markedRows{}
		s.marked[int(e.segment)] = m
	}
	if n := int(e.number) + 1; n > len(m.marks) {
		m.marks = slices.Grow(m.marks, n-len(m.marks))[:n]
	}
	m.marks[e.number] = e.shared
	t := s.list.at(e.shared)
	t.last, t.before, t.third = e.segment, t.last, t.before
	if m.read > 0 {
		s.readAgain(e.shared, int(e.segment))
	}
}

// readAgain has the rows of a trace read again from a segment on.
func (s *sharedTraces) readAgain(place int32, segment int) {
	s.againFrom = min(s.againFrom, segment)
	if t := s.list.at(place); t.flags&isAgain == 0 {
		t.flags |= isAgain
		s.again = append(s.again, place)
	}
}

// newBlock returns what stands for another block.
func (s *sharedTraces) newBlock(ownTo int64) sharedBlock {
	s.blocks++
	return sharedBlock{number: s.blocks, ownTo: ownTo}
}

// addPart notes what a block has of a trace, whose rows are to be looked at again.
func (s *sharedTraces) addPart(place int32, b sharedBlock, f foundPart) {
	t := s.list.at(place)
	for i := t.part; i != 0; i = s.parts.at(i).next {
		if s.parts.at(i).block == b {
			return
		}
	}
	p := blockPart{block: b, next: t.part, spans: f.spans, time: startRange{f.Start, f.End}}
	t.blockTime.add(p.time)
	t.part = s.parts.add(p)
	s.readAgain(place, 0)
}

// dropSegments forgets the segments numbered lower than below, and the records below floor. Traces
// that no other segment has were dropped before.
func (s *sharedTraces) dropSegments(below int, floor int64) {
	for number := range s.marked {
		if number < below {
			delete(s.marked, number)
		}
	}
	isGone := func(place int32) bool { return s.list.at(place).flags == 0 }
	s.again = slices.DeleteFunc(s.again, isGone)
	s.doubted = slices.DeleteFunc(s.doubted, isGone)
	for span, offset := range s.live {
		if offset < floor || isGone(span.place) {
			delete(s.live, span)
		}
	}
	for span := range s.inBlocks {
		if isGone(span.place) {
			delete(s.inBlocks, span)
		}
	}
	s.list.trim()
	s.parts.trim()
	s.listed = sharedList{}
}

// readRows reads the rows of shared traces that have come to the segments since it was called last.
// Where that leaves a trace in doubt its rows are read again, for their ids.
func (s *sharedTraces) readRows(segments []*segment) {
	for first := true; first || len(s.again) > 0; first = false {
		again, from := s.again, s.againFrom
		s.again, s.againFrom = nil, math.MaxInt
		for _, place := range again {
			s.list.at(place).flags ^= isAgain | isRead
		}
		for _, g := range segments {
			if m := s.marked[g.number]; m != nil {
				s.readSegment(g, m, g.number >= from)
			}
		}
		for _, place := range again {
			s.list.at(place).flags &^= isRead
		}
	}
}

// readSegment reads the new rows of a segment and, if again is set, those of the traces that are
// being read again.
func (s *sharedTraces) readSegment(g *segment, m *markedRows, again bool) {
	from := m.read
	if again {
		from = 0
	}
	if from == g.Rows() {
		return
	}
	g.EachMarked(from, m.marks, func(row int, place int32, h live.SpanHead) {
		if row >= m.read || s.list.at(place).flags&isRead != 0 {
			s.addSpan(place, g, h)
		}
	})
	m.read = g.Rows()
	s.listed = sharedList{}
}

// addSpan notes a span of a trace in a segment. It may have been noted before.
func (s *sharedTraces) addSpan(place int32, g *segment, h live.SpanHead) {
	t := s.list.at(place)
	starts := startRange{h.Start, h.Start}
	t.end = max(t.end, h.End)
	switch n := int32(g.number); {
	case n < t.current:
		t.earlier.add(starts)
	case n == t.current:
		t.starts.add(starts)
	default:
		t.earlier.add(t.starts)
		t.current, t.starts = n, starts
	}
	if t.current == int32(g.number) && t.earlier.has(h.Start) {
		s.keepIDs(place)
	}
	for i := t.part; i != 0; i = s.parts.at(i).next {
		s.comparePart(place, s.parts.at(i), h)
	}
	if t.flags&keepsIDs == 0 {
		return
	}
	span := sharedSpan{id: h.ID, place: place, kind: h.Kind}
	at, ok := s.live[span]
	if !ok || at < h.Offset {
		s.live[span] = h.Offset
	}
	if ok && (at < g.From() || at >= g.Next()) {
		s.noteRepeat(place, min(at, h.Offset))
	}
	if ownTo, ok := s.inBlocks[span]; ok && h.Offset >= ownTo {
		s.noteRepeat(place, h.Offset)
	}
}

// comparePart looks whether a live span of a trace can be one that a block has.
func (s *sharedTraces) comparePart(place int32, p *blockPart, h live.SpanHead) {
	switch {
	case p.state != isApart || h.Offset < p.block.ownTo || !p.time.has(h.Start):
	case p.spans > mostCompared:
		p.state = isKnown
		s.noteRepeat(place, math.MaxInt64)
	default:
		p.state = isInDoubt
		s.keepIDs(place)
		s.addDoubt(place)
	}
}

// keepIDs has the ids of the trace's spans kept, beginning with those that are here already.
func (s *sharedTraces) keepIDs(place int32) {
	if t := s.list.at(place); t.flags&keepsIDs == 0 {
		t.flags |= keepsIDs
		s.readAgain(place, 0)
	}
}

// noteRepeat notes that the record at an offset has a span of the trace that another home has, too.
func (s *sharedTraces) noteRepeat(place int32, offset int64) {
	t := s.list.at(place)
	t.repeats = max(t.repeats, offset)
	s.addDoubt(place)
}

func (s *sharedTraces) addDoubt(place int32) {
	if t := s.list.at(place); t.flags&isDoubted == 0 {
		t.flags |= isDoubted
		s.doubted = append(s.doubted, place)
	}
}
