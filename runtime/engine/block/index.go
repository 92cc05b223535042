package block

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// The index consists of a magic word, the version, sections, its length, and the magic word again.
// Each section has a checksum of its own, and readers skip sections that they do not know. Before
// the index lie the chunks of trace ids, so that one read gets both.

const indexMagic = "TCB1"

// The sections, by number.
const (
	sectionGroups = iota + 1
	sectionSpans
	sectionEvents
	sectionLinks
	sectionTraces
	sectionTraceOrder
	sectionTraceFilter
	sectionValueFilter
	sectionOverflow
	sectionAttributes
	sectionSparse
)

// rowGroup is what the index holds of a row group, but for its pages.
type rowGroup struct {
	rows, traces int
	row, trace   int    // rows and traces before it
	start, end   uint64 // unix ns, of all its spans
	services     []string
}

// directory says where the pages of an object lie.
type directory struct {
	object    string
	groups    []int // rows, by row group of the spans
	first     []int // rows before each
	columns   []dirColumn
	byKey     map[column.Key]int // index in columns
	keys      []column.Key       // of the table that the object is, in the order of Key.Compare
	shapeKeys []column.Key       // those that shapes name
}

// dirColumn is a column of a directory.
type dirColumn struct {
	columnSpec
	chunks []chunk // by row group
}

// traceIndex describes the traces of a block, in the order of the block.
type traceIndex struct {
	ids        []trace.ID
	first      []uint32 // row that each begins with, and the end
	start, end []uint64 // unix ns
	name       []uint32 // of the root: number in names + 1; 0: there is no root
	service    []uint32 // of the root: number in services + 1; 0: it has none
	names      []string
	services   []string
	order      []uint32 // numbers of the traces, ordered by their ids
	coded      []byte   // order as it is stored, until it is decoded
}

// findTrace returns the number of a trace; ok=false: the block does not hold it.
func (t *traceIndex) findTrace(id trace.ID) (int, bool) {
	i, ok := slices.BinarySearchFunc(t.order, id, func(n uint32, id trace.ID) int {
		return compareIDs(&t.ids[n], &id)
	})
	if !ok {
		return 0, false
	}
	return int(t.order[i]), true
}

// describeTrace describes the trace with number i.
func (t *traceIndex) describeTrace(i int) column.TraceInfo {
	x := column.TraceInfo{ID: t.ids[i], Start: t.start[i], End: t.end[i], Spans: int(t.first[i+1] - t.first[i])}
	if n := t.name[i]; n > 0 {
		x.HasRoot, x.RootName = true, t.names[n-1]
	}
	if n := t.service[i]; n > 0 {
		x.RootService = t.services[n-1]
	}
	return x
}

// encodeIndex returns the index of the block. events and links are nil if there are none.
func (w *writer) encodeIndex(spans, events, links *parquetFile) []byte {
	b := append([]byte(indexMagic), Version)
	b = w.appendSection(b, sectionGroups, w.encodeGroups())
	b = w.appendSection(b, sectionSpans, appendDirectory(nil, spans))
	if events != nil {
		b = w.appendSection(b, sectionEvents, appendDirectory(nil, events))
	}
	if links != nil {
		b = w.appendSection(b, sectionLinks, appendDirectory(nil, links))
	}
	b = w.appendSection(b, sectionTraces, w.encodeTraces())
	b = w.appendSection(b, sectionTraceOrder, encodeOrder(w.layout.traces))
	b = w.appendSection(b, sectionTraceFilter, traceFilter(w.layout.traces))
	b = w.appendSection(b, sectionValueFilter, w.values.buildFilter())
	b = w.appendSection(b, sectionOverflow, encodeKeys(w.overflows))
	if a := w.attributes; a != nil {
		b = w.appendSection(b, sectionAttributes, appendDirectory(nil, a.file))
		b = w.appendSection(b, sectionSparse, a.encodeSparse())
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)))
	return append(b, indexMagic...)
}

// appendSection appends a section, compressed if that makes it smaller; filters are not tried.
func (w *writer) appendSection(b []byte, id int, body []byte) []byte {
	stored, zipped := body, uint64(0)
	if id != sectionTraceFilter && id != sectionValueFilter {
		if z := w.enc.zip.EncodeAll(body, nil); len(z) < len(body) {
			stored, zipped = z, 1
		}
	}
	b = binary.AppendUvarint(b, uint64(id))
	b = binary.AppendUvarint(b, zipped)
	b = binary.AppendUvarint(b, uint64(len(body)))
	b = binary.AppendUvarint(b, uint64(len(stored)))
	b = binary.LittleEndian.AppendUint32(b, checksum(stored))
	return append(b, stored...)
}

// encodeOrder returns the numbers of the traces in the order of their ids.
func encodeOrder(traces []traceLayout) []byte {
	order := make([]uint32, len(traces))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return compareIDs(&traces[a].id, &traces[b].id) })
	return appendHybrid(nil, order, codeWidth(len(order)))
}

// encodeKeys returns a list of attributes.
func encodeKeys(keys []column.Key) []byte {
	b := binary.AppendUvarint(nil, uint64(len(keys)))
	for _, k := range keys {
		b = appendString(append(b, byte(k.Scope), byte(k.Type)), k.Name)
	}
	return b
}

