package queryfrontend

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// confirming is the batch of traces that is put together at present.
type confirming struct {
	batch     int // how many there are at most
	taken     []eval.Candidate
	ids       []trace.ID           // of taken
	metas     []*blocks.BlockMeta  // that may hold parts of them
	traces    [][][]trace.Fragment // of ids, what each home holds
	fragments int64                // bytes of these
	asked     jobs.Scan            // clipped to what is known of the time of the traces
	settled   bool                 // all of their homes are blocks
	// of what they add to the answer, where that may be known: all of their homes are blocks
	name  string
	known bool
}

// sortCandidates orders the candidates from the highest bound down. A search may stop on the way;
// for others those that lie in blocks only come first, so that their batches are the same the next
// time.
func (r *running) sortCandidates() {
	r.candidates = r.bounds.Newest()
	if r.q.Scan.Search == nil {
		slices.SortStableFunc(r.candidates, func(a, b eval.Candidate) int {
			switch x, y := r.shared.Live(a.ID), r.shared.Live(b.ID); {
			case x == y:
				return 0
			case y:
				return -1
			}
			return 1
		})
	}
}

// confirm puts the next candidates together. A search stops when no open candidate can be newer
// than what is already found.
func (r *running) confirm() step {
	n := r.nextBatch()
	if s := r.q.Scan.Search; s != nil && n > 0 {
		if oldest, full := r.partial.Full(s.Limit); full && r.candidates[0].Start < oldest {
			n = 0
		}
	}
	if n == 0 {
		return r.finish()
	}
	b := confirming{batch: n, taken: r.candidates[:n:n], ids: make([]trace.ID, n), settled: len(r.homes) == len(r.view.Covered)}
	lo, hi := uint64(math.MaxUint64), uint64(0)
	for i := range b.ids {
		id := r.candidates[i].ID
		b.ids[i] = id
		b.settled = b.settled && !r.shared.Live(id)
		e := r.shared.Extent(id)
		lo, hi = min(lo, e.Start), max(hi, e.End)
	}
	r.candidates = r.candidates[n:]
	r.explained.Candidates += n
	within := r.q.Range.Widen(r.cfg.TraceWindow)
	if m := r.q.Scan.Metrics; m != nil && (lo < within.Start || hi >= within.End) {
		r.beyond = r.beyond || m.ReadsTraces()
	}
	b.metas = r.view.Blocks(r.q.Tenant, within.Start, within.End)
	b.metas = slices.DeleteFunc(b.metas, func(m *blocks.BlockMeta) bool {
		return m.GetMinStartUnixNano() > hi || m.GetMaxEndUnixNano() < lo || r.missing.hasBlock(m)
	})
	b.asked = r.q.Scan
	r.confirming = b
	if !b.settled || len(r.missing.blocks) > 0 || r.q.Explain {
		return r.readTraces()
	}
	r.asked = r.q.Scan.Within(&blocks.BlockMeta{MinStartUnixNano: lo, MaxEndUnixNano: hi})
	r.name = r.nameOf(b)
	r.phase = recalling
	return r.send(job{msg: recallJob{r.name}})
}

// nameOf names what a batch adds to an answer: the question, the traces, and the blocks, which
// never change.
func (r *running) nameOf(b confirming) string {
	h := xxhash.New()
	for _, id := range b.ids {
		_, _ = h.Write(id[:])
	}
	for _, m := range b.metas {
		_, _ = h.WriteString(m.GetId())
	}
	start, end := r.asked.Range()
	name := make([]byte, 0, len(r.q.Tenant)+len(r.key)+40)
	name = append(append(name, r.q.Tenant...), 0)
	name = binary.BigEndian.AppendUint64(name, start)
	name = binary.BigEndian.AppendUint64(name, end)
	name = binary.BigEndian.AppendUint64(name, h.Sum64())
	name = binary.BigEndian.AppendUint32(name, uint32(len(b.ids)))
	return string(append(name, r.key...))
}

