package queryfrontend

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
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
	taken   []eval.Candidate
	ask     jobs.TracesAsk // of the homes
	parts   extract.Parts  // what they have answered
	bytes   int64          // of parts
	scan    jobs.Scan      // clipped to the time of the traces, where that is known
	found   jobs.Partial   // what the batch adds to the answer
	tied    []extract.Span // their contents are to be read
	name    string         // what the batch adds to the answer may be known under this name; empty: it is not
	isKnown bool           // it was
	isShort bool           // there was no time for some of the traces
}

// addParts adds what a home holds of the traces of the batch.
func (c *course) addParts(m *jobs.TracesResult) {
	c.answer.Bytes += m.Bytes
	c.batch.parts.Extracts = append(c.batch.parts.Extracts, m.Extracts...)
	c.batch.bytes += m.Size()
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
	if m := c.query.Scan.Metrics; m != nil && c.batch.Beyond {
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
// too large alone is named in the answer, with the limit of that many bytes that it exceeds.
func (c *course) readFewer(limit string, most int64) step {
	clear(c.open) // the results of these jobs are dropped
	c.queue = nil
	if c.query.Scan.Matches != nil {
		return *limitHit(limit, "the trace needs more than %d bytes of memory to be evaluated; "+
			"filter its outline instead, or ask for fewer fields", most)
	}
	if n := len(c.batch.taken); n == 1 {
		c.missing.noteTooLarge(c.batch.IDs[0], limit, most)
	} else {
		c.candidates.most = n / 2
		c.explained.Candidates -= n
		c.candidates.open = append(c.batch.taken, c.candidates.open...)
	}
	c.batch.parts, c.batch.bytes = extract.Parts{}, 0
	s := c.confirmNext()
	s.demandChanged = s.answer == nil && s.fail == nil
	return s
}

// readBatch reads the columns that the scan needs of the batch's traces from all of their homes.
func (c *course) readBatch() step {
	columns, err := c.query.Scan.TraceColumns()
	if err != nil {
		return step{fail: err}
	}
	c.batch.ask = jobs.TracesAsk{IDs: c.batch.IDs, Columns: columns}
	c.batch.parts.IDs = c.batch.IDs
	return c.readParts()
}

// readParts reads what is asked for of the batch's traces from all of their homes.
func (c *course) readParts() step {
	c.phase = reading
	read := c.basis.PlanFragments(c.batch.Batch, c.batch.ask, c.cfg.TenantSlots)
	list := make([]job, 0, len(read.Live)+len(read.BlockJobs))
	for i := range read.Live {
		list = append(list, job{task: liveTracesTask{LiveTraces: &read.Live[i]}})
	}
	for i := range read.BlockJobs {
		list = append(list, job{task: blockTracesTask{BlockTracesJob: &read.BlockJobs[i]}})
	}
	return c.queueJobs(list)
}

// tracesPerAssembly is how many traces make an assembleTask of their own worth while.
const tracesPerAssembly = 256

// assembleBatch puts the traces of the batch together, of which it notes those that lack a part
// that was not read. Where they are many, each slot that the tenant has gets some of them; after
// the contents of spans were read only the traces of these are left.
func (c *course) assembleBatch() step {
	c.missing.noteAssembled(c.basis.PartitionOf, c.batch.IDs)
	if len(c.batch.parts.Extracts) == 0 {
		return c.confirmNext() // none of the traces is there
	}
	c.phase = assembling
	n := len(c.batch.IDs)
	if c.batch.ask.Only != nil {
		which := column.NewBitmap(n)
		for _, s := range c.batch.ask.Only {
			which.Set(int(s.Trace))
		}
		return c.queueJobs([]job{{task: &assembleTask{parts: &c.batch.parts, which: which, scan: c.batch.scan}}})
	}
	tasks := max(min(c.cfg.TenantSlots, n/tracesPerAssembly), 1)
	list := make([]job, tasks)
	for i := range list {
		which := column.NewBitmap(n)
		which.SetRange(n*i/tasks, n*(i+1)/tasks)
		list[i].task = &assembleTask{parts: &c.batch.parts, which: which, scan: c.batch.scan}
	}
	return c.queueJobs(list)
}

// endBatch adds what the batch has found to the findings, and goes on with the next. Traces with
// spans whose contents decide are judged first, with these. What the batch adds to an answer is
// kept where no part is missing.
func (c *course) endBatch() step {
	if len(c.batch.tied) > 0 {
		if c.batch.ask.Only != nil {
			return step{fail: status.Errorf(status.Internal, "BUG: contents of spans are to be read a second time")}
		}
		c.batch.ask.Only, c.batch.parts.Named = c.batch.tied, c.batch.tied
		c.batch.tied = nil
		return c.readParts()
	}
	found := c.batch.found
	found.Pack()
	if c.batch.name != "" && len(c.missing.blocks) == 0 && !c.batch.isShort {
		c.toKeep = append(c.toKeep, keptResult{c.batch.name, &jobs.ScanResult{Partial: found, CacheHits: 1}})
	}
	c.batch.parts, c.batch.bytes = extract.Parts{}, 0
	c.mergeScan(&jobs.ScanResult{Partial: found})
	return c.confirmNext()
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
			if t.Cut || c.shared.Has(t.ID) && seen.CutsTrace(c.shared.Extent(t.ID), t) {
				ids = append(ids, t.ID)
			}
		}
	}
	if depends || len(ids) > 0 {
		c.missing.noteCut(c.query.Scan.Window(), ids)
	}
}
