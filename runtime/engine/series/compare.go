package series

import (
	"math"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

// The sides of a comparison.
const (
	Baseline  = 0
	Selection = 1
)

// maxValues bounds the values of one field that a Comparison counts, far above what compare()
// lists. If there are more, those with the least hashes are counted, and they are counted exactly:
// which values these are does not depend on the order or the place of the spans.
const maxValues = 1 << 12

// Comparison is what compare() has counted: for each field, how many spans of the selection and of
// the baseline have each value, by interval.
//
//	span  side       span.status         field span.status counts
//	   0  baseline   ok                  baseline:  ok 2
//	   1  baseline   ok                  selection: ok 1, error 1
//	   2  selection  error
//	   3  selection  ok                  totals
//	   4  selection  -                   baseline 2, selection 2   (span 4 lacks the field)
type Comparison struct {
	window   Window
	weighted bool
	fields   map[string]*FieldCounts // by name
}

// NewComparison returns an empty Comparison. In a weighted one a span stands for as many as its
// weight says; see UnitWeight.
func NewComparison(w Window, weighted bool) *Comparison {
	return &Comparison{window: w, weighted: weighted, fields: map[string]*FieldCounts{}}
}

// FieldCounts is what a Comparison has counted for one field. Values have numbers, and the spans of
// a value on one side are a group: see GroupOf.
type FieldCounts struct {
	Name string
	// Generation changes whenever numbers of values become invalid.
	Generation int

	values    []Value // by number
	hashes    []uint64
	numbers   numberTable // of values by their hash, or by one after it where values share theirs
	counts    cellCounts  // by group
	totals    cellCounts  // by side
	hashLimit uint64      // values with a greater hash are not counted
	truncated bool        // there are such values
	texts     int         // bytes of the values' texts
}

// Field returns the counts of the field with this name, such as span.x.
func (c *Comparison) Field(name string) *FieldCounts {
	f := c.fields[name]
	if f == nil {
		f = &FieldCounts{Name: name, hashLimit: math.MaxUint64}
		f.counts.cells, f.totals.cells = newCells(c.window.intervals), newCells(c.window.intervals)
		c.fields[name] = f
	}
	return f
}

// hashValue orders the values of a field for truncation.
func hashValue(v Value) uint64 {
	h := uint64(hashOfNothing)
	if v.Text != "" {
		h = xxhash.Sum64String(v.Text)
	}
	return mixBits(h ^ mixBits(v.Num+uint64(v.Type)<<56))
}

// hashOfNothing is the hash of an empty text.
const hashOfNothing = 0xef46db3751d8e999

// NumberOf returns the number of a value, valid for this Generation; ok=false: the value is not
// counted. v's text may be reused afterwards.
func (f *FieldCounts) NumberOf(v Value) (number uint32, ok bool) {
	h := hashValue(v)
	if h > f.hashLimit {
		return 0, false
	}
	return f.numberHashed(h, v), true
}

// numberHashed returns the number of a value that has this hash, a new one if need be.
func (f *FieldCounts) numberHashed(hash uint64, v Value) uint32 {
	key := hash
	for {
		n, ok := f.numbers.findNumber(key)
		if !ok {
			break
		}
		if f.values[n] == v {
			return n
		}
		key = mixBits(key + 1)
	}
	v.Text = strings.Clone(v.Text) // callers pass texts that alias a page
	f.numbers.addNumber(key, uint32(len(f.values)))
	return f.addValue(hash, v)
}

// addValue gives the next number to a value.
func (f *FieldCounts) addValue(hash uint64, v Value) uint32 {
	f.values, f.hashes = append(f.values, v), append(f.hashes, hash)
	f.texts += len(v.Text)
	return uint32(len(f.values)) - 1
}

// GroupOf returns the group of a side's spans that have the value with this number.
func GroupOf(side int, number uint32) uint32 { return number<<1 | uint32(side) }

// CountInGroup counts n spans of one group and interval, or spans whose weights sum to n.
func (f *FieldCounts) CountInGroup(group, interval uint32, n uint64) {
	f.counts.CountInCell(group, interval, n)
}

// CountSpans counts spans by the groups of their values, as Tally.CountSpans does. Without weights
// (nil) each is one.
func (f *FieldCounts) CountSpans(groups, intervals []uint32, weights []uint64) {
	f.counts.countRows(groups, intervals, weights)
}

// CountTotal counts n spans of one side and interval that have the field, or spans whose weights
// sum to n.
func (f *FieldCounts) CountTotal(side int, interval uint32, n uint64) {
	f.totals.CountInCell(uint32(side), interval, n)
}

// PruneValues lets go of values if there are many more than are counted in the end. It may begin a
// new Generation.
func (f *FieldCounts) PruneValues() {
	if len(f.values) > 2*maxValues {
		f.lowerHashLimit(f.leastLimit())
	}
}

// leastLimit returns the hash limit that leaves no more than maxValues values, apart from values
// that share a hash.
func (f *FieldCounts) leastLimit() uint64 {
	if len(f.values) <= maxValues {
		return f.hashLimit
	}
	return selectLeast(slices.Clone(f.hashes), maxValues-1)
}

// lowerHashLimit lets go of the values whose hash is above the limit.
func (f *FieldCounts) lowerHashLimit(limit uint64) {
	f.truncated = true
	if limit >= f.hashLimit {
		return
	}
	f.hashLimit = limit
	old := *f
	f.values, f.hashes, f.texts = f.values[:0], f.hashes[:0], 0 // what stays is moved to the front
	f.numbers.forgetAll()
	f.counts = cellCounts{cells: cells{chunkBits: old.counts.cells.chunkBits,
		chunksPerGroup: old.counts.cells.chunksPerGroup, owners: []uint32{0}}}
	f.Generation++
	for n, v := range old.values {
		if old.hashes[n] > limit {
			continue
		}
		key := old.hashes[n]
		for _, taken := f.numbers.findNumber(key); taken; _, taken = f.numbers.findNumber(key) {
			key = mixBits(key + 1)
		}
		f.numbers.addNumber(key, uint32(len(f.values)))
		to := f.addValue(old.hashes[n], v)
		for side := range 2 {
			for iv, count := range old.counts.eachCount(int(GroupOf(side, uint32(n)))) {
				f.counts.CountInCell(GroupOf(side, to), uint32(iv), count)
			}
		}
	}
	clear(old.values[len(f.values):]) // lets go of their texts
}

// Bytes estimates the memory of the Comparison in bytes.
func (c *Comparison) Bytes() int {
	n := 0
	for _, f := range c.fields {
		n += 512 + 64*len(f.values) + f.texts + 12*len(f.numbers.slots) + f.counts.bytes() + f.totals.bytes()
	}
	return n
}
