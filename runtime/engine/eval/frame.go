package eval

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// frame is a set of columns of equal length at one page: the span table, or a child table. It holds
// the pages that conditions have read.
type frame struct {
	columns   column.Columns
	hint      column.Hinter    // nil: knows nothing
	directory column.Directory // nil: knows nothing
	sifter    column.Sifter    // nil: cannot
	page      int
	rows      int // of the page
	byKey     map[column.Key]*pageColumn
	opened    []*pageColumn
	overflows map[column.Key]*overflow // nil: the column is empty
}

// pageColumn is a column at the frame's page, read when it is first asked for.
type pageColumn struct {
	frame  *frame
	key    column.Key
	vector column.Vector
	loaded bool
	exists bool // the table has the column

	sifted column.Bitmap // what sift has found last
	isSole bool          // at this page, and all its rows have the value n
	sole   int64
}

func newFrame(c column.Columns) *frame {
	f := &frame{columns: c, page: -1, byKey: map[column.Key]*pageColumn{}, overflows: map[column.Key]*overflow{}}
	f.hint, _ = c.(column.Hinter)
	f.directory, _ = c.(column.Directory)
	f.sifter, _ = c.(column.Sifter)
	return f
}

// attributeKeys returns the columns of an attribute, by type.
func (f *frame) attributeKeys(scope column.Scope, name string) []column.Key {
	all := f.columns.Keys()
	from, _ := slices.BinarySearchFunc(all, column.Key{Scope: scope, Name: name}, column.Key.Compare)
	to := from
	for to < len(all) && all[to].Scope == scope && all[to].Name == name {
		to++
	}
	return all[from:to]
}

// column returns the place where a column is held.
func (f *frame) column(k column.Key) *pageColumn {
	h := f.byKey[k]
	if h == nil {
		h = &pageColumn{frame: f, key: k}
		f.byKey[k] = h
		f.opened = append(f.opened, h)
	}
	return h
}

// seekPage goes to a page.
func (f *frame) seekPage(page int) {
	if page == f.page {
		return
	}
	f.page = page
	f.rows = min(f.columns.Rows()-page*column.PageRows, column.PageRows)
	for _, h := range f.opened {
		h.loaded, h.isSole = false, false
	}
	for _, o := range f.overflows {
		if o != nil {
			o.loaded = false
		}
	}
}

// loadPage returns the column's page; one without values if the table has no such column.
func (h *pageColumn) loadPage(ctx context.Context) (*column.Vector, error) {
	if h.loaded {
		return &h.vector, nil
	}
	if h.vector.Ints == nil && (h.key.Type == column.Int || h.key.Type == column.Bool) {
		h.vector.Ints = make([]int64, 0, h.frame.rows)
	}
	var err error
	if h.exists, err = h.frame.columns.Vector(ctx, h.key, h.frame.page, &h.vector); err != nil {
		return nil, err
	}
	if !h.exists {
		h.vector.Reset(h.frame.rows)
	}
	if h.vector.Rows != h.frame.rows {
		return nil, fmt.Errorf("read column %s.%s: page %d has %d rows, not %d: %w", h.key.Scope, h.key.Name, h.frame.page, h.vector.Rows, h.frame.rows, column.ErrCorrupt)
	}
	h.loaded = true
	return &h.vector, nil
}

// loadFull returns a vector of which every row must have a value.
func (h *pageColumn) loadFull(ctx context.Context) (*column.Vector, error) {
	v, err := h.loadPage(ctx)
	if err == nil && v.N != v.Rows {
		return nil, fmt.Errorf("read column %s.%s: page %d has gaps: %w", h.key.Scope, h.key.Name, h.frame.page, column.ErrCorrupt)
	}
	return v, err
}

// siftRows returns the rows of an Int column whose value holds, without reading the page as a vector.
// They are valid until the next call. ok=false: read it.
func (h *pageColumn) siftRows(ctx context.Context, holds func(int64) bool) (rows column.Bitmap, ok bool, err error) {
	if h.loaded || h.frame.sifter == nil {
		return nil, false, nil
	}
	h.isSole = false
	h.sifted = h.sifted.Resize(h.frame.rows)
	count, last := 0, int64(0)
	ok, err = h.frame.sifter.Sift(ctx, h.key, h.frame.page, func(n int64) bool {
		if !holds(n) {
			return false
		}
		count, last = count+1, n
		return true
	}, h.sifted)
	if err == nil && ok {
		h.isSole, h.sole = count == 1, last
	}
	return h.sifted, ok, err
}

