package queryfrontend

import (
	"context"
	"errors"
	"strconv"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// liveTracesTask reads columns of what a live-store holds of some traces.
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
	c.addParts(m)
	c.foundOut++
	return nil
}

func (t liveTracesTask) takeFailure(c *course, err error) *step {
	c.missing.notePartition(t.Partition, false, err)
	return nil
}

// blockTracesTask reads columns of what some blocks hold of some traces.
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
	if over := c.noteFailures(m.Failed); over != nil {
		return over
	}
	c.addParts(m)
	if len(m.Failed) < len(t.Blocks) {
		c.foundOut++
	}
	return nil
}

func (t blockTracesTask) takeFailure(c *course, err error) *step {
	return c.noteUnreadBlocks(t.Blocks, err)
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
// *jobs.JoinedResult, or tooMuch.
type assembleTask struct {
	slotTask
	parts *extract.Parts
	which column.Bitmap // the traces
	scan  jobs.Scan
}

// tooMuch is the reply where the evaluation needs more memory than it may have.
type tooMuch struct{}

func (t *assembleTask) takeReply(c *course, reply any) *step {
	switch m := reply.(type) {
	case tooMuch:
		s := c.readFewer("memory of one evaluation", eval.MaxMemory)
		return &s
	case *jobs.JoinedResult:
		c.batch.found.Merge(m.Partial, c.query.Scan)
		c.batch.tied = append(c.batch.tied, m.Tied...)
		return nil
	}
	return unexpectedReply(t, reply)
}

// takeFailure leaves out traces for which there was no time. Whatever else goes wrong here is the
// query's own fault, and not that of a home.
func (t *assembleTask) takeFailure(c *course, err error) *step {
	if status.Of(err).Class == status.Timeout {
		c.missing.noteUnassembled(t.which.Count())
		c.batch.isShort = true
		return nil
	}
	return &step{fail: err}
}

// run does the task, on a worker of a pool.
func (t *assembleTask) run(ctx context.Context) (any, error) {
	r, err := jobs.RunJoined(ctx, t.parts, t.which, t.scan)
	switch {
	case errors.Is(err, eval.ErrLimit):
		return tooMuch{}, nil
	case err != nil:
		return nil, err
	}
	return r, nil
}
