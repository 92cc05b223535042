package queryfrontend

import (
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// matchSpans puts the one trace together of which the spans are asked for that a query selects. It
// is a batch of its own, whatever homes it has.
func (c *course) matchSpans() step {
	for _, p := range c.basis.Partitions() {
		if h := c.basis.Live[p]; h != nil {
			c.noteWatermark(h.Watermark)
		}
	}
	id := c.query.Scan.Matches.Trace
	metas := slices.DeleteFunc(c.basis.View.Blocks(c.query.Tenant, 0, math.MaxUint64),
		func(m *blocks.BlockMeta) bool { return !jobs.MayHold(m, id) })
	c.answer.Blocks = len(metas)
	c.batch = batch{
		Batch: plan.Batch{IDs: []trace.ID{id}, Blocks: metas, Live: true},
		taken: []eval.Candidate{{ID: id}},
		scan:  c.query.Scan,
	}
	c.batch.parts.ByDigest = true
	return c.readBatch()
}
