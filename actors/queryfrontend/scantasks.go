package queryfrontend

import (
	"fmt"
	"strconv"
	"time"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
)

// liveScanTask scans the live part of a partition.
type liveScanTask struct {
	slotTask
	*plan.Scan
}

func (t liveScanTask) actorAddress() (kind, key string) {
	return kinds.LiveStore, strconv.Itoa(int(t.Partition))
}
func (t liveScanTask) jobMessage() any             { return t.Live }
func (t liveScanTask) expectedCost() time.Duration { return costOf(t.Spans) }
func (t liveScanTask) isCounted() bool             { return true }

// isNeedless is always false, because a live part may hold newer traces than all blocks.
func (t liveScanTask) isNeedless(*course) bool { return false }

func (t liveScanTask) startingSince(newer uint64) task {
	s := t.Scan.Since(newer)
	return liveScanTask{Scan: &s}
}

func (t liveScanTask) describeStep(s *jobs.Step) {
	s.Home, s.HomeSpans = fmt.Sprintf("live-store %d", t.Partition), t.Spans
}

func (t liveScanTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.ScanResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	if over := c.noteLiveStore(t.Partition, m.Retained, ""); over != nil {
		return over
	}
	if m.Partial.Search != nil {
		c.missing.noteFoundLive(m.Partial.Search)
	}
	c.mergeScan(m)
	return nil
}

func (t liveScanTask) takeFailure(c *course, err error) *step {
	c.missing.notePartition(t.Partition, false, err)
	return nil
}

// blockScanTask scans a block, or a part of one.
type blockScanTask struct {
	slotTask
	*plan.Scan
	fold *fold // takes what is found; nil: the findings do
}

func (t blockScanTask) actorAddress() (kind, key string) { return kinds.Querier, t.Block.Block.GetId() }
func (t blockScanTask) jobMessage() any                  { return t.Block }
func (t blockScanTask) expectedCost() time.Duration      { return costOf(t.Spans) }
func (t blockScanTask) isCounted() bool                  { return true }

// isNeedless reports that as many traces as the search may return are found, and that all of the
// part is older.
func (t blockScanTask) isNeedless(c *course) bool {
	if c.query.Scan.Search == nil {
		return false
	}
	newest := t.Block.Block.GetMaxEndUnixNano()
	for n := t.Block.Part + 1; n < t.Block.Parts; n++ {
		if o, ok := c.oldest[blockPart{t.Block.Block.GetId(), n}]; ok {
			newest = min(newest, o)
		}
	}
	return newest < c.partial.Floor(c.query.Scan.Search.Limit)
}

func (t blockScanTask) startingSince(newer uint64) task {
	s := t.Scan.Since(newer)
	return blockScanTask{Scan: &s, fold: t.fold}
}

func (t blockScanTask) describeStep(s *jobs.Step) {
	b := t.Block
	s.Home, s.HomeSpans = b.Block.GetId(), t.Spans
	s.Part, s.Parts = b.Part, b.Parts
	s.Start, s.End = b.Block.GetMinStartUnixNano(), b.Block.GetMaxEndUnixNano()
}

func (t blockScanTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.ScanResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	if m.Oldest > 0 {
		c.oldest[blockPart{t.Block.Block.GetId(), t.Block.Part}] = m.Oldest
	}
	if t.fold != nil {
		c.addToFold(t.fold, m)
	} else {
		c.mergeScan(m)
	}
	return nil
}

func (t blockScanTask) takeFailure(c *course, err error) *step {
	if t.fold != nil {
		c.spoilFold(t.fold)
	}
	return c.noteUnreadBlock(t.Block.Block, err)
}
