package eval

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
)

// frame is a table of columns of equal length, the span table or a child table, at one page. It
// keeps the columns of the page that were read, so that several conditions read each of them once.
type frame struct {
	columns   column.Columns
	hint      column.Hinter    // nil: the table knows nothing about its pages in advance
	directory column.Directory // nil: the table has no list of overflowing attributes
	sifter    column.Sifter    // nil: columns can be read as vectors only

	page int // -1 before the first
	rows int // of the page

	byKey     map[column.Key]*pageColumn
	opened    []*pageColumn            // all of byKey
	overflows map[column.Key]*overflow // nil: the column is empty
	named     []extract.Attribute      // that sources were asked for
}

// pageColumn is a column at the frame's page, which is read when it is first asked for.
type pageColumn struct {
	frame  *frame
	key    column.Key
	vector column.Vector
	loaded bool // vector is that of the frame's page
	exists bool // the table has the column

	sifted column.Bitmap // the rows that siftRows found last
	isSole bool          // siftRows was asked at this page, and its rows all have the value sole
	sole   int64
}

// newFrame returns a frame over a table that is at no page yet.
func newFrame(c column.Columns) *frame {
	f := &frame{
		columns:   c,
		page:      -1,
		byKey:     map[column.Key]*pageColumn{},
		opened:    make([]*pageColumn, 0, 8),
		overflows: map[column.Key]*overflow{},
	}
	f.hint, _ = c.(column.Hinter)
	f.directory, _ = c.(column.Directory)
	f.sifter, _ = c.(column.Sifter)
	return f
}

// attributeKeys returns the columns of an attribute, one for each type that the table has, in the
// order of types.
func (f *frame) attributeKeys(scope column.Scope, name string) []column.Key {
	all := f.columns.Keys()
	from, _ := slices.BinarySearchFunc(all, column.Key{Scope: scope, Name: name}, column.Key.Compare)
	to := from
	for to < len(all) && all[to].Scope == scope && all[to].Name == name {
		to++
	}
	return all[from:to]
}

// column returns the column of a key; it is without values if the table has none.
func (f *frame) column(k column.Key) *pageColumn {
	c := f.byKey[k]
	if c == nil {
		c = &pageColumn{frame: f, key: k}
		f.byKey[k] = c
		f.opened = append(f.opened, c)
	}
	return c
}

// seekPage makes a page the current one. Vectors of the page before are not valid any more.
func (f *frame) seekPage(page int) {
	if page == f.page {
		return
	}
	f.page = page
	f.rows = min(f.columns.Rows()-page*column.PageRows, column.PageRows)
	for _, c := range f.opened {
		c.loaded, c.isSole = false, false
	}
	for _, o := range f.overflows {
		if o != nil {
			o.loaded = false
		}
	}
}

// loadPage returns the column at the frame's page, a vector without values if the table has no such
// column.
func (c *pageColumn) loadPage(ctx context.Context) (*column.Vector, error) {
	if c.loaded {
		return &c.vector, nil
	}
	if c.vector.Ints == nil && (c.key.Type == column.Int || c.key.Type == column.Bool) {
		c.vector.Ints = make([]int64, 0, c.frame.rows)
	}
	var err error
	if c.exists, err = c.frame.columns.Vector(ctx, c.key, c.frame.page, &c.vector); err != nil {
		return nil, err
	}
	if !c.exists {
		c.vector.Reset(c.frame.rows)
	}
	if c.vector.Rows != c.frame.rows {
		return nil, c.corruptError("has %d rows, not %d", c.vector.Rows, c.frame.rows)
	}
	c.loaded = true
	return &c.vector, nil
}

// loadFull is loadPage for columns of which every row must have a value. The error wraps ErrCorrupt
// where one has none.
func (c *pageColumn) loadFull(ctx context.Context) (*column.Vector, error) {
	v, err := c.loadPage(ctx)
	if err == nil && v.N != v.Rows {
		return nil, c.corruptError("has gaps")
	}
	return v, err
}

// corruptError returns an error about the page that wraps ErrCorrupt.
func (c *pageColumn) corruptError(format string, args ...any) error {
	return fmt.Errorf("read column %s.%s: page %d %s: %w",
		c.key.Scope, c.key.Name, c.frame.page, fmt.Sprintf(format, args...), column.ErrCorrupt)
}

// siftRows returns the rows of an Int column whose value satisfies holds, without reading the page
// as a vector. They are valid until the next call. If ok is false the column must be read instead.
// holds is asked once for each distinct value, as far as the table can tell them apart.
func (c *pageColumn) siftRows(ctx context.Context, holds func(int64) bool) (rows column.Bitmap, ok bool, err error) {
	if c.loaded || c.frame.sifter == nil {
		return nil, false, nil
	}
	c.isSole = false
	c.sifted = c.sifted.Resize(c.frame.rows)
	count, last := 0, int64(0)
	ok, err = c.frame.sifter.Sift(ctx, c.key, c.frame.page, func(n int64) bool {
		if !holds(n) {
			return false
		}
		count, last = count+1, n
		return true
	}, c.sifted)
	if err == nil && ok {
		c.isSole, c.sole = count == 1, last
	}
	return c.sifted, ok, err
}

// sameValue returns the value of rows if siftRows has seen that they all have the same one.
func (c *pageColumn) sameValue(rows []uint32) (n int64, ok bool) {
	if !c.isSole {
		return 0, false
	}
	for _, r := range rows {
		if !c.sifted.Get(int(r)) {
			return 0, false
		}
	}
	return c.sole, true
}

// loadDict returns the dictionary of the page, if it has one, without reading its codes.
func (c *pageColumn) loadDict(ctx context.Context) ([]string, bool, error) {
	if c.loaded {
		return c.vector.Dict, c.vector.Dict != nil, nil
	}
	if c.frame.hint == nil {
		return nil, false, nil
	}
	return c.frame.hint.Dict(ctx, c.key, c.frame.page)
}

// valueBounds returns bounds of the values of the page, if the table knows them without reading.
func (c *pageColumn) valueBounds() (lo, hi int64, ok bool) {
	if c.frame.hint == nil {
		return 0, 0, false
	}
	return c.frame.hint.Bounds(c.key, c.frame.page)
}

// countValues returns the number of values of a column in a page, if the table knows it without
// reading.
func (f *frame) countValues(k column.Key, page int) (n int, ok bool) {
	if f.hint == nil {
		return 0, false
	}
	return f.hint.Count(k, page)
}

// isEmpty reports whether a column is known to have no value on any page.
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

// eachPresentRow calls f for the rows of a vector that have a value, ascending.
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
