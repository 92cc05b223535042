package live

import (
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// rowReader puts single spans together again. It reads the writer's own arrays, or those of a
// snapshot.
type rowReader struct {
	*arrays
	message, state, overflow *sparseColumn
	columnAt                 func(n int) *sparseColumn
	keys                     []column.Key // of the attribute columns
	events, links            childView
}

// readSpan reads a row into s, whose slices are reused. Its strings alias the segment's memory.
func (d *rowReader) readSpan(row int, s *trace.Span) {
	list, events, links := s.Attributes[:0], s.Events[:0], s.Links[:0]
	a := &d.arena
	h := &d.heads[d.head.at(row)]
	*s = trace.Span{
		TraceID:           d.traces.at(int(d.trace.at(row))),
		SpanID:            d.id.at(row),
		ParentID:          d.parent.at(row),
		HasParent:         h.hasParent,
		TraceState:        d.state.bytesAt(a, row),
		Name:              bytesOf(d.name.at(a, row)),
		Kind:              h.kind,
		HasStatus:         h.hasStatus,
		Status:            h.status,
		StatusMessage:     d.message.bytesAt(a, row),
		StartUnixNano:     uint64(d.start.at(row)),
		Flags:             h.flags,
		DroppedAttributes: h.droppedAttributes,
		DroppedEvents:     h.droppedEvents,
		DroppedLinks:      h.droppedLinks,
	}
	s.EndUnixNano = s.StartUnixNano + uint64(d.duration.at(row))
	in := shapedRow{row: row, shape: d.shape.at(a, row), overflow: d.overflow, columnAt: d.columnAt, keys: d.keys}
	list = in.appendAttributes(a, list)
	n := len(list)
	events = d.events.appendEvents(a, row, s.StartUnixNano, events, &list)
	links = d.links.appendLinks(a, row, links, &list)
	s.Attributes, s.Events, s.Links = list[:n], events, links
}

// runOf returns the run that a row is in.
func runOf(runs *vec[run], row int) *run { return runs.addressOf(runIndex(runs, row)) }

// runIndex returns the last run that begins at or before a row.
func runIndex(runs *vec[run], row int) int {
	lo, hi := 0, runs.len()
	for hi-lo > 1 {
		mid := int(uint(lo+hi) >> 1)
		if runs.addressOf(mid).row <= uint32(row) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}
