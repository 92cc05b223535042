package plan

import (
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// TraceReads is the plan of reading one trace by its id: every live part, and the blocks that may
// hold it.
type TraceReads struct {
	Live        []LiveTrace
	BlockJobs   []jobs.BlockTraceJob
	BlocksAsked int
}

// LiveTrace reads the trace from the live-store of a partition.
type LiveTrace struct {
	Partition int32
	Job       jobs.LiveTraceJob
}

// PlanTrace reads the one trace that the query asks for by its id. It is looked for in all of time.
// slots is the number of jobs that one tenant may have under way, and maxBytes the size from which
// the trace is long.
func (b *Basis) PlanTrace(slots int, maxBytes int64) TraceReads {
	id := *b.Query.Trace
	var out TraceReads
	for _, p := range b.Partitions() {
		out.Live = append(out.Live, LiveTrace{Partition: p, Job: jobs.LiveTraceJob{
			Snapshot: b.JobSnapshot(),
			Tenant:   b.Query.Tenant,
			From:     b.View.Covered[p],
			ID:       id,
			MaxBytes: maxBytes,
			Only:     b.Query.Only,
		}})
	}
	metas := slices.DeleteFunc(b.View.Blocks(b.Query.Tenant, 0, math.MaxUint64),
		func(m *blocks.BlockMeta) bool { return !jobs.MayHold(m, id) })
	for chunk := range chunkBlocks(metas, slots) {
		out.BlockJobs = append(out.BlockJobs, jobs.BlockTraceJob{
			Blocks: chunk, ID: id, MaxBytes: maxBytes, Only: b.Query.Only})
	}
	out.BlocksAsked = len(metas)
	return out
}