// nextBatch is how many candidates are confirmed next. A search begins with about as many as it may
// return, as it may stop then.
func (r *running) nextBatch() int {
	n := r.cfg.Confirm
	if s := r.q.Scan.Search; s != nil {
		if r.batch == 0 {
			n = min(max(s.Limit+s.Limit/2, 16), r.cfg.Confirm)
		} else {
			n = min(2*r.batch, r.cfg.Confirm)
		}
	}
	if r.most > 0 {
		n = min(n, r.most)
	}
	n = min(n, len(r.candidates))
	if r.q.Scan.Search == nil && n > 0 && !r.shared.Live(r.candidates[0].ID) { // a batch has live traces or none
		if i := slices.IndexFunc(r.candidates[:n], func(c eval.Candidate) bool { return r.shared.Live(c.ID) }); i > 0 {
			n = i
		}
	}
	return n
}

// readFewer gives up a batch whose traces need more memory than an answer may have, and goes on
// with half as many. How large a trace is shows only when its homes have been read. A trace that is
// too large alone is named in the answer.
func (r *running) readFewer() step {
	clear(r.open) // what these jobs still bring is dropped
	r.queue = nil
	if len(r.ids) == 1 {
		r.missing.tooLarge(r.ids[0], r.cfg.MaxResult)
	} else {
		r.most = len(r.ids) / 2
		r.explained.Candidates -= len(r.taken)
		r.candidates = append(r.taken, r.candidates...)
	}
	r.traces, r.fragments = nil, 0
	s := r.confirm()
	s.wants = s.answer == nil && s.fail == nil
	return s
}

// blocksPerJob bounds a job that looks for traces in several blocks: enough to make the job worth
// while, few enough to have several under way.
const blocksPerJob = 32

// readTraces asks every home that may hold one of the traces for all it has of them.
func (r *running) readTraces() step {
	r.phase = reading
	r.traces = make([][][]trace.Fragment, len(r.ids))
	var list []job
	for _, p := range r.partitions() {
		from, upTo := r.view.Covered[p], int64(-1)
		if r.q.Trace == nil {
			h := r.homes[p]
			if r.settled || h == nil || h.UpTo <= from {
				continue
			}
			upTo = h.UpTo
		}
		list = append(list, liveJob(p, &jobs.LiveTracesJob{Snapshot: r.at(), Tenant: r.q.Tenant, From: from, UpTo: upTo, IDs: r.ids}))
	}
	metas := slices.DeleteFunc(slices.Clone(r.metas), func(m *blocks.BlockMeta) bool {
		return !slices.ContainsFunc(r.ids, func(id trace.ID) bool { return jobs.MayHold(m, id) })
	})
	each := min(blocksPerJob, (len(metas)+r.cfg.TenantSlots-1)/max(r.cfg.TenantSlots, 1))
	for chunk := range slices.Chunk(metas, max(each, 1)) {
		list = append(list, blockJob(chunk[0], &jobs.BlockTracesJob{Blocks: chunk, IDs: r.ids}))
	}
	if r.q.Trace != nil {
		r.answer.Blocks, r.answer.Jobs = len(metas), len(list)
	}
	return r.enqueue(list)
}

// assembly is the job that puts the batch together. What it adds to the answer is kept where no
// part is missing.
func (r *running) assembly() *assembleJob {
	j := &assembleJob{traces: r.traces, scan: r.asked, byID: r.q.Trace != nil}
	if len(r.missing.blocks) == 0 {
		j.name = r.name
	}
	return j
}

// noteCut names the traces of the answer that have spans beyond the trace window. A scan tells what
// it leaves out; what lies in blocks that no scan has opened is known by the extent of the trace.
func (r *running) noteCut() {
	if !r.q.Scan.Whole() {
		return
	}
	seen := r.q.Range.Widen(r.cfg.TraceWindow)
	var ids []trace.ID
	touched := r.partial.Cut() || r.beyond
	if p := r.partial.Search; p != nil {
		for i := range p.Traces {
			t := &p.Traces[i]
			if t.Cut || r.shared.Has(t.ID) && hides(seen, r.shared.Extent(t.ID), t) {
				ids = append(ids, t.ID)
			}
		}
	}
	if touched || len(ids) > 0 {
		r.missing.cut(r.cfg.TraceWindow, ids)
	}
}

// hides reports whether a trace with this extent has spans beyond what was seen, which the answer
// lacks.
func hides(seen jobs.Range, e catalog.Extent, t *eval.TraceMatch) bool {
	return e.Start < seen.Start && t.Start > e.Start || e.End >= seen.End && t.Start+t.Duration < e.End
}
