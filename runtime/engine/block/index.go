package block

import (
	"encoding/binary"
	"math"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// The index is a magic word, the version, sections, each with its own checksum, its length, and the
// magic word again. Readers skip sections they do not know. Before it lie the chunks of trace ids,
// so that one read gets both.

const indexMagic = "TCB1"

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
)

// rowGroup is what the index says of a row group beside its pages.
type rowGroup struct {
	rows, traces int
	row, trace   int    // before it
	start, end   uint64 // unix ns, of all its spans
	services     []string
}

// directory says where the pages of an object are.
type directory struct {
	object  string
	groups  []int // rows
	first   []int // rows before
	columns []dirColumn
	byKey   map[column.Key]int
}

type dirColumn struct {
	columnSpec
	chunks []chunk
}

// traceIndex describes the traces of a block, in the order of the block.
type traceIndex struct {
	ids        []trace.ID
	first      []uint32 // row of each, and of the end
	start, end []uint64
	name       []uint32 // in names, + 1; 0: no root
	service    []uint32 // in services, + 1; 0: none
	names      []string
	services   []string
	order      []uint32 // traces by id
	coded      []byte   // order, until it is decoded
}

func (w *writer) encodeIndex(spans, events, links *parquetFile) []byte {
	p := w.layout
	b := append([]byte(indexMagic), Version)
	section := func(id int, body []byte) {
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
		b = append(b, stored...)
	}
	section(sectionGroups, w.encodeGroups())
	section(sectionSpans, appendDirectory(nil, spans))
	if events != nil {
		section(sectionEvents, appendDirectory(nil, events))
	}
	if links != nil {
		section(sectionLinks, appendDirectory(nil, links))
	}
	section(sectionTraces, w.encodeTraces())
	order := make([]uint32, len(p.traces))
	for i := range order {
		order[i] = uint32(i)
	}
	slices.SortFunc(order, func(a, b uint32) int { return compareIDs(&p.traces[a].id, &p.traces[b].id) })
	section(sectionTraceOrder, appendHybrid(nil, order, codeWidth(len(order))))
	section(sectionTraceFilter, traceFilter(p.traces))
	section(sectionValueFilter, w.values.buildFilter())
	over := binary.AppendUvarint(nil, uint64(len(w.overflows)))
	for _, k := range w.overflows {
		over = appendString(append(over, byte(k.Scope), byte(k.Type)), k.Name)
	}
	section(sectionOverflow, over)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)))
	return append(b, indexMagic...)
}

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

// numberServices returns the number of service.name of each content in names, + 1; 0: it has none
// that is a string.
func (c *contents) numberServices(names *interner) []uint32 {
	out := make([]uint32, len(c.list))
	c.eachValue(column.Key{Scope: column.Resource, Name: "service.name", Type: column.String}, func(i int, v *trace.Value) {
		out[i] = names.intern(unsafe.String(unsafe.SliceData(v.Bytes), len(v.Bytes)), false) + 1
	})
	return out
}

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

func appendDirectory(b []byte, f *parquetFile) []byte {
	b = binary.AppendUvarint(b, uint64(len(f.groups)))
	for _, rows := range f.groups {
		b = binary.AppendUvarint(b, uint64(rows))
	}
	b = binary.AppendUvarint(b, uint64(len(f.columns)))
	for _, c := range f.columns {
		required := byte(0)
		if c.required {
			required = 1
		}
		b = append(b, byte(c.key.Scope), byte(c.key.Type), byte(c.kind), required)
		b = appendString(b, c.key.Name)
		b = appendString(b, c.name)
		for g := range c.chunks {
			k := &c.chunks[g]
			if k.rows == 0 {
				continue
			}
			zipped := uint64(0)
			if k.zipped {
				zipped = 1
			}
			b = binary.AppendUvarint(b, uint64(k.offset)<<1|zipped)
			if b = binary.AppendUvarint(b, uint64(k.dict)); k.dict > 0 {
				b = binary.AppendUvarint(b, uint64(k.entries))
			}
			b = binary.AppendUvarint(b, uint64(k.rawBytes))
			for i := range k.pages {
				p := &k.pages[i]
				plain := uint64(0)
				if p.plain {
					plain = 1
				}
				b = binary.AppendUvarint(b, uint64(p.length)<<1|plain)
				b = binary.AppendUvarint(b, uint64(min(column.PageRows, k.rows-i*column.PageRows)-p.values))
				if c.kind == kindInt && p.values > 0 {
					b = binary.AppendVarint(b, p.lo)
					b = binary.AppendUvarint(b, uint64(p.hi-p.lo))
				}
			}
		}
	}
	return b
}
