package extract

import (
	"context"
	"fmt"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// readColumns reads columns at some rows, which ascend. Columns without a value there are left out.
func readColumns(
	ctx context.Context, from column.Columns, keys []column.Key, f *Fields, rows []uint32, v *column.Vector,
) ([]Column, error) {
	out := make([]Column, 0, len(keys))
	for _, k := range keys {
		c, err := readColumn(ctx, from, k, rows, v)
		if err != nil {
			return nil, err
		}
		if f.cutOverflow(&c.Column) && c.found > 0 {
			out = append(out, c.Column)
		}
	}
	return out, nil
}

// columnReader appends the values of a column page by page.
type columnReader struct {
	Column
	rows  int // appended so far
	found int // of them with a value
	texts texts
}

// texts are the texts of a column as they are taken over from page to page.
type texts struct {
	known      map[string]uint32 // codes of what came out of dictionaries
	translated []uint32          // by code of the dictionary seen last: the code here; 0: none yet
	dict       *string           // that dictionary, which is told from others by its address and length
	dictLen    int
	kept       []byte // memory of texts
}

func readColumn(
	ctx context.Context, from column.Columns, k column.Key, rows []uint32, v *column.Vector,
) (*columnReader, error) {
	c := &columnReader{Column: Column{Key: k}}
	c.makeRoom(len(rows))
	local := make([]uint32, 0, min(len(rows), column.PageRows))
	for at := 0; at < len(rows); at += len(local) {
		page := int(rows[at]) / column.PageRows
		local = local[:0]
		for i := at; i < len(rows) && int(rows[i])/column.PageRows == page; i++ {
			local = append(local, rows[i]%column.PageRows)
		}
		ok, err := from.Vector(ctx, k, page, v)
		if err != nil {
			return nil, err
		}
		if !ok {
			v.Reset(min(from.Rows()-page*column.PageRows, column.PageRows))
		}
		if v.N != v.Rows && (k == column.Start || k == column.Duration) {
			return nil, fmt.Errorf("read column %s.%s: page %d has gaps: %w", k.Scope, k.Name, page, column.ErrCorrupt)
		}
		c.appendPage(v, local)
	}
	if c.found == len(rows) {
		c.Present = nil
	}
	return c, nil
}

// makeRoom allocates the column for that many rows.
func (c *columnReader) makeRoom(rows int) {
	switch {
	case c.isNumeric() && c.Key.Type == column.Float:
		c.Present, c.Floats = column.NewBitmap(rows), make([]float64, rows)
	case c.isNumeric():
		c.Present, c.Ints = column.NewBitmap(rows), make([]int64, rows)
	default:
		c.Codes = make([]uint32, rows)
	}
}

// isNumeric reports whether the values of the column are numbers.
func (c *Column) isNumeric() bool {
	switch c.Key.Type {
	case column.Int, column.Bool, column.Float:
		return true
	}
	return c.Key == column.ParentID
}

// readIDs reads a column of ids at some rows, which ascend, as a column of numbers.
func readIDs(ctx context.Context, t column.Table, k column.Key, rows []uint32) (Column, error) {
	c := Column{Key: k, Present: column.NewBitmap(len(rows)), Ints: make([]int64, len(rows))}
	ids, present := make([]uint64, column.PageRows), column.NewBitmap(column.PageRows)
	found, page := 0, -1
	for i, row := range rows {
		if p := int(row) / column.PageRows; p != page {
			page = p
			n := min(t.Rows()-page*column.PageRows, column.PageRows)
			ids, present = ids[:n], present.Resize(n)
			if err := column.ReadIDs(ctx, t, k, page, ids, present); err != nil {
				return c, err
			}
		}
		if at := int(row % column.PageRows); present.Get(at) {
			c.Ints[i] = int64(ids[at])
			c.Present.Set(i)
			found++
		}
	}
	if found == len(rows) {
		c.Present = nil
	}
	return c, nil
}

// appendPage appends the values of rows of a page.
func (c *columnReader) appendPage(v *column.Vector, rows []uint32) {
	base := c.rows
	c.rows += len(rows)
	switch {
	case v.N == 0:
	case c.Floats != nil:
		c.eachValue(v, base, rows, func(i, d int) { c.Floats[i] = v.Floats[d] })
	case c.Ints != nil:
		c.appendInts(v, base, rows)
	case v.Dict != nil:
		c.appendCoded(v, base, rows)
	default:
		c.Plain = true
		c.eachValue(v, base, rows, func(i, d int) {
			c.Texts = append(c.Texts, c.texts.keep(v.Strings[d]))
			c.Codes[i] = uint32(len(c.Texts))
		})
	}
}

// eachValue calls f for the rows of a page that have a value, with their row here and the index of
// the value in the vector.
func (c *columnReader) eachValue(v *column.Vector, base int, rows []uint32, f func(i, d int)) {
	ranks := column.Ranks(v.Present)
	for k, r := range rows {
		if d, ok := ranks.At(int(r)); ok {
			c.found++
			if c.Present != nil {
				c.Present.Set(base + k)
			}
			f(base+k, d)
		}
	}
}

func (c *columnReader) appendInts(v *column.Vector, base int, rows []uint32) {
	if v.Present != nil {
		c.eachValue(v, base, rows, func(i, d int) { c.Ints[i] = v.Ints[d] })
		return
	}
	to := c.Ints[base : base+len(rows)]
	for k, r := range rows {
		to[k] = v.Ints[r]
	}
	c.Present.SetRange(base, base+len(rows))
	c.found += len(rows)
}

// appendCoded appends values with a dictionary. Only entries that a row has are taken over.
func (c *columnReader) appendCoded(v *column.Vector, base int, rows []uint32) {
	t := &c.texts
	if t.dict != unsafe.SliceData(v.Dict) || t.dictLen != len(v.Dict) {
		t.dict, t.dictLen = unsafe.SliceData(v.Dict), len(v.Dict)
		t.translated = append(t.translated[:0], make([]uint32, len(v.Dict))...)
	}
	c.eachValue(v, base, rows, func(i, d int) {
		code := v.Codes[d]
		if t.translated[code] == 0 {
			t.translated[code] = c.numberText(v.Dict[code])
		}
		c.Codes[i] = t.translated[code]
	})
}

// numberText returns the code of a text out of a dictionary, a new one if need be.
func (c *columnReader) numberText(s string) uint32 {
	t := &c.texts
	code, ok := t.known[s]
	if !ok {
		s = t.keep(s)
		c.Texts = append(c.Texts, s)
		code = uint32(len(c.Texts))
		if t.known == nil {
			t.known = map[string]uint32{}
		}
		t.known[s] = code
	}
	return code
}

// keep copies a text, so that the page that it lies in can go.
func (t *texts) keep(s string) string {
	if len(s) > cap(t.kept)-len(t.kept) {
		t.kept = make([]byte, 0, max(min(2*cap(t.kept), 1<<16), 256, len(s)))
	}
	at := len(t.kept)
	t.kept = append(t.kept, s...)
	return unsafe.String(unsafe.SliceData(t.kept[at:]), len(s))
}

// cutOverflow leaves in an overflow column only the attributes that were asked for. It returns
// false if that is none.
func (f *Fields) cutOverflow(c *Column) bool {
	scopes := overflowScopes(c.Key)
	if len(scopes) == 0 || f.All || len(c.Texts) == 0 {
		return true
	}
	asked := map[string]bool{}
	for _, a := range f.Attributes {
		for _, s := range scopes {
			asked[a.Name] = asked[a.Name] || a.Scope == s
		}
	}
	some := false
	cut := make([]bool, len(c.Texts)) // to nothing
	for i, s := range c.Texts {
		var out []byte
		rest := unsafe.Slice(unsafe.StringData(s), len(s))
		for {
			var a trace.Attribute
			next, ok, err := column.NextKeyValue(rest, &a)
			if err != nil || !ok {
				out = append(out, rest...) // what is damaged stays, to be told by who reads it
				break
			}
			if asked[string(a.Key)] {
				out = append(out, rest[:len(rest)-len(next)]...)
			}
			rest = next
		}
		c.Texts[i], cut[i] = string(out), len(out) == 0
		some = some || len(out) > 0
	}
	for i, code := range c.Codes {
		if code > 0 && cut[code-1] {
			c.Codes[i] = 0
		}
	}
	c.Plain = true // different texts may have become one
	return some
}

// overflowScopes returns the scopes whose attributes lie in a column; none if it is no overflow.
func overflowScopes(k column.Key) []column.Scope {
	switch k {
	case column.Overflow:
		return []column.Scope{column.Span, column.Event, column.Link}
	case column.ResourceOverflow:
		return []column.Scope{column.Resource}
	case column.ScopeOverflow:
		return []column.Scope{column.Instrumentation}
	}
	return nil
}
