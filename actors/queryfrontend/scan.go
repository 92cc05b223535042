package queryfrontend

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// gaps warns of what the log has lost, where it may have been in the answer: records hold spans of
// about the time they arrived.
func (r *running) gaps() {
	for _, g := range r.view.Gaps {
		arrived := jobs.Range{Start: uint64(max(g.GetMinArrivalUnixNano(), 0)), End: uint64(max(g.GetMaxArrivalUnixNano(), 0))}.Widen(r.cfg.TraceWindow)
		if r.q.Trace != nil || arrived.Start < r.q.Range.End && r.q.Range.Start < arrived.End {
			r.missing.add(fmt.Sprintf("gap %d/%d", g.GetPartition(), g.GetFrom()), "log-gap: records [%d, %d) of partition %d were lost from the log before they were in a block",
				g.GetFrom(), g.GetTo(), g.GetPartition())
		}
	}
}

// aside warns of records that are in no home because they could not be read or not be built, as
// gaps does.
func (r *running) aside(list []*blocks.SetAside) {
	for _, a := range list {
		if a.GetTenant() != "" && a.GetTenant() != r.q.Tenant {
			continue
		}
		arrived := jobs.Range{Start: uint64(max(a.GetMinArrivalUnixNano(), 0)), End: uint64(max(a.GetMaxArrivalUnixNano(), 0)) + 1}.Widen(r.cfg.TraceWindow)
		if r.q.Trace != nil || arrived.Start < r.q.Range.End && r.q.Range.Start < arrived.End {
			r.missing.add(fmt.Sprintf("aside %s/%d/%d", a.GetEpoch(), a.GetPartition(), a.GetFrom()), "set-aside: %d records of [%d, %d) of partition %d are in no answer: %s",
				a.GetRecords(), a.GetFrom(), a.GetTo(), a.GetPartition(), a.GetReason())
		}
	}
}

// askHomes fixes the end of the query in each partition, and which live traces have another home.
// For sets of names and values the homes do not matter.
func (r *running) askHomes() step {
	r.phase = homes
	var others []*blocks.BlockMeta
	if r.q.Scan.Whole() {
		w := r.q.Range.Widen(r.cfg.TraceWindow)
		others = r.view.Blocks(r.q.Tenant, w.Start, w.End)
	}
	var list []job
	for _, p := range r.partitions() {
		asked := others
		if r.parts == nil { // until it is known otherwise, what is live was routed by the present number of partitions
			asked = slices.DeleteFunc(slices.Clone(others), func(m *blocks.BlockMeta) bool { return !jobs.MayShare(m, p, r.routes()) })
		}
		list = append(list, liveJob(p, &jobs.HomesJob{Snapshot: r.at(), Tenant: r.q.Tenant, From: r.view.Covered[p], Blocks: asked, Parts: r.parts}))
	}
	if len(list) == 0 {
		return r.advance()
	}
	return r.send(list...)
}

// routes is the present number of partitions, which new records are routed by.
func (r *running) routes() []int32 { return []int32{int32(len(r.view.Covered))} }

