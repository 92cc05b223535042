package catalog

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// ChooseListed chooses, of all blocks whose metas lie in a bucket, those that a rebuilt catalog
// lists. A block is left out if another block of its tenant that was merged more often contains all
// of its offsets: it was replaced by that one. Blocks of one level that overlap are all kept; spans
// that they both hold are removed when they are read.
func ChooseListed(metas []*blocks.BlockMeta) []*blocks.BlockMeta {
	merged := map[logOfTenant][]mergedRange{}
	for _, m := range metas {
		for _, r := range RangesOf(m) {
			if m.GetLevel() > 0 {
				k := logOfTenant{m.GetTenant(), r.GetEpoch(), r.GetPartition()}
				merged[k] = append(merged[k], mergedRange{m, r})
			}
		}
	}
	var out []*blocks.BlockMeta
	for _, m := range metas {
		if !isReplaced(m, merged) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *blocks.BlockMeta) int {
		return cmp.Or(cmp.Compare(a.GetTenant(), b.GetTenant()), compareBlocks(a, b))
	})
	return out
}

// logOfTenant is one partition of one epoch, and a tenant with records there.
type logOfTenant struct {
	tenant, epoch string
	partition     int32
}

// mergedRange is a range of the offsets of a merged block.
type mergedRange struct {
	block *blocks.BlockMeta
	at    *blocks.LogRange
}

// isReplaced reports whether a block that was merged more often contains all of m.
func isReplaced(m *blocks.BlockMeta, merged map[logOfTenant][]mergedRange) bool {
	contained := map[string]int{} // by block: how many ranges of m
	ranges := RangesOf(m)
	for _, r := range ranges {
		for _, o := range merged[logOfTenant{m.GetTenant(), r.GetEpoch(), r.GetPartition()}] {
			if o.block.GetLevel() > m.GetLevel() && o.at.GetFrom() <= r.GetFrom() && o.at.GetTo() >= r.GetTo() {
				contained[o.block.GetId()]++
			}
		}
	}
	for _, n := range contained {
		if n == len(ranges) {
			return true
		}
	}
	return false
}

// SharedFinder finds the traces that lie in several blocks of one tenant. Add every block; then add
// the spans of the shared traces, so that most are found to be disjoint; then ask for the message.
type SharedFinder struct {
	first  map[trace.ID]foundHomes // of each trace the first block
	shared map[trace.ID]*foundHomes
	spans  map[uint64]string // the block that has a span first, by a hash of the span
}

// foundHomes is a trace, and the blocks in which it was found.
type foundHomes struct {
	Extent
	blocks []string
}

// NewSharedFinder returns a SharedFinder without blocks.
func NewSharedFinder() *SharedFinder {
	return &SharedFinder{
		first:  map[trace.ID]foundHomes{},
		shared: map[trace.ID]*foundHomes{},
		spans:  map[uint64]string{},
	}
}

// Add notes which traces a block holds.
func (f *SharedFinder) Add(block string, traces []Extent) {
	for _, x := range traces {
		x.Disjoint = true // as far as is known
		first, ok := f.first[x.ID]
		if !ok {
			f.first[x.ID] = foundHomes{x, []string{block}}
			continue
		}
		s := f.shared[x.ID]
		if s == nil {
			s = &first
			f.shared[x.ID] = s
		}
		s.Extent = s.Join(x)
		s.blocks = append(s.blocks, block)
	}
}

// Has reports whether a trace lies in several blocks.
func (f *SharedFinder) Has(id trace.ID) bool { return f.shared[id] != nil }

// AddSpan notes that a block holds a span of a shared trace. If another block holds one with the
// same id and kind, the trace is repeating.
func (f *SharedFinder) AddSpan(block string, of trace.ID, id trace.SpanID, kind int32) {
	var b [len(of) + len(id) + 4]byte
	copy(b[:], of[:])
	copy(b[len(of):], id[:])
	binary.BigEndian.PutUint32(b[len(of)+len(id):], uint32(kind))
	h := xxhash.Sum64(b[:]) // two spans with one hash make a trace repeating that is not, which is no harm
	if first, ok := f.spans[h]; !ok {
		f.spans[h] = block
	} else if first != block {
		f.SetRepeating(of)
	}
}

// ForgetSpans forgets the spans that were added. Further spans must be of other traces.
func (f *SharedFinder) ForgetSpans() { clear(f.spans) }

// SetRepeating notes that nobody knows whether a trace is disjoint.
func (f *SharedFinder) SetRepeating(id trace.ID) {
	if s := f.shared[id]; s != nil {
		s.Disjoint = false
	}
}

// Message returns the traces that lie in several blocks, nil for none.
func (f *SharedFinder) Message(tenant string) *blocks.SharedTraces {
	var list SharedList
	for _, s := range f.shared {
		list.Add(s.Extent, s.blocks)
	}
	return list.Message(tenant)
}
