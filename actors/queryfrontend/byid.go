package queryfrontend

import (
	"context"
	"strconv"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// byID is what an attempt has of the one trace that was asked for by its id.
type byID struct {
	fragments [][]trace.Fragment // by home
	bytes     int64              // of fragments
}

// readTrace reads the one trace that was asked for by its id from all of its homes.
func (c *course) readTrace() step {
	c.phase = collecting
	read := c.basis.PlanTrace(c.cfg.TenantSlots, int64(c.cfg.LongTrace))
	c.answer.Blocks = read.BlocksAsked
	c.answer.Jobs = len(read.Live) + len(read.BlockJobs)
	list := make([]job, 0, c.answer.Jobs)
	for i := range read.Live {
		list = append(list, job{task: liveTraceTask{LiveTrace: &read.Live[i]}})
	}
	for i := range read.BlockJobs {
		list = append(list, job{task: blockTraceTask{BlockTraceJob: &read.BlockJobs[i]}})
	}
	return c.queueJobs(list)
}

// addTrace adds what a home holds of the trace. Once the trace is known to be long, nothing else
// matters: it must be asked for in chunks.
func (c *course) addTrace(m *jobs.TraceResult) (over *step) {
	c.answer.Bytes += m.Bytes
	c.byID.fragments = append(c.byID.fragments, m.Fragments...)
	c.byID.bytes += m.Size
	if !m.Long && c.byID.bytes <= int64(c.cfg.LongTrace) {
		return nil
	}
	c.answer.Long = true
	s := c.finishAnswer()
	return &s
}

// joinTrace puts the trace together on the pool, once it is read from all homes.
func (c *course) joinTrace() step {
	c.missing.noteAssembled(c.basis.PartitionOf, []trace.ID{*c.query.Trace})
	if len(c.byID.fragments) == 0 {
		return c.finishAnswer()
	}
	c.phase = joining
	return c.queueJobs([]job{{task: joinTask{homes: c.byID.fragments}}})
}

// joinTraceLate puts together what was read of the trace when the time is over. It does not wait
// for a slot.
func (c *course) joinTraceLate() step {
	s := c.joinTrace()
	if s.answer != nil || s.fail != nil {
		return s
	}
	j := c.queue[0]
	c.queue = nil
	return c.sendJobs(j)
}

// liveTraceTask reads what a live-store holds of the trace.
type liveTraceTask struct {
	slotTask
	*plan.LiveTrace
}

func (t liveTraceTask) isCounted() bool { return true }
func (t liveTraceTask) actorAddress() (kind, key string) {
	return kinds.LiveStore, strconv.Itoa(int(t.Partition))
}
func (t liveTraceTask) jobMessage() any { return &t.Job }

func (t liveTraceTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.TraceResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	if over := c.noteLiveStore(t.Partition, m.Retained, m.Behind); over != nil {
		return over
	}
	c.noteWatermark(m.Watermark)
	c.foundOut++
	return c.addTrace(m)
}

func (t liveTraceTask) takeFailure(c *course, err error) *step {
	t.noteUnread(&c.missing, err)
	return nil
}

func (t liveTraceTask) noteUnread(m *missing, err error) { m.notePartition(t.Partition, false, err) }

// blockTraceTask reads what some blocks hold of the trace.
type blockTraceTask struct {
	slotTask
	*jobs.BlockTraceJob
}

func (t blockTraceTask) isCounted() bool                  { return true }
func (t blockTraceTask) actorAddress() (kind, key string) { return kinds.Querier, t.Blocks[0].GetId() }
func (t blockTraceTask) jobMessage() any                  { return t.BlockTraceJob }

func (t blockTraceTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.TraceResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	if over := c.noteFailures(m.Failed); over != nil {
		return over
	}
	if len(m.Failed) < len(t.Blocks) {
		c.foundOut++
	}
	return c.addTrace(m)
}

func (t blockTraceTask) takeFailure(c *course, err error) *step {
	return c.noteUnreadBlocks(t.Blocks, err)
}

func (t blockTraceTask) noteUnread(m *missing, late error) {
	for _, b := range t.Blocks {
		m.noteBlock(b, late)
	}
}

// joinTask puts the trace together from its homes. Its reply is a joinedTrace.
type joinTask struct {
	slotTask
	homes [][]trace.Fragment
}

type joinedTrace struct{ otlp []byte }

func (t joinTask) run(context.Context) (any, error) {
	return joinedTrace{otlp: trace.Assemble(t.homes...)}, nil
}

func (t joinTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(joinedTrace)
	if !ok {
		return unexpectedReply(t, reply)
	}
	c.answer.Trace = m.otlp
	c.foundOut++
	return nil
}

func (t joinTask) takeFailure(_ *course, err error) *step { return &step{fail: err} }
