package live

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// childTable is the events or the links of a Snapshot: the child rows that belong to its spans.
type childTable struct {
	view        childView
	arena       *arena
	keys        []column.Key
	scope       column.Scope
	first, last int // child rows of the segment: [first, last)
	base        int // the snapshot's first span row
}

// Events implements column.Table.
func (s *Snapshot) Events() column.Columns {
	return s.childTableOf(s.rowReader.events, column.Event, s.keys.events)
}

// Links implements column.Table.
func (s *Snapshot) Links() column.Columns {
	return s.childTableOf(s.rowReader.links, column.Link, s.keys.links)
}

// childTableOf returns nil if the snapshot's spans have no children.
func (s *Snapshot) childTableOf(v childView, scope column.Scope, keys []column.Key) column.Columns {
	c := &childTable{view: v, arena: &s.arena, keys: keys, scope: scope, base: s.first,
		first: searchRows(&v.spanRow, uint32(s.first)), last: searchRows(&v.spanRow, uint32(s.last))}
	if c.first == c.last {
		return nil
	}
	return c
}

// Rows implements column.Columns.
func (c *childTable) Rows() int { return c.last - c.first }

// Keys implements column.Columns.
func (c *childTable) Keys() []column.Key { return c.keys }

// ShapeKeys implements column.Columns.
func (c *childTable) ShapeKeys() []column.Key { return c.view.keys }

// Vector implements column.Columns.
func (c *childTable) Vector(ctx context.Context, k column.Key, page int, dst *column.Vector) (bool, error) {
	from, to := pageRange(c.first, c.last, max(page, 0))
	dst.Reset(to - from)
	if err := ctx.Err(); err != nil {
		return false, err
	}
	v := &c.view
	if k.Scope == c.scope {
		return v.attributes.readRows(c.arena, k, from, to, dst), nil
	}
	switch k {
	case column.RowRef:
		dst.SetAll()
		v.spanRow.eachPart(from, to, func(part []uint32) {
			for _, r := range part {
				dst.Ints = append(dst.Ints, int64(r)-int64(c.base))
			}
		})
		return true, nil
	case column.Shape:
		v.shape.readNonempty(c.arena, from, to, dst)
		return true, nil
	case column.Overflow:
		v.overflow.readRows(c.arena, from, to, dst)
		return true, nil
	case column.DroppedAttributes:
		v.dropped.readRows(c.arena, from, to, dst)
		return true, nil
	}
	if c.scope == column.Event {
		return c.readOfEvents(k, from, to, dst), nil
	}
	return c.readOfLinks(k, from, to, dst), nil
}

// readOfEvents reads a column that only events have.
func (c *childTable) readOfEvents(k column.Key, from, to int, dst *column.Vector) bool {
	switch k {
	case column.EventTimeOffset:
		dst.SetAll()
		dst.Ints = c.view.time.appendTo(dst.Ints, from, to)
	case column.EventName:
		dst.SetAll()
		c.view.name.readValues(c.arena, from, to, dst)
	default:
		return false
	}
	return true
}

// readOfLinks reads a column that only links have.
func (c *childTable) readOfLinks(k column.Key, from, to int, dst *column.Vector) bool {
	var of *sparseColumn
	switch k {
	case column.LinkTraceID:
		of = c.view.traceID
	case column.LinkSpanID:
		of = c.view.spanID
	case column.TraceState:
		of = c.view.states
	case column.Flags:
		of = c.view.flags
	default:
		return false
	}
	of.readRows(c.arena, from, to, dst)
	return true
}
