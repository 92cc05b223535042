package block

import (
	"context"
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// overflowReader reads the overflow of an input. Keys come as numbers. Those of a block are the
// numbers that it stores, so its attributes are passed on without a look at their names; those of
// other tables are given out as their keys are first seen.
type overflowReader struct {
	c     column.Columns
	scope column.Scope
	keys  []column.Key // by number
	v     column.Vector

	packed bool    // v holds attributes as a block stores them
	listed keyList // if not: the keys so far
	arena  []byte  // if not: the values of the page
}

// packedTable is a table that has its overflow as a block stores it.
type packedTable interface {
	packedOverflow(ctx context.Context, page int, dst *column.Vector) (keys []column.Key, ok bool, err error)
}

// packedAttribute is an attribute of an overflow.
type packedAttribute struct {
	key   uint32 // its number
	value []byte // AnyValue message
}

// readPage reads a page into r.v. ok=false: the table has no overflow. Attributes that were
// returned before stay valid.
func (r *overflowReader) readPage(ctx context.Context, page int) (ok bool, err error) {
	r.arena = nil
	if c, is := r.c.(packedTable); is {
		r.packed = true
		r.keys, ok, err = c.packedOverflow(ctx, page, &r.v)
		return ok, err
	}
	return r.c.Vector(ctx, column.Overflow, page, &r.v)
}

// nextAttribute takes the first attribute off a row's overflow. ok=false: there is none, or the
// bytes do not decode.
func (r *overflowReader) nextAttribute(overflow []byte) (a packedAttribute, rest []byte, ok bool) {
	if r.packed {
		x := cursor{b: overflow}
		n := x.readUvarint()
		value := x.readBytes(x.readCount())
		return packedAttribute{uint32(n), value}, x.b, !x.bad && n < uint64(len(r.keys))
	}
	var sent trace.Attribute
	rest, ok, err := column.NextKeyValue(overflow, &sent)
	if err != nil || !ok {
		return a, nil, false
	}
	key := r.listed.numberOf(keyOf(r.scope, &sent))
	r.keys = r.listed.keys
	at := len(r.arena)
	r.arena = trace.AppendValue(r.arena, &sent.Value)
	return packedAttribute{key, r.arena[at:]}, rest, true
}

// countKeys adds to counts, by number of the key, the rows of a page that have it. ok=false: the
// table has no overflow.
func (r *overflowReader) countKeys(ctx context.Context, page int, counts *[]int) (ok bool, err error) {
	if ok, err = r.readPage(ctx, page); err != nil {
		return false, err
	}
	for i := range r.v.N {
		for overflow := textBytes(r.v.Text(i)); len(overflow) > 0; {
			a, rest, ok := r.nextAttribute(overflow)
			if !ok {
				return false, fmt.Errorf("read overflow: %w", column.ErrCorrupt)
			}
			for int(a.key) >= len(*counts) {
				*counts = append(*counts, 0)
			}
			(*counts)[a.key]++
			overflow = rest
		}
	}
	return ok, nil
}
