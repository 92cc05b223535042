package block

import (
	"context"
	"fmt"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Block is an opened block: its index. It is immutable and safe for concurrent use.
type Block struct {
	src  Source
	meta *Meta

	groups         []rowGroup
	spans          directory
	events, links  directory // without columns where the block has none
	attributes     directory // likewise
	sparse         sparseIndex
	traces         traceIndex
	filter, values filter                        // of trace ids, of texts in string columns
	overflow       [column.Link + 1][]column.Key // attributes in overflow columns, by scope and number
	memory         int64                         // bytes
}

// Open reads the index of a block, in one read. Errors: ErrCorrupt, or those of src.
func Open(ctx context.Context, src Source, m *Meta) (*Block, error) {
	if m.Version < OldestVersion || m.Version > Version {
		return nil, fmt.Errorf("open block %s: format version %d, this program reads %d to %d",
			m.ID, m.Version, OldestVersion, Version)
	}
	size := m.Objects[SpansObject]
	if x := m.Index; x.Offset < 0 || x.Length <= 0 || x.Length > maxPage || x.Offset > size-x.Length {
		return nil, &corruptError{object: MetaObject, cause: "extent of the index"}
	}
	buf := make([]byte, m.Index.Length)
	if err := src.ReadRange(ctx, SpansObject, m.Index.Offset, buf); err != nil {
		return nil, fmt.Errorf("open block %s: %w", m.ID, err)
	}
	b := &Block{src: src, meta: m}
	if err := b.parseIndex(buf); err != nil {
		return nil, err
	}
	b.listKeys()
	b.memory = b.measureMemory()
	return b, nil
}

// listKeys makes the lists of the columns of the three tables.
func (bl *Block) listKeys() {
	bl.spans.listKeys(column.Span)
	bl.sparse.addKeys(&bl.spans)
	bl.events.listKeys(column.Event)
	bl.links.listKeys(column.Link)
}

// listKeys makes the lists of the columns of a table, whose own attributes have the scope.
func (d *directory) listKeys(scope column.Scope) {
	d.keys, d.shapeKeys = nil, nil
	for i := range d.columns {
		k := d.columns[i].key
		switch k {
		case keyTraceID:
			k = column.TraceRow
		case keyParentDistance:
			k = column.ParentID
		case column.ParentID:
			continue
		}
		d.keys = append(d.keys, k)
		if k.Scope == scope {
			d.shapeKeys = append(d.shapeKeys, k)
		}
	}
	slices.SortFunc(d.keys, column.Key.Compare)
}

// measureMemory returns about how many bytes the block keeps in memory.
func (bl *Block) measureMemory() int64 {
	const perTrace = 16 + 8 + 8 + 4*4 // id, start, end, and the four lists of numbers
	n := int64(unsafe.Sizeof(*bl)) + int64(len(bl.filter)+len(bl.values)) + int64(len(bl.traces.ids))*perTrace
	for _, list := range bl.overflow {
		for _, k := range list {
			n += int64(unsafe.Sizeof(k)) + int64(len(k.Name))
		}
	}
	for _, s := range bl.traces.names {
		n += int64(len(s)) + 16
	}
	n += bl.sparse.measureMemory()
	for _, d := range bl.objectDirectories() {
		for i := range d.columns {
			c := &d.columns[i]
			n += int64(unsafe.Sizeof(*c)) + int64(2*len(c.name)) + 64
			for g := range c.chunks {
				k := &c.chunks[g]
				n += int64(unsafe.Sizeof(*k)) + int64(len(k.pages))*int64(unsafe.Sizeof(pageEntry{}))
			}
		}
	}
	return n
}

// MayHold reports whether the block may hold a trace, by the filter of trace ids; false is certain.
func (bl *Block) MayHold(id trace.ID) bool { return bl.filter.mayHave(hashTrace(id)) }

// Memory returns how many bytes the opened block keeps in memory.
func (bl *Block) Memory() int64 { return bl.memory }

// Meta returns what the block was opened with. The caller must not change it.
func (bl *Block) Meta() *Meta { return bl.meta }
