package series

import (
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Groups numbers tuples of label values, from 0 on in order of appearance.
//
// A value is first encoded by its label's own table. So the callers of the hot path look a value up
// once for each entry of a dictionary, and from then on they translate codes by arrays. A tuple is
// numbered label by label: the number of the labels so far and the code of the next label together
// are the key of the number that includes it. Numbers after the last label are groups.
//
// Five spans, by service and status:
//
//	span  service  status    codes    first label, key of both    group
//	   0  cart     ok        1 1      1            (1, 1)           0
//	   1  user     ok        2 1      2            (2, 1)           1
//	   2  cart     ok        1 1      1            (1, 1)           0
//	   3  cart     -         1 0      1            (1, 0)           2
//	   4  -        -         0 0      0            (0, 0)           3
//
// A series must have a label, so a tuple without any value (span 4) becomes the group of the text
// "nil" for its first label.
type Groups struct {
	labels       []labelCodes
	prefixes     []numberTable // of label i > 0: (number up to label i-1)<<32 | code -> number up to label i
	prefixCounts []int         // how many numbers prefixes[i] has given, the last label excepted
	groupOfCode  []uint32      // for one label alone: code -> group + 1; 0: none yet
	tuples       []uint32      // codes of group g: tuples[g*len(labels):]
	count        int
	bytes        int // memory of the tables, about
}

// labelCodes gives codes to the values of one label, from 1 on; code 0 stands for no value.
type labelCodes struct {
	values []Value // by code
	index  map[Value]uint32
}

// NewGroups returns an empty table for tuples of so many labels. Without labels there is one group,
// number 0.
func NewGroups(labels int) *Groups {
	g := &Groups{
		labels:       make([]labelCodes, labels),
		prefixes:     make([]numberTable, labels),
		prefixCounts: make([]int, labels),
	}
	for i := range g.labels {
		g.labels[i] = labelCodes{values: []Value{{}}, index: map[Value]uint32{{}: 0}}
	}
	if labels == 0 {
		g.count = 1
	}
	return g
}

// Len returns the number of groups.
func (g *Groups) Len() int { return g.count }

// EncodeValue returns the code of a value of a label, a new one if need be. v's text may be reused
// afterwards.
func (g *Groups) EncodeValue(label int, v Value) uint32 {
	c := &g.labels[label]
	code, ok := c.index[v]
	if !ok {
		code = uint32(len(c.values))
		v.Text = strings.Clone(v.Text) // callers pass texts that alias a page
		c.values = append(c.values, v)
		c.index[v] = code
		g.bytes += 96 + len(v.Text)
	}
	return code
}

// NumberRows writes the group of each span to dst: span i has the codes columns[label][i]. If there
// is one label, its column may be dst.
func (g *Groups) NumberRows(columns [][]uint32, dst []uint32) {
	switch len(g.labels) {
	case 0:
		clear(dst)
		return
	case 1:
		g.numberSingleLabel(columns[0], dst)
		return
	}
	copy(dst, columns[0][:len(dst)])
	for label := 1; label < len(g.labels); label++ {
		g.foldLabel(label, dst, columns[label][:len(dst)], columns)
	}
}

// numberSingleLabel is NumberRows for one label, whose code leads to the group by an array.
func (g *Groups) numberSingleLabel(in, dst []uint32) {
	if n := len(g.labels[0].values); len(g.groupOfCode) < n {
		g.groupOfCode = append(g.groupOfCode, make([]uint32, max(n, 2*len(g.groupOfCode))-len(g.groupOfCode))...)
	}
	first := g.groupOfCode
	for i, c := range in[:len(dst)] {
		n := first[c]
		if n == 0 {
			tuple := [1]uint32{c}
			n = g.addGroup(tuple[:]) + 1
			first = g.groupOfCode
			first[c] = n
		}
		dst[i] = n - 1
	}
}

// foldLabel replaces the numbers in dst, which are those of the labels before this one, by numbers
// that include it. in is the label's column. Neighbours often have the same key, which is therefore
// remembered.
func (g *Groups) foldLabel(label int, dst, in []uint32, columns [][]uint32) {
	t := &g.prefixes[label]
	last := label == len(g.labels)-1
	var lastKey uint64 // of the span before, + 1; 0: there is none
	var number uint32
	for i, c := range in {
		key := uint64(dst[i])<<32 | uint64(c)
		if key+1 != lastKey {
			n, ok := t.findNumber(key)
			if !ok {
				if last {
					tuple := make([]uint32, len(columns))
					for k := range columns {
						tuple[k] = columns[k][i]
					}
					n = g.addGroup(tuple)
				} else {
					n = uint32(g.prefixCounts[label])
					g.prefixCounts[label]++
				}
				t.addNumber(key, n)
				g.bytes += 32
			}
			number, lastKey = n, key+1
		}
		dst[i] = number
	}
}

// addGroup gives a number to a tuple that has none.
func (g *Groups) addGroup(tuple []uint32) uint32 {
	none := true
	for _, c := range tuple {
		none = none && c == 0
	}
	if none {
		named := make([]uint32, len(tuple))
		named[0] = g.EncodeValue(0, String("nil"))
		return g.GroupOf(named)
	}
	n := uint32(g.count)
	g.count++
	g.tuples = append(g.tuples, tuple...)
	g.bytes += 8 * len(tuple)
	return n
}

// GroupOf returns the group of one tuple of codes, a new one if need be.
func (g *Groups) GroupOf(tuple []uint32) uint32 {
	if n, ok := g.findGroup(tuple); ok {
		return n
	}
	columns := make([][]uint32, len(tuple))
	for i := range tuple {
		columns[i] = tuple[i : i+1]
	}
	var dst [1]uint32
	g.NumberRows(columns, dst[:])
	return dst[0]
}

// findGroup returns the group of a tuple; ok=false: it has none yet.
func (g *Groups) findGroup(tuple []uint32) (n uint32, ok bool) {
	switch len(tuple) {
	case 0:
		return 0, true
	case 1:
		if c := tuple[0]; int(c) < len(g.groupOfCode) && g.groupOfCode[c] != 0 {
			return g.groupOfCode[c] - 1, true
		}
		return 0, false
	}
	n = tuple[0]
	for label := 1; label < len(tuple); label++ {
		if n, ok = g.prefixes[label].findNumber(uint64(n)<<32 | uint64(tuple[label])); !ok {
			return 0, false
		}
	}
	return n, true
}

// AppendValues appends the label values of a group to dst.
func (g *Groups) AppendValues(group int, dst []Value) []Value {
	n := len(g.labels)
	for i, c := range g.tuples[group*n : (group+1)*n] {
		dst = append(dst, g.labels[i].values[c])
	}
	return dst
}

// LabelsOf returns the labels of a group's series: those that have a value. Label i is named
// names[i].
func (g *Groups) LabelsOf(group int, names []string) []Label {
	n := len(g.labels)
	out := make([]Label, 0, n+1)
	for i, c := range g.tuples[group*n : (group+1)*n] {
		if v := g.labels[i].values[c]; v.Type != trace.Empty {
			out = append(out, Label{Name: names[i], Value: v})
		}
	}
	return out
}
