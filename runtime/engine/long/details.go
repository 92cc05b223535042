package long

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Details are what an Outline tells of some rows beside their keys.
type Details struct {
	Durations []int64        // ns
	Parents   []trace.SpanID // zero: the span has none
	Names     []uint32       // indices in Texts; others are those of names that are not listed
	Flags     []Flags
	Texts     []string
	Services  []string // by place in Keys.Resources
}

// Flags are the kind of a span in the bits 0 to 2, its status in the bits 3 and 4, and whether it
// has events and links.
type Flags uint8

const (
	otherKind   = 7
	otherStatus = 3
	hasEvents   = Flags(1 << 5)
	hasLinks    = Flags(1 << 6)
)

func flagsOf(kind, status int64) Flags {
	if kind < 0 || kind >= otherKind {
		kind = otherKind
	}
	if status < 0 || status >= otherStatus {
		status = otherStatus
	}
	return Flags(kind | status<<3)
}

// kind returns the kind of a span as far as it is told.
func (f Flags) kind() int32 { return int32(f & 7) }

// detailColumns are those that details are read from.
var detailColumns = []column.Key{column.Duration, column.ParentID, column.Name, column.Kind, column.Status}

// ReadDetails reads the keys of rows, which ascend, together with their details. Errors:
// column.ErrCorrupt, or those of t.
func ReadDetails(ctx context.Context, t column.Table, rows []uint32) (*Keys, error) {
	n := len(rows)
	r := detailReader{names: texts{number: map[string]uint32{}}, out: &Details{
		Durations: make([]int64, 0, n),
		Parents:   make([]trace.SpanID, 0, n),
		Names:     make([]uint32, 0, n),
		Flags:     make([]Flags, 0, n),
	}}
	if err := prefetchRows(ctx, t, slices.Concat(keyColumns, detailColumns), rows); err != nil {
		return nil, err
	}
	keys, resources, err := readKeys(ctx, t, rows)
	if err != nil {
		return nil, err
	}
	err = eachPage(rows, func(page int, rows []uint32) error { return r.readPage(ctx, t, page, rows) })
	if err != nil {
		return nil, err
	}
	r.out.Texts = keepNames(r.names.list)
	for _, content := range resources {
		r.out.Services = append(r.out.Services, serviceOf(content))
	}
	for _, c := range []struct {
		table column.Columns
		bit   Flags
	}{{t.Events(), hasEvents}, {t.Links(), hasLinks}} {
		if err := r.markParents(ctx, c.table, rows, c.bit); err != nil {
			return nil, err
		}
	}
	keys.Details = r.out
	return keys, nil
}

const (
	nameBytes  = 1 << 10  // of one name, which is cut to it
	namesBytes = 16 << 20 // of all names; those beyond are not listed
)

// keepNames returns copies of names, as far as there is room for them.
func keepNames(names []string) (out []string) {
	size := 0
	for _, name := range names {
		if len(name) > nameBytes {
			name = strings.ToValidUTF8(name[:nameBytes], "")
		}
		if size += len(name); size > namesBytes {
			break
		}
		out = append(out, strings.Clone(name))
	}
	return out
}

// serviceOf returns the service.name of a resource, if that is a text.
func serviceOf(resource string) string {
	attrs, err := trace.ResourceAttributes([]byte(resource), nil)
	if err != nil {
		return ""
	}
	for _, a := range attrs {
		if string(a.Key) == "service.name" && a.Value.Type == trace.String {
			return string(a.Value.Bytes)
		}
	}
	return ""
}

// detailReader reads details page by page.
type detailReader struct {
	out              *Details
	names            texts
	duration, parent column.Vector
	name             column.Vector
	kind, status     column.Vector
}

func (r *detailReader) readPage(ctx context.Context, t column.Table, page int, rows []uint32) error {
	vectors := []*column.Vector{&r.duration, &r.parent, &r.name, &r.kind, &r.status}
	ranks, err := readVectors(ctx, t, page, detailColumns, vectors)
	if err != nil {
		return err
	}
	numberAt := func(column int, at int) int64 {
		if i, ok := ranks[column].At(at); ok {
			return vectors[column].Ints[i]
		}
		return 0
	}
	r.names.forgetPage()
	d := r.out
	for _, row := range rows {
		at := int(row) % column.PageRows
		var parent trace.SpanID
		if i, ok := ranks[1].At(at); ok {
			copy(parent[:], r.parent.Text(i))
		}
		d.Durations = append(d.Durations, numberAt(0, at))
		d.Parents = append(d.Parents, parent)
		d.Names = append(d.Names, r.names.numberAt(&r.name, &ranks[2], at))
		d.Flags = append(d.Flags, flagsOf(numberAt(3, at), numberAt(4, at)))
	}
	return nil
}

// markParents sets a bit for the rows that have rows in a child table.
func (r *detailReader) markParents(ctx context.Context, c column.Columns, rows []uint32, bit Flags) error {
	if c == nil || len(rows) == 0 {
		return nil
	}
	hint, _ := c.(column.Hinter)
	at := 0
	for page := range column.Pages(c.Rows()) {
		if hint != nil {
			lo, hi, ok := hint.Bounds(column.RowRef, page)
			if ok && (hi < int64(rows[0]) || lo > int64(rows[len(rows)-1])) {
				continue
			}
		}
		if _, err := c.Vector(ctx, column.RowRef, page, &r.kind); err != nil {
			return fmt.Errorf("read rows of events and links: %w", err)
		}
		for _, row := range r.kind.Ints {
			for at < len(rows) && int64(rows[at]) < row {
				at++
			}
			if at < len(rows) && int64(rows[at]) == row {
				r.out.Flags[at] |= bit
			}
		}
	}
	return nil
}
