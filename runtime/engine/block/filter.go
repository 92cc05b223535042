package block

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Filters are Parquet's split-block bloom filters over XXH64.

// filter is a split-block bloom filter; an empty one holds nothing.
type filter []byte

const filterBlock = 32 // bytes

var filterSalt = [8]uint32{0x47b6137b, 0x44974d91, 0x8824ad5b, 0xa2b7289d, 0x705495c7, 0x2df1424b, 0x9efc4947, 0x5c6bfb31}

// newFilter returns an empty filter for n values with that many bits each.
func newFilter(n, bits int) filter {
	blocks := max(1, (n*bits+filterBlock*8-1)/(filterBlock*8))
	return make(filter, blocks*filterBlock)
}

func (f filter) blockOf(h uint64) []byte {
	n := uint64(len(f) / filterBlock)
	i := (h >> 32) * n >> 32
	return f[i*filterBlock : (i+1)*filterBlock]
}

func (f filter) addHash(h uint64) {
	b := f.blockOf(h)
	for i, salt := range filterSalt {
		w := binary.LittleEndian.Uint32(b[4*i:])
		binary.LittleEndian.PutUint32(b[4*i:], w|1<<(uint32(h)*salt>>27))
	}
}

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

func hashTrace(id trace.ID) uint64 { return xxhash.Sum64(id[:]) }

// hashColumn is combined with the hash of a value by exclusive or.
// valueHash is what the value filter holds of a value of a column.
func valueHash(k column.Key, value string) uint64 { return hashColumn(k) ^ xxhash.Sum64String(value) }

func hashColumn(k column.Key) uint64 { return xxhash.Sum64String(k.Scope.String() + "." + k.Name) }

func traceFilter(traces []traceLayout) filter {
	f := newFilter(len(traces), traceBits)
	for i := range traces {
		f.addHash(hashTrace(traces[i].id))
	}
	return f
}

// filterBuilder collects hashes until it is known how many there are.
type filterBuilder struct{ hashes []uint64 }

func (b *filterBuilder) addHash(h uint64) { b.hashes = append(b.hashes, h) }

func (b *filterBuilder) buildFilter() filter {
	f := newFilter(len(b.hashes), valueBits)
	for _, h := range b.hashes {
		f.addHash(h)
	}
	return f
}

// textNoter sees the values of a column of text.
type textNoter struct {
	filter  *filterBuilder // nil: not kept
	hash    uint64         // of the column
	invalid bool           // a value was not UTF-8
}

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
