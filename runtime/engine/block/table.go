package block

import (
	"context"
	"fmt"
	"slices"
	"sort"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Reader reads a block for one query and counts what it reads. It belongs to one goroutine at a
// time. What its tables return stays valid.
type Reader struct {
	block     *Block
	tables    []*spanTable // by row group
	stats     Stats
	keptBytes int64 // of fetched pages

	// Memory of decoding, used again from page to page.
	buf       []byte // content of a page
	codes     []uint32
	lengths   []int64       // of texts
	distances column.Vector // to parents
	outside   column.Vector // parents that are not in the block
	sifted    column.Vector // levels of the page that is sifted
	dense     column.Bitmap
}

// Reader returns a reader of the block for one query.
func (bl *Block) Reader() *Reader {
	r := &Reader{block: bl, tables: make([]*spanTable, len(bl.groups))}
	for g := range bl.groups {
		r.tables[g] = &spanTable{
			groupTable: groupTable{
				reader: r, dir: &bl.spans, group: g, spans: true, scope: column.Span,
				rows: bl.groups[g].rows, keys: bl.spans.keys, sparse: r.sparseColumns(g),
			},
			group:  &bl.groups[g],
			events: r.childTable(&bl.events, column.Event, g),
			links:  r.childTable(&bl.links, column.Link, g),
		}
	}
	return r
}

// childTable returns the events or links of a row group; nil if it has none.
func (r *Reader) childTable(d *directory, s column.Scope, g int) *groupTable {
	if g >= len(d.groups) || d.groups[g] == 0 {
		return nil
	}
	return &groupTable{
		reader: r, dir: d, group: g, scope: s,
		rows: d.groups[g], base: int64(r.block.groups[g].row), keys: d.keys,
	}
}

// Tables returns one table for each row group, in time order. A trace lies in exactly one of them.
func (r *Reader) Tables() []column.Table {
	out := make([]column.Table, len(r.tables))
	for i, t := range r.tables {
		out[i] = t
	}
	return out
}

// Find returns the table that holds a trace and the trace's ordinal there. It costs no read: the
// index is in memory.
func (r *Reader) Find(_ context.Context, id trace.ID) (t column.Table, i int, ok bool, err error) {
	if !r.block.MayHold(id) {
		return nil, 0, false, nil
	}
	n, ok := r.block.traces.findTrace(id)
	if !ok {
		return nil, 0, false, nil
	}
	g := sort.Search(len(r.block.groups), func(g int) bool { return r.block.groups[g].trace > n }) - 1
	return r.tables[g], n - r.block.groups[g].trace, true, nil
}

// Stats returns what was read from the objects so far.
func (r *Reader) Stats() Stats { return r.stats }

// Stats counts reads of objects.
type Stats struct {
	Reads int
	Waves int // the reads of one wave go out together
	Bytes int64
}

// spanTable is the span table of a row group, with its traces and child tables.
type spanTable struct {
	groupTable
	group         *rowGroup
	events, links *groupTable    // nil: none
	fragments     *column.Reader // of shown
	shown         *rowWindow     // the rows that fragments were read from last
}

// groupTable is one of the tables of a row group.
type groupTable struct {
	reader  *Reader
	dir     *directory
	group   int
	spans   bool         // it is the span table
	scope   column.Scope // of its own attributes
	rows    int
	base    int64           // subtracted from RowRef: rows of the spans before the row group
	keys    []column.Key    // of the block, or of the row group
	ownKeys bool            // keys are of the row group
	chunks  []*fetchedChunk // by column of dir; nil: nothing was fetched of it
	sparse  *sparseColumns  // of the span table; nil: there are none
}

// groupTables returns the tables of the row group that are there.
func (t *spanTable) groupTables() []*groupTable {
	out := append(make([]*groupTable, 0, 4), &t.groupTable)
	if t.events != nil {
		out = append(out, t.events)
	}
	if t.links != nil {
		out = append(out, t.links)
	}
	if t.sparse != nil {
		out = append(out, t.sparse.table)
	}
	return out
}

// Rows implements column.Columns.
func (v *groupTable) Rows() int { return v.rows }

// Keys implements column.Columns: attributes that no row of the row group has are left out.
func (v *groupTable) Keys() []column.Key {
	if !v.ownKeys {
		v.ownKeys = true
		empty := func(k column.Key) bool {
			return k.Scope != column.Intrinsic && !v.hasValues(k)
		}
		if slices.ContainsFunc(v.keys, empty) {
			v.keys = slices.DeleteFunc(slices.Clone(v.keys), empty)
		}
	}
	return v.keys
}

// ShapeKeys implements column.Columns.
func (v *groupTable) ShapeKeys() []column.Key { return v.dir.shapeKeys }

// TimeOrdered implements column.Table.
func (t *spanTable) TimeOrdered() bool { return true }

// Events implements column.Table.
func (t *spanTable) Events() column.Columns {
	if t.events == nil {
		return nil
	}
	return t.events
}

// Links implements column.Table.
func (t *spanTable) Links() column.Columns {
	if t.links == nil {
		return nil
	}
	return t.links
}

// Traces implements column.Table.
func (t *spanTable) Traces() int { return t.group.traces }

// checkTrace returns an error if there is no trace i.
func (t *spanTable) checkTrace(i int) error {
	if i < 0 || i >= t.group.traces {
		return fmt.Errorf("read trace %d of %d: %w", i, t.group.traces, column.ErrCorrupt)
	}
	return nil
}

// TraceID implements column.Table.
func (t *spanTable) TraceID(_ context.Context, i int) (trace.ID, error) {
	if err := t.checkTrace(i); err != nil {
		return trace.ID{}, err
	}
	return t.reader.block.traces.ids[t.group.trace+i], nil
}

// Trace implements column.Table.
func (t *spanTable) Trace(_ context.Context, i int) (column.TraceInfo, error) {
	if err := t.checkTrace(i); err != nil {
		return column.TraceInfo{}, err
	}
	return t.reader.block.traces.describeTrace(t.group.trace + i), nil
}

// TraceRows implements column.Table.
func (t *spanTable) TraceRows(i int, dst []uint32) []uint32 {
	if t.checkTrace(i) != nil {
		return dst
	}
	first := t.reader.block.traces.first[t.group.trace+i:]
	for r := first[0]; r < first[1]; r++ {
		dst = append(dst, r-uint32(t.group.row))
	}
	return dst
}

// TraceOf implements column.Ordered.
func (t *spanTable) TraceOf(row int) int {
	first := t.reader.block.traces.first[t.group.trace+1:]
	at := uint32(t.group.row + row)
	return sort.Search(t.group.traces-1, func(i int) bool { return first[i] > at })
}

// Lookup implements column.Table.
func (t *spanTable) Lookup(_ context.Context, id trace.ID) (i int, ok bool, err error) {
	if !t.reader.block.MayHold(id) {
		return 0, false, nil
	}
	n, ok := t.reader.block.traces.findTrace(id)
	if n -= t.group.trace; !ok || n < 0 || n >= t.group.traces {
		return 0, false, nil
	}
	return n, true, nil
}

// The optional interfaces of package column that the tables implement.
var (
	_ column.Hinter     = (*spanTable)(nil)
	_ column.Directory  = (*spanTable)(nil)
	_ column.Fragmenter = (*spanTable)(nil)
	_ column.Ordered    = (*spanTable)(nil)
	_ column.IDReader   = (*spanTable)(nil)
	_ column.Hinter     = (*groupTable)(nil)
	_ column.Sifter     = (*spanTable)(nil)
	_ column.Sifter     = (*groupTable)(nil)

	_ column.SparseReader = (*spanTable)(nil)
	_ column.SparseReader = (*groupTable)(nil)
)
