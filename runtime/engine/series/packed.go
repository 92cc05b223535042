package series

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Packed is what a Tally has counted, without the room to count more: some bytes for each cell. It
// is what homes contribute and what nodes keep. It never changes, so it may be shared.
//
// data is a sequence of numbers, all as varints (uvarint) unless something else is said:
//
//	groups   how many; for each label its values and, by group, which of them it has (0: none)
//	value    type, number, length of the text, the text
//	cells    for each group its cells in the order of time, then 0
//	cell     intervals since the group's cell before, at least 1; what it has counted:
//	  rate, count          the count
//	  min, max             the count, the extreme with its bits reversed byte by byte
//	  avg, sum             the count, a byte that says which sums follow, the sums
//	  quantile, histogram  for each code a byte with what follows it, and the count unless it is 1
type Packed struct {
	spec      Spec
	data      string
	exemplars []ExemplarSpan // in the order of their bins
}

// What the byte of a code says besides the code.
const (
	packedCode = 1<<6 - 1 // the code itself
	packedLast = 1 << 6   // it is the last one of its cell
	packedMany = 1 << 7   // the count is not 1 and follows
)

// Which sums of a cell there are. Without any they are 0.
const (
	packedInt   = 1 << iota // a sum of integers that has 64 bits, zigzag
	packedWide              // one that has 128 bits: the lower half, the upper half zigzag
	packedFloat             // a sum of floats
)

// Bytes estimates the memory in bytes.
func (p *Packed) Bytes() int {
	n := 192 + len(p.data)
	for i := range p.exemplars {
		n += p.exemplars[i].bytes()
	}
	return n
}

// NewTally returns a Tally of the same Spec that has counted nothing.
func (p *Packed) NewTally() *Tally { return NewTally(p.spec) }

// Pack returns what the Tally has counted.
func (t *Tally) Pack() *Packed {
	b := t.Groups.appendPacked(make([]byte, 0, 512+4*t.cells.len()))
	var ends []uint32 // of pending values by cell
	var codes []uint8
	if len(t.pending.cells) > 0 {
		ends, codes = t.pending.byCell(t.cells.len())
	}
	for group := range t.Groups.Len() {
		if ends != nil {
			b = append(t.appendPending(b, group, ends, codes), 0)
			continue
		}
		before := -1
		for iv, cell := range t.cells.ofGroup(group) {
			if t.hasCounted(cell) {
				b = binary.AppendUvarint(b, uint64(iv-before))
				b = t.appendCell(b, cell)
				before = iv
			}
		}
		b = append(b, 0)
	}
	return &Packed{spec: t.spec, data: string(b), exemplars: t.Exemplars.list()}
}

// hasCounted reports whether a cell has counted anything.
func (t *Tally) hasCounted(cell int) bool {
	if t.spec.Func.UsesBuckets() {
		return cell < len(t.codes) && t.codes[cell] != 0
	}
	return cell < len(t.counts) && t.counts[cell] != 0
}

// appendCell appends a cell that has counted something.
func (t *Tally) appendCell(b []byte, cell int) []byte {
	if t.spec.Func.UsesBuckets() {
		return appendCodes(b, t.codes[cell], func(code int) uint64 { return t.countOf(cell, code) })
	}
	b = binary.AppendUvarint(b, t.counts[cell])
	switch t.spec.Func {
	case Min, Max:
		return binary.AppendUvarint(b, bits.ReverseBytes64(math.Float64bits(t.extremes[cell])))
	case Avg, Sum:
		return t.appendSums(b, cell)
	}
	return b
}

// appendCodes appends the codes of a cell, given by the bits that are set, and their counts.
func appendCodes(b []byte, codes uint64, countOf func(code int) uint64) []byte {
	last := 0
	for ; codes != 0; codes &= codes - 1 {
		code := bits.TrailingZeros64(codes)
		last = len(b)
		b = append(b, byte(code))
		if n := countOf(code); n != 1 {
			b[last] |= packedMany
			b = binary.AppendUvarint(b, n)
		}
	}
	b[last] |= packedLast
	return b
}

// appendSums appends the sums of a cell.
func (t *Tally) appendSums(b []byte, cell int) []byte {
	what := len(b)
	b = append(b, 0)
	if cell < len(t.lo) {
		lo, hi := int64(t.lo[cell]), t.hi[cell]
		switch {
		case hi == lo>>63:
			b[what] |= packedInt
			b = binary.AppendVarint(b, lo)
		default:
			b[what] |= packedWide
			b = binary.AppendVarint(binary.AppendUvarint(b, uint64(lo)), hi)
		}
	}
	if cell < len(t.exact) && t.exact[cell] != nil {
		b[what] |= packedFloat
		b = t.exact[cell].appendPacked(b)
	}
	return b
}

// appendPacked appends the values of the labels and the groups.
func (g *Groups) appendPacked(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(g.count))
	for label := range g.labels {
		values := g.labels[label].values[1:]
		b = binary.AppendUvarint(b, uint64(len(values)))
		for _, v := range values {
			b = v.appendPacked(b)
		}
		for group := range g.count {
			b = binary.AppendUvarint(b, uint64(g.tuples[group*len(g.labels)+label]))
		}
	}
	return b
}

// appendPacked appends a value as unpacker.value reads it.
func (v Value) appendPacked(b []byte) []byte {
	return appendText(binary.AppendUvarint(append(b, byte(v.Type)), v.Num), v.Text)
}

func appendText(b []byte, text string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(text))), text...)
}

// unpacker reads the data of a Packed from its beginning on.
type unpacker struct {
	data string
	at   int
}

func (r *unpacker) byte() byte {
	r.at++
	return r.data[r.at-1]
}

func (r *unpacker) uvarint() uint64 {
	b := r.byte()
	if b < 0x80 {
		return uint64(b)
	}
	return r.longUvarint(b)
}

// longUvarint reads on after the first byte.
func (r *unpacker) longUvarint(b byte) uint64 {
	n := uint64(b & 0x7f)
	for shift := 7; b >= 0x80; shift += 7 {
		b = r.byte()
		n |= uint64(b&0x7f) << shift
	}
	return n
}

// varint reads a number in zigzag.
func (r *unpacker) varint() int64 {
	n := r.uvarint()
	return int64(n>>1) ^ -int64(n&1)
}

// value reads a value of a label. Its text aliases the data.
func (r *unpacker) value() Value {
	v := Value{Type: trace.Type(r.byte())}
	v.Num = r.uvarint()
	v.Text = r.text()
	return v
}

// text reads a text, which aliases the data.
func (r *unpacker) text() string {
	n := int(r.uvarint())
	r.at += n
	return r.data[r.at-n : r.at]
}
