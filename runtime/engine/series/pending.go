package series

import "encoding/binary"

// pendingValues are values of quantiles and histograms that are not in buckets yet. A row group has
// about as many values as its cells have codes, so to sort them when they are packed costs less
// than to make room for counting them.
//
//	cell  code       byCell: ends = [1 3]     packed: cell 4  code 2 once
//	   4     2               codes = [2 4 4]          cell 7  code 4 twice
//	   7     4
//	   7     4
//
// Invariant: where a Tally has some, its buckets are empty.
type pendingValues struct {
	cells []uint32
	codes []uint8
}

// maxPendingValues bounds the values that are pending.
const maxPendingValues = 1 << 17

// addPending adds values that are not weighted, if they may wait.
func (t *Tally) addPending(at []uint32, values []int64) bool {
	p := &t.pending
	from := len(p.cells)
	if len(t.buckets) > 0 || from+len(values) > maxPendingValues {
		return false
	}
	n := from + len(values)
	p.cells, p.codes = extendTo(p.cells, n), extendTo(p.codes, n)
	cells, codes := p.cells[from:n], p.codes[from:n]
	k := 0
	for i, v := range values {
		cells[k], codes[k] = at[i], codeOf(v)
		if v >= 2 {
			k++
		}
	}
	p.cells, p.codes = p.cells[:from+k], p.codes[:from+k]
	return true
}

// settle counts the values that are pending.
func (t *Tally) settle() {
	p := t.pending
	if len(p.cells) == 0 {
		return
	}
	t.pending = pendingValues{}
	values := make([]int64, len(p.codes))
	for i, code := range p.codes {
		values[i] = 1<<(code-1) + 1 // the least of this code
	}
	t.countValues(p.cells, values, nil)
}

// byCell returns the codes of each cell: those of cell c, of n, end at ends[c] and begin where the
// cell before ends.
func (p *pendingValues) byCell(n int) (ends []uint32, codes []uint8) {
	ends, codes = make([]uint32, n+1), make([]uint8, len(p.codes))
	for _, c := range p.cells {
		ends[c+1]++
	}
	for c := range n {
		ends[c+1] += ends[c]
	}
	for i, c := range p.cells { // ends[c] is where the next code of the cell goes
		codes[ends[c]] = p.codes[i]
		ends[c]++
	}
	return ends[:n], codes
}

// appendPending appends the cells of a group of which the values are pending.
func (t *Tally) appendPending(b []byte, group int, ends []uint32, codes []uint8) []byte {
	before := -1
	for iv, cell := range t.cells.ofGroup(group) {
		from := uint32(0)
		if cell > 0 {
			from = ends[cell-1]
		}
		if from == ends[cell] {
			continue
		}
		b = binary.AppendUvarint(b, uint64(iv-before))
		before = iv
		var counts [packedCode + 1]uint32
		bits := uint64(0)
		for _, code := range codes[from:ends[cell]] {
			counts[code&packedCode]++
			bits |= 1 << (code & packedCode)
		}
		b = appendCodes(b, bits, func(code int) uint64 { return uint64(counts[code&packedCode]) })
	}
	return b
}
