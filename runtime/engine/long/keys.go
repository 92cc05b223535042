package long

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Digest is a checksum of content. Nobody can make two contents that have the same.
type Digest [16]byte

// DigestOf returns the checksum of some bytes.
func DigestOf(b []byte) (d Digest) {
	sum := sha256.Sum256(b)
	copy(d[:], sum[:])
	return d
}

// Keys are the keys of some rows of a trace in one table, in ascending order of the rows.
type Keys struct {
	Rows   []uint32
	Starts []uint64
	IDs    []trace.SpanID
	Places []uint32 // indices in Sent

	Sent              []Place
	Resources, Scopes []Digest // of contents
}

// Place is what spans were sent under: one ScopeSpans of one ResourceSpans.
type Place struct {
	Resource, Scope uint32 // indices in the digests
	Group           uint32 // tells apart ResourceSpans of equal content in the table
}

// Content is what is known of one span's content.
type Content struct {
	Digest Digest
	Kind   int32
}

// ContentOf returns what is to be known of a span.
func ContentOf(span []byte) Content {
	return Content{Digest: DigestOf(span), Kind: trace.KindOf(span)}
}

// keyColumns are those that keys are read from.
var keyColumns = []column.Key{column.Start, column.SpanID, column.Group, column.ResourceRef, column.ScopeRef}

// ReadKeys reads the keys of rows, which ascend. Errors: column.ErrCorrupt, or those of t.
func ReadKeys(ctx context.Context, t column.Table, rows []uint32) (*Keys, error) {
	r := keyReader{
		keys: &Keys{
			Rows:   rows,
			Starts: make([]uint64, 0, len(rows)),
			IDs:    make([]trace.SpanID, 0, len(rows)),
			Places: make([]uint32, 0, len(rows)),
		},
		index: map[Place]uint32{},
	}
	r.resources.number, r.scopes.number = map[string]uint32{}, map[string]uint32{}
	if h, ok := t.(column.Hinter); ok && len(rows) > 0 {
		var pages []int
		for p := int(rows[0]) / column.PageRows; p <= int(rows[len(rows)-1])/column.PageRows; p++ {
			pages = append(pages, p)
		}
		if err := h.Prefetch(ctx, keyColumns, pages); err != nil {
			return nil, err
		}
	}
	for from := 0; from < len(rows); {
		page := int(rows[from]) / column.PageRows
		to := from + 1
		for to < len(rows) && int(rows[to])/column.PageRows == page {
			to++
		}
		if err := r.readPage(ctx, t, page, rows[from:to]); err != nil {
			return nil, err
		}
		from = to
	}
	r.keys.Resources, r.keys.Scopes = r.resources.list, r.scopes.list
	return r.keys, nil
}

// keyReader reads keys page by page.
type keyReader struct {
	keys              *Keys
	index             map[Place]uint32
	resources, scopes contents
	start, id         column.Vector
	group             column.Vector
	res, scope        column.Vector
}

// contents numbers the resources, or the scopes, of a table.
type contents struct {
	list   []Digest
	number map[string]uint32
	codes  []uint32 // number + 1 by code of the page; 0: not looked up
}

func (r *keyReader) readPage(ctx context.Context, t column.Table, page int, rows []uint32) error {
	vectors := []*column.Vector{&r.start, &r.id, &r.group, &r.res, &r.scope}
	var ranks [5]column.Ranker
	for i, k := range keyColumns {
		v := vectors[i]
		ok, err := t.Vector(ctx, k, page, v)
		if err != nil {
			return err
		}
		if !ok {
			v.Reset(min(t.Rows()-page*column.PageRows, column.PageRows))
		}
		ranks[i] = column.Ranks(v.Present)
	}
	r.resources.forgetPage()
	r.scopes.forgetPage()
	var last Place
	var place uint32
	for _, row := range rows {
		at := int(row) % column.PageRows
		if at >= r.start.Rows {
			return fmt.Errorf("read keys: row %d: %w", row, column.ErrCorrupt)
		}
		var start uint64
		var id trace.SpanID
		if i, ok := ranks[0].At(at); ok {
			start = uint64(r.start.Ints[i])
		}
		if i, ok := ranks[1].At(at); ok {
			copy(id[:], r.id.Text(i))
		}
		c := Place{
			Resource: r.resources.numberAt(&r.res, &ranks[3], at),
			Scope:    r.scopes.numberAt(&r.scope, &ranks[4], at),
		}
		if i, ok := ranks[2].At(at); ok {
			c.Group = uint32(r.group.Ints[i])
		}
		if len(r.keys.Places) == 0 || c != last {
			last, place = c, r.placeOf(c)
		}
		k := r.keys
		k.Starts, k.IDs, k.Places = append(k.Starts, start), append(k.IDs, id), append(k.Places, place)
	}
	return nil
}

func (c *contents) forgetPage() { c.codes = c.codes[:0] }

// numberAt returns the number of a row's content in a page. A row without one has the empty
// content.
func (c *contents) numberAt(v *column.Vector, r *column.Ranker, row int) uint32 {
	i, ok := r.At(row)
	switch {
	case !ok:
		return c.numberOf("")
	case v.Dict == nil:
		return c.numberOf(v.Strings[i])
	}
	code := v.Codes[i]
	if len(c.codes) == 0 {
		c.codes = slices.Grow(c.codes, len(v.Dict))[:len(v.Dict)]
		clear(c.codes)
	}
	if c.codes[code] == 0 {
		c.codes[code] = c.numberOf(v.Dict[code]) + 1
	}
	return c.codes[code] - 1
}

func (c *contents) numberOf(text string) uint32 {
	n := numberOf(c.number, text)
	if int(n) == len(c.list) {
		c.list = append(c.list, DigestOf([]byte(text)))
	}
	return n
}

// placeOf returns the index of a place among all of the table.
func (r *keyReader) placeOf(p Place) uint32 {
	i := numberOf(r.index, p)
	if int(i) == len(r.keys.Sent) {
		r.keys.Sent = append(r.keys.Sent, p)
	}
	return i
}
