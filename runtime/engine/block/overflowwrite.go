package block

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// overflowBuilder makes the overflow of a band: for each row the attributes that have no column in
// the block, in the order sent. An attribute is a piece of a buffer, which holds it as it is
// stored; pieces are filled column by column, in any order of the rows, and written row by row.
//
// First translateBand gives every row its overflowOrder, and puts the attributes that come from an
// overflow into the buffer. Then gatherOverflow makes room for the pieces of all rows, and fills
// it. Of the rows in shapes.go, if they have the slots 0 to 4:
//
//	slot  order     first  pieces
//	0     [b]       0      b
//	1     [b]       1      b
//	2               2
//	3               2
//	4     [-1, c]   2      e (kept), c
//	end             4
//
// Invariants: the pieces of slot d are pieces[first[d]:first[d+1]]; each is filled exactly once, or
// the input contradicts itself.
type overflowBuilder struct {
	listed keyList // attributes in the block's overflow, of all bands

	orders       []overflowOrder
	orderNumbers map[string]int32 // by input and columns: number in orders + 1
	keptOrders   []int32          // by length: the number of the order that has nothing but -1; 0: not known
	orderOf      []int32          // by slot: number in orders + 1; 0: none

	kept   []keptPiece // in the order of their rows' lists
	first  []uint32    // by slot
	pieces []piece
	buf    []byte

	sharedPieces []piece // by code of the dictionary of an input's column
	scratch      []byte
}

// piece is one attribute of a row's overflow, as a range of the buffer.
type piece struct{ from, to uint32 }

// keptPiece is an attribute that was in the input's overflow and stays in the block's.
type keptPiece struct {
	slot uint32
	piece
}

// begin empties the builder for a band of that many slots.
func (o *overflowBuilder) begin(slots uint32) {
	o.orders, o.orderNumbers, o.keptOrders = o.orders[:0], map[string]int32{}, o.keptOrders[:0]
	o.kept, o.buf = o.kept[:0], o.buf[:0]
	o.orderOf = resize(o.orderOf, slots)
	clear(o.orderOf)
}

// appendPiece appends an attribute to the buffer as it is stored: the number of its key, the length
// of its value, and its value as AnyValue message.
func (o *overflowBuilder) appendPiece(key uint32, value []byte) piece {
	from := len(o.buf)
	o.buf = binary.AppendUvarint(o.buf, uint64(key))
	o.buf = binary.AppendUvarint(o.buf, uint64(len(value)))
	o.buf = append(o.buf, value...)
	return piece{uint32(from), uint32(len(o.buf))}
}

// makeRoom makes room for the pieces of all rows.
func (o *overflowBuilder) makeRoom(slots uint32) {
	o.first = resize(o.first, slots+1)
	total := 0
	for d, n := range o.orderOf {
		o.first[d] = uint32(total)
		if n > 0 {
			total += len(o.orders[n-1].columns)
		}
	}
	o.first[slots] = uint32(total)
	o.pieces = resize(o.pieces, uint32(total))
	clear(o.pieces)
}

// pieceOf returns the room for an attribute of the row at d slots from the beginning of the band:
// of several that come from the column the one after skip others; nil: there is none.
func (o *overflowBuilder) pieceOf(d uint32, column int32, skip int) *piece {
	if o.orderOf[d] == 0 {
		return nil
	}
	j := o.orders[o.orderOf[d]-1].placeOf(column, skip)
	if j < 0 {
		return nil
	}
	return &o.pieces[o.first[d]+uint32(j)]
}

