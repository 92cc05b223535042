package column

import (
	"context"
	"fmt"
	"math"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Fragmenter is a Table that can read single rows faster than page by page. Fragments uses it.
type Fragmenter interface {
	// AppendFragments does what Fragments does.
	AppendFragments(ctx context.Context, rows []uint32, dst []trace.Fragment) ([]trace.Fragment, error)
}

// Fragments reconstructs the given rows of t exactly as they were appended and appends them to dst,
// in the order of rows. Rows SHOULD be ascending: pages are read once for each run of rows in the
// same page. The fragments' bytes are the caller's to keep, not to change. Errors: ErrCorrupt, or
// those of t.
func Fragments(ctx context.Context, t Table, rows []uint32, dst []trace.Fragment) ([]trace.Fragment, error) {
	if f, ok := t.(Fragmenter); ok {
		return f.AppendFragments(ctx, rows, dst)
	}
	return NewReader(t).Fragments(ctx, rows, dst)
}

// Reader reads whole spans out of a Table, page by page; it keeps its memory from call to call.
type Reader struct {
	t      Table
	spans  pageReader
	events pageReader
	links  pageReader
	span   trace.Span
	buf    []byte            // memory of the contents of spans
	sent   map[string][]byte // copies of resources and scopes, which mostly come again
}

// mostSent bounds the copies of resources and scopes that a Reader keeps.
const mostSent = 256

// keepSent returns a copy of a resource or scope.
func (r *Reader) keepSent(s string) []byte {
	b, ok := r.sent[s]
	if !ok {
		if len(r.sent) >= mostSent {
			clear(r.sent)
		}
		b = []byte(s)
		r.sent[bytesAsText(b)] = b
	}
	return b
}

// Sizes of the pieces of memory that contents of spans are written to, one after another.
const (
	firstPiece = 4 << 10
	mostPiece  = 64 << 10
)

// appendSpan writes the content of a span to memory that the caller may keep.
func (r *Reader) appendSpan(s *trace.Span) []byte {
	if cap(r.buf)-len(r.buf) < firstPiece/4 {
		r.buf = make([]byte, 0, min(max(2*cap(r.buf), firstPiece), mostPiece))
	}
	at := len(r.buf)
	r.buf = trace.AppendSpan(r.buf, s)
	return r.buf[at:len(r.buf):len(r.buf)]
}

// NewReader returns a Reader of t. It belongs to one goroutine.
func NewReader(t Table) *Reader {
	r := &Reader{t: t, sent: map[string][]byte{}}
	r.spans.init(t, Span)
	if e := t.Events(); e != nil {
		r.events.init(e, Event)
	}
	if l := t.Links(); l != nil {
		r.links.init(l, Link)
	}
	return r
}

// Fragments is the function of the same name.
func (r *Reader) Fragments(ctx context.Context, rows []uint32, dst []trace.Fragment) ([]trace.Fragment, error) {
	for _, row := range rows {
		if int(row) >= r.t.Rows() {
			return dst, fmt.Errorf("read row %d of %d: %w", row, r.t.Rows(), ErrCorrupt)
		}
		f, err := r.readFragment(ctx, int(row))
		if err != nil {
			return dst, err
		}
		dst = append(dst, f)
	}
	return dst, nil
}

// readFragment reconstructs the span of one row.
func (r *Reader) readFragment(ctx context.Context, row int) (trace.Fragment, error) {
	p := &r.spans
	s := &r.span
	events, links := s.Events[:0], s.Links[:0]
	*s = trace.Span{}
	if err := p.seekRow(ctx, row); err != nil {
		return trace.Fragment{}, err
	}
	var err error
	if s.TraceID, err = r.t.TraceID(ctx, int(p.intAt(colTraceRow))); err != nil {
		return trace.Fragment{}, err
	}
	copy(s.SpanID[:], p.textAt(colSpanID))
	parent, has := p.lookUpText(colParentID)
	s.HasParent = has
	copy(s.ParentID[:], parent)
	s.TraceState, s.Name = bytesOf(p.textAt(colTraceState)), bytesOf(p.textAt(colName))
	s.StatusMessage = bytesOf(p.textAt(colStatusMessage))
	s.Kind, s.Status = int32(p.intAt(colKind)), int32(p.intAt(colStatus))
	s.HasStatus = p.intAt(colHasStatus) != 0
	s.StartUnixNano = uint64(p.intAt(colStart))
	s.EndUnixNano = s.StartUnixNano + uint64(p.intAt(colDuration))
	s.Flags = uint32(p.intAt(colFlags))
	s.DroppedAttributes = uint32(p.intAt(colDroppedAttributes))
	s.DroppedEvents = uint32(p.intAt(colDroppedEvents))
	s.DroppedLinks = uint32(p.intAt(colDroppedLinks))
	if s.Attributes, err = p.readAttributes(ctx); err != nil {
		return trace.Fragment{}, err
	}
	f := trace.Fragment{
		Resource: r.keepSent(p.textAt(colResource)),
		Scope:    r.keepSent(p.textAt(colScope)),
		Group:    uint32(p.intAt(colGroup)),
	}

	// The children of a span may lie in several pages, and the next page takes the memory of the
	// one before it. So what a child holds is copied (keepText), other than what the span itself
	// holds.
	if r.events.c != nil {
		e := &r.events
		for at, err := range e.eachChild(ctx, row) {
			if err != nil {
				return trace.Fragment{}, err
			}
			ev := trace.Event{
				TimeUnixNano: s.StartUnixNano + uint64(e.intAt(colEventTime)),
				Name:         e.keepText(e.textAt(colEventName)),
				Dropped:      uint32(e.intAt(colDroppedAttributes)),
			}
			if ev.Attributes, err = e.keepAttributes(ctx); err != nil {
				return trace.Fragment{}, fmt.Errorf("event row %d: %w", at, err)
			}
			events = append(events, ev)
		}
	}
	if r.links.c != nil {
		l := &r.links
		for at, err := range l.eachChild(ctx, row) {
			if err != nil {
				return trace.Fragment{}, err
			}
			ln := trace.Link{
				TraceID:    l.keepText(l.textAt(colLinkTraceID)),
				SpanID:     l.keepText(l.textAt(colLinkSpanID)),
				TraceState: l.keepText(l.textAt(colTraceState)),
				Dropped:    uint32(l.intAt(colDroppedAttributes)),
				Flags:      uint32(l.intAt(colFlags)),
			}
			if ln.Attributes, err = l.keepAttributes(ctx); err != nil {
				return trace.Fragment{}, fmt.Errorf("link row %d: %w", at, err)
			}
			links = append(links, ln)
		}
	}
	s.Events, s.Links = events, links
	f.Span = r.appendSpan(s)
	return f, nil
}

// bytesAsText returns b as a text. b must not be changed any more.
func bytesAsText(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// bytesOf returns the bytes of s, which must not be changed.
func bytesOf(s string) []byte {
	if s == "" {
		return nil
	}
	return unsafe.Slice(unsafe.StringData(s), len(s))
}

// pageReader reads the columns of one table at one row. It holds a page of every column it was
// asked for.
type pageReader struct {
	c     Columns
	scope Scope
	keys  []Key
	fixed [fixedColumns]*pageCursor // nil: not asked for
	attrs []*pageCursor             // by index into ShapeKeys
	ref   *pageCursor               // RowRef
	page  int                       // the current row's
	row   int                       // within the page
	kept  []byte                    // memory of keep
	list  []trace.Attribute
}

// pageCursor is a column's page and a cursor in it.
type pageCursor struct {
	v    Vector
	r    Ranker
	page int // -1: none yet
}

func (p *pageReader) init(c Columns, scope Scope) {
	p.c, p.scope, p.keys = c, scope, c.ShapeKeys()
	p.attrs = make([]*pageCursor, len(p.keys))
	p.page = -1
}

// fixedColumn numbers the fixed columns that spans, events and links are made of.
type fixedColumn int

const (
	colTraceRow fixedColumn = iota
	colSpanID
	colParentID
	colStart
	colDuration
	colName
	colKind
	colStatus
	colStatusMessage
	colHasStatus
	colTraceState
	colFlags
	colDroppedAttributes
	colDroppedEvents
	colDroppedLinks
	colResource
	colScope
	colGroup
	colShape
	colOverflow
	colEventTime
	colEventName
	colLinkTraceID
	colLinkSpanID
	fixedColumns // how many there are
)

var fixedKeys = [fixedColumns]Key{
	TraceRow, SpanID, ParentID, Start, Duration, Name, Kind, Status, StatusMessage, HasStatus, TraceState, Flags,
	DroppedAttributes, DroppedEvents, DroppedLinks, ResourceRef, ScopeRef, Group, Shape, Overflow,
	EventTimeOffset, EventName, LinkTraceID, LinkSpanID,
}

// The columns of each of the three tables.
var (
	spanColumns = []fixedColumn{
		colTraceRow, colSpanID, colParentID, colStart, colDuration, colName, colKind, colStatus, colStatusMessage,
		colHasStatus, colTraceState, colFlags, colDroppedAttributes, colDroppedEvents, colDroppedLinks, colResource,
		colScope, colGroup, colShape, colOverflow,
	}
	eventColumns = []fixedColumn{colEventTime, colEventName, colDroppedAttributes, colShape, colOverflow}
	linkColumns  = []fixedColumn{
		colLinkTraceID, colLinkSpanID, colTraceState, colFlags, colDroppedAttributes, colShape, colOverflow,
	}
)

// seekRow goes to a row, and reads its page of the fixed columns unless that is held.
func (p *pageReader) seekRow(ctx context.Context, row int) error {
	page := row / PageRows
	p.row = row % PageRows
	if page == p.page {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p.page = -1
	columns := spanColumns
	switch p.scope {
	case Event:
		columns = eventColumns
	case Link:
		columns = linkColumns
	}
	for _, k := range columns {
		h := p.fixed[k]
		if h == nil {
			h = &pageCursor{page: -1}
			p.fixed[k] = h
		}
		if err := p.loadPage(ctx, fixedKeys[k], page, h); err != nil {
			return err
		}
	}
	p.page = page
	return nil
}

// loadPage reads a page of a column into h unless h holds it.
func (p *pageReader) loadPage(ctx context.Context, k Key, page int, h *pageCursor) error {
	if h.page == page {
		return nil
	}
	h.page = -1
	rows := min(p.c.Rows()-page*PageRows, PageRows)
	ok, err := p.c.Vector(ctx, k, page, &h.v)
	if err != nil {
		return err
	}
	if !ok {
		h.v.Reset(rows)
	}
	if h.v.Rows != rows {
		return fmt.Errorf("read column %s.%s: page %d has %d rows, not %d: %w",
			k.Scope, k.Name, page, h.v.Rows, rows, ErrCorrupt)
	}
	h.r, h.page = Ranks(h.v.Present), page
	return nil
}

// intAt returns the current row's value in a column of numbers, 0 if it has none.
func (p *pageReader) intAt(k fixedColumn) int64 {
	h := p.fixed[k]
	if i, ok := h.r.At(p.row); ok {
		return h.v.Ints[i]
	}
	return 0
}

// lookUpText returns the current row's value in a column of text; ok=false: it has none.
func (p *pageReader) lookUpText(k fixedColumn) (string, bool) {
	h := p.fixed[k]
	if i, ok := h.r.At(p.row); ok {
		return h.v.Text(i), true
	}
	return "", false
}

// textAt returns the current row's value in a column of text, empty if it has none.
func (p *pageReader) textAt(k fixedColumn) string {
	s, _ := p.lookUpText(k)
	return s
}

// readAttributes puts the current row's attributes together by its shape. The result is valid until
// the next call.
func (p *pageReader) readAttributes(ctx context.Context) ([]trace.Attribute, error) {
	shape, ok := p.lookUpText(colShape)
	if !ok {
		return nil, nil
	}
	overflow := bytesOf(p.textAt(colOverflow))
	out := p.list[:0]
	for shape != "" {
		var entry int
		if entry, shape, ok = NextShape(shape); !ok || entry > len(p.keys) {
			return nil, fmt.Errorf("read shape: %w", ErrCorrupt)
		}
		var a trace.Attribute
		if entry == 0 {
			var err error
			if overflow, ok, err = NextKeyValue(overflow, &a); err != nil || !ok {
				return nil, fmt.Errorf("read overflow: %w", ErrCorrupt)
			}
			out = append(out, a)
			continue
		}
		k := p.keys[entry-1]
		h := p.attrs[entry-1]
		if h == nil {
			h = &pageCursor{page: -1}
			p.attrs[entry-1] = h
		}
		if err := p.loadPage(ctx, k, p.page, h); err != nil {
			return nil, err
		}
		i, ok := h.r.At(p.row)
		if !ok {
			return nil, fmt.Errorf("read attribute %s.%s: the shape names it, the row has none: %w",
				k.Scope, k.Name, ErrCorrupt)
		}
		a.Key = bytesOf(k.Name)
		if a.Value, ok = h.v.Value(k.Type, i); !ok {
			return nil, fmt.Errorf("read attribute %s.%s: value: %w", k.Scope, k.Name, ErrCorrupt)
		}
		out = append(out, a)
	}
	p.list = out
	return out, nil
}

// Value returns the dense value i of a column of attributes of type t; ok=false: it does not
// decode. Its bytes are those of the vector.
func (v *Vector) Value(t Type, i int) (trace.Value, bool) {
	switch t {
	case String:
		return trace.Value{Type: trace.String, Bytes: bytesOf(v.Text(i))}, true
	case Bytes:
		return trace.Value{Type: trace.Bytes, Bytes: bytesOf(v.Text(i))}, true
	case Int:
		return trace.Value{Type: trace.Int, Num: uint64(v.Ints[i])}, true
	case Bool:
		return trace.Value{Type: trace.Bool, Num: uint64(v.Ints[i])}, true
	case Float:
		return trace.Value{Type: trace.Float, Num: math.Float64bits(v.Floats[i])}, true
	}
	return ParseAnyValue(bytesOf(v.Text(i)))
}

// keepText copies s to memory that stays as it is until the next span: the page may be gone when
// the span is written.
func (p *pageReader) keepText(s string) []byte {
	if s == "" {
		return nil
	}
	at := len(p.kept)
	p.kept = append(p.kept, s...)
	return p.kept[at:len(p.kept):len(p.kept)]
}

func (p *pageReader) keepAttributes(ctx context.Context) ([]trace.Attribute, error) {
	list, err := p.readAttributes(ctx)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	out := slices.Clone(list)
	for i := range out {
		out[i].Value.Bytes = p.keepText(unsafe.String(unsafe.SliceData(out[i].Value.Bytes), len(out[i].Value.Bytes)))
	}
	return out, nil
}

// eachChild yields the rows of the child table that belong to a span row, each with the reader at
// it.
func (p *pageReader) eachChild(ctx context.Context, row int) func(yield func(int, error) bool) {
	return func(yield func(int, error) bool) {
		p.kept = p.kept[:0]
		at, err := p.firstChild(ctx, row)
		for ; err == nil && at < p.c.Rows(); at++ {
			if at/PageRows != p.ref.page {
				if err = p.loadPage(ctx, RowRef, at/PageRows, p.ref); err != nil {
					break
				}
			}
			if int(p.ref.v.Ints[at%PageRows]) != row {
				return
			}
			if err = p.seekRow(ctx, at); err != nil {
				break
			}
			if !yield(at, nil) {
				return
			}
		}
		if err != nil {
			yield(0, err)
		}
	}
}

// firstChild returns the first child row that does not belong to an earlier span row than row.
// Ascending rows mostly find it in the page held.
func (p *pageReader) firstChild(ctx context.Context, row int) (int, error) {
	if p.ref == nil {
		p.ref = &pageCursor{page: -1}
	}
	find := func(page int) (int, error) {
		if err := p.loadPage(ctx, RowRef, page, p.ref); err != nil {
			return 0, err
		}
		if p.ref.v.Present != nil || len(p.ref.v.Ints) != p.ref.v.Rows {
			return 0, fmt.Errorf("read child rows: page %d has gaps: %w", page, ErrCorrupt)
		}
		i, _ := slices.BinarySearch(p.ref.v.Ints, int64(row))
		return i, nil
	}
	pages := Pages(p.c.Rows())
	lo, hi := 0, pages // the first page whose last row ref is ≥ row is in [lo, hi]
	if held := p.ref.page; held >= 0 {
		i, err := find(held)
		if err != nil {
			return 0, err
		}
		switch {
		case i == p.ref.v.Rows:
			lo = held + 1
		case i > 0 || held == 0:
			return held*PageRows + i, nil
		default:
			hi = held
		}
	}
	for step := 1; lo < hi; step *= 2 {
		mid := lo + (hi-lo)/2
		if next := lo + step - 1; next < mid {
			mid = next // the wanted page is mostly near: spans are read in order
		}
		i, err := find(mid)
		if err != nil {
			return 0, err
		}
		if i == p.ref.v.Rows {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo == pages {
		return p.c.Rows(), nil
	}
	i, err := find(lo)
	return lo*PageRows + i, err
}
