package live

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// children is a child table of a Snapshot: the rows that belong to its spans.
type children struct {
	v           childView
	arena       *arena
	keys        []column.Key
	scope       column.Scope
	first, last int // child rows of the segment
	base        int // the snapshot's first span row
}

// Events implements column.Table.
func (s *Snapshot) Events() column.Columns {
	return s.children(s.data.events, column.Event, s.eventKeys)
}

// Links implements column.Table.
func (s *Snapshot) Links() column.Columns { return s.children(s.data.links, column.Link, s.linkKeys) }

func (s *Snapshot) children(v childView, scope column.Scope, keys []column.Key) column.Columns {
	c := &children{v: v, arena: &s.arena, keys: keys, scope: scope, base: s.first,
		first: search(&v.ref, uint32(s.first)), last: search(&v.ref, uint32(s.last))}
	if c.first == c.last {
		return nil
	}
	return c
}

// Rows implements column.Columns.
func (c *children) Rows() int { return c.last - c.first }

// Keys implements column.Columns.
func (c *children) Keys() []column.Key { return c.keys }

// ShapeKeys implements column.Columns.
func (c *children) ShapeKeys() []column.Key { return c.v.keys }

// Vector implements column.Columns.
func (c *children) Vector(ctx context.Context, k column.Key, page int, dst *column.Vector) (bool, error) {
	from, to := pageRange(c.first, c.last, max(page, 0))
	dst.Reset(to - from)
	if err := ctx.Err(); err != nil {
		return false, err
	}
	v := &c.v
	if k.Scope == c.scope {
		return attribute(&v.view, c.arena, k, from, to, dst), nil
	}
	events := c.scope == column.Event
	switch {
	case k == column.RowRef:
		dst.SetAll()
		v.ref.slices(from, to, func(part []uint32) {
			for _, r := range part {
				dst.Ints = append(dst.Ints, int64(r)-int64(c.base))
			}
		})
	case k == column.Shape:
		v.shape.nonempty(c.arena, from, to, dst)
	case k == column.Overflow:
		v.overflow.vector(c.arena, from, to, dst)
	case k == column.DroppedAttributes:
		v.dropped.vector(c.arena, from, to, dst)
	case events && k == column.EventTimeOffset:
		dst.SetAll()
		dst.Ints = v.time.appendTo(dst.Ints, from, to)
	case events && k == column.EventName:
		dst.SetAll()
		v.name.values(c.arena, from, to, dst)
	case !events && k == column.LinkTraceID:
		v.traceID.vector(c.arena, from, to, dst)
	case !events && k == column.LinkSpanID:
		v.spanID.vector(c.arena, from, to, dst)
	case !events && k == column.TraceState:
		v.states.vector(c.arena, from, to, dst)
	case !events && k == column.Flags:
		v.flags.vector(c.arena, from, to, dst)
	default:
		return false, nil
	}
	return true, nil
}
