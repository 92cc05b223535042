package block

import (
	"maps"
	"slices"
)

// makeMeta describes the block that was written.
func (w *writer) makeMeta() *Meta {
	o, p := &w.options, w.layout
	m := &Meta{
		Version:    Version,
		ID:         o.ID,
		Tenant:     o.Tenant,
		Epoch:      o.Epoch,
		Partition:  o.Partition,
		Parts:      slices.Clone(o.Parts),
		From:       o.From,
		To:         o.To,
		Level:      o.Level,
		Ranges:     slices.Clone(o.Ranges),
		Lease:      o.Lease,
		Spans:      p.rows,
		Traces:     len(p.traces),
		Intervals:  coverTraces(p.traces),
		MinArrival: o.MinArrival,
		MaxArrival: o.MaxArrival,
		Objects:    maps.Clone(w.objects),
		Index:      w.index,
	}
	for _, n := range w.objects {
		m.Bytes += n
	}
	m.MinStart = m.Intervals[0].Start
	m.MaxEnd = m.Intervals[len(m.Intervals)-1].End
	return m
}

// maxIntervals bounds the intervals of a block.
const maxIntervals = 16

// coverTraces returns at most maxIntervals that together hold all of the traces, which are in the
// order of their start. What they leave out are the widest gaps between traces.
func coverTraces(traces []traceLayout) []Interval {
	var all []Interval
	for i := range traces {
		t := &traces[i]
		end := max(t.end, t.start)
		if n := len(all); n > 0 && t.start <= all[n-1].End {
			all[n-1].End = max(all[n-1].End, end)
			continue
		}
		all = append(all, Interval{t.start, end})
	}
	if len(all) <= maxIntervals {
		return all
	}
	gaps := make([]uint64, 0, len(all)-1)
	for i := 1; i < len(all); i++ {
		gaps = append(gaps, all[i].Start-all[i-1].End)
	}
	slices.Sort(gaps)
	least := gaps[len(gaps)-(maxIntervals-1)]
	out := all[:1]
	for _, v := range all[1:] {
		last := &out[len(out)-1]
		if v.Start-last.End >= least && len(out) < maxIntervals {
			out = append(out, v)
		} else {
			last.End = v.End
		}
	}
	return out
}
