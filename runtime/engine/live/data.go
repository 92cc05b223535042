package live

import (
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// data is what is needed to read single rows: the writer's own arrays, or a snapshot's.
type data struct {
	*base
	message, state, overflow *sparse
	attr                     func(n int) *sparse
	keys                     []column.Key
	events, links            childView
}

func (v *attrsView) at(n int) *sparse { return v.cols[n] }

// runOf returns the run a row is in.
func runOf(runs *vec[run], row int) *run { return runs.ref(runIndex(runs, row)) }

func runIndex(runs *vec[run], row int) int {
	lo, hi := 0, runs.len() // the last run that begins at or before row
	for hi-lo > 1 {
		mid := int(uint(lo+hi) >> 1)
		if runs.ref(mid).row <= uint32(row) {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

func textAt(a *arena, c *sparse, row int) []byte {
	if i, ok := c.find(uint32(row)); ok {
		return bytesOf(c.strs.at(a, i))
	}
	return nil
}

func intAt(c *sparse, row int) int64 {
	if i, ok := c.find(uint32(row)); ok {
		return c.ints.at(i)
	}
	return 0
}

// attributes appends the attributes of a row, by its shape, to dst.
func attributes(a *arena, row int, shape string, overflow *sparse, attr func(int) *sparse, keys []column.Key, dst []trace.Attribute) []trace.Attribute {
	var rest []byte
	if shape != "" {
		rest = textAt(a, overflow, row)
	}
	for shape != "" {
		entry, more, _ := column.NextShape(shape)
		shape = more
		var at trace.Attribute
		if entry == 0 {
			rest, _, _ = column.NextKeyValue(rest, &at)
		} else {
			c := attr(entry - 1)
			at.Key = bytesOf(keys[entry-1].Name)
			if i, ok := c.find(uint32(row)); ok {
				at.Value = c.value(a, i)
			}
		}
		dst = append(dst, at)
	}
	return dst
}

// span reads a row into s, whose slices are reused. Strings alias the segment's memory.
func (d *data) span(row int, s *trace.Span) {
	list, events, links := s.Attributes[:0], s.Events[:0], s.Links[:0]
	h := &d.heads[d.head.at(row)]
	*s = trace.Span{TraceID: d.traces.at(int(d.trace.at(row))), SpanID: d.id.at(row), ParentID: d.parent.at(row), HasParent: h.hasParent,
		TraceState: textAt(&d.arena, d.state, row), Name: bytesOf(d.name.at(&d.arena, row)), Kind: h.kind, Status: h.status,
		StatusMessage: textAt(&d.arena, d.message, row), HasStatus: h.hasStatus, StartUnixNano: uint64(d.start.at(row)), Flags: h.flags,
		DroppedAttributes: h.droppedAttributes, DroppedEvents: h.droppedEvents, DroppedLinks: h.droppedLinks}
	s.EndUnixNano = s.StartUnixNano + uint64(d.duration.at(row))
	list = attributes(&d.arena, row, d.shape.at(&d.arena, row), d.overflow, d.attr, d.keys, list)
	n := len(list)
	events = d.events.events(&d.arena, row, s.StartUnixNano, events, &list)
	links = d.links.links(&d.arena, row, links, &list)
	s.Attributes, s.Events, s.Links = list[:n], events, links
}
