package plan

import (
	"iter"
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// OrderCandidates returns the candidates in the order in which they are put together: from the
// highest bound down. A search may stop on the way. For other queries those that lie in blocks only
// come first, so that their batches are the same when the query comes again.
func (b *Basis) OrderCandidates(bounds jobs.StartBounds, shared *jobs.Shared) []eval.Candidate {
	list := bounds.NewestFirst()
	if b.Query.Scan.Search != nil {
		return list
	}
	slices.SortStableFunc(list, func(x, y eval.Candidate) int {
		switch xLive, yLive := shared.Live(x.ID), shared.Live(y.ID); {
		case xLive == yLive:
			return 0
		case yLive:
			return -1
		}
		return 1
	})
	return list
}

// BatchSize returns how many of the candidates, which are in their order, are put together next.
// most bounds it; last is the size of the batch before, 0 where there is none. A search begins with
// about as many as it may return, because it may stop then, and doubles from there. For other
// queries a batch has traces with live parts only, or none.
func (b *Basis) BatchSize(candidates []eval.Candidate, shared *jobs.Shared, last, most int) int {
	n := most
	if s := b.Query.Scan.Search; s != nil {
		if last == 0 {
			n = min(max(s.Limit+s.Limit/2, 16), most)
		} else {
			n = min(2*last, most)
		}
	}
	n = min(n, len(candidates))
	if b.Query.Scan.Search != nil || n == 0 || shared.Live(candidates[0].ID) {
		return n
	}
	live := slices.IndexFunc(candidates[:n], func(c eval.Candidate) bool { return shared.Live(c.ID) })
	if live > 0 {
		return live
	}
	return n
}

// Batch is some traces with several homes that are put together at a time.
type Batch struct {
	IDs         []trace.ID
	First, Last uint64              // where the first of them starts, and where the last of them ends, both unix ns
	Blocks      []*blocks.BlockMeta // may hold parts of them
	Live        bool                // some of them may have live parts, which are read
	Settled     bool                // all of their homes are blocks, as all live-stores say
	Beyond      bool                // some of them are known to have spans that the query does not see
}

// PlanBatch finds where the parts of some candidates may be. Blocks that are unread have failed
// before, and are not tried again.
func (b *Basis) PlanBatch(taken []eval.Candidate, shared *jobs.Shared, unread func(*blocks.BlockMeta) bool) Batch {
	out := Batch{IDs: make([]trace.ID, len(taken)), First: math.MaxUint64}
	seen := b.SeenRange()
	for i, c := range taken {
		out.IDs[i] = c.ID
		out.Live = out.Live || shared.Live(c.ID)
		e := shared.Extent(c.ID)
		out.First, out.Last = min(out.First, e.Start), max(out.Last, e.End)
		// A trace of which nothing is known is of all time to be read, and not known to be long.
		out.Beyond = out.Beyond || shared.Has(c.ID) && (e.Start < seen.Start || e.End >= seen.End)
	}
	out.Settled = !out.Live && b.AllLive()
	out.Blocks = slices.DeleteFunc(b.View.Blocks(b.Query.Tenant, seen.Start, seen.End),
		func(m *blocks.BlockMeta) bool {
			return m.GetMinStartUnixNano() > out.Last || m.GetMaxEndUnixNano() < out.First || unread(m)
		})
	return out
}

// LiveTraces reads traces from the live-store of a partition.
type LiveTraces struct {
	Partition int32
	Job       jobs.LiveTracesJob
}

// Fragments is the plan of reading all parts of some traces.
type Fragments struct {
	Live      []LiveTraces
	BlockJobs []jobs.BlockTracesJob
}

// blocksPerJob bounds the blocks of one job that reads traces: enough to make the job worth while,
// few enough to have several jobs under way.
const blocksPerJob = 32

// PlanFragments reads what is asked for of the traces of a batch from every home that may hold one
// of them. Live parts are not read where no live-store has named one: if the trace has one all the
// same, it repeats nothing of the blocks, and a spanwise query has counted it where it lies.
func (b *Basis) PlanFragments(x Batch, ask jobs.TracesAsk, slots int) Fragments {
	var out Fragments
	for _, p := range b.Partitions() {
		h := b.Live[p]
		if !x.Live || h == nil || h.UpTo <= b.View.Covered[p] {
			continue
		}
		out.Live = append(out.Live, LiveTraces{Partition: p, Job: jobs.LiveTracesJob{
			Snapshot:  b.JobSnapshot(),
			Tenant:    b.Query.Tenant,
			From:      b.View.Covered[p],
			UpTo:      h.UpTo,
			TracesAsk: ask,
		}})
	}
	ids, _ := ask.Wanted()
	metas := slices.DeleteFunc(slices.Clone(x.Blocks), func(m *blocks.BlockMeta) bool {
		return !slices.ContainsFunc(ids, func(id trace.ID) bool { return jobs.MayHold(m, id) })
	})
	for chunk := range chunkBlocks(metas, slots) {
		out.BlockJobs = append(out.BlockJobs, jobs.BlockTracesJob{Blocks: chunk, TracesAsk: ask})
	}
	return out
}

// chunkBlocks deals blocks out to jobs.
func chunkBlocks(metas []*blocks.BlockMeta, slots int) iter.Seq[[]*blocks.BlockMeta] {
	each := min(blocksPerJob, (len(metas)+slots-1)/max(slots, 1))
	return slices.Chunk(metas, max(each, 1))
}
