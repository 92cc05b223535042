package block

import (
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// localDict makes a dictionary of one attribute's own out of the one that all attributes share.
type localDict struct {
	shared *string  // first entry of the shared dictionary
	local  []uint64 // by code of it: round << 32 | code in list, of the rounds in which it occurred
	round  uint64
	list   []string
	plain  bool // the values are texts, not codes
}

// begin begins the values of an attribute.
func (d *localDict) begin() {
	d.round++
	d.list, d.plain = nil, false
}

// end gives the values their dictionary.
func (d *localDict) end(v *column.Vector) {
	if !d.plain && len(d.list) > 0 {
		v.Dict = d.list
	}
}

// addCodes appends values that are codes of the shared dictionary.
func (d *localDict) addCodes(v *column.Vector, shared []string, codes []uint32) {
	if d.plain {
		for _, c := range codes {
			v.Strings = append(v.Strings, shared[c])
		}
		return
	}
	if first := unsafe.SliceData(shared); first != d.shared || len(shared) != len(d.local) {
		d.shared, d.local = first, make([]uint64, len(shared))
	}
	v.Codes = slices.Grow(v.Codes, len(codes))
	for _, c := range codes {
		n := d.local[c]
		if n>>32 != d.round {
			n = d.round<<32 | uint64(len(d.list))
			d.local[c] = n
			d.list = append(d.list, shared[c])
		}
		v.Codes = append(v.Codes, uint32(n))
	}
}

// becomePlain turns the values so far into texts.
func (d *localDict) becomePlain(v *column.Vector) {
	if d.plain {
		return
	}
	d.plain = true
	for _, c := range v.Codes {
		v.Strings = append(v.Strings, d.list[c])
	}
	v.Codes = nil
}
