package queryfrontend

import (
	"fmt"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// missing is what an answer lacks. The zero missing lacks nothing.
type missing struct {
	reasons    []string
	unnamed    int // reasons beyond maxWarnings
	said       map[string]bool
	firstCause error

	partitions map[int32]bool      // live parts that were not read
	dark       map[int32]bool      // partitions whose live-store did not answer the HomesJob
	blocks     []*blocks.BlockMeta // not read
	unsearched []*blocks.BlockMeta // not looked at for live traces, and therefore not scanned
	foundLive  map[trace.ID]bool   // traces of searches that live-stores found
	incomplete map[trace.ID]bool   // traces of which a part was not read
	unjudged   int                 // traces with several homes that were not evaluated in time
}

// maxWarnings bounds the reasons that an answer names one by one.
const maxWarnings = 32

// addReason notes a reason, once for each key.
func (m *missing) addReason(key, format string, args ...any) {
	if m.said == nil {
		m.said = map[string]bool{}
	}
	if m.said[key] {
		return
	}
	m.said[key] = true
	if len(m.reasons) == maxWarnings {
		m.unnamed++
		return
	}
	m.reasons = append(m.reasons, fmt.Sprintf(format, args...))
}

// noteCause keeps the first cause, for a query that has no answer.
func (m *missing) noteCause(what string, err error) {
	if m.firstCause == nil {
		m.firstCause = status.Errorf(status.Of(err).Class, "%s: %s", what, reasonOf(err))
	}
}

// notePartition notes a live part that could not be read. dark reports that it is not even known
// which of its traces have another home.
func (m *missing) notePartition(p int32, dark bool, err error) {
	if m.partitions == nil {
		m.partitions, m.dark = map[int32]bool{}, map[int32]bool{}
	}
	m.partitions[p] = true
	m.dark[p] = m.dark[p] || dark
	name := liveStoreName(p)
	m.noteCause(name, err)
	m.addReason(name, "%s: %s", name, reasonOf(err))
}

// reasonOf is the text of an error in an answer. It leaves out how long was waited.
func reasonOf(err error) string {
	if status.Of(err).Class == status.Timeout {
		return "no answer in time"
	}
	return err.Error()
}

// noteBlock notes a block that could not be read.
func (m *missing) noteBlock(b *blocks.BlockMeta, err error) {
	if !m.isUnread(b) {
		m.blocks = append(m.blocks, b)
	}
	m.noteCause("block "+b.GetId(), err)
	m.addReason(b.GetId(), "block %s: %s", b.GetId(), reasonOf(err))
}

// noteUnsearched notes a block in which a live-store could not look for its traces: a part of such
// a trace may be there without anybody knowing. The block is not scanned, because the trace would
// be found there a second time.
func (m *missing) noteUnsearched(b *blocks.BlockMeta, err error) {
	m.unsearched = append(m.unsearched, b)
	m.addReason(b.GetId(), "block %s: %s", b.GetId(), reasonOf(err))
}

func (m *missing) isUnsearched(b *blocks.BlockMeta) bool { return containsBlock(m.unsearched, b) }

func (m *missing) isUnread(b *blocks.BlockMeta) bool { return containsBlock(m.blocks, b) }

func containsBlock(list []*blocks.BlockMeta, b *blocks.BlockMeta) bool {
	return slices.ContainsFunc(list, func(o *blocks.BlockMeta) bool { return o.GetId() == b.GetId() })
}

// noteFoundLive notes the traces that a live-store has found. What an unsearched block holds of
// them was not seen.
func (m *missing) noteFoundLive(p *eval.SearchPartial) {
	if m.foundLive == nil {
		m.foundLive = map[trace.ID]bool{}
	}
	for i := range p.Traces {
		m.foundLive[p.Traces[i].ID] = true
	}
}

// noteAssembled notes those of the traces that are put together without a part that was not read.
func (m *missing) noteAssembled(partitionOf func(trace.ID) int32, ids []trace.ID) {
	if len(m.blocks) == 0 && len(m.partitions) == 0 {
		return
	}
	for _, id := range ids {
		if m.partitions[partitionOf(id)] || anyMayHold(m.blocks, id) {
			m.noteIncomplete(id)
		}
	}
}

func (m *missing) noteIncomplete(id trace.ID) {
	if m.incomplete == nil {
		m.incomplete = map[trace.ID]bool{}
	}
	m.incomplete[id] = true
}

// noteUnassembled notes traces that could not be put together and evaluated in time.
func (m *missing) noteUnassembled(traces int) { m.unjudged += traces }

// noteTooLarge notes a trace that could not be put together, because its parts need more memory
// than a limit allows.
func (m *missing) noteTooLarge(id trace.ID, limit string, most int64) {
	m.addReason(id.String(),
		"trace %s: not evaluated: its parts lie in different places and together need more than %d bytes of "+
			"memory (%s)", id, most, limit)
}

func anyMayHold(list []*blocks.BlockMeta, id trace.ID) bool {
	return slices.ContainsFunc(list, func(b *blocks.BlockMeta) bool { return jobs.MayHold(b, id) })
}

// noteCut notes that traces have spans that the query did not see, because they lie beyond the
// trace window. ids are those of the traces that are known by name.
func (m *missing) noteCut(window time.Duration, ids []trace.ID) {
	for _, id := range ids {
		m.noteIncomplete(id)
	}
	m.addReason("trace-window", "trace-window: traces have spans more than %s before or after the range, "+
		"which this answer does not see; ask for a range that holds them, or raise query_frontend.trace_window", window)
}

// isPartial reports whether a part of the trace was not read.
func (m *missing) isPartial(id trace.ID) bool { return m.incomplete[id] }

// partialTraces lists the traces of a search's answer of which a part may be missing, by id.
func (m *missing) partialTraces(partitionOf func(trace.ID) int32, p *eval.SearchPartial) (out []trace.ID) {
	if p == nil || len(m.reasons) == 0 {
		return nil
	}
	for i := range p.Traces {
		id := p.Traces[i].ID
		if m.incomplete[id] || m.dark[partitionOf(id)] || m.foundLive[id] && anyMayHold(m.unsearched, id) {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b trace.ID) int { return slices.Compare(a[:], b[:]) })
	return out
}

// listWarnings returns the reasons as the answer names them.
func (m *missing) listWarnings() []string {
	out := m.reasons[:len(m.reasons):len(m.reasons)]
	if m.unjudged > 0 {
		out = append(out,
			fmt.Sprintf("timeout: %d traces, parts of which lie in different places, "+
				"could not be evaluated in time", m.unjudged))
	}
	if m.unnamed > 0 {
		out = append(out, fmt.Sprintf("and %d reasons more", m.unnamed))
	}
	return out
}

// noteGaps notes the records that the log has lost, where they may have been in the answer.
func (c *course) noteGaps() {
	for _, g := range c.basis.View.Gaps {
		if c.mayHaveHeld(g.GetMinArrivalUnixNano(), uint64(max(g.GetMaxArrivalUnixNano(), 0))) {
			c.missing.addReason(fmt.Sprintf("gap %d/%d", g.GetPartition(), g.GetFrom()),
				"log-gap: records [%d, %d) of partition %d were lost from the log before they were in a block",
				g.GetFrom(), g.GetTo(), g.GetPartition())
		}
	}
}

// noteSetAside notes the records that are in no home because they could not be read or not be
// built, where they may have been in the answer.
func (c *course) noteSetAside(list []*blocks.SetAside) {
	for _, a := range list {
		if a.GetTenant() != "" && a.GetTenant() != c.query.Tenant {
			continue
		}
		if c.mayHaveHeld(a.GetMinArrivalUnixNano(), uint64(max(a.GetMaxArrivalUnixNano(), 0))+1) {
			c.missing.addReason(fmt.Sprintf("aside %s/%d/%d", a.GetEpoch(), a.GetPartition(), a.GetFrom()),
				"set-aside: %d records of [%d, %d) of partition %d are in no answer: %s",
				a.GetRecords(), a.GetFrom(), a.GetTo(), a.GetPartition(), a.GetReason())
		}
	}
}

// mayHaveHeld reports whether records that arrived in [first, end) may have held spans of the
// answer: spans are of about the time at which they arrive.
func (c *course) mayHaveHeld(first int64, end uint64) bool {
	arrived := jobs.Range{Start: uint64(max(first, 0)), End: end}.Widen(c.cfg.TraceWindow)
	return c.query.Trace != nil || arrived.Start < c.query.Range.End && c.query.Range.Start < arrived.End
}
