package queryfrontend

import (
	"context"
	"strconv"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// liveKeysTask reads the keys of a trace from a live-store.
type liveKeysTask struct {
	slotTask
	partition int32
	*jobs.LiveKeysJob
}

func (t liveKeysTask) isCounted() bool { return true }
func (t liveKeysTask) actorAddress() (kind, key string) {
	return kinds.LiveStore, strconv.Itoa(int(t.partition))
}
func (t liveKeysTask) jobMessage() any { return t.LiveKeysJob }

func (t liveKeysTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.KeysResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	if over := c.noteLiveStore(t.partition, m.Retained, m.Behind); over != nil {
		return over
	}
	if t.UpTo < 0 {
		c.noteWatermark(m.Watermark)
		c.ordered.upTo[t.partition] = m.UpTo
	}
	c.addKeys(m, func(home int) keyTable { return keyTable{partition: t.partition, home: home} })
	if m.Next != nil {
		c.answer.Jobs++
		next := *t.LiveKeysJob
		next.UpTo, next.At = m.UpTo, *m.Next
		c.queue = append(c.queue, job{task: liveKeysTask{partition: t.partition, LiveKeysJob: &next}})
	}
	return nil
}

func (t liveKeysTask) takeFailure(c *course, err error) *step {
	c.missing.notePartition(t.partition, false, err)
	return nil
}

// blockKeysTask reads the keys of a trace from blocks.
type blockKeysTask struct {
	slotTask
	*jobs.BlockKeysJob
}

func (t blockKeysTask) isCounted() bool { return true }
func (t blockKeysTask) actorAddress() (kind, key string) {
	return kinds.Querier, t.Blocks[t.At.Home].GetId()
}
func (t blockKeysTask) jobMessage() any { return t.BlockKeysJob }

func (t blockKeysTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.KeysResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	if over := c.noteFailures(m.Failed); over != nil {
		return over
	}
	c.addKeys(m, func(home int) keyTable { return keyTable{block: t.Blocks[home]} })
	if m.Next != nil {
		c.answer.Jobs++
		next := *t.BlockKeysJob
		next.At = *m.Next
		c.queue = append(c.queue, job{task: blockKeysTask{BlockKeysJob: &next}})
	}
	return nil
}

func (t blockKeysTask) takeFailure(c *course, err error) *step {
	return c.noteUnreadBlocks(t.Blocks[t.At.Home:], err)
}

// liveSpansTask reads spans of a trace from tables of a live-store.
type liveSpansTask struct {
	slotTask
	partition int32
	tables    []uint32
	*jobs.LiveSpansJob
}

func (t *liveSpansTask) actorAddress() (kind, key string) {
	return kinds.LiveStore, strconv.Itoa(int(t.partition))
}
func (t *liveSpansTask) jobMessage() any { return t.LiveSpansJob }

func (t *liveSpansTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.SpansResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	if over := c.noteLiveStore(t.partition, m.Retained, ""); over != nil {
		return over
	}
	rows := make([][]uint32, len(t.Rows))
	for i := range t.Rows {
		rows[i] = t.Rows[i].Rows
	}
	return c.addSpans(m, t.tables, rows)
}

func (t *liveSpansTask) takeFailure(c *course, err error) *step {
	c.missing.notePartition(t.partition, false, err)
	for _, n := range t.tables {
		c.loseTable(n)
	}
	return nil
}

// blockSpansTask reads spans of a trace from a block.
type blockSpansTask struct {
	slotTask
	table uint32
	*jobs.BlockSpansJob
}

func (t blockSpansTask) actorAddress() (kind, key string) { return kinds.Querier, t.Block.GetId() }
func (t blockSpansTask) jobMessage() any                  { return t.BlockSpansJob }

func (t blockSpansTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(*jobs.SpansResult)
	if !ok {
		return unexpectedReply(t, reply)
	}
	return c.addSpans(m, []uint32{t.table}, [][]uint32{t.Rows})
}

func (t blockSpansTask) takeFailure(c *course, err error) *step {
	c.loseTable(t.table)
	return c.noteUnreadBlock(t.Block, err)
}

// arranger is what is put in order: the keys of a trace, or its outline.
type arranger interface{ Arrange(context.Context) error }

// siftTask finds the spans of a trace that its keys cannot tell apart, arrangeTask puts them in
// order, and writeTask writes a chunk of them.
type (
	siftTask struct {
		slotTask
		index *long.Index
	}
	arrangeTask struct {
		slotTask
		list arranger
	}
	writeTask struct {
		slotTask
		chunk     *long.Chunk
		fragments [][]trace.Fragment
	}
)

func (t siftTask) run(context.Context) (any, error) { return t.index.Ambiguous(), nil }
func (t arrangeTask) run(ctx context.Context) (any, error) {
	return nil, t.list.Arrange(ctx)
}
func (t writeTask) run(context.Context) (any, error) {
	size := 0
	for _, list := range t.fragments {
		for i := range list {
			size += len(list[i].Span) + 8
		}
	}
	return t.chunk.Append(make([]byte, 0, size+size/8), t.fragments)
}

func (t siftTask) takeReply(c *course, reply any) *step {
	m, ok := reply.(map[uint32][]uint32)
	if !ok {
		return unexpectedReply(t, reply)
	}
	c.ordered.ambiguous = m
	return nil
}

func (t arrangeTask) takeReply(*course, any) *step { return nil }

func (t writeTask) takeReply(c *course, reply any) *step {
	m, ok := reply.([]byte)
	if !ok {
		return unexpectedReply(t, reply)
	}
	c.delivery.ready = m
	c.delivery.bytes += int64(len(m))
	return nil
}

func (t siftTask) takeFailure(_ *course, err error) *step    { return &step{fail: err} }
func (t arrangeTask) takeFailure(_ *course, err error) *step { return &step{fail: err} }
func (t writeTask) takeFailure(_ *course, err error) *step   { return &step{fail: err} }
