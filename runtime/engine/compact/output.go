package compact

import (
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
)

// DescribeOutput returns what is known of a merged block before it is written: where its records
// come from, by those of its inputs, which are in the order of a Job. The caller sets the names.
func DescribeOutput(inputs []*blocks.BlockMeta) block.WriteOptions {
	first := inputs[0]
	o := block.WriteOptions{MinArrival: first.GetMinArrivalUnixNano(), MaxArrival: first.GetMaxArrivalUnixNano()}
	for _, m := range inputs {
		o.MinArrival = min(o.MinArrival, m.GetMinArrivalUnixNano())
		o.MaxArrival = max(o.MaxArrival, m.GetMaxArrivalUnixNano())
		o.Parts = append(o.Parts, m.GetParts()...)
		if len(m.GetRanges()) == 0 {
			o.Ranges = appendRange(o.Ranges, &blocks.LogRange{
				Epoch: m.GetEpoch(), Partition: m.GetPartition(), From: m.GetFrom(), To: m.GetTo(),
			})
		}
		for _, r := range m.GetRanges() {
			o.Ranges = appendRange(o.Ranges, r)
		}
	}
	slices.Sort(o.Parts)
	o.Parts = slices.Compact(o.Parts)
	if len(o.Ranges) > 1 {
		o.Partition = -1
		return o
	}
	one := o.Ranges[0]
	o.Epoch, o.Partition, o.From, o.To, o.Ranges = one.Epoch, one.Partition, one.From, one.To, nil
	return o
}

// appendRange adds a range, or widens the last one if it is of the same partition: no other live
// block of the tenant lies between neighbours.
func appendRange(list []block.LogRange, r *blocks.LogRange) []block.LogRange {
	if n := len(list) - 1; n >= 0 && list[n].Epoch == r.GetEpoch() && list[n].Partition == r.GetPartition() {
		list[n].From, list[n].To = min(list[n].From, r.GetFrom()), max(list[n].To, r.GetTo())
		return list
	}
	more := block.LogRange{Epoch: r.GetEpoch(), Partition: r.GetPartition(), From: r.GetFrom(), To: r.GetTo()}
	return append(list, more)
}
