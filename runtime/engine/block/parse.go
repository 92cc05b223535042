package block

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// indexBytes is an index while it is parsed.
type indexBytes struct {
	left    []byte
	end     int64 // where left ends in the object
	seen    int   // sections so far, a bit for each
	version int   // of the format, by the meta
}

// fail makes the error of an index that is damaged where left begins.
func (x *indexBytes) fail(cause string) error {
	return &corruptError{object: SpansObject, offset: x.end - int64(len(x.left)), cause: cause}
}

// parseIndex reads an index with the trace ids before it.
func (bl *Block) parseIndex(all []byte) error {
	x := &indexBytes{left: all, end: bl.meta.Index.Offset + bl.meta.Index.Length, version: bl.meta.Version}
	ids, err := x.cutFrame()
	if err != nil {
		return err
	}
	for len(x.left) > 0 {
		if err := bl.parseNextSection(x); err != nil {
			return err
		}
	}
	if needed := bl.neededSections(); x.seen&needed != needed {
		return x.fail("index lacks a section")
	}
	if err := bl.parseTraceIDs(ids); err != nil {
		return err
	}
	if !bl.isConsistent() {
		return x.fail("index contradicts itself")
	}
	return nil
}

// cutFrame checks the magic words, the length and the version. What is left are the sections; it
// returns what lies before the index.
func (x *indexBytes) cutFrame() (before []byte, err error) {
	const tail = 4 + len(indexMagic)
	all := x.left
	if len(all) < tail || string(all[len(all)-len(indexMagic):]) != indexMagic {
		return nil, x.fail("no index")
	}
	x.left, x.end = all[:len(all)-tail], x.end-int64(tail)
	size := binary.LittleEndian.Uint32(all[len(x.left):])
	if uint64(size) > uint64(len(x.left)) {
		return nil, x.fail("length of the index")
	}
	before = x.left[:len(x.left)-int(size)]
	x.left = x.left[len(before):]
	if len(x.left) < len(indexMagic)+1 || string(x.left[:len(indexMagic)]) != indexMagic {
		return nil, x.fail("no index")
	}
	if v := x.left[len(indexMagic)]; int(v) != x.version {
		return nil, x.fail(fmt.Sprintf("index of version %d in a block of version %d", v, x.version))
	}
	x.left = x.left[len(indexMagic)+1:]
	return before, nil
}

// parseNextSection takes a section off x and parses it.
func (bl *Block) parseNextSection(x *indexBytes) error {
	c := cursor{b: x.left}
	id := c.readUvarint()
	zipped, raw := c.readNumber(1), c.readNumber(maxPage)
	stored := c.readCount()
	sum, body := c.readBytes(4), c.readBytes(stored)
	if c.bad {
		return x.fail("section does not end")
	}
	if binary.LittleEndian.Uint32(sum) != checksum(body) {
		return x.fail("checksum of index section differs")
	}
	if zipped == 1 {
		var err error
		if body, err = decompressFrame(nil, body, raw); err != nil {
			return x.fail("index section does not decompress")
		}
	} else if raw != stored {
		return x.fail("index section length differs")
	}
	if id >= sectionGroups && id <= sectionSparse {
		if x.seen>>id&1 != 0 {
			return x.fail("index section comes twice")
		}
		x.seen |= 1 << id
	}
	if !bl.parseSection(int(min(id, 1<<20)), body) {
		return x.fail(fmt.Sprintf("index section %d does not decode", id))
	}
	x.left = c.b
	return nil
}

// neededSections returns which sections the index must have, a bit for each. A block that has
// events must have their directory: a section's number lies beside its checksum, so that a damaged
// one would be taken for one of a later version.
func (bl *Block) neededSections() int {
	needed := 1<<sectionGroups | 1<<sectionSpans | 1<<sectionTraces | 1<<sectionTraceOrder |
		1<<sectionTraceFilter | 1<<sectionValueFilter | 1<<sectionOverflow
	if bl.meta.Objects[EventsObject] > 0 {
		needed |= 1 << sectionEvents
	}
	if bl.meta.Objects[LinksObject] > 0 {
		needed |= 1 << sectionLinks
	}
	if bl.meta.Objects[AttributesObject] > 0 {
		needed |= 1<<sectionAttributes | 1<<sectionSparse
	}
	return needed
}

