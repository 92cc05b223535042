package live

import (
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// childArrays are the arrays of a child table (events or links) that have an element for each of
// its rows. The rows of one span follow one another. A copy of the struct is a view.
type childArrays struct {
	spanRow vec[uint32]  // the row of the span that a child belongs to; ascending
	time    vec[int64]   // of events: their time - the span's start, in ns
	name    stringColumn // of events
	shape   stringColumn
}

func (c *childArrays) rowCount() int { return c.spanRow.len() }

// childWriter writes the events or the links of a segment.
type childWriter struct {
	childArrays
	nameText, shapeText            stringWriter
	attributes                     attributeWriter
	overflow, dropped              sparseWriter
	traceID, spanID, states, flags sparseWriter // of links
}

func (c *childWriter) initColumns(scope column.Scope, limits Limits) {
	c.attributes = newAttributeWriter(scope, limits)
	c.overflow = rareSparse(column.Bytes)
	c.overflow.text.noDict = true
	c.dropped = rareSparse(column.Int)
	c.traceID = rareSparse(column.Bytes)
	c.spanID = rareSparse(column.Bytes)
	c.states = rareSparse(column.String)
	c.flags = rareSparse(column.Int)
}

// addEvent appends an event of a span row, whose span starts at start (unix ns).
func (c *childWriter) addEvent(row int, start uint64, e *trace.Event, m *memory, x *Scratch) {
	c.time.add(int64(e.TimeUnixNano-start), &m.bytes)
	c.nameText.addString(&c.name, m, e.Name)
	c.addRow(row, e.Attributes, e.Dropped, m, x)
}

// addLink appends a link of a span row.
func (c *childWriter) addLink(row int, l *trace.Link, m *memory, x *Scratch) {
	n := c.rowCount()
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
	c.addRow(row, l.Attributes, l.Dropped, m, x)
}

// addRow appends what events and links have in common.
func (c *childWriter) addRow(row int, list []trace.Attribute, dropped uint32, m *memory, x *Scratch) {
	n := c.rowCount()
	c.attributes.addRow(n, list, m, x)
	c.shapeText.addString(&c.shape, m, x.shape)
	if len(x.overflow) > 0 {
		c.overflow.addText(n, m, x.overflow)
	}
	if dropped != 0 {
		c.dropped.addInt(n, m, int64(dropped))
	}
	c.spanRow.add(uint32(row), &m.bytes)
}

// undoRows drops all but the first rows.
func (c *childWriter) undoRows(rows int) {
	c.spanRow.truncate(rows)
	if c.attributes.scope == column.Event {
		c.time.truncate(rows)
		c.name.truncate(rows)
	}
	c.shape.truncate(rows)
	for _, w := range []*sparseWriter{&c.overflow, &c.dropped, &c.traceID, &c.spanID, &c.states, &c.flags} {
		w.undoRows(rows)
	}
	c.attributes.undoRows(rows)
}

// childView is a reader's view of a child table.
type childView struct {
	*childArrays
	attributes                     attributeView // of a snapshot; empty where the writer itself reads
	columnAt                       func(n int) *sparseColumn
	keys                           []column.Key // of the attribute columns
	overflow, dropped              *sparseColumn
	traceID, spanID, states, flags *sparseColumn
}

// writerView returns what the writer sees, without copying anything. It is valid until the next
// change.
func (c *childWriter) writerView() childView {
	return childView{
		childArrays: &c.childArrays,
		columnAt:    c.attributes.columnAt,
		keys:        c.attributes.keys,
		overflow:    c.overflow.sparseColumn,
		dropped:     c.dropped.sparseColumn,
		traceID:     c.traceID.sparseColumn,
		spanID:      c.spanID.sparseColumn,
		states:      c.states.sparseColumn,
		flags:       c.flags.sparseColumn,
	}
}

// takeView returns a view for a snapshot.
func (c *childWriter) takeView() childView {
	b := c.childArrays
	a := c.attributes.takeView()
	return childView{
		childArrays: &b,
		attributes:  a,
		columnAt:    a.columnAt,
		keys:        a.keys,
		overflow:    c.overflow.takeView(),
		dropped:     c.dropped.takeView(),
		traceID:     c.traceID.takeView(),
		spanID:      c.spanID.takeView(),
		states:      c.states.takeView(),
		flags:       c.flags.takeView(),
	}
}

// shapedRow returns what puts the attributes of child row n together.
func (c *childView) shapedRow(a *arena, n int) shapedRow {
	return shapedRow{row: n, shape: c.shape.at(a, n), overflow: c.overflow, columnAt: c.columnAt, keys: c.keys}
}

// appendEvents appends the events of a span row to dst. Their attributes are appended to *list, and
// the events hold parts of it.
func (c *childView) appendEvents(a *arena, row int, start uint64, dst []trace.Event,
	list *[]trace.Attribute) []trace.Event {
	for n := searchRows(&c.spanRow, uint32(row)); n < c.rowCount() && c.spanRow.at(n) == uint32(row); n++ {
		at := len(*list)
		*list = c.shapedRow(a, n).appendAttributes(a, *list)
		dst = append(dst, trace.Event{
			TimeUnixNano: start + uint64(c.time.at(n)),
			Name:         bytesOf(c.name.at(a, n)),
			Attributes:   (*list)[at:len(*list):len(*list)],
			Dropped:      uint32(c.dropped.intAt(n)),
		})
	}
	return dst
}

// appendLinks is appendEvents for links.
func (c *childView) appendLinks(a *arena, row int, dst []trace.Link, list *[]trace.Attribute) []trace.Link {
	for n := searchRows(&c.spanRow, uint32(row)); n < c.rowCount() && c.spanRow.at(n) == uint32(row); n++ {
		at := len(*list)
		*list = c.shapedRow(a, n).appendAttributes(a, *list)
		dst = append(dst, trace.Link{
			TraceID:    c.traceID.bytesAt(a, n),
			SpanID:     c.spanID.bytesAt(a, n),
			TraceState: c.states.bytesAt(a, n),
			Attributes: (*list)[at:len(*list):len(*list)],
			Dropped:    uint32(c.dropped.intAt(n)),
			Flags:      uint32(c.flags.intAt(n)),
		})
	}
	return dst
}
