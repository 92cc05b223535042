package block

import (
	"bytes"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// sparseIndex says where the values of sparse attributes lie in attributes.parquet.
type sparseIndex struct {
	keys  []column.Key // in the order of compareSparse
	byKey map[column.Key]int
	first [][]uint32 // by row group of the spans and key: the first row, and the end; nil: none
	// The counts as they are stored, until the row groups are known.
	counts []byte
}

// parseSparse parses the section of sparse attributes, but for the counts.
func (x *sparseIndex) parseSparse(c *cursor) {
	n := c.readCount()
	x.keys, x.byKey = make([]column.Key, 0, n), make(map[column.Key]int, n)
	for i := range n {
		k := column.Key{Scope: column.Span, Type: column.Type(c.readByte()), Name: c.readString()}
		if c.bad || k.Type > column.Any || i > 0 && compareSparse(x.keys[i-1], k) >= 0 {
			c.bad = true
			return
		}
		x.byKey[k] = i
		x.keys = append(x.keys, k)
	}
	x.counts, c.b = bytes.Clone(c.b), nil
}

// addKeys adds the sparse attributes to the lists of a table's columns.
func (x *sparseIndex) addKeys(d *directory) {
	if len(x.keys) == 0 {
		return
	}
	d.shapeKeys = append(d.shapeKeys, x.keys...)
	d.keys = append(d.keys, x.keys...)
	slices.SortFunc(d.keys, column.Key.Compare)
}

// rowsOf returns the rows [from, to) of a row group of attributes.parquet that have values of
// attribute n.
func (x *sparseIndex) rowsOf(group, n int) (from, to int) {
	if x.first[group] == nil {
		return 0, 0
	}
	return int(x.first[group][n]), int(x.first[group][n+1])
}

// measureMemory returns about how many bytes the index takes.
func (x *sparseIndex) measureMemory() int64 {
	n := int64(0)
	for _, k := range x.keys {
		n += 2*int64(unsafe.Sizeof(k)) + int64(len(k.Name)) + 16
	}
	for _, list := range x.first {
		n += 4 * int64(len(list))
	}
	return n
}

// sparseFits decodes the counts of the sparse attributes, and reports whether they fit the columns
// of attributes.parquet, and no attribute has a column of its own, too.
func (bl *Block) sparseFits() bool {
	x, d := &bl.sparse, &bl.attributes
	x.first = make([][]uint32, len(bl.groups))
	if len(x.keys) == 0 {
		return d.columns == nil
	}
	for _, k := range x.keys {
		if _, twice := bl.spans.byKey[k]; twice {
			return false
		}
	}
	if c, ok := d.byKey[column.RowRef]; !ok || d.columns[c].kind != kindInt || !d.columns[c].required {
		return false
	}
	c := &cursor{b: x.counts}
	for g := range d.groups {
		if rows := d.groups[g]; rows > 0 && !x.decodeCounts(c, d, g) {
			return false
		}
	}
	x.counts = nil
	return !c.bad && len(c.b) == 0
}

// decodeCounts decodes how many values the attributes have in row group g, and reports whether the
// columns of values have as many.
func (x *sparseIndex) decodeCounts(c *cursor, d *directory, g int) bool {
	first, sum := make([]uint32, len(x.keys)+1), 0
	var byType [column.Any + 1]int
	for i, k := range x.keys {
		n := c.readNumber(d.groups[g] - sum)
		sum += n
		first[i+1] = uint32(sum)
		byType[k.Type] += n
	}
	if x.first[g] = first; sum != d.groups[g] {
		return false
	}
	for t, n := range byType {
		col, ok := d.byKey[keyAttributeValue[t]]
		if n == 0 {
			continue
		}
		if !ok || d.columns[col].kind != attributeSpec(column.Key{Type: column.Type(t)}).kind ||
			d.columns[col].chunks[g].values != n {
			return false
		}
	}
	return true
}
