package block

import (
	"encoding/binary"
	"slices"
)

// overflowOrder says of which columns of the input the overflow of a row in the block consists, in
// the order of the row's attributes.
type overflowOrder struct {
	columns []int32 // index in the input's ShapeKeys, -1: an attribute of the input's overflow
	// places in columns by what stands there, those of equal columns ascending; made when it is
	// first asked for
	sorted []uint32
}

// fewColumns is the length up to which an overflowOrder is searched from its beginning.
const fewColumns = 16

// placeOf returns the place of a column in the order: of several the one after skip others; -1:
// none.
func (l *overflowOrder) placeOf(column int32, skip int) int {
	if len(l.columns) <= fewColumns {
		for j, c := range l.columns {
			if c == column {
				if skip == 0 {
					return j
				}
				skip--
			}
		}
		return -1
	}
	if l.sorted == nil {
		l.sortPlaces()
	}
	first, _ := slices.BinarySearchFunc(l.sorted, column, func(j uint32, c int32) int {
		return int(l.columns[j]) - int(c)
	})
	if at := first + skip; at < len(l.sorted) && l.columns[l.sorted[at]] == column {
		return int(l.sorted[at])
	}
	return -1
}

func (l *overflowOrder) sortPlaces() {
	l.sorted = make([]uint32, len(l.columns))
	for j := range l.sorted {
		l.sorted[j] = uint32(j)
	}
	slices.SortStableFunc(l.sorted, func(a, b uint32) int { return int(l.columns[a]) - int(l.columns[b]) })
}

// numberOrder returns the number of an order of an input's columns, + 1; 0 if it is empty.
func (o *overflowBuilder) numberOrder(input int, columns []int32) int32 {
	if len(columns) == 0 {
		return 0
	}
	key := binary.LittleEndian.AppendUint32(o.scratch[:0], uint32(input))
	for _, c := range columns {
		key = binary.LittleEndian.AppendUint32(key, uint32(c))
	}
	o.scratch = key
	n, ok := o.orderNumbers[string(key)]
	if !ok {
		o.orders = append(o.orders, overflowOrder{columns: slices.Clone(columns)})
		n = int32(len(o.orders))
		o.orderNumbers[string(key)] = n
	}
	return n
}

// numberKeptOrder is numberOrder for columns that are all -1. It remembers the numbers by length:
// rows with very many attributes then do not make a key of their own each.
func (o *overflowBuilder) numberKeptOrder(input int, columns []int32) int32 {
	for len(columns) >= len(o.keptOrders) {
		o.keptOrders = append(o.keptOrders, 0)
	}
	n := &o.keptOrders[len(columns)]
	if *n == 0 {
		*n = o.numberOrder(input, columns)
	}
	return *n
}
