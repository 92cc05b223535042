package series

import (
	"strings"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Groups numbers tuples of label values, from 0 in order of appearance. A label's values have codes
// of their own: the callers of the hot path turn the codes of dictionaries into codes of labels
// once per dictionary, and then codes into groups by arrays.
type Groups struct {
	labels       []labelCodes
	prefixes     []numberTable // of label i > 0: (number of the tuple of labels before it, code) -> number of the tuple up to it
	prefixCounts []int         // how many numbers prefix[i] has given
	groupOfCode  []uint32      // of a single label: code -> group + 1
	tuples       []uint32      // codes of group g: tuples[g*len(labels):]
	count        int
	bytes        int
}

// labelCodes gives the values of one label codes. Code 0 is no value.
type labelCodes struct {
	values []Value
	index  map[Value]uint32
}

// NewGroups returns an empty table for tuples of that many labels. Without labels there is the one
// group 0.
func NewGroups(labels int) *Groups {
	g := &Groups{labels: make([]labelCodes, labels), prefixes: make([]numberTable, labels), prefixCounts: make([]int, labels)}
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

// EncodeValue returns the code of a label's value.
func (g *Groups) EncodeValue(label int, v Value) uint32 {
	c := &g.labels[label]
	code, ok := c.index[v]
	if !ok {
		code = uint32(len(c.values))
		v.Text = strings.Clone(v.Text) // it may lie in a page
		c.values = append(c.values, v)
		c.index[v] = code
		g.bytes += 96 + len(v.Text)
	}
	return code
}

// NumberRows turns the codes of spans into the numbers of their groups, which it writes to dst: span i
// has the codes columns[label][i]. A column of a single label may be dst.
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

// foldLabel replaces in dst the numbers of the labels before one by those that include it.
func (g *Groups) foldLabel(label int, dst, in []uint32, columns [][]uint32) {
	t := &g.prefixes[label]
	last := label == len(g.labels)-1
	var key, memo uint64 // of the span before; key + 1
	var number uint32
	for i, c := range in {
		key = uint64(dst[i])<<32 | uint64(c)
		if key+1 != memo {
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
			number, memo = n, key+1
		}
		dst[i] = number
	}
}

// addGroup makes a group of a tuple. One without any value is the group of the text "nil" for its first
// label: that is how its series is labelled.
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

// GroupOf returns the group of one tuple of codes.
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

// findGroup returns the group of a tuple that has been seen.
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

// LabelsOf returns the labels of a group's series: those that have a value, named by names.
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

// Merge adds the groups of another table with the same labels and returns the number of each of
// them here.
func (g *Groups) Merge(o *Groups) []uint32 {
	n := len(g.labels)
	if n == 0 {
		return []uint32{0}
	}
	columns := make([][]uint32, n)
	for i := range columns {
		codes := make([]uint32, len(o.labels[i].values)) // of o -> of g, + 1
		columns[i] = make([]uint32, o.count)
		for k := range columns[i] {
			c := o.tuples[k*n+i]
			if codes[c] == 0 {
				codes[c] = g.EncodeValue(i, o.labels[i].values[c]) + 1
			}
			columns[i][k] = codes[c] - 1
		}
	}
	dst := make([]uint32, o.count)
	g.NumberRows(columns, dst)
	return dst
}
