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
	reasons []string
	more    int // reasons beyond maxWarnings
	first   error
	said    map[string]bool

	partitions map[int32]bool      // live parts that were not read
	dark       map[int32]bool      // live parts of which it is not known what they hold
	blocks     []*blocks.BlockMeta // not read
	homes      []*blocks.BlockMeta // not looked at for live traces
	live       map[trace.ID]bool   // traces of searches that live-stores found
	partial    map[trace.ID]bool   // traces put together without a part
	left       int                 // traces with several homes that were not evaluated in time
}

// maxWarnings bounds the reasons that an answer names one by one.
const maxWarnings = 32

// add notes a reason, once for each key.
func (m *missing) add(key, format string, args ...any) {
	if m.said == nil {
		m.said = map[string]bool{}
	}
	if m.said[key] {
		return
	}
	m.said[key] = true
	if len(m.reasons) == maxWarnings {
		m.more++
		return
	}
	m.reasons = append(m.reasons, fmt.Sprintf(format, args...))
}

// cause keeps the first reason, for where there is no answer.
func (m *missing) cause(what string, err error) {
	if m.first == nil {
		m.first = status.Errorf(status.Of(err).Class, "%s: %s", what, reason(err))
	}
}

// partition notes a live part that could not be read. dark: it is not even known which traces of it
// lie elsewhere, too.
func (m *missing) partition(p int32, dark bool, err error) {
	if m.partitions == nil {
		m.partitions, m.dark = map[int32]bool{}, map[int32]bool{}
	}
	m.partitions[p] = true
	m.dark[p] = m.dark[p] || dark
	what := fmt.Sprintf("live-store of partition %d", p)
	m.cause(what, err)
	m.add(what, "%s: %s", what, reason(err))
}

// reason is the text of an error in an answer. How long was waited is not part of it.
func reason(err error) string {
	if status.Of(err).Class == status.Timeout {
		return "no answer in time"
	}
	return err.Error()
}

// block notes a block that could not be read.
func (m *missing) block(b *blocks.BlockMeta, err error) {
	if !m.hasBlock(b) {
		m.blocks = append(m.blocks, b)
	}
	m.cause("block "+b.GetId(), err)
	m.add(b.GetId(), "block %s: %s", b.GetId(), reason(err))
}

// home notes a block that was not looked at for the traces that are live: a part of such a trace
// may be there unheard. The block is not scanned, because the trace would be found there a second
// time.
func (m *missing) home(b *blocks.BlockMeta, err error) {
	m.homes = append(m.homes, b)
	m.add(b.GetId(), "block %s: %s", b.GetId(), reason(err))
}

func (m *missing) hasHome(b *blocks.BlockMeta) bool {
	return slices.ContainsFunc(m.homes, func(o *blocks.BlockMeta) bool { return o.GetId() == b.GetId() })
}

func (m *missing) hasBlock(b *blocks.BlockMeta) bool {
	return slices.ContainsFunc(m.blocks, func(o *blocks.BlockMeta) bool { return o.GetId() == b.GetId() })
}

// foundLive notes the traces that a live-store has found: what one of m.homes holds of them was not
// seen.
func (m *missing) foundLive(p *eval.SearchPartial) {
	if m.live == nil {
		m.live = map[trace.ID]bool{}
	}
	for i := range p.Traces {
		m.live[p.Traces[i].ID] = true
	}
}

// assembled notes the traces that were put together without a part that was not read.
func (m *missing) assembled(home func(trace.ID) int32, ids []trace.ID) {
	if len(m.blocks) == 0 && len(m.partitions) == 0 {
		return
	}
	if m.partial == nil {
		m.partial = map[trace.ID]bool{}
	}
	for _, id := range ids {
		if m.partitions[home(id)] || mayHold(m.blocks, id) {
			m.partial[id] = true
		}
	}
}

// unassembled notes traces that could not be put together and evaluated in time.
func (m *missing) unassembled(ids []trace.ID) {
	m.left += len(ids)
}

// tooLarge notes a trace that could not be put together, because its parts need more memory than an
// answer may have.
func (m *missing) tooLarge(id trace.ID, most int64) {
	m.add(id.String(), "trace %s: not evaluated: its parts lie in different places and together need more than %d bytes of "+
		"memory (max_result_bytes)", id, most)
}

func mayHold(list []*blocks.BlockMeta, id trace.ID) bool {
	return slices.ContainsFunc(list, func(b *blocks.BlockMeta) bool { return jobs.MayHold(b, id) })
}

// cut notes that traces have spans that the query did not see, because they lie beyond the trace
// window; ids are those of the traces that are known by name.
func (m *missing) cut(window time.Duration, ids []trace.ID) {
	if m.partial == nil {
		m.partial = map[trace.ID]bool{}
	}
	for _, id := range ids {
		m.partial[id] = true
	}
	m.add("trace-window", "trace-window: traces have spans more than %s before or after the range, which this answer does not see; "+
		"ask for a range that holds them, or raise query_frontend.trace_window", window)
}

// partials lists the traces of a search's answer of which a part may be missing, by id. home is the
// partition of a trace.
func (m *missing) partials(home func(trace.ID) int32, p *eval.SearchPartial) (out []trace.ID) {
	if p == nil || len(m.reasons) == 0 {
		return nil
	}
	for i := range p.Traces {
		id := p.Traces[i].ID
		if m.partial[id] || m.dark[home(id)] || m.live[id] && mayHold(m.homes, id) {
			out = append(out, id)
		}
	}
	slices.SortFunc(out, func(a, b trace.ID) int { return slices.Compare(a[:], b[:]) })
	return out
}

func (m *missing) warnings() []string {
	out := m.reasons[:len(m.reasons):len(m.reasons)]
	if m.left > 0 {
		out = append(out, fmt.Sprintf("timeout: %d traces, parts of which lie in different places, could not be evaluated in time", m.left))
	}
	if m.more > 0 {
		out = append(out, fmt.Sprintf("and %d reasons more", m.more))
	}
	return out
}