// parseSection reports whether a section could be parsed. One that is not known is passed over.
func (bl *Block) parseSection(id int, body []byte) bool {
	c := &cursor{b: body}
	switch id {
	case sectionGroups:
		bl.parseGroups(c)
	case sectionSpans:
		bl.spans.parseDirectory(c, SpansObject, bl.meta.Objects[SpansObject])
	case sectionEvents:
		bl.events.parseDirectory(c, EventsObject, bl.meta.Objects[EventsObject])
	case sectionLinks:
		bl.links.parseDirectory(c, LinksObject, bl.meta.Objects[LinksObject])
	case sectionAttributes:
		bl.attributes.parseDirectory(c, AttributesObject, bl.meta.Objects[AttributesObject])
	case sectionSparse:
		bl.sparse.parseSparse(c)
	case sectionTraces:
		bl.traces.parseTraces(c)
	case sectionOverflow:
		bl.parseOverflowKeys(c)
	case sectionTraceOrder:
		bl.traces.order, bl.traces.coded = nil, body
		return true
	case sectionTraceFilter:
		bl.filter = bytes.Clone(body) // else it would keep all that was read in memory
		return len(body)%filterBlock == 0
	case sectionValueFilter:
		bl.values = bytes.Clone(body)
		return len(body)%filterBlock == 0
	default:
		return true
	}
	return !c.bad && len(c.b) == 0
}

func (bl *Block) parseOverflowKeys(c *cursor) {
	bl.overflow = [column.Link + 1][]column.Key{}
	for range c.readCount() {
		k := column.Key{Scope: column.Scope(c.readByte()), Type: column.Type(c.readByte()), Name: c.readString()}
		if c.bad || k.Scope > column.Link || k.Type > column.Any {
			c.bad = true
			return
		}
		bl.overflow[k.Scope] = append(bl.overflow[k.Scope], k)
	}
}

// parseTraceIDs reads the ids from the dictionaries of the trace id column. b begins where the
// index with the chunks of that column does.
func (bl *Block) parseTraceIDs(b []byte) error {
	c, ok := bl.spans.byKey[keyTraceID]
	if !ok || bl.spans.columns[c].kind != kindTrace || len(bl.groups) != len(bl.spans.groups) {
		return &corruptError{object: SpansObject, offset: bl.meta.Index.Offset, cause: "index has no trace ids"}
	}
	bl.traces.ids = make([]trace.ID, 0, len(bl.traces.start))
	for g := range bl.groups {
		v := groupTable{reader: &Reader{block: bl}, dir: &bl.spans, group: g}
		k := &bl.spans.columns[c].chunks[g]
		at := k.offset - bl.meta.Index.Offset
		if at < 0 || at > int64(len(b)) || int64(k.dict) > int64(len(b))-at {
			return v.corruptPage(c, -1, "trace ids are not before the index")
		}
		h, body, err := v.openPage(c, -1, b[at:at+int64(k.dict)], true)
		if err != nil {
			return err
		}
		if h.values != k.entries || h.encoding != encPlain ||
			len(body) != 16*k.entries || k.entries != bl.groups[g].traces {
			return v.corruptPage(c, -1, "trace ids")
		}
		for ; len(body) > 0; body = body[16:] {
			bl.traces.ids = append(bl.traces.ids, trace.ID(body))
		}
	}
	return nil
}

