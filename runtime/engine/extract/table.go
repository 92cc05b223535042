package extract

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Table is the traces of several extracts. It implements column.Table as far as the columns go that
// the extracts have. It belongs to one goroutine at a time.
type Table struct {
	joinedColumns
	ids    []trace.ID
	traces []uint32 // by ordinal: place in ids
	first  []uint32 // by ordinal: its first row; and the end of the last
	events *childTable
	links  *childTable
	starts []bounds           // by page
	infos  []column.TraceInfo // by ordinal, once one of them was asked for; without spans: not worked out yet
	byID   map[trace.ID]int   // ordinals, once one was asked for
}

// bounds are the least and the greatest of some numbers.
type bounds struct{ lo, hi int64 }

func newTable(p *Parts) *Table {
	t := &Table{ids: p.IDs}
	for _, e := range p.Extracts {
		t.parts = append(t.parts, part{extract: e, columns: e.Columns})
	}
	fixed := []column.Key{column.TraceRow, column.SpanID, column.Start, column.Duration}
	t.keys = t.listKeys(fixed)
	return t
}

// addRow adds the next row.
func (t *Table) addRow(s span) {
	n := int64(s.start)
	if len(t.order)%column.PageRows == 0 {
		t.starts = append(t.starts, bounds{n, n})
	}
	b := &t.starts[len(t.starts)-1]
	b.lo, b.hi = min(b.lo, n), max(b.hi, n)
	t.order = append(t.order, s.place)
}

// Traces implements column.Table.
func (t *Table) Traces() int { return len(t.traces) }

// TraceID implements column.Table.
func (t *Table) TraceID(_ context.Context, i int) (trace.ID, error) {
	if i < 0 || i >= len(t.traces) {
		return trace.ID{}, fmt.Errorf("read trace %d of %d: %w", i, len(t.traces), column.ErrCorrupt)
	}
	return t.ids[t.traces[i]], nil
}

// TraceRows implements column.Table.
func (t *Table) TraceRows(i int, dst []uint32) []uint32 {
	if i < 0 || i >= len(t.traces) {
		return dst
	}
	for r := t.first[i]; r < t.first[i+1]; r++ {
		dst = append(dst, r)
	}
	return dst
}

// TraceOf implements column.Ordered.
func (t *Table) TraceOf(row int) int {
	return sort.Search(len(t.traces)-1, func(i int) bool { return int(t.first[i+1]) > row })
}

// Lookup implements column.Table.
func (t *Table) Lookup(_ context.Context, id trace.ID) (i int, ok bool, err error) {
	if t.byID == nil {
		t.byID = make(map[trace.ID]int, len(t.traces))
		for i, n := range t.traces {
			t.byID[t.ids[n]] = i
		}
	}
	i, ok = t.byID[id]
	return i, ok, nil
}

// TimeOrdered implements column.Table.
func (t *Table) TimeOrdered() bool { return false }

// Events implements column.Table.
func (t *Table) Events() column.Columns {
	if t.events == nil {
		return nil
	}
	return t.events
}

// Links implements column.Table.
func (t *Table) Links() column.Columns {
	if t.links == nil {
		return nil
	}
	return t.links
}

// Trace implements column.Table. The root is right if the ids of parents were asked for, and its
// name and service are known if these were.
func (t *Table) Trace(ctx context.Context, i int) (column.TraceInfo, error) {
	id, err := t.TraceID(ctx, i)
	if err != nil {
		return column.TraceInfo{}, err
	}
	if t.infos == nil {
		t.infos = make([]column.TraceInfo, len(t.traces))
	}
	if t.infos[i].Spans > 0 {
		return t.infos[i], nil
	}
	rows := t.order[t.first[i]:t.first[i+1]]
	info := column.TraceInfo{ID: id, Spans: len(rows)}
	for n, p := range rows {
		if n&0xffff == 0xffff && ctx.Err() != nil {
			return column.TraceInfo{}, ctx.Err()
		}
		e := t.parts[p.part()].extract
		start := uint64(e.Starts[p.row()])
		if n == 0 {
			info.Start = start
		}
		info.End = max(info.End, start, start+uint64(e.Durations[p.row()]))
	}
	t.findRoot(rows, &info)
	t.infos[i] = info
	return info, nil
}

// findRoot describes the root of a trace: the last of its rows, which are in the order of spans,
// without a parent.
func (t *Table) findRoot(rows []place, info *column.TraceInfo) {
	parents := t.columnOf(column.ParentID)
	for k := len(rows) - 1; k >= 0; k-- {
		p := rows[k]
		if parents != nil && parents.hasNumber(p) {
			continue
		}
		name, _ := t.textAt(column.Name, p)
		info.HasRoot, info.RootName = true, name
		info.RootService = t.serviceAt(p)
		return
	}
}