// compareIDs orders trace ids by their bytes.
func compareIDs(a, b *trace.ID) int {
	x, y := binary.BigEndian.Uint64(a[:]), binary.BigEndian.Uint64(b[:])
	if x == y {
		x, y = binary.BigEndian.Uint64(a[8:]), binary.BigEndian.Uint64(b[8:])
	}
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

// numberServices returns, by content, the number of its service.name in names, + 1; 0: it has none
// that is a string.
func (c *contents) numberServices(names *interner) []uint32 {
	out := make([]uint32, len(c.list))
	key := column.Key{Scope: column.Resource, Name: "service.name", Type: column.String}
	c.eachValue(key, func(i int, v *trace.Value) {
		out[i] = names.intern(unsafe.String(unsafe.SliceData(v.Bytes), len(v.Bytes)), false) + 1
	})
	return out
}

// encodeGroups returns the section of row groups.
func (w *writer) encodeGroups() []byte {
	p := w.layout
	names := newInterner(p.seed)
	service := w.resources.numberServices(names)
	b := appendStrings(nil, names.list)
	b = binary.AppendUvarint(b, uint64(len(p.groups)))
	seen := make([]int, len(names.list)+1)
	for n, g := range p.groups {
		start, end := uint64(math.MaxUint64), uint64(0)
		for _, t := range p.traces[g.trace : g.trace+g.traces] {
			start, end = min(start, t.start), max(end, t.end, t.start)
		}
		b = binary.AppendUvarint(b, uint64(g.rows))
		b = binary.AppendUvarint(b, uint64(g.traces))
		b = binary.LittleEndian.AppendUint64(b, start)
		b = binary.LittleEndian.AppendUint64(b, end)
		var list []uint32
		for _, r := range p.input[g.slot : g.slot+g.rows] {
			if s := service[p.resource[r]]; s > 0 && seen[s] != n+1 {
				seen[s] = n + 1
				list = append(list, s-1)
			}
		}
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, s := range list {
			b = binary.AppendUvarint(b, uint64(s))
		}
	}
	return b
}

// encodeTraces returns the section of traces, but for their ids.
func (w *writer) encodeTraces() []byte {
	p := w.layout
	names, services := newInterner(p.seed), newInterner(p.seed)
	all := newInterner(p.seed) // also of resources that no root has
	of := w.resources.numberServices(all)
	name, service := make([]uint32, len(p.traces)), make([]uint32, len(p.traces))
	for i := range p.traces {
		t := &p.traces[i]
		if t.root == noSlot {
			continue
		}
		name[i] = names.intern(w.rootNames[i], false) + 1
		if s := of[p.resource[p.input[t.root]]]; s > 0 {
			service[i] = services.intern(all.list[s-1], false) + 1
		}
	}
	b := appendStrings(nil, names.list)
	b = appendStrings(b, services.list)
	b = binary.AppendUvarint(b, uint64(len(p.traces)))
	last := uint64(0)
	for i := range p.traces {
		t := &p.traces[i]
		b = binary.AppendUvarint(b, uint64(t.spans))
		b = binary.AppendUvarint(b, t.start-last)
		b = binary.AppendVarint(b, int64(t.end-t.start))
		last = t.start
	}
	for i := range p.traces {
		b = binary.AppendUvarint(b, uint64(name[i]))
		b = binary.AppendUvarint(b, uint64(service[i]))
	}
	return b
}

// appendDirectory appends the directory of an object.
func appendDirectory(b []byte, f *parquetFile) []byte {
	b = binary.AppendUvarint(b, uint64(len(f.groups)))
	for _, rows := range f.groups {
		b = binary.AppendUvarint(b, uint64(rows))
	}
	b = binary.AppendUvarint(b, uint64(len(f.columns)))
	for _, c := range f.columns {
		b = append(b, byte(c.key.Scope), byte(c.key.Type), byte(c.kind), byte(bit(c.required)))
		b = appendString(b, c.key.Name)
		b = appendString(b, c.name)
		for g := range c.chunks {
			if k := &c.chunks[g]; k.rows > 0 {
				b = appendChunk(b, k, c.kind)
			}
		}
	}
	return b
}

// appendChunk appends what a directory holds of a chunk.
func appendChunk(b []byte, k *chunk, kind kind) []byte {
	b = binary.AppendUvarint(b, uint64(k.offset)<<1|bit(k.zipped))
	if b = binary.AppendUvarint(b, uint64(k.dict)); k.dict > 0 {
		b = binary.AppendUvarint(b, uint64(k.entries))
	}
	b = binary.AppendUvarint(b, uint64(k.rawBytes))
	for i := range k.pages {
		p := &k.pages[i]
		rows := min(column.PageRows, k.rows-i*column.PageRows)
		b = binary.AppendUvarint(b, uint64(p.length)<<1|bit(p.plain))
		b = binary.AppendUvarint(b, uint64(rows-p.values))
		if kind == kindInt && p.values > 0 {
			b = binary.AppendVarint(b, p.lo)
			b = binary.AppendUvarint(b, uint64(p.hi-p.lo))
		}
	}
	return b
}

// bit returns 1 for true.
func bit(set bool) uint64 {
	if set {
		return 1
	}
	return 0
}