// parseGroups parses the section of row groups.
func (bl *Block) parseGroups(c *cursor) {
	names := c.readStrings()
	bl.groups = nil
	row, first := 0, 0
	for range c.readCount() {
		g := rowGroup{
			rows:   c.readNumber(math.MaxInt32),
			traces: c.readNumber(math.MaxInt32),
			row:    row,
			trace:  first,
			start:  c.readFixed64(),
			end:    c.readFixed64(),
		}
		for range c.readCount() {
			if s := c.readNumber(max(len(names)-1, 0)); s < len(names) {
				g.services = append(g.services, names[s])
			} else {
				c.bad = true
			}
		}
		if c.bad {
			return
		}
		row, first = row+g.rows, first+g.traces
		bl.groups = append(bl.groups, g)
	}
}

// parseTraces parses the section of traces.
func (t *traceIndex) parseTraces(c *cursor) {
	t.names, t.services = c.readStrings(), c.readStrings()
	n := c.readCount()
	t.first, t.start, t.end = make([]uint32, n+1), make([]uint64, n), make([]uint64, n)
	t.name, t.service = make([]uint32, n), make([]uint32, n)
	row, last := 0, uint64(0)
	for i := range n {
		t.first[i] = uint32(row)
		row += c.readNumber(maxRows - row)
		last += c.readUvarint()
		t.start[i], t.end[i] = last, last+uint64(c.readVarint())
	}
	t.first[n] = uint32(row)
	for i := range n {
		t.name[i], t.service[i] = uint32(c.readNumber(len(t.names))), uint32(c.readNumber(len(t.services)))
	}
}

// parseDirectory parses the directory of an object of that size.
func (d *directory) parseDirectory(c *cursor, object string, size int64) {
	*d = directory{object: object}
	row := 0
	for range c.readCount() {
		rows := c.readNumber(maxRows - row)
		d.groups, d.first = append(d.groups, rows), append(d.first, row)
		row += rows
	}
	n := c.readCount()
	d.columns = make([]dirColumn, 0, n)
	d.byKey = make(map[column.Key]int, n)
	for range n {
		var col dirColumn
		col.key.Scope, col.key.Type = column.Scope(c.readByte()), column.Type(c.readByte())
		col.kind = kind(c.readByte())
		col.required = c.readByte() == 1
		col.key.Name, col.name = c.readString(), c.readString()
		if col.kind >= kinds || c.bad {
			c.bad = true
			return
		}
		if _, twice := d.byKey[col.key]; twice {
			c.bad = true
			return
		}
		d.byKey[col.key] = len(d.columns)
		col.chunks = make([]chunk, len(d.groups))
		for g, rows := range d.groups {
			if rows > 0 && !col.chunks[g].parseChunk(c, &col.columnSpec, rows, size) {
				c.bad = true
				return
			}
		}
		d.columns = append(d.columns, col)
	}
}

// parseChunk parses what a directory holds of a chunk of an object of that size. It reports whether
// that fits together.
func (k *chunk) parseChunk(c *cursor, s *columnSpec, rows int, size int64) bool {
	k.rows = rows
	pages := column.Pages(rows)
	if pages > len(c.b) {
		return false
	}
	k.pages = make([]pageEntry, pages)
	at := c.readUvarint()
	k.zipped = at&1 == 1
	k.offset = int64(at >> 1)
	if k.dict = c.readNumber(maxPage); k.dict > 0 {
		k.entries = c.readNumber(math.MaxInt32)
	}
	k.rawBytes = int64(c.readUvarint() & math.MaxInt64)
	end := k.offset + int64(k.dict)
	for i := range k.pages {
		p := &k.pages[i]
		v := c.readUvarint()
		p.plain = v&1 == 1
		if v>>1 > maxPage {
			return false
		}
		p.length = int(v >> 1)
		end += int64(p.length)
		in := min(column.PageRows, rows-i*column.PageRows)
		p.values = in - c.readNumber(in)
		k.values += p.values
		if s.required && p.values != in || !p.plain && k.dict == 0 {
			return false
		}
		if s.kind == kindInt && p.values > 0 {
			p.lo = c.readVarint()
			p.hi = p.lo + int64(c.readUvarint())
		}
	}
	return !c.bad && k.offset >= 0 && end >= k.offset && end <= size
}
