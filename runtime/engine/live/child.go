package live

import (
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// childBase are the arrays of a child table that are not sparse. Its copy is a view.
type childBase struct {
	ref   vec[uint32] // row of the span table; ascending
	time  vec[int64]  // events: time - span start
	name  strs        // events
	shape strs
}

// child writes the events or the links.
type child struct {
	childBase
	nameText, shapeText            text
	attrs                          attrs
	overflow, dropped              sparseWriter
	traceID, spanID, states, flags sparseWriter // links
}

// childView is what a reader sees of a child table.
type childView struct {
	*childBase
	view                           attrsView // a snapshot's
	attr                           func(n int) *sparse
	keys                           []column.Key
	overflow, dropped              *sparse
	traceID, spanID, states, flags *sparse
}

func (c *child) init(scope column.Scope, limits Limits) {
	c.attrs = newAttrs(scope, limits)
	c.overflow, c.dropped = rareSparse(column.Bytes), rareSparse(column.Int)
	c.overflow.text.noDict = true
	c.traceID, c.spanID, c.states, c.flags = rareSparse(column.Bytes), rareSparse(column.Bytes), rareSparse(column.String), rareSparse(column.Int)
}

func (c *childBase) rows() int { return c.ref.len() }

func (c *child) addEvent(row int, start uint64, e *trace.Event, m *memory, x *Scratch) {
	c.time.add(int64(e.TimeUnixNano-start), &m.bytes)
	c.nameText.add(&c.name, m, e.Name)
	c.add(row, e.Attributes, e.Dropped, m, x)
}

func (c *child) addLink(row int, l *trace.Link, m *memory, x *Scratch) {
	n := c.rows()
	if len(l.TraceID) > 0 {
		c.traceID.addText(n, m, l.TraceID)
	}
	if len(l.SpanID) > 0 {
		c.spanID.addText(n, m, l.SpanID)
	}
	if len(l.TraceState) > 0 {
		c.states.addText(n, m, l.TraceState)
	}
	if l.Flags != 0 {
		c.flags.addInt(n, m, int64(l.Flags))
	}
	c.add(row, l.Attributes, l.Dropped, m, x)
}

func (c *child) add(row int, list []trace.Attribute, dropped uint32, m *memory, x *Scratch) {
	n := c.rows()
	c.attrs.add(n, list, m, x)
	c.shapeText.add(&c.shape, m, x.shape)
	if len(x.over) > 0 {
		c.overflow.addText(n, m, x.over)
	}
	if dropped != 0 {
		c.dropped.addInt(n, m, int64(dropped))
	}
	c.ref.add(uint32(row), &m.bytes)
}

func (c *child) undo(rows int) {
	c.ref.truncate(rows)
	if c.attrs.scope == column.Event {
		c.time.truncate(rows)
		c.name.truncate(rows)
	}
	c.shape.truncate(rows)
	for _, w := range []*sparseWriter{&c.overflow, &c.dropped, &c.traceID, &c.spanID, &c.states, &c.flags} {
		w.undo(rows)
	}
	c.attrs.undo(rows)
}

// live returns what the writer sees, without copies.
func (c *child) live() childView {
	return childView{childBase: &c.childBase, attr: c.attrs.at, keys: c.attrs.keys, overflow: c.overflow.sparse, dropped: c.dropped.sparse,
		traceID: c.traceID.sparse, spanID: c.spanID.sparse, states: c.states.sparse, flags: c.flags.sparse}
}

func (c *child) snapshot() childView {
	b := c.childBase
	a := c.attrs.snapshot()
	return childView{childBase: &b, view: a, attr: a.at, keys: a.keys, overflow: c.overflow.snapshot(), dropped: c.dropped.snapshot(),
		traceID: c.traceID.snapshot(), spanID: c.spanID.snapshot(), states: c.states.snapshot(), flags: c.flags.snapshot()}
}

// events appends the events of a span row to dst. Attribute lists are cut from *list.
func (c *childView) events(a *arena, row int, start uint64, dst []trace.Event, list *[]trace.Attribute) []trace.Event {
	for n := search(&c.ref, uint32(row)); n < c.rows() && c.ref.at(n) == uint32(row); n++ {
		at := len(*list)
		*list = attributes(a, n, c.shape.at(a, n), c.overflow, c.attr, c.keys, *list)
		dst = append(dst, trace.Event{TimeUnixNano: start + uint64(c.time.at(n)), Name: bytesOf(c.name.at(a, n)),
			Attributes: (*list)[at:len(*list):len(*list)], Dropped: uint32(intAt(c.dropped, n))})
	}
	return dst
}

// links appends the links of a span row to dst.
func (c *childView) links(a *arena, row int, dst []trace.Link, list *[]trace.Attribute) []trace.Link {
	for n := search(&c.ref, uint32(row)); n < c.rows() && c.ref.at(n) == uint32(row); n++ {
		at := len(*list)
		*list = attributes(a, n, c.shape.at(a, n), c.overflow, c.attr, c.keys, *list)
		dst = append(dst, trace.Link{TraceID: textAt(a, c.traceID, n), SpanID: textAt(a, c.spanID, n), TraceState: textAt(a, c.states, n),
			Attributes: (*list)[at:len(*list):len(*list)], Dropped: uint32(intAt(c.dropped, n)), Flags: uint32(intAt(c.flags, n))})
	}
	return dst
}
