package block

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// filter is one of Parquet's split-block bloom filters over XXH64. An empty one holds nothing.
//
// The upper half of a hash chooses a block of eight words, and each of eight salts, multiplied with
// the lower half, chooses a bit in one of the words.
type filter []byte

// filterBlock is the size of a block of a filter in bytes.
const filterBlock = 32

// filterSalt is given by Parquet's specification.
var filterSalt = [8]uint32{
	0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31,
}

// newFilter returns an empty filter with room for n values of that many bits each.
func newFilter(n, bits int) filter {
	blocks := max(1, (n*bits+filterBlock*8-1)/(filterBlock*8))
	return make(filter, blocks*filterBlock)
}

// blockOf returns the block that a hash chooses.
func (f filter) blockOf(h uint64) []byte {
	n := uint64(len(f) / filterBlock)
	i := (h >> 32) * n >> 32
	return f[i*filterBlock : (i+1)*filterBlock]
}

// addHash adds the value with a hash.
func (f filter) addHash(h uint64) {
	b := f.blockOf(h)
	for i, salt := range filterSalt {
		w := binary.LittleEndian.Uint32(b[4*i:])
		binary.LittleEndian.PutUint32(b[4*i:], w|1<<(uint32(h)*salt>>27))
	}
}

// mayHave reports whether the value with a hash may have been added; false is certain.
func (f filter) mayHave(h uint64) bool {
	if len(f) == 0 {
		return false
	}
	b := f.blockOf(h)
	for i, salt := range filterSalt {
		if binary.LittleEndian.Uint32(b[4*i:])>>(uint32(h)*salt>>27)&1 == 0 {
			return false
		}
	}
	return true
}

// Bits of a filter for each value: 10 let through about one absent value in a hundred, 6 one in
// thirteen.
const (
	traceBits = 10
	valueBits = 6
)

// hashTrace returns the hash by which the trace filter holds a trace.
func hashTrace(id trace.ID) uint64 { return xxhash.Sum64(id[:]) }

// hashValue returns the hash by which the value filter holds a value of a column.
func hashValue(k column.Key, value string) uint64 { return hashColumn(k) ^ xxhash.Sum64String(value) }

// hashColumn returns the part of hashValue that is the column's.
func hashColumn(k column.Key) uint64 { return xxhash.Sum64String(k.Scope.String() + "." + k.Name) }

// traceFilter returns a filter of the traces.
func traceFilter(traces []traceLayout) filter {
	f := newFilter(len(traces), traceBits)
	for i := range traces {
		f.addHash(hashTrace(traces[i].id))
	}
	return f
}

// filterBuilder collects the hashes of a filter until it is known how many there are.
type filterBuilder struct{ hashes []uint64 }

func (b *filterBuilder) addHash(h uint64) { b.hashes = append(b.hashes, h) }

// buildFilter returns the filter of the hashes.
func (b *filterBuilder) buildFilter() filter {
	f := newFilter(len(b.hashes), valueBits)
	for _, h := range b.hashes {
		f.addHash(h)
	}
	return f
}

// textNoter sees the texts of a column as they are written.
type textNoter struct {
	filter  *filterBuilder // nil: the column is not in the filter
	hash    uint64         // hashColumn of the column
	invalid bool           // a value was not UTF-8
}

// noteValue adds a value to the filter.
func (n *textNoter) noteValue(value []byte) {
	if n.filter != nil {
		n.filter.addHash(n.hash ^ xxhash.Sum64(value))
	}
}

// notePage notes texts, whose bytes lie one behind the other in all.
func (n *textNoter) notePage(texts []string, all []byte) {
	ascii := isASCII(all)
	for _, t := range texts {
		n.invalid = n.invalid || !ascii && !utf8.ValidString(t)
		n.noteValue(all[:len(t)])
		all = all[len(t):]
	}
}

// isASCII reports whether all bytes are below 0x80.
func isASCII(b []byte) bool {
	var or uint64
	for ; len(b) >= 8; b = b[8:] {
		or |= binary.LittleEndian.Uint64(b)
	}
	for _, c := range b {
		or |= uint64(c)
	}
	return or&0x8080808080808080 == 0
}