// routedBy lists every number of partitions that live records were routed by.
func (r *running) routedBy() (out []int32) {
	for _, h := range r.homes {
		out = append(out, h.Parts...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// watermark takes a partition's; the least counts, and one that is not known makes the answer's
// unknown.
func (r *running) watermark(w int64) {
	if r.marks == 0 || w < r.answer.Watermark {
		r.answer.Watermark = w
	}
	r.marks++
}

// scan asks every home in the range. Traces with several homes take no part; they are named as
// candidates.
func (r *running) scan() step {
	r.phase = scanning
	var live [][]catalog.Extent
	var list []job
	for _, p := range r.partitions() {
		h := r.homes[p]
		if h == nil {
			continue
		}
		live = append(live, h.Shared)
		r.watermark(h.Watermark)
	}
	if r.q.Scan.Whole() {
		r.shared = jobs.NewShared(r.view.Shared(r.q.Tenant), live...)
		if r.q.Scan.Search != nil {
			r.shared.Straddling(r.q.Range, r.cfg.TraceWindow, r.bounds.Add)
		}
	}
	for _, p := range r.partitions() {
		if h := r.homes[p]; h != nil && h.UpTo > r.view.Covered[p] {
			j := liveJob(p, &jobs.LiveScanJob{Snapshot: r.at(), Tenant: r.q.Tenant, From: r.view.Covered[p], UpTo: h.UpTo, Scan: r.q.Scan, Shared: r.shared})
			j.spans = h.Spans
			list = append(list, j)
		}
	}
	metas := r.view.Blocks(r.q.Tenant, r.q.Range.Start, r.q.Range.End) // newest first
	for _, m := range metas {
		if r.missing.hasHome(m) {
			continue
		}
		r.answer.BlockBytes += m.GetBytes()
		parts := int((m.GetSpans() + r.cfg.JobSpans - 1) / r.cfg.JobSpans)
		parts = max(parts, 1)
		print := uint64(0)
		if r.q.Scan.Whole() {
			print = r.view.SharedPrint(r.q.Tenant, m.GetId()) + r.shared.Print(m)
		}
		for i := parts - 1; i >= 0; i-- { // newest first
			j := blockJob(m, &jobs.BlockScanJob{Block: m, Part: i, Parts: parts, Scan: r.q.Scan, Key: r.key, Shared: r.shared, Print: print,
				Explain: r.q.Explain})
			j.spans = m.GetSpans() / int64(parts)
			list = append(list, j)
		}
	}
	if r.q.Scan.Search != nil {
		slices.SortStableFunc(list, func(a, b job) int { return cmp.Compare(b.newest(), a.newest()) })
	}
	if len(list) > r.cfg.MaxJobs {
		return limited("max_jobs_per_query", "it needs %d jobs over %d blocks, more than %d; ask for less time", len(list), len(metas), r.cfg.MaxJobs)
	}
	r.answer.Blocks, r.answer.Jobs = len(metas), len(list)
	if r.q.Explain {
		r.explained.Version = r.view.Version
		r.explained.OutOfRange = len(r.view.Blocks(r.q.Tenant, 0, ^uint64(0))) - len(metas)
	}
	return r.enqueue(list)
}

// dropNeedless takes jobs from the head of the queue that cannot add to the answer any more, and
// does not wait for those under way.
func (r *running) dropNeedless() {
	for len(r.queue) > 0 && r.needless(r.queue[0]) {
		r.explain(r.queue[0], 0, jobs.Needless, nil, nil)
		r.queue = r.queue[1:]
		r.answer.Done++
	}
	if len(r.queue) > 0 {
		return
	}
	for n, j := range r.open {
		if r.needless(j) {
			r.explain(j, 0, jobs.Needless, nil, nil)
			delete(r.open, n)
			r.answer.Done++
		}
	}
}

// needless reports whether a block cannot add to a search any more: as many traces as asked for are
// found, and all it holds is older.
func (r *running) needless(j job) bool {
	b, ok := j.msg.(*jobs.BlockScanJob)
	if !ok || r.q.Scan.Search == nil {
		return false
	}
	newest := b.Block.GetMaxEndUnixNano()
	for n := b.Part + 1; n < b.Parts; n++ {
		if o, ok := r.oldest[part{b.Block.GetId(), n}]; ok {
			newest = min(newest, o)
		}
	}
	oldest, full := r.partial.Full(r.q.Scan.Search.Limit)
	return full && newest < oldest
}

// bounded has a scan of a search leave out what is older than all of the traces that are found
// already, when these are as many as asked for.
func (r *running) bounded(j job) job {
	if r.q.Scan.Search == nil {
		return j
	}
	newer, full := r.partial.Full(r.q.Scan.Search.Limit)
	if !full {
		return j
	}
	switch m := j.msg.(type) {
	case *jobs.BlockScanJob:
		b := *m
		b.Scan = m.Scan.Since(newer)
		j.msg = &b
	case *jobs.LiveScanJob:
		b := *m
		b.Scan = m.Scan.Since(newer)
		j.msg = &b
	}
	return j
}
