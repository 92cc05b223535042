package catalog

import (
	"cmp"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// ChooseListed chooses, of all blocks whose metas lie in a bucket, those that a rebuilt catalog
// lists. A block is left out if another block of its tenant, epoch and partition that was merged
// more often contains its offsets: it was replaced by that one. Blocks of one level that overlap
// are all kept; spans that they both hold are removed when they are read. Blocks merged over
// partitions (partition -1) are compared among themselves.
func ChooseListed(metas []*blocks.BlockMeta) []*blocks.BlockMeta {
	type log struct {
		tenant, epoch string
		partition     int32
	}
	byLog := map[log][]*blocks.BlockMeta{}
	for _, m := range metas {
		k := log{m.GetTenant(), m.GetEpoch(), m.GetPartition()}
		byLog[k] = append(byLog[k], m)
	}
	var out []*blocks.BlockMeta
	for _, list := range byLog {
		for _, m := range list {
			replaced := slices.ContainsFunc(list, func(o *blocks.BlockMeta) bool {
				return o.GetLevel() > m.GetLevel() && o.GetFrom() <= m.GetFrom() && o.GetTo() >= m.GetTo()
			})
			if !replaced {
				out = append(out, m)
			}
		}
	}
	slices.SortFunc(out, func(a, b *blocks.BlockMeta) int {
		return cmp.Or(cmp.Compare(a.GetTenant(), b.GetTenant()), compareBlocks(a, b))
	})
	return out
}

// SharedFinder finds the traces that lie in several blocks of a tenant. Add every block, then ask
// for the list.
type SharedFinder struct {
	first  map[trace.ID]firstBlock
	shared map[trace.ID]*blocks.SharedTrace
}

// firstBlock is the first block that a trace was found in, and its extent there.
type firstBlock struct {
	block      string
	start, end uint64
}

// Add notes which traces a block holds.
func (f *SharedFinder) Add(tenant, block string, traces []Extent) {
	if f.first == nil {
		f.first, f.shared = map[trace.ID]firstBlock{}, map[trace.ID]*blocks.SharedTrace{}
	}
	for _, x := range traces {
		first, ok := f.first[x.ID]
		if !ok {
			f.first[x.ID] = firstBlock{block, x.Start, x.End}
			continue
		}
		s := f.shared[x.ID]
		if s == nil {
			s = &blocks.SharedTrace{
				Tenant:        tenant,
				TraceId:       slices.Clone(x.ID[:]),
				StartUnixNano: first.start,
				EndUnixNano:   first.end,
				Homes:         []string{first.block},
			}
			f.shared[x.ID] = s
		}
		s.StartUnixNano, s.EndUnixNano = min(s.StartUnixNano, x.Start), max(s.EndUnixNano, x.End)
		s.Homes = append(s.Homes, block)
	}
}

// Shared returns the traces that lie in several blocks, by id.
func (f *SharedFinder) Shared() []*blocks.SharedTrace {
	out := make([]*blocks.SharedTrace, 0, len(f.shared))
	for _, s := range f.shared {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *blocks.SharedTrace) int {
		return slices.Compare(a.GetTraceId(), b.GetTraceId())
	})
	return out
}
