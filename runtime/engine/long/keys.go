package long

import (
	"bytes"
	"cmp"
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

	Details *Details // nil: they were not asked for
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

// CompareDigests compares spans that share start and id by the checksums of content, scope and
// resource: the order of EachByStart.
func CompareDigests(a, b *trace.Fragment) int {
	compare := func(a, b []byte) int {
		x, y := DigestOf(a), DigestOf(b)
		return bytes.Compare(x[:], y[:])
	}
	return cmp.Or(compare(a.Span, b.Span), compare(a.Scope, b.Scope), compare(a.Resource, b.Resource))
}

// keyColumns are those that keys are read from.
var keyColumns = []column.Key{column.Start, column.SpanID, column.Group, column.ResourceRef, column.ScopeRef}

// ReadKeys reads the keys of rows, which ascend. Errors: column.ErrCorrupt, or those of t.
func ReadKeys(ctx context.Context, t column.Table, rows []uint32) (*Keys, error) {
	if err := prefetchRows(ctx, t, keyColumns, rows); err != nil {
		return nil, err
	}
	keys, _, err := readKeys(ctx, t, rows)
	return keys, err
}

// readKeys reads the keys of rows. resources are the contents that keys.Resources are of.
func readKeys(ctx context.Context, t column.Table, rows []uint32) (keys *Keys, resources []string, err error) {
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
	err = eachPage(rows, func(page int, rows []uint32) error { return r.readPage(ctx, t, page, rows) })
	if err != nil {
		return nil, nil, err
	}
	r.keys.Resources, r.keys.Scopes = r.resources.digests(), r.scopes.digests()
	return r.keys, r.resources.list, nil
}

// prefetchRows asks a table for the pages of rows that will be read, if it wants to know.
func prefetchRows(ctx context.Context, t column.Table, keys []column.Key, rows []uint32) error {
	h, ok := t.(column.Hinter)
	if !ok || len(rows) == 0 {
		return nil
	}
	var pages []int
	for p := int(rows[0]) / column.PageRows; p <= int(rows[len(rows)-1])/column.PageRows; p++ {
		pages = append(pages, p)
	}
	return h.Prefetch(ctx, keys, pages)
}

// eachPage calls f with the rows, which ascend, of each page that has some.
func eachPage(rows []uint32, f func(page int, rows []uint32) error) error {
	for from := 0; from < len(rows); {
		page := int(rows[from]) / column.PageRows
		to := from + 1
		for to < len(rows) && int(rows[to])/column.PageRows == page {
			to++
		}
		if err := f(page, rows[from:to]); err != nil {
			return err
		}
		from = to
	}
	return nil
}

// readVectors reads a page of some columns. Columns that the table does not have are empty.
func readVectors(
	ctx context.Context, t column.Table, page int, keys []column.Key, vectors []*column.Vector,
) ([]column.Ranker, error) {
	ranks := make([]column.Ranker, len(keys))
	for i, k := range keys {
		v := vectors[i]
		ok, err := t.Vector(ctx, k, page, v)
		if err != nil {
			return nil, err
		}
		if !ok {
			v.Reset(min(t.Rows()-page*column.PageRows, column.PageRows))
		}
		ranks[i] = column.Ranks(v.Present)
	}
	return ranks, nil
}

// keyReader reads keys page by page.
type keyReader struct {
	keys              *Keys
	index             map[Place]uint32
	resources, scopes texts
	start, id         column.Vector
	group             column.Vector
	res, scope        column.Vector
}

// texts numbers the texts of a column, in the order in which they are met.
type texts struct {
	list   []string
	number map[string]uint32
	codes  []uint32 // number + 1 by code of the page; 0: not looked up
}

func (c *texts) digests() []Digest {
	out := make([]Digest, len(c.list))
	for i, text := range c.list {
		out[i] = DigestOf([]byte(text))
	}
	return out
}

func (r *keyReader) readPage(ctx context.Context, t column.Table, page int, rows []uint32) error {
	vectors := []*column.Vector{&r.start, &r.id, &r.group, &r.res, &r.scope}
	ranks, err := readVectors(ctx, t, page, keyColumns, vectors)
	if err != nil {
		return err
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

func (c *texts) forgetPage() { c.codes = c.codes[:0] }

// numberAt returns the number of a row's text in a page. A row without one has the empty text.
func (c *texts) numberAt(v *column.Vector, r *column.Ranker, row int) uint32 {
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

func (c *texts) numberOf(text string) uint32 {
	n := numberOf(c.number, text)
	if int(n) == len(c.list) {
		c.list = append(c.list, text)
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
