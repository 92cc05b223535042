package queryfrontend

import (
	"context"
	"strconv"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/cache"
)

// liveTracesTask reads what a live-store holds of some traces.
type liveTracesTask struct {
	slotTask
	*plan.LiveTraces
}

func (t liveTracesTask) actorAddress() (kind, key string) {
	return kinds.LiveStore, strconv.Itoa(int(t.Partition))
}
func (t liveTracesTask) jobMessage() any { return &t.Job }

func (t liveTracesTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.TracesResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	if over := c.noteLiveStore(t.Partition, m.Retained, m.Behind); over != nil {
		return over
	}
	c.addFragments(m)
	c.foundOut++
	return nil
}

func (t liveTracesTask) takeFailure(c *course, err error) *step {
	t.noteUnread(&c.missing, err)
	return nil
}

func (t liveTracesTask) noteUnread(m *missing, err error) {
	m.notePartition(t.Partition, false, err)
}

// blockTracesTask reads what some blocks hold of some traces.
type blockTracesTask struct {
	slotTask
	*jobs.BlockTracesJob
}

func (t blockTracesTask) actorAddress() (kind, key string) { return kinds.Querier, t.Blocks[0].GetId() }
func (t blockTracesTask) jobMessage() any                  { return t.BlockTracesJob }

func (t blockTracesTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.TracesResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	for _, f := range m.Failed {
		if over := c.noteUnreadBlock(f.Block, f); over != nil {
			return over
		}
	}
	c.addFragments(m)
	if len(m.Failed) < len(t.Blocks) {
		c.foundOut++
	}
	return nil
}

func (t blockTracesTask) takeFailure(c *course, err error) *step {
	for _, b := range t.Blocks {
		if over := c.noteUnreadBlock(b, err); over != nil {
			return over
		}
	}
	return nil
}

func (t blockTracesTask) noteUnread(m *missing, late error) {
	for _, b := range t.Blocks {
		m.noteBlock(b, late)
	}
}

// recallTask asks the cache what a batch of traces, or a fold, adds to the answer. Its reply is a
// *jobs.ScanResult, or notKnown.
type recallTask struct {
	lightTask
	name string
	fold *fold // nil: it is about the batch
}

type notKnown struct{}

func (t recallTask) takeReply(c *course, reply any) *step {
	switch m := reply.(type) {
	case notKnown:
		if t.fold != nil {
			c.openFold(t.fold)
		}
		return nil
	case *jobs.ScanResult:
		if t.fold != nil {
			c.answer.Done += len(t.fold.Scans)
		} else {
			c.batch.isKnown = true
		}
		c.mergeScan(m)
		return nil
	}
	return unexpectedReply(t, reply)
}

func (t recallTask) takeFailure(_ *course, err error) *step { return &step{fail: err} }

// assembleTask puts traces together from their homes and evaluates them. Its reply is a
// *jobs.ScanResult.
type assembleTask struct {
	slotTask
	traces [][][]trace.Fragment // by trace, by home
	scan   jobs.Scan
	name   string // to keep the result under; empty: it is not kept
}

func (t *assembleTask) isCounted(*jobs.Query) bool { return false }

func (t *assembleTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.ScanResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	c.mergeScan(m)
	return nil
}

// takeFailure leaves out traces for which there was no time. Whatever else goes wrong here is the
// query's own fault, and not that of a home.
func (t *assembleTask) takeFailure(c *course, err error) *step {
	if status.Of(err).Class == status.Timeout {
		c.missing.noteUnassembled(len(c.batch.IDs))
		return nil
	}
	return &step{fail: err}
}

// assembleTraces does the task, on a worker of a pool. Its result is kept under the task's name.
func (t *assembleTask) assembleTraces(ctx context.Context, kept *cache.LRU[*jobs.ScanResult]) (any, error) {
	r, err := jobs.RunAssembled(ctx, t.traces, t.scan)
	if err == nil && t.name != "" {
		size := r.Partial.Size() + int64(len(t.name)) + 256
		kept.Put(t.name, &jobs.ScanResult{Partial: r.Partial, CacheHits: 1}, size)
	}
	return r, err
}
