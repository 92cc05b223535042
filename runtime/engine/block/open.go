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

	groups                []rowGroup
	spans, events, links  directory
	traces                traceIndex
	filter, values        filter
	overflow              [column.Link + 1][]column.Key // attributes in overflow columns, by scope
	keys                  []column.Key                  // of the three tables
	eventKeys, linkKeys   []column.Key
	spanShape, eventShape []column.Key
	linkShape             []column.Key
	memory                int64
}

// Open reads the index of a block, in one read. Errors: ErrCorrupt, or those of src.
func Open(ctx context.Context, src Source, m *Meta) (*Block, error) {
	if m.Version != Version {
		return nil, fmt.Errorf("open block %s: format version %d, this program reads %d", m.ID, m.Version, Version)
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
	b.name()
	b.memory = b.measureMemory()
	return b, nil
}

// name makes the lists of columns.
func (bl *Block) name() {
	bl.keys, bl.spanShape = bl.spans.tableKeys(column.Span)
	bl.eventKeys, bl.eventShape = bl.events.tableKeys(column.Event)
	bl.linkKeys, bl.linkShape = bl.links.tableKeys(column.Link)
}

// isConsistent checks that the sections fit together, and decodes the order of trace ids.
func (bl *Block) isConsistent() bool {
	t := &bl.traces
	n := len(t.ids)
	if len(t.start) != n || n == 0 || len(bl.groups) != len(bl.spans.groups) {
		return false
	}
	row, first := 0, 0
	for g := range bl.groups {
		gr := &bl.groups[g]
		if gr.rows == 0 || gr.traces == 0 || gr.rows != bl.spans.groups[g] || gr.traces > n-first || int(t.first[first]) != row {
			return false
		}
		row, first = row+gr.rows, first+gr.traces
	}
	if first != n || int(t.first[n]) != row || row != bl.meta.Spans || n != bl.meta.Traces {
		return false
	}
	for i := range n {
		if t.first[i+1] <= t.first[i] {
			return false
		}
	}
	for _, d := range []*directory{&bl.events, &bl.links} {
		if d.columns != nil && len(d.groups) != len(bl.groups) {
			return false
		}
	}
	for _, k := range []column.Key{column.SpanID, keyParentDistance, column.Start, column.Duration} {
		if c, ok := bl.spans.byKey[k]; !ok || !bl.spans.columns[c].required {
			return false
		}
	}
	if t.order == nil {
		t.order = make([]uint32, n)
		if decodeHybrid(t.order, t.coded, codeWidth(n)) != nil {
			return false
		}
		t.coded = nil
	}
	if len(t.order) != n {
		return false
	}
	for i, x := range t.order {
		if int(x) >= n || i > 0 && compareIDs(&t.ids[t.order[i-1]], &t.ids[x]) >= 0 {
			return false
		}
	}
	return true
}

// tableKeys returns the columns of a table, and those that its shapes index.
func (d *directory) tableKeys(scope column.Scope) (keys, shape []column.Key) {
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
		keys = append(keys, k)
		if k.Scope == scope {
			shape = append(shape, k)
		}
	}
	slices.SortFunc(keys, column.Key.Compare)
	return keys, shape
}

func (bl *Block) measureMemory() int64 {
	n := int64(unsafe.Sizeof(*bl)) + int64(len(bl.filter)+len(bl.values)) + int64(len(bl.traces.ids))*(16+8+8+4*4)
	for _, list := range bl.overflow {
		for _, k := range list {
			n += int64(unsafe.Sizeof(k)) + int64(len(k.Name))
		}
	}
	for _, s := range bl.traces.names {
		n += int64(len(s)) + 16
	}
	for _, d := range []*directory{&bl.spans, &bl.events, &bl.links} {
		for i := range d.columns {
			c := &d.columns[i]
			n += int64(unsafe.Sizeof(*c)) + int64(2*len(c.name)) + 64
			for g := range c.chunks {
				n += int64(unsafe.Sizeof(c.chunks[g])) + int64(len(c.chunks[g].pages))*int64(unsafe.Sizeof(pageEntry{}))
			}
		}
	}
	return n
}

// MayHold asks the trace-id filter: false is certain.
func (bl *Block) MayHold(id trace.ID) bool { return bl.filter.mayHave(hashTrace(id)) }

// Memory is what the opened block keeps in memory, in bytes.
func (bl *Block) Memory() int64 { return bl.memory }

// Meta is what the block was opened with. The caller must not change it.
func (bl *Block) Meta() *Meta { return bl.meta }

// findTrace returns the number of a trace.
func (t *traceIndex) findTrace(id trace.ID) (int, bool) {
	i, ok := slices.BinarySearchFunc(t.order, id, func(n uint32, id trace.ID) int { return compareIDs(&t.ids[n], &id) })
	if !ok {
		return 0, false
	}
	return int(t.order[i]), true
}

// describeTrace describes a trace.
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
