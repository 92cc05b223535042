package block

import (
	"context"
	"errors"
	"fmt"
	"slices"

	pq "github.com/xitongsys/parquet-go/parquet"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// bandRows is about how many rows are gathered at once. The chunks that they have in one column lie
// one behind the other in the object.
const bandRows = 1 << 20

// Write merges tables (live segments, tables of other blocks) into one block: parts of a trace are
// joined, duplicate spans removed, and columns promoted anew. It returns the block's meta, which
// the caller stores last, and the block's traces in the order of their start. It takes about 60
// bytes of memory for each row, and the values of bandRows rows of one column at a time. Errors:
// ErrTooLarge, or those of the tables and the sink.
func Write(ctx context.Context, tables []column.Table, o WriteOptions, sink Sink) (*Meta, []TraceExtent, error) {
	tables = slices.DeleteFunc(slices.Clone(tables), func(t column.Table) bool { return t.Rows() == 0 })
	p, err := layOut(ctx, tables, o.RowGroupRows)
	if err != nil {
		return nil, nil, fmt.Errorf("plan block: %w", err)
	}
	if p.rows == 0 {
		return nil, nil, errors.New("write block: no spans")
	}
	scratch := o.Scratch
	if scratch == nil {
		scratch = NewScratch()
		defer scratch.Close()
	}
	scratch.enc.noter, scratch.enc.tooLarge = nil, false
	w := &writer{
		ctx:     ctx,
		layout:  p,
		sink:    sink,
		options: o,
		enc:     &scratch.enc,
		objects: map[string]int64{},
	}
	if err := w.writeObjects(); err != nil {
		return nil, nil, fmt.Errorf("write block: %w", err)
	}
	m := w.makeMeta()
	out := make([]TraceExtent, len(p.traces))
	for i, t := range p.traces {
		out[i] = TraceExtent{ID: t.id, Start: t.start, End: t.end}
	}
	return m, out, nil
}

// Scratch is memory that the writing of a block takes and that the next one can use again. Making
// it is most of the work of writing a small block. It belongs to one goroutine at a time, and must
// be closed when the last block is written.
type Scratch struct{ enc encoder }

// NewScratch returns a Scratch without memory yet.
func NewScratch() *Scratch { return &Scratch{enc: encoder{zip: newEncoder()}} }

// Close gives the memory back.
func (s *Scratch) Close() { s.enc.zip.Close() }

// writer writes one block.
type writer struct {
	ctx     context.Context
	layout  *layout
	sink    Sink
	options WriteOptions
	enc     *encoder
	objects map[string]int64 // sizes of those that are written
	index   Extent

	resources, scopes *contents
	rootNames         []string      // by trace
	values            filterBuilder // of texts in string columns of the spans
	overflows         []column.Key  // attributes in the overflow columns of all tables
	attributes        *attributesWriter
}

// writeObjects writes the objects of the block: the children first, because the index, which is in
// the object of the spans, describes all of them.
func (w *writer) writeObjects() error {
	p := w.layout
	var err error
	if w.resources, err = parseContents(w.ctx, column.Resource, p.resources.list); err != nil {
		return err
	}
	if w.scopes, err = parseContents(w.ctx, column.Instrumentation, p.scopes.list); err != nil {
		return err
	}
	for _, r := range p.input { // padding counts row 0: once for each group at most
		w.resources.rows[p.resource[r]]++
		w.scopes.rows[p.scope[r]]++
	}
	w.rootNames = make([]string, len(p.traces))

	var children [2]*parquetFile
	for i, name := range []string{EventsObject, LinksObject} {
		if children[i], err = w.writeChildren(name); err != nil {
			return err
		}
		if children[i] != nil {
			size, _, err := children[i].writeTail(nil, w.footerKeyValues())
			if err != nil {
				return err
			}
			w.objects[name] = size
		}
	}
	spans, err := w.writeSpans()
	if err != nil {
		return err
	}
	index := w.encodeIndex(spans, children[0], children[1])
	size, at, err := spans.writeTail(index, w.footerKeyValues())
	if err != nil {
		return err
	}
	w.objects[SpansObject], w.index = size, at
	return nil
}

// footerKeyValues are the properties of the block in the footers.
func (w *writer) footerKeyValues() []*pq.KeyValue {
	return []*pq.KeyValue{
		{Key: "troupe.format", Value: ptr("tcb1")},
		{Key: "troupe.version", Value: ptr(fmt.Sprint(Version))},
		{Key: "troupe.tenant", Value: &w.options.Tenant},
		{Key: "troupe.block", Value: &w.options.ID},
	}
}

// writeSpans writes the spans, but for the tail of the object.
func (w *writer) writeSpans() (*parquetFile, error) {
	p := w.layout
	src := tableSource{
		name:   SpansObject,
		scope:  column.Span,
		fixed:  spanColumns,
		groups: p.groups,
		counts: keyCounts{},
	}
	for n, t := range p.tables {
		if err := src.counts.countShapes(w.ctx, t, column.Span); err != nil {
			return nil, err
		}
		src.inputs = append(src.inputs, newInput(t, p.slots[p.base[n]:p.base[n+1]]))
	}
	w.resources.countKeys(src.counts)
	w.scopes.countKeys(src.counts)
	t, err := w.newTable(src)
	if err != nil {
		return nil, err
	}
	for _, c := range []*contents{w.resources, w.scopes} {
		spilled, err := c.collectOverflow(w.ctx, t.columns)
		if err != nil {
			return nil, err
		}
		w.overflows = append(w.overflows, spilled...)
	}
	w.attributes = t.sparse
	if err := t.eachBand(t.writeSpanBand); err != nil {
		return nil, err
	}
	if w.attributes != nil {
		if err := w.attributes.finish(); err != nil {
			return nil, err
		}
	}
	w.overflows = append(w.overflows, t.shaper.overflow.listed.keys...)
	if err := t.file.completeColumns(w.enc); err != nil {
		return nil, err
	}
	return t.file, t.writeTraceIDs()
}

// writeTraceIDs writes the trace ids of all row groups, behind all other columns: the index, which
// follows, does without ids of its own.
func (t *tableWriter) writeTraceIDs() error {
	p, fc := t.layout, t.columns[keyTraceID]
	var codes []uint32
	for g, gr := range t.groups {
		traces := p.traces[gr.trace : gr.trace+gr.traces]
		codes = codes[:0]
		t.enc.dict = t.enc.dict[:0]
		for i := range traces {
			for range traces[i].spans {
				codes = append(codes, uint32(i))
			}
			t.enc.dict = append(t.enc.dict, traces[i].id[:]...)
		}
		fc.blooms = append(fc.blooms, traceFilter(traces))
		k := t.enc.encodeTraceIDs(&fc.columnSpec, codes, len(traces))
		if err := t.file.writeChunk(fc, g, k, t.enc); err != nil {
			return err
		}
	}
	return nil
}

// writeSpanBand writes the columns of a band.
func (t *tableWriter) writeSpanBand() error {
	if err := t.writeLaidOut(); err != nil {
		return err
	}
	if t.to == len(t.groups) {
		t.layout.start, t.layout.id, t.layout.parent = nil, nil, nil
	}
	for _, s := range spanColumns {
		switch s.key {
		case column.SpanID, keyParentDistance, column.ParentID, column.Start, column.Group: // writeLaidOut
			continue
		case column.ResourceRef, column.ScopeRef, column.ResourceOverflow, column.ScopeOverflow,
			column.ScopeName, column.ScopeVersion: // writeDerived
			continue
		case column.Shape, column.Overflow: // writeCommon
			continue
		case keyTraceID: // writeTraceIDs
			continue
		}
		c, err := t.gatherColumn(s.key, s.coding, nil)
		if err != nil {
			return err
		}
		if s.key == column.Name {
			t.noteRoots(c)
		}
		if err := t.writeColumn(s.key, c); err != nil {
			return err
		}
	}
	if err := t.writeCommon(); err != nil {
		return err
	}
	return t.writeDerived()
}

// writeLaidOut writes the columns that are made of the layout.
func (t *tableWriter) writeLaidOut() error {
	p, g := t.layout, &t.gatherer
	lo, hi := int(g.from), int(g.from+g.slots)
	input := p.input[lo:hi]
	ids := make([]uint64, len(input))
	for i, r := range input {
		ids[i] = p.id[r]
	}
	if err := t.writeColumn(column.SpanID, &cells{ids: ids}); err != nil {
		return err
	}
	g.beginColumn()
	g.ints = resize(g.ints, g.slots)
	for i, r := range input {
		d := p.distance[lo+i]
		g.ints[i] = int64(d)
		if d == 0 && p.parent[r] != 0 {
			ids[i] = p.parent[r]
			g.present.Set(i)
		}
	}
	t.clearPadding()
	if err := t.writeColumn(keyParentDistance, &cells{ints: g.ints}); err != nil {
		return err
	}
	if err := t.writeColumn(column.ParentID, &cells{ids: ids, present: g.present}); err != nil {
		return err
	}
	for i, r := range input {
		g.ints[i] = p.start[r]
	}
	if err := t.writeColumn(column.Start, &cells{ints: g.ints}); err != nil {
		return err
	}
	for i := range input {
		g.ints[i] = int64(p.groupNumber[lo+i])
	}
	return t.writeColumn(column.Group, &cells{ints: g.ints})
}

// noteRoots keeps the names of the roots of the band's traces, for the index.
func (t *tableWriter) noteRoots(c *cells) {
	for _, gr := range t.groups[t.from:t.to] {
		for i, tr := range t.layout.traces[gr.trace : gr.trace+gr.traces] {
			if tr.root == noSlot {
				continue
			}
			name := ""
			if d := tr.root - t.gatherer.from; c.codes != nil {
				name = c.dict.list[c.codes[d]]
			} else {
				name = string([]byte(c.texts[d]))
			}
			t.rootNames[gr.trace+i] = name
		}
	}
}
