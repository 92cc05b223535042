package live

import (
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Snapshot is the rows of a range of records as they were when it was taken. It implements
// column.Table; its row and trace numbers begin at 0. It never waits for the segment's writer, nor
// the writer for it. A Snapshot belongs to one goroutine at a time, because it keeps what it has
// worked out; several goroutines take a Clone each. It stays valid as long as it is referenced.
type Snapshot struct {
	rowReader
	attributes              attributeView
	resource, scope         contentView
	service                 *sparseColumn // service.name of resources; nil: no resource has it
	first, last             int           // rows of the segment: [first, last)
	from, upTo              int64         // offsets that it was taken for: [from, upTo)
	firstRecord, lastRecord int           // records of the segment: [firstRecord, lastRecord)
	keys                    keyLists
	numbering               traceNumbering
	memo                    memo
}

// traceNumbering maps the segment's numbers of traces to the snapshot's. Those of the segment
// ascend by first row, so a snapshot that begins with row 0 uses them as they are.
type traceNumbering struct {
	count    int
	renumber []uint32 // the segment's number -> the snapshot's; nil: they are the same
	original []uint32 // the snapshot's number -> the segment's
}

// memo is what a Snapshot has worked out and keeps.
type memo struct {
	valueIndex map[*sparseColumn][]uint32 // see valueIndexOf
	grouped    traceRows
	asked      int // how many single traces were asked for
	sparse     sparseMemo
}

// Snapshot returns the rows of the records with from ≤ offset < upTo. Only the goroutine that
// appends may call it. It costs a few words for each column that has changed since the last one
// and, if the range begins after the segment's first row, a pass over its rows.
func (s *Segment) Snapshot(from, upTo int64) *Snapshot {
	b := s.arrays
	sn := &Snapshot{from: from, upTo: upTo}
	sn.firstRecord = s.recordAt(from)
	sn.lastRecord = max(s.recordAt(upTo), sn.firstRecord)
	sn.first, sn.last = s.recordRow(sn.firstRecord), s.recordRow(sn.lastRecord)
	sn.attributes = s.attributes.takeView()
	sn.rowReader = rowReader{
		arrays:   &b,
		message:  s.message.takeView(),
		state:    s.state.takeView(),
		overflow: s.overflow.takeView(),
		columnAt: sn.attributes.columnAt,
		keys:     sn.attributes.keys,
		events:   s.events.takeView(),
		links:    s.links.takeView(),
	}
	sn.resource, sn.scope = s.resource.takeView(), s.scope.takeView()
	sn.keys = s.sortedKeys()
	for i, k := range sn.resource.attributes.keys {
		if k.Name == "service.name" && k.Type == column.String {
			sn.service = sn.resource.attributes.columns[i]
		}
	}
	if sn.first == 0 {
		sn.numbering.count = searchRows(&b.firstRow, uint32(sn.last))
	} else {
		sn.numberTraces()
	}
	return sn
}

// Clone returns the same rows for another goroutine. The goroutine that has the Snapshot calls it.
func (s *Snapshot) Clone() *Snapshot {
	c := *s
	c.memo = memo{}
	return &c
}

// recordAt returns the first record whose offset is ≥ offset.
func (s *Segment) recordAt(offset int64) int {
	lo, hi := 0, s.records.len()
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if s.records.addressOf(mid).offset < offset {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// recordRow returns the first row of record i, which may be one past the last record.
func (s *Segment) recordRow(i int) int {
	if i < s.records.len() {
		return int(s.records.at(i).row)
	}
	return s.rowCount()
}

// numberTraces numbers the traces of the snapshot's rows, in order of their first row there.
func (s *Snapshot) numberTraces() {
	t := &s.numbering
	t.renumber = make([]uint32, s.traces.len())
	s.trace.eachPart(s.first, s.last, func(part []uint32) {
		for _, number := range part {
			if t.renumber[number] == 0 {
				t.original = append(t.original, number)
				t.renumber[number] = uint32(len(t.original))
			}
		}
	})
	for i := range t.renumber {
		t.renumber[i]-- // a trace without rows here gets 2^32-1, which nobody asks for
	}
	t.count = len(t.original)
}

// keyLists are the sorted keys of the columns of the three tables.
type keyLists struct {
	spans, events, links []column.Key
	columns              int // how many attribute columns there were when the lists were made
}

// The columns that every table of spans, events and links has.
var (
	spanKeys = []column.Key{
		column.TraceRow, column.SpanID, column.ParentID, column.Start, column.Duration, column.Name, column.Kind,
		column.Status, column.StatusMessage, column.HasStatus, column.TraceState, column.Flags,
		column.DroppedAttributes, column.DroppedEvents, column.DroppedLinks,
		column.ResourceRef, column.ScopeRef, column.Group, column.Shape, column.Overflow,
		column.ResourceOverflow, column.ScopeOverflow, column.Record, column.ScopeName, column.ScopeVersion,
	}
	eventKeys = []column.Key{
		column.RowRef, column.EventTimeOffset, column.EventName, column.DroppedAttributes, column.Shape,
		column.Overflow,
	}
	linkKeys = []column.Key{
		column.RowRef, column.LinkTraceID, column.LinkSpanID, column.TraceState, column.Flags,
		column.DroppedAttributes, column.Shape, column.Overflow,
	}
)

// sortedKeys returns the columns of the three tables. The lists are made again only when there are
// new columns.
func (s *Segment) sortedKeys() keyLists {
	columns := 0
	for _, a := range []*attributeWriter{&s.attributes, &s.resource.attributes, &s.scope.attributes,
		&s.events.attributes, &s.links.attributes} {
		columns += len(a.keys)
	}
	if s.keys.spans == nil || columns != s.keys.columns {
		s.keys = keyLists{
			spans:   sortKeys(spanKeys, s.attributes.keys, s.resource.attributes.keys, s.scope.attributes.keys),
			events:  sortKeys(eventKeys, s.events.attributes.keys),
			links:   sortKeys(linkKeys, s.links.attributes.keys),
			columns: columns,
		}
	}
	return s.keys
}

// sortKeys returns the keys of all lists, sorted.
func sortKeys(lists ...[]column.Key) []column.Key {
	keys := slices.Concat(lists...)
	slices.SortFunc(keys, column.Key.Compare)
	return keys
}

// From returns the begin of the range of offsets that the snapshot was taken for.
func (s *Snapshot) From() int64 { return s.from }

// UpTo returns the end of the range of offsets that the snapshot was taken for.
func (s *Snapshot) UpTo() int64 { return s.upTo }

// Records returns the number of its records.
func (s *Snapshot) Records() int { return s.lastRecord - s.firstRecord }

// Arrivals returns the earliest and the latest arrival of its records, in unix ns; zeros without
// records.
func (s *Snapshot) Arrivals() (first, last int64) {
	for i := s.firstRecord; i < s.lastRecord; i++ {
		a := s.records.addressOf(i).arrival
		if i == s.firstRecord {
			first, last = a, a
		}
		first, last = min(first, a), max(last, a)
	}
	return first, last
}

// Rows implements column.Columns.
func (s *Snapshot) Rows() int { return s.last - s.first }

// Keys implements column.Columns.
func (s *Snapshot) Keys() []column.Key { return s.keys.spans }

// ShapeKeys implements column.Columns.
func (s *Snapshot) ShapeKeys() []column.Key { return s.attributes.keys }

// TimeOrdered implements column.Table: live rows lie in order of arrival.
func (s *Snapshot) TimeOrdered() bool { return false }