// serviceAt returns the service.name of a row's resource, if it is a text.
func (t *Table) serviceAt(p place) string {
	k := column.Key{Scope: column.Resource, Name: "service.name", Type: column.String}
	if s, ok := t.textAt(k, p); ok {
		return s
	}
	s, _ := t.textAt(column.ResourceOverflow, p)
	rest := []byte(s)
	for {
		var a trace.Attribute
		var ok bool
		var err error
		if rest, ok, err = column.NextKeyValue(rest, &a); err != nil || !ok {
			return ""
		}
		if string(a.Key) == "service.name" && a.Value.Type == trace.String {
			return string(a.Value.Bytes)
		}
	}
}

// errNoContent is the error of a span whose content was not asked for.
var errNoContent = errors.New("BUG: the content of a span that shares its start and id with no other was asked for")

// AppendFragments implements column.Fragmenter for the spans that share start and id.
func (t *Table) AppendFragments(_ context.Context, rows []uint32, dst []trace.Fragment) ([]trace.Fragment, error) {
	for _, r := range rows {
		p := t.order[r]
		e := t.parts[p.part()].extract
		if e.Contents == nil {
			return dst, errNoContent
		}
		dst = append(dst, e.Contents[p.row()])
	}
	return dst, nil
}

// Vector implements column.Columns.
func (t *Table) Vector(ctx context.Context, k column.Key, page int, dst *column.Vector) (bool, error) {
	rows := t.pageOf(page)
	dst.Reset(len(rows))
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if len(rows) == 0 {
		return false, nil
	}
	switch k {
	case column.TraceRow:
		dst.SetAll()
		row := uint32(page * column.PageRows)
		for i := t.TraceOf(int(row)); len(dst.Ints) < len(rows); i++ {
			for ; row < t.first[i+1] && len(dst.Ints) < len(rows); row++ {
				dst.Ints = append(dst.Ints, int64(i))
			}
		}
	case column.SpanID:
		dst.SetAll()
		ids := newIDs(len(rows), dst)
		for _, p := range rows {
			ids.append(uint64(t.parts[p.part()].extract.IDs[p.row()]))
		}
	case column.Start:
		dst.SetAll()
		for _, p := range rows {
			dst.Ints = append(dst.Ints, t.parts[p.part()].extract.Starts[p.row()])
		}
	case column.Duration:
		dst.SetAll()
		for _, p := range rows {
			dst.Ints = append(dst.Ints, t.parts[p.part()].extract.Durations[p.row()])
		}
	default:
		return t.readColumn(k, rows, dst), nil
	}
	return true, nil
}

// ReadIDs implements column.IDReader.
func (t *Table) ReadIDs(ctx context.Context, k column.Key, page int, ids []uint64, present column.Bitmap) error {
	rows := t.pageOf(page)
	if len(ids) != len(rows) {
		return fmt.Errorf("read ids of page %d: %d rows, not %d: %w", page, len(rows), len(ids), column.ErrCorrupt)
	}
	if k == column.SpanID {
		for i, p := range rows {
			ids[i] = uint64(t.parts[p.part()].extract.IDs[p.row()])
		}
		present.SetRange(0, len(ids))
	} else if parents := t.columnOf(column.ParentID); parents != nil {
		for i, p := range rows {
			if parents.hasNumber(p) {
				ids[i] = uint64(parents.parts[p.part()].Ints[p.row()])
				present.Set(i)
			}
		}
	}
	return ctx.Err()
}

// Bounds implements column.Hinter.
func (t *Table) Bounds(k column.Key, page int) (lo, hi int64, ok bool) {
	if k != column.Start || page < 0 || page >= len(t.starts) {
		return 0, 0, false
	}
	return t.starts[page].lo, t.starts[page].hi, true
}

// The optional interfaces of package column that the tables implement.
var (
	_ column.Hinter     = (*Table)(nil)
	_ column.Fragmenter = (*Table)(nil)
	_ column.Ordered    = (*Table)(nil)
	_ column.IDReader   = (*Table)(nil)
)

// listKeys returns the columns that some extract has, and others, sorted.
func (c *joinedColumns) listKeys(others []column.Key) []column.Key {
	keys := slices.Clone(others)
	for i := range c.parts {
		for n := range c.parts[i].columns {
			keys = append(keys, c.parts[i].columns[n].Key)
		}
	}
	slices.SortFunc(keys, column.Key.Compare)
	return slices.Compact(keys)
}