// sameValue returns the value of rows if sift has seen that it is one.
func (h *pageColumn) sameValue(rows []uint32) (n int64, ok bool) {
	if !h.isSole {
		return 0, false
	}
	for _, r := range rows {
		if !h.sifted.Get(int(r)) {
			return 0, false
		}
	}
	return h.sole, true
}

// loadDict returns the dictionary of the page without reading its codes.
func (h *pageColumn) loadDict(ctx context.Context) ([]string, bool, error) {
	if h.loaded {
		return h.vector.Dict, h.vector.Dict != nil, nil
	}
	if h.frame.hint == nil {
		return nil, false, nil
	}
	return h.frame.hint.Dict(ctx, h.key, h.frame.page)
}

func (h *pageColumn) valueBounds() (lo, hi int64, ok bool) {
	if h.frame.hint == nil {
		return 0, 0, false
	}
	return h.frame.hint.Bounds(h.key, h.frame.page)
}

// overflow is the attributes of one scope that lie in an overflow column, those that the query
// names, at the frame's page.
type overflow struct {
	column  *pageColumn
	numbers map[string]int
	found   []overflowAttribute
	loaded  bool
}

// overflowAttribute is one attribute of one row, in the order of rows.
type overflowAttribute struct {
	row    int
	number int
	typ    column.Type
	value  value
}

// overflowKey returns the overflow column of a scope.
func overflowKey(s column.Scope) column.Key {
	switch s {
	case column.Resource:
		return column.ResourceOverflow
	case column.Instrumentation:
		return column.ScopeOverflow
	}
	return column.Overflow
}

// findOverflow returns where attributes of a name may overflow; nil if certainly none does.
func (f *frame) findOverflow(s column.Scope, name string) (o *overflow, number int) {
	if f.directory != nil {
		if keys, ok := f.directory.OverflowKeys(s); ok {
			found := false
			for _, k := range keys {
				found = found || k.Name == name
			}
			if !found {
				return nil, 0
			}
		}
	}
	k := overflowKey(s)
	o, ok := f.overflows[k]
	if !ok {
		if !f.isEmpty(k) {
			o = &overflow{column: f.column(k), numbers: map[string]int{}}
		}
		f.overflows[k] = o
	}
	if o == nil {
		return nil, 0
	}
	number, ok = o.numbers[name]
	if !ok {
		number = len(o.numbers)
		o.numbers[name] = number
		o.loaded = false
	}
	return o, number
}

// countValues returns the number of values of a column in a page, if the table knows.
func (f *frame) countValues(k column.Key, page int) (n int, ok bool) {
	if f.hint == nil {
		return 0, false
	}
	return f.hint.Count(k, page)
}

// isEmpty says that a column is known to have no value.
func (f *frame) isEmpty(k column.Key) bool {
	if _, ok := slices.BinarySearchFunc(f.columns.Keys(), k, column.Key.Compare); !ok {
		return true
	}
	for p := range column.Pages(f.columns.Rows()) {
		if n, ok := f.countValues(k, p); !ok || n > 0 {
			return false
		}
	}
	return true
}

// readPage returns the attributes of the page.
func (o *overflow) readPage(ctx context.Context) ([]overflowAttribute, error) {
	if o.loaded {
		return o.found, nil
	}
	v, err := o.column.loadPage(ctx)
	if err != nil {
		return nil, err
	}
	o.found = o.found[:0]
	if v.N > 0 {
		i := 0
		err = eachPresentRow(v, func(row int) error {
			text := v.Text(i)
			i++
			return eachOverflowAttribute(text, func(name []byte, t column.Type, val value) {
				if n, ok := o.numbers[string(name)]; ok {
					o.found = append(o.found, overflowAttribute{row: row, number: n, typ: t, value: val})
				}
			})
		})
		if err != nil {
			return nil, err
		}
	}
	o.loaded = true
	return o.found, nil
}

// eachPresentRow calls f for the rows that have a value.
func eachPresentRow(v *column.Vector, f func(row int) error) error {
	if v.Present == nil {
		for row := range v.Rows {
			if err := f(row); err != nil {
				return err
			}
		}
		return nil
	}
	for row := v.Present.Next(0); row >= 0; row = v.Present.Next(row + 1) {
		if err := f(row); err != nil {
			return err
		}
	}
	return nil
}
