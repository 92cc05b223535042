package jobs

import (
	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// A trace belongs to the partition that its id is routed to: hash(tenant, id) mod the number of
// partitions. A block says by which numbers its records were routed, so most traces can be told not
// to be in it without a look at it. Live-stores, block-builders and planning all ask this.

// MayHold reports whether a block can hold the trace, by the numbers of partitions that its records
// were routed by. A block that was merged over partitions has partition -1 and may hold any trace.
func MayHold(m *blocks.BlockMeta, id trace.ID) bool {
	if m.GetPartition() < 0 || len(m.GetParts()) == 0 {
		return true
	}
	for _, p := range m.GetParts() {
		if p > 0 && trace.Partition(m.GetTenant(), id, int(p)) == m.GetPartition() {
			return true
		}
	}
	return false
}

// MayShare reports whether a block can hold traces that are also in a partition, whose records were
// routed by the numbers of partitions in parts. Among records that were all routed by the same
// number, each partition has traces of its own.
func MayShare(m *blocks.BlockMeta, partition int32, parts []int32) bool {
	if m.GetPartition() < 0 || partition < 0 || m.GetPartition() == partition {
		return true
	}
	return len(parts) != 1 || len(m.GetParts()) != 1 || parts[0] != m.GetParts()[0]
}
