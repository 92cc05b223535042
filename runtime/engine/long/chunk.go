package long

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"iter"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Position is a place between two spans of an arranged Index: Item spans into the Group-th group.
// The zero Position is the begin.
type Position struct{ Group, Item int }

func (p Position) isBefore(o Position) bool {
	return p.Group < o.Group || p.Group == o.Group && p.Item < o.Item
}

// Chunk is the spans between two positions.
type Chunk struct {
	From, To Position
	Spans    int
	Parts    []Part // what is to be read, by table

	index *Index
}

// Part is the rows of a chunk that lie in one table, ascending.
type Part struct {
	Table uint32
	Rows  []uint32
}

// wholeGroup is how many spans of one ResourceSpans are always in one chunk. Larger ones are cut,
// and their resource stands before each piece.
const wholeGroup = 1 << 14

// Take returns the next chunk, of about so many spans: it ends with a ResourceSpans, unless that is
// very large or cutsAll is set. At the end of the trace the chunk is empty.
func (x *Index) Take(from Position, spans int, cutsAll bool) *Chunk {
	c := &Chunk{From: from, To: from, index: x}
	rows := map[uint32][]uint32{}
	for c.To.Group < len(x.order) {
		g := &x.groups[x.order[c.To.Group]]
		items := x.items[g.from:g.to][c.To.Item:]
		n := len(items)
		if c.Spans > 0 && c.Spans+n > spans {
			break
		}
		if n > wholeGroup || cutsAll {
			n = min(n, max(spans, 1))
		}
		for i := range items[:n] {
			table := x.places[items[i].place].table
			rows[table] = append(rows[table], items[i].row)
		}
		c.Spans += n
		if c.To.Item += n; n < len(items) {
			break
		}
		c.To = Position{Group: c.To.Group + 1}
	}
	for table, list := range rows {
		slices.Sort(list)
		c.Parts = append(c.Parts, Part{table, list})
	}
	slices.SortFunc(c.Parts, func(a, b Part) int { return cmp.Compare(a.Table, b.Table) })
	return c
}

// Append appends the chunk as a TracesData message. fragments has those of each of c.Parts, by row;
// of a part that could not be read it is nil, and its spans are left out.
func (c *Chunk) Append(dst []byte, fragments [][]trace.Fragment) ([]byte, error) {
	x := c.index
	cursors := make([]partCursor, len(c.Parts))
	byTable := map[uint32]*partCursor{}
	for i, p := range c.Parts {
		cursors[i] = partCursor{rows: p.Rows, fragments: fragments[i]}
		byTable[p.Table] = &cursors[i]
	}
	e := trace.NewEncoder(dst)
	var fresh []trace.SpanID
	for at := c.From; at.isBefore(c.To); at = (Position{Group: at.Group + 1}) {
		g := &x.groups[x.order[at.Group]]
		items := x.items[g.from:g.to]
		if at.Group == c.To.Group {
			items = items[:c.To.Item]
		}
		written := false
		var scope uint32
		for i := range items[at.Item:] {
			it := &items[at.Item+i]
			p := x.places[it.place]
			f := byTable[p.table].find(it.row)
			if f == nil {
				continue
			}
			if !written {
				_ = e.Resource(f.Resource)
			}
			if !written || p.scope != scope {
				_ = e.Scope(f.Scope)
				written, scope = true, p.scope
			}
			e.AppendEncoded(f.Span)
			if id, ok := x.relinks.fresh[refOf(p.table, it.row)]; ok {
				fresh = append(fresh, id)
			}
		}
	}
	otlp := e.Bytes()
	if len(x.relinks.servers) == 0 {
		return otlp, nil
	}
	l := trace.Relinks{Servers: x.relinks.servers, Fresh: fresh}
	changed, err := l.Apply(otlp[len(dst):])
	return append(dst, changed...), err
}

// partCursor finds the fragments of a part. Rows are mostly asked for in ascending order.
type partCursor struct {
	rows      []uint32
	fragments []trace.Fragment
	next      int
}

func (p *partCursor) find(row uint32) *trace.Fragment {
	if len(p.fragments) != len(p.rows) {
		return nil
	}
	if p.next >= len(p.rows) || p.rows[p.next] != row {
		var ok bool
		if p.next, ok = slices.BinarySearch(p.rows, row); !ok {
			return nil
		}
	}
	p.next++
	return &p.fragments[p.next-1]
}

// Cursor names a position in a way that does not depend on where the spans lie: by the
// ResourceSpans that it is in or before. It is plain data.
type Cursor struct {
	Start uint64 // of the first span of that ResourceSpans
	ID    trace.SpanID
	Print uint64 // of the starts and ids of its spans, and of its resource
	Items int    // how many of its spans come before the position
}

// CursorAt returns the cursor of a position that is not the end.
func (x *Index) CursorAt(p Position) Cursor {
	g := &x.groups[x.order[p.Group]]
	return Cursor{Start: g.start, ID: g.id, Print: x.printOf(g), Items: p.Item}
}

func (x *Index) printOf(g *group) uint64 {
	h := xxhash.New()
	_, _ = h.Write(g.resource[:])
	var b [16]byte
	for i := g.from; i < g.to; i++ {
		binary.BigEndian.PutUint64(b[:], x.items[i].start)
		copy(b[8:], x.items[i].id[:])
		_, _ = h.Write(b[:])
	}
	return h.Sum64()
}

// Find returns the position of a cursor. Where the trace has changed meanwhile, and no longer has
// that ResourceSpans, it is the next one.
func (x *Index) Find(c Cursor) Position {
	compare := func(g uint32, c Cursor) int {
		o := &x.groups[g]
		return cmp.Or(cmp.Compare(o.start, c.Start), slices.Compare(o.id[:], c.ID[:]))
	}
	first, _ := slices.BinarySearchFunc(x.order, c, compare)
	for at := first; at < len(x.order) && compare(x.order[at], c) == 0; at++ {
		if g := &x.groups[x.order[at]]; x.printOf(g) == c.Print {
			if n := int(g.to - g.from); c.Items >= n {
				return Position{Group: at + 1}
			}
			return Position{Group: at, Item: c.Items}
		}
	}
	return Position{Group: first}
}

// EachByStart yields the table and the row of each span, in the order of their starts whatever they
// were sent under: by start, id, content, scope and resource.
func (x *Index) EachByStart() iter.Seq2[uint32, uint32] {
	return func(yield func(table, row uint32) bool) {
		for it := range x.eachByStart() {
			if !yield(x.places[it.place].table, it.row) {
				return
			}
		}
	}
}

// eachByStart yields the spans in the order of EachByStart.
func (x *Index) eachByStart() iter.Seq[item] {
	items := make([]item, 0, x.spans)
	for _, g := range x.order {
		items = append(items, x.items[x.groups[g].from:x.groups[g].to]...)
	}
	slices.SortFunc(items, func(a, b item) int {
		switch {
		case a.start < b.start:
			return -1
		case a.start > b.start:
			return 1
		}
		if c := x.compareItems(a, b); c != 0 {
			return c
		}
		g, h := x.places[a.place].group, x.places[b.place].group
		return bytes.Compare(x.groups[g].resource[:], x.groups[h].resource[:])
	})
	return slices.Values(items)
}

// IsEnd reports whether no span comes after a position.
func (x *Index) IsEnd(p Position) bool { return p.Group >= len(x.order) }
