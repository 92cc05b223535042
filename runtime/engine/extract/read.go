package extract

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Found is a trace that a table holds.
type Found struct {
	Ordinal int    // in the table
	Trace   uint32 // as in Span
}

// Read takes the asked columns of some traces out of a table. Every page is read once. With only,
// the spans that it does not name are left out, and the others are taken with their contents.
func Read(ctx context.Context, t column.Table, list []Found, a *Asked, only []Span) (*Extract, error) {
	r := reader{table: t, selection: selectRows(t, list), out: &Extract{}}
	if err := r.readIDs(ctx); err != nil {
		return nil, err
	}
	if only != nil {
		r.keepOnly(only)
	}
	if len(r.rows) == 0 {
		return r.out, nil
	}
	r.out.Traces = r.traces
	if err := r.readSpans(ctx, &a.Spans); err != nil {
		return nil, err
	}
	var err error
	if r.out.Events, err = readChildren(ctx, t.Events(), &a.Events, r.rows); err != nil {
		return nil, err
	}
	if r.out.Links, err = readChildren(ctx, t.Links(), &a.Links, r.rows); err != nil {
		return nil, err
	}
	if only != nil {
		r.out.Contents, err = column.Fragments(ctx, t, r.rows, make([]trace.Fragment, 0, len(r.rows)))
	}
	return r.out, err
}

// selection is some rows of a table, which ascend, and the trace of each.
type selection struct {
	rows   []uint32
	traces []uint32
}

// selectRows selects the rows of some traces. In a block the rows of a trace are together; in a
// segment they are put into their order by marking them.
func selectRows(t column.Table, list []Found) selection {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Found) int { return a.Ordinal - b.Ordinal })
	var s selection
	if len(list) > t.Traces()/2 {
		s.rows, s.traces = make([]uint32, 0, t.Rows()), make([]uint32, 0, t.Rows())
	}
	for _, f := range list {
		s.rows = t.TraceRows(f.Ordinal, s.rows)
		for len(s.traces) < len(s.rows) {
			s.traces = append(s.traces, f.Trace)
		}
	}
	if slices.IsSorted(s.rows) {
		return s
	}
	marked, owner := column.NewBitmap(t.Rows()), make([]uint32, t.Rows())
	for i, row := range s.rows {
		marked.Set(int(row))
		owner[row] = s.traces[i]
	}
	s.rows = marked.AppendRows(s.rows[:0], 0)
	for i, row := range s.rows {
		s.traces[i] = owner[row]
	}
	return s
}

// reader reads an extract from a table.
type reader struct {
	table column.Table
	selection
	out    *Extract
	vector column.Vector
}

// readIDs reads the span ids of the selected rows.
func (r *reader) readIDs(ctx context.Context) error {
	if err := prefetch(ctx, r.table, []column.Key{column.SpanID, column.Start, column.Duration}, r.rows); err != nil {
		return err
	}
	c, err := readIDs(ctx, r.table, column.SpanID, r.rows)
	r.out.IDs = c.Ints
	return err
}

// keepOnly leaves out the rows that no name of the list stands for.
func (r *reader) keepOnly(only []Span) {
	named := make(map[Span]struct{}, len(only))
	for _, s := range only {
		named[s] = struct{}{}
	}
	k := 0
	for i, row := range r.rows {
		if _, ok := named[Span{r.traces[i], r.out.IDs[i]}]; ok {
			r.rows[k], r.traces[k], r.out.IDs[k] = row, r.traces[i], r.out.IDs[i]
			k++
		}
	}
	r.rows, r.traces, r.out.IDs = r.rows[:k], r.traces[:k], r.out.IDs[:k]
}

