package block

import (
	"context"
	"fmt"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// overflowReader reads the overflow of a table whose rows go into a block. Keys come as numbers:
// those of a block are taken as they are stored, and its attributes are passed on without a look at
// their names.
type overflowReader struct {
	c     column.Columns
	scope column.Scope
	keys  []column.Key // by number
	v     column.Vector

	packed bool // v holds attributes as a block stores them
	listed keyList
	arena  []byte // values of attributes that are not packed
}

// packedTable is a table of a block.
type packedTable interface {
	packedOverflow(ctx context.Context, page int, dst *column.Vector) (keys []column.Key, ok bool, err error)
}

// readPage reads a page. ok=false: the table has no overflow. What next returned before stays
// valid.
func (s *overflowReader) readPage(ctx context.Context, page int) (ok bool, err error) {
	s.arena = nil
	if c, is := s.c.(packedTable); is {
		s.packed = true
		s.keys, ok, err = c.packedOverflow(ctx, page, &s.v)
		return ok, err
	}
	return s.c.Vector(ctx, column.Overflow, page, &s.v)
}

// nextAttribute takes the first attribute off a row's overflow: the number of its key, and its
// value as AnyValue message. ok=false: there is none, or the bytes do not decode.
func (s *overflowReader) nextAttribute(overflow []byte) (key uint32, message, rest []byte, ok bool) {
	if s.packed {
		x := cursor{b: overflow}
		n := x.readUvarint()
		message = x.readBytes(x.readCount())
		return uint32(n), message, x.b, !x.bad && n < uint64(len(s.keys))
	}
	var a trace.Attribute
	rest, ok, err := column.NextKeyValue(overflow, &a)
	if err != nil || !ok {
		return 0, nil, nil, false
	}
	key = s.listed.numberOf(column.Key{Scope: s.scope, Name: unsafe.String(unsafe.SliceData(a.Key), len(a.Key)), Type: column.TypeOf(a.Value.Type)})
	s.keys = s.listed.keys
	at := len(s.arena)
	s.arena = trace.AppendValue(s.arena, &a.Value)
	return key, s.arena[at:], rest, true
}

// countKeys adds the rows of a page that have each key to counts.
func (s *overflowReader) countKeys(ctx context.Context, page int, counts *[]int) (ok bool, err error) {
	if ok, err = s.readPage(ctx, page); err != nil {
		return false, err
	}
	for i := range s.v.N {
		for rest := textBytes(s.v.Text(i)); len(rest) > 0; {
			key, _, more, ok := s.nextAttribute(rest)
			if !ok {
				return false, fmt.Errorf("read overflow: %w", column.ErrCorrupt)
			}
			for int(key) >= len(*counts) {
				*counts = append(*counts, 0)
			}
			(*counts)[key]++
			rest = more
		}
	}
	return ok, nil
}
