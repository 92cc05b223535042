package queryfrontend

import (
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// candidates are the traces with several homes that may belong to the answer.
type candidates struct {
	bounds jobs.StartBounds // as the scans name them
	open   []eval.Candidate // once the scans have ended, those that are not yet in a batch, in their order
	// most is how many are put together at a time, once a larger batch has needed too much memory;
	// 0: any number.
	most int
	// beyondWindow reports that a metrics query depends on spans of them beyond the trace window,
	// which are not read.
	beyondWindow bool
}

// batch is the candidates that are put together at present. Every batch is a new value.
type batch struct {
	plan.Batch
	taken     []eval.Candidate
	fragments [][][]trace.Fragment // by trace and by home
	bytes     int64                // of fragments
	scan      jobs.Scan            // clipped to the time of the traces, where that is known
	name      string               // what the batch adds to the answer may be known under this name; empty: it is not
	isKnown   bool                 // it was
}

func (b *batch) hasFragments() bool {
	return slices.ContainsFunc(b.fragments, func(homes [][]trace.Fragment) bool { return len(homes) > 0 })
}

// addFragments adds what a home holds of the traces of the batch.
func (c *course) addFragments(m *jobs.TracesResult) {
	c.answer.Bytes += m.Bytes
	for i, homes := range m.Fragments {
		c.batch.fragments[i] = append(c.batch.fragments[i], homes...)
		for _, fragments := range homes {
			for k := range fragments {
				c.batch.bytes += int64(len(fragments[k].Span)) + 96
			}
		}
	}
}

// orderCandidates brings the candidates that scans have named into the order in which they are put
// together.
func (c *course) orderCandidates() {
	if c.candidates.bounds == nil {
		c.candidates.bounds = jobs.StartBounds{}
	}
	c.partial.TakeCandidates(c.query.Scan, c.candidates.bounds)
	c.candidates.open = c.basis.OrderCandidates(c.candidates.bounds, c.shared)
}

// confirmNext puts the next candidates together. A search stops when no open candidate can be newer
// than the traces that are found already.
func (c *course) confirmNext() step {
	most := c.cfg.Confirm
	if c.candidates.most > 0 {
		most = min(most, c.candidates.most)
	}
	open := c.candidates.open
	n := c.basis.BatchSize(open, c.shared, len(c.batch.taken), most)
	if s := c.query.Scan.Search; s != nil && n > 0 {
		if open[0].Start < c.partial.Floor(s.Limit) {
			n = 0
		}
	}
	if n == 0 {
		return c.finishAnswer()
	}
	taken := open[:n:n]
	c.candidates.open = open[n:]
	c.batch = batch{Batch: c.basis.PlanBatch(taken, c.shared, c.missing.isUnread), taken: taken, scan: c.query.Scan}
	c.explained.Candidates += n
	if m := c.query.Scan.Metrics; m != nil && c.basis.ReachesBeyond(c.batch.Batch) {
		c.candidates.beyondWindow = c.candidates.beyondWindow || !m.IsSpanwise()
	}
	if !c.batch.Settled || len(c.missing.blocks) > 0 || c.query.Explain {
		return c.readBatch()
	}
	extent := &blocks.BlockMeta{MinStartUnixNano: c.batch.First, MaxEndUnixNano: c.batch.Last}
	c.batch.scan = c.query.Scan.ClippedTo(extent)
	c.batch.name = c.nameBatch()
	c.phase = recalling
	return c.sendJobs(job{task: recallTask{name: c.batch.name}})
}

// nameBatch names what the batch adds to an answer: by the question, the traces, and the blocks,
// which never change.
func (c *course) nameBatch() string {
	h := xxhash.New()
	for _, id := range c.batch.IDs {
		_, _ = h.Write(id[:])
	}
	for _, m := range c.batch.Blocks {
		_, _ = h.WriteString(m.GetId())
	}
	start, end := c.batch.scan.Range()
	name := make([]byte, 0, len(c.query.Tenant)+len(c.scanKey)+40)
	name = append(append(name, c.query.Tenant...), 0)
	name = binary.BigEndian.AppendUint64(name, start)
	name = binary.BigEndian.AppendUint64(name, end)
	name = binary.BigEndian.AppendUint64(name, h.Sum64())
	name = binary.BigEndian.AppendUint32(name, uint32(len(c.batch.IDs)))
	return string(append(name, c.scanKey...))
}

// readFewer gives up a batch whose traces need more memory than an answer may have, and goes on
// with half as many. How large a trace is shows only when its homes have been read. A trace that is
// too large alone is named in the answer.
func (c *course) readFewer() step {
	clear(c.open) // the results of these jobs are dropped
	c.queue = nil
	if n := len(c.batch.taken); n == 1 {
		c.missing.noteTooLarge(c.batch.IDs[0], int64(c.cfg.MaxResult))
	} else {
		c.candidates.most = n / 2
		c.explained.Candidates -= n
		c.candidates.open = append(c.batch.taken, c.candidates.open...)
	}
	c.batch.fragments, c.batch.bytes = nil, 0
	s := c.confirmNext()
	s.demandChanged = s.answer == nil && s.fail == nil
	return s
}

// readBatch reads all parts of the batch's traces.
func (c *course) readBatch() step {
	read := c.basis.PlanFragments(c.batch.Batch, c.cfg.TenantSlots)
	c.phase = reading
	c.batch.fragments = make([][][]trace.Fragment, len(c.batch.IDs))
	list := make([]job, 0, len(read.Live)+len(read.BlockJobs))
	for i := range read.Live {
		list = append(list, job{task: liveTracesTask{LiveTraces: &read.Live[i]}})
	}
	for i := range read.BlockJobs {
		list = append(list, job{task: blockTracesTask{BlockTracesJob: &read.BlockJobs[i]}})
	}
	return c.queueJobs(list)
}

// endReading notes which of the batch's traces are put together without a part that was not read.
func (c *course) endReading() {
	c.missing.noteAssembled(c.basis.PartitionOf, c.batch.IDs)
	c.phase = assembling
}

// assembly returns the job that puts the batch together. What the batch adds to the answer is kept
// where no part is missing.
func (c *course) assembly() job {
	t := &assembleTask{traces: c.batch.fragments, scan: c.batch.scan}
	if len(c.missing.blocks) == 0 {
		t.name = c.batch.name
	}
	return job{task: t}
}

// noteBeyondWindow names the traces of the answer that have spans beyond the trace window. A scan
// tells what it leaves out; what lies in blocks that no scan has opened is known by the extent of
// the trace.
func (c *course) noteBeyondWindow() {
	if !c.query.Scan.JudgesTraces() {
		return
	}
	seen := c.basis.SeenRange()
	var ids []trace.ID
	depends := c.partial.DependsOnUnseen() || c.candidates.beyondWindow
	if p := c.partial.Search; p != nil {
		for i := range p.Traces {
			t := &p.Traces[i]
			if t.Cut || c.shared.Has(t.ID) && isHidden(seen, c.shared.Extent(t.ID), t) {
				ids = append(ids, t.ID)
			}
		}
	}
	if depends || len(ids) > 0 {
		c.missing.noteCut(c.query.Scan.Window(), ids)
	}
}

// isHidden reports whether a trace with this extent has spans beyond what was seen, which the
// answer lacks.
func isHidden(seen jobs.Range, e catalog.Extent, t *eval.TraceMatch) bool {
	return e.Start < seen.Start && t.Start > e.Start || e.End >= seen.End && t.Start+t.Duration < e.End
}
