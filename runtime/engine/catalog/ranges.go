package catalog

import "github.com/troupe-tracing/troupe/messages/blocks"

// RangesOf returns where the records of a block come from.
func RangesOf(m *blocks.BlockMeta) []*blocks.LogRange {
	if len(m.GetRanges()) > 0 {
		return m.GetRanges()
	}
	return []*blocks.LogRange{{Epoch: m.GetEpoch(), Partition: m.GetPartition(), From: m.GetFrom(), To: m.GetTo()}}
}