// readSpans reads the columns of the selected rows other than their ids.
func (r *reader) readSpans(ctx context.Context, f *Fields) error {
	keys := f.keysOf(r.table)
	if err := prefetch(ctx, r.table, keys, r.rows); err != nil {
		return err
	}
	for _, k := range [...]column.Key{column.Start, column.Duration} {
		c, err := readColumn(ctx, r.table, k, r.rows, &r.vector)
		if err != nil {
			return err
		}
		if k == column.Start {
			r.out.Starts = c.Ints
		} else {
			r.out.Durations = c.Ints
		}
	}
	rest := slices.DeleteFunc(slices.Clone(keys), func(k column.Key) bool { return k == column.ParentID })
	var err error
	r.out.Columns, err = readColumns(ctx, r.table, rest, f, r.rows, &r.vector)
	if err != nil || len(rest) == len(keys) {
		return err
	}
	parents, err := readIDs(ctx, r.table, column.ParentID, r.rows)
	r.out.Columns = append(r.out.Columns, parents)
	return err
}

// prefetch asks a table for the pages of rows that will be read, if it wants to know.
func prefetch(ctx context.Context, c column.Columns, keys []column.Key, rows []uint32) error {
	h, ok := c.(column.Hinter)
	if !ok || len(keys) == 0 || len(rows) == 0 {
		return nil
	}
	var pages []int
	for _, row := range rows {
		if p := int(row) / column.PageRows; len(pages) == 0 || pages[len(pages)-1] != p {
			pages = append(pages, p)
		}
	}
	return h.Prefetch(ctx, keys, pages)
}

// keysOf returns the columns of a table that the fields are in, other than those of ids and times.
func (f *Fields) keysOf(c column.Columns) []column.Key {
	var out []column.Key
	for _, k := range f.Fixed {
		switch k {
		case column.SpanID, column.Start, column.Duration, column.TraceRow, column.RowRef:
		default:
			out = append(out, k)
		}
	}
	all := c.Keys()
	if f.All {
		for _, k := range all {
			if k.Scope == column.Span || k.Scope == column.Resource || k.Scope == column.Instrumentation {
				out = append(out, k)
			}
		}
		return append(out, column.Overflow, column.ResourceOverflow, column.ScopeOverflow)
	}
	for _, a := range f.Attributes {
		i, _ := slices.BinarySearchFunc(all, column.Key{Scope: a.Scope, Name: a.Name}, column.Key.Compare)
		for ; i < len(all) && all[i].Scope == a.Scope && all[i].Name == a.Name; i++ {
			out = append(out, all[i])
		}
		if k := column.OverflowOf(a.Scope); mayOverflow(c, a) && !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

// mayOverflow reports whether an attribute may lie in an overflow column of the table.
func mayOverflow(c column.Columns, a Attribute) bool {
	d, ok := c.(column.Directory)
	if !ok {
		return true
	}
	keys, ok := d.OverflowKeys(a.Scope)
	return !ok || slices.ContainsFunc(keys, func(k column.Key) bool { return k.Name == a.Name })
}

// readChildren takes what the rows of the span table have in a child table.
func readChildren(ctx context.Context, c column.Columns, f *Fields, spans []uint32) (Children, error) {
	var out Children
	if c == nil || len(f.Fixed) == 0 && len(f.Attributes) == 0 {
		return out, nil
	}
	var rows []uint32
	var v column.Vector
	at := 0
	hint, _ := c.(column.Hinter)
	for page := range column.Pages(c.Rows()) {
		if hint != nil {
			lo, hi, ok := hint.Bounds(column.RowRef, page)
			if ok && (hi < int64(spans[0]) || lo > int64(spans[len(spans)-1])) {
				continue
			}
		}
		if _, err := c.Vector(ctx, column.RowRef, page, &v); err != nil {
			return out, err
		}
		for i, ref := range v.Ints {
			for at < len(spans) && int64(spans[at]) < ref {
				at++
			}
			if at < len(spans) && int64(spans[at]) == ref {
				rows = append(rows, uint32(page*column.PageRows+i))
				out.Rows = append(out.Rows, uint32(at))
			}
		}
	}
	if len(rows) == 0 {
		return out, nil
	}
	keys := f.keysOf(c)
	if err := prefetch(ctx, c, keys, rows); err != nil {
		return out, err
	}
	var err error
	out.Columns, err = readColumns(ctx, c, keys, f, rows, &v)
	return out, err
}