// gatherOverflow returns the band's overflow; nil if there is none.
func (s *shaper) gatherOverflow() (*cells, error) {
	o, g := &s.overflow, s.gatherer
	if len(o.orders) == 0 {
		return nil, nil
	}
	o.makeRoom(g.slots)
	if err := s.placeKept(); err != nil {
		return nil, err
	}
	for _, in := range g.inputs {
		for n, k := range in.c.ShapeKeys() {
			if _, ok := s.columns[k]; ok {
				continue
			}
			o.sharedPieces = o.sharedPieces[:0]
			c := &overflowColumn{overflowBuilder: o, gatherer: g, number: int32(n), key: k}
			if err := g.eachPageOf(in, k, c.gatherPage); err != nil {
				return nil, err
			}
		}
	}
	if len(o.buf) > math.MaxUint32 {
		return nil, fmt.Errorf("gather overflow of %d bytes: merge fewer tables: %w", len(o.buf), ErrTooLarge)
	}
	g.beginColumn()
	for d, n := range o.orderOf {
		if n != 0 {
			g.present.Set(d)
			g.presentCount++
		}
	}
	for _, p := range o.pieces {
		if p.from == p.to {
			return nil, corruptColumn(column.Overflow, 0)
		}
	}
	return &cells{present: g.endColumn(), pieces: o.pieces, first: o.first, buf: o.buf}, nil
}

// placeKept fills the pieces that were in the overflow of an input.
func (s *shaper) placeKept() error {
	o := &s.overflow
	skip := 0
	for i, x := range o.kept {
		if i%checkEvery == 0 && s.ctx.Err() != nil {
			return s.ctx.Err()
		}
		if skip++; i == 0 || o.kept[i-1].slot != x.slot {
			skip = 0
		}
		p := o.pieceOf(x.slot-s.from, -1, skip)
		if p == nil {
			return corruptColumn(column.Overflow, 0)
		}
		*p = x.piece
	}
	return nil
}

// maxShared is how many entries a dictionary may have for its values to be encoded once, however
// few of them a page uses.
const maxShared = 1024

// overflowColumn brings a column of an input to the overflow of the block. Values that come from a
// dictionary are encoded once, and all rows that have such a value share the piece.
type overflowColumn struct {
	*overflowBuilder
	*gatherer
	number int32 // in the input's ShapeKeys
	key    column.Key
	listed uint32  // number of the key in the block's overflow + 1; 0: not known yet
	dict   *string // first entry of the dictionary whose values sharedPieces are
}

// gatherPage is the pageFunc of the column.
func (c *overflowColumn) gatherPage(_ int, v *column.Vector, slots []uint32) error {
	o, g := c.overflowBuilder, c.gatherer
	if c.listed == 0 {
		c.listed = o.listed.numberOf(c.key) + 1
	}
	share := v.Dict != nil && len(v.Dict) <= max(maxShared, v.N)
	if share {
		c.useDict(v.Dict)
	}
	row := -1
	for i := range v.N {
		row++
		if v.Present != nil {
			row = v.Present.Next(row)
		}
		d := slots[row] - g.from
		if d >= g.slots {
			continue
		}
		p := o.pieceOf(d, c.number, 0)
		if p == nil {
			return corruptColumn(c.key, 0)
		}
		if share {
			if *p = o.sharedPieces[v.Codes[i]]; p.to > 0 {
				continue
			}
		}
		value, ok := v.Value(c.key.Type, i)
		if !ok {
			return corruptColumn(c.key, 0)
		}
		o.scratch = trace.AppendValue(o.scratch[:0], &value)
		*p = o.appendPiece(c.listed-1, o.scratch)
		if share {
			o.sharedPieces[v.Codes[i]] = *p
		}
	}
	return nil
}

// useDict makes sharedPieces those of a dictionary, which may have grown since the last page.
func (c *overflowColumn) useDict(dict []string) {
	o := c.overflowBuilder
	if first := unsafe.SliceData(dict); first != c.dict {
		c.dict, o.sharedPieces = first, o.sharedPieces[:0]
	}
	if more := len(dict) - len(o.sharedPieces); more > 0 {
		o.sharedPieces = append(o.sharedPieces, make([]piece, more)...)
	}
}
