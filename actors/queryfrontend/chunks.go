package queryfrontend

import (
	"maps"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/long"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
)

// delivery is a trace on its way to a client that takes it in chunks. Unlike what an attempt knows
// of the trace, it stays: where a plan is out of date the next attempt goes on at the cursor.
type delivery struct {
	cursor   *long.Cursor // where the next chunk to be read begins; nil: with the trace
	begun    bool         // the client was told that the trace is there
	isWanted bool         // the client waits for a chunk
	ready    []byte       // a chunk that the client has not taken; nil: none
	atEnd    bool         // no chunk follows
	spans    int          // of the next chunk, about
	cutsAll  bool         // the next chunk may end inside of any ResourceSpans
	bytes    int64        // of the chunks so far
	lacks    []string     // what they lack
}

// ordered is what an attempt knows of the trace that is read in chunks.
type ordered struct {
	tables    []keyTable
	number    map[keyTable]uint32 // in tables
	upTo      map[int32]int64     // by partition
	unread    map[uint32]bool     // tables that can no longer be read
	index     *long.Index
	at        long.Position // where the next chunk begins
	chunk     *long.Chunk
	fragments map[uint32][]trace.Fragment // of chunk, by table
	outline   *outline                    // nil: the spans are asked for
	ambiguous map[uint32][]uint32         // rows by table whose contents are asked for
}

// keyTable is a table that holds a part of the trace.
type keyTable struct {
	block     *blocks.BlockMeta // nil: it is in the live-store of a partition
	partition int32
	home      int // its number there
}

const (
	firstChunk  = 1 << 11 // spans: few, so that the client soon has something
	mostSpans   = 1 << 16 // of a chunk
	chunkBytes  = 8 << 20 // of a chunk, about
	mostOfChunk = 8 * chunkBytes
)

// indexTrace reads the keys of the trace from every home that may hold it.
func (c *course) indexTrace() step {
	c.phase = indexing
	if c.delivery.spans == 0 {
		c.delivery.spans, c.delivery.cursor = firstChunk, c.query.Chunks.After
	}
	c.ordered = ordered{
		number: map[keyTable]uint32{},
		upTo:   map[int32]int64{},
		unread: map[uint32]bool{},
		index:  &long.Index{},
	}
	if c.query.Chunks.Outline {
		c.ordered.outline = &outline{}
		c.ordered.index = &c.ordered.outline.Index
	}
	want := jobs.KeysWanted{ID: *c.query.Trace, Details: c.query.Chunks.Outline}
	read := c.basis.PlanTrace(c.cfg.TenantSlots, 0)
	c.answer.Blocks = read.BlocksAsked
	var list []job
	for _, l := range read.Live {
		list = append(list, job{task: liveKeysTask{partition: l.Partition, LiveKeysJob: &jobs.LiveKeysJob{
			Snapshot: l.Job.Snapshot, Tenant: l.Job.Tenant, From: l.Job.From, UpTo: -1, KeysWanted: want}}})
	}
	for _, b := range read.BlockJobs {
		keys := &jobs.BlockKeysJob{Blocks: b.Blocks, KeysWanted: want}
		list = append(list, job{task: blockKeysTask{BlockKeysJob: keys}})
	}
	c.answer.Jobs = len(list)
	return c.queueJobs(list)
}

// addKeys adds the keys of some homes. table describes a home.
func (c *course) addKeys(m *jobs.KeysResult, table func(home int) keyTable) {
	c.answer.Bytes += m.Bytes
	c.foundOut++
	o := &c.ordered
	for _, k := range m.Keys {
		t := table(k.Home)
		n, ok := o.number[t]
		if !ok {
			n = uint32(len(o.tables))
			o.number[t] = n
			o.tables = append(o.tables, t)
		}
		if o.outline != nil {
			o.outline.Add(n, k.Keys)
		} else {
			o.index.Add(n, k.Keys)
		}
	}
}

// endIndexing has the pool look for spans that keys cannot tell apart. Without any span the trace
// is not there.
func (c *course) endIndexing() step {
	if c.ordered.index.Spans() == 0 {
		return c.endDelivery()
	}
	c.phase = sifting
	return c.queueJobs([]job{{task: siftTask{index: c.ordered.index}}})
}

// readContents asks for the contents of the spans that keys cannot tell apart.
func (c *course) readContents() step {
	c.phase = comparing
	var list []job
	for _, n := range slices.Sorted(maps.Keys(c.ordered.ambiguous)) {
		for part := range slices.Chunk(c.ordered.ambiguous[n], mostSpans) {
			want := jobs.SpansWanted{ContentsOnly: true}
			list = append(list, c.spansJobs([]long.Part{{Table: n, Rows: part}}, want)...)
		}
	}
	return c.queueJobs(list)
}

// arrangeTrace has the pool put the spans in order.
func (c *course) arrangeTrace() step {
	c.phase = arranging
	var list arranger = c.ordered.index
	if c.ordered.outline != nil {
		list = c.ordered.outline
	}
	return c.queueJobs([]job{{task: arrangeTask{list: list}}})
}

// beginDelivery tells the client that the trace is there, and reads its first chunk.
func (c *course) beginDelivery() step {
	if k := c.delivery.cursor; k != nil {
		c.ordered.at = c.ordered.index.Find(*k)
	}
	s := c.readChunk()
	if !c.delivery.begun {
		c.delivery.begun = true
		warnings := c.missing.listWarnings()
		s.progress = &jobs.Answer{Complete: len(warnings) == 0, Warnings: warnings, Watermark: c.answer.Watermark}
	}
	return s
}

// readChunk reads the spans of the next chunk, if there is one.
func (c *course) readChunk() step {
	o, d := &c.ordered, &c.delivery
	if o.outline != nil {
		return c.readOutline()
	}
	if most := c.query.Chunks.MaxBytes; o.index.IsEnd(o.at) || most > 0 && d.bytes >= most {
		d.atEnd = true
		return c.deliverChunk()
	}
	c.phase = chunking
	o.chunk = o.index.Take(o.at, d.spans, d.cutsAll)
	o.fragments = map[uint32][]trace.Fragment{}
	return c.queueJobs(c.spansJobs(o.chunk.Parts, jobs.SpansWanted{MaxBytes: mostOfChunk}))
}

// spansJobs returns the jobs that read rows of tables, one for each block or partition.
func (c *course) spansJobs(parts []long.Part, want jobs.SpansWanted) (list []job) {
	o := &c.ordered
	live := map[int32]*liveSpansTask{}
	for _, p := range parts {
		t := o.tables[p.Table]
		switch {
		case o.unread[p.Table]:
		case t.block != nil:
			list = append(list, job{task: blockSpansTask{table: p.Table, BlockSpansJob: &jobs.BlockSpansJob{
				Block: t.block, ID: *c.query.Trace, Rows: p.Rows, SpansWanted: want}}})
		default:
			task := live[t.partition]
			if task == nil {
				task = &liveSpansTask{partition: t.partition, LiveSpansJob: &jobs.LiveSpansJob{
					Snapshot:    c.basis.JobSnapshot(),
					Tenant:      c.query.Tenant,
					From:        c.basis.View.Covered[t.partition],
					UpTo:        o.upTo[t.partition],
					SpansWanted: want,
				}}
				live[t.partition] = task
				list = append(list, job{task: task})
			}
			task.tables = append(task.tables, p.Table)
			task.Rows = append(task.Rows, jobs.HomeRows{Home: t.home, Rows: p.Rows})
		}
	}
	return list
}

// addSpans adds what was read of tables: contents, or the fragments of the chunk.
func (c *course) addSpans(m *jobs.SpansResult, tables []uint32, rows [][]uint32) (over *step) {
	c.answer.Bytes += m.Bytes
	switch {
	case m.TooLarge:
		return c.readSmallerChunk()
	case c.phase == comparing:
		for i, n := range tables {
			c.ordered.index.AddContents(n, rows[i], m.Contents[i])
		}
	default:
		for i, n := range tables {
			c.ordered.fragments[n] = m.Fragments[i]
		}
	}
	return nil
}

// readSmallerChunk gives up a chunk that is too large, and goes on with half as many spans.
func (c *course) readSmallerChunk() *step {
	clear(c.open) // the results of these jobs are dropped
	c.queue = nil
	if c.ordered.chunk.Spans == 1 {
		return limitHit("max_span_bytes", "a span of the trace has more than %d bytes", mostOfChunk)
	}
	c.delivery.spans, c.delivery.cutsAll = c.ordered.chunk.Spans/2, true
	s := c.readChunk()
	s.demandChanged = true
	return &s
}

// loseTable notes that a table cannot be read any more. The trace goes on without its spans.
func (c *course) loseTable(n uint32) { c.ordered.unread[n] = true }

// writeChunk has the pool write the chunk.
func (c *course) writeChunk() step {
	o := &c.ordered
	c.phase = writing
	t := writeTask{chunk: o.chunk}
	for _, p := range o.chunk.Parts {
		t.fragments = append(t.fragments, o.fragments[p.Table])
	}
	o.fragments = nil
	return c.queueJobs([]job{{task: t}})
}

// endWriting has the chunk ready, and chooses the size of the next one.
func (c *course) endWriting() step {
	o, d := &c.ordered, &c.delivery
	c.phase = delivering
	if o.outline != nil {
		return c.deliverChunk()
	}
	if each := len(d.ready) / max(o.chunk.Spans, 1); each > 0 {
		d.spans = min(max(chunkBytes/each, 1), 4*d.spans, mostSpans)
	}
	d.cutsAll = false
	o.at, o.chunk = o.chunk.To, nil
	if o.index.IsEnd(o.at) {
		d.cursor = nil
	} else {
		cursor := o.index.CursorAt(o.at)
		d.cursor = &cursor
	}
	if len(d.ready) == 0 { // none of its spans could be read
		d.ready = nil
		return c.readChunk()
	}
	return c.deliverChunk()
}

// onTake is called when the client wants the next chunk. As long as it takes chunks the query's
// time is not over.
func (c *course) onTake(now time.Time) step {
	c.delivery.isWanted = true
	c.until, c.attempts = now.Add(c.cfg.MaxDuration), 1
	if c.delivery.ready == nil && !c.delivery.atEnd {
		return step{} // it is being read
	}
	return c.deliverChunk()
}

// deliverChunk gives the client the chunk that is ready, if it waits for one, and reads the next
// one meanwhile.
func (c *course) deliverChunk() step {
	d := &c.delivery
	switch {
	case !d.isWanted:
		c.phase = delivering
		return step{}
	case d.ready != nil:
		chunk := &jobs.TraceChunk{Bytes: d.ready}
		d.ready, d.isWanted = nil, false
		s := c.readChunk()
		s.chunk = chunk
		return s
	}
	s := c.endDelivery()
	s.chunk = &jobs.TraceChunk{}
	return s
}

// endDelivery ends the query.
func (c *course) endDelivery() step {
	s := c.finishAnswer()
	if s.answer == nil {
		return s
	}
	for _, w := range c.delivery.lacks {
		if !slices.Contains(s.answer.Warnings, w) {
			s.answer.Warnings = append(slices.Clip(s.answer.Warnings), w)
		}
	}
	s.answer.Complete = len(s.answer.Warnings) == 0
	if c.delivery.begun {
		s.answer.Next = c.delivery.cursor
	}
	return s
}

// endChunkPhase goes on with a trace that is read in chunks.
func (c *course) endChunkPhase() step {
	switch c.phase {
	case indexing:
		return c.endIndexing()
	case sifting:
		return c.readContents()
	case comparing:
		return c.arrangeTrace()
	case arranging:
		return c.beginDelivery()
	case chunking:
		return c.writeChunk()
	case writing:
		return c.endWriting()
	}
	return step{} // delivering: the client's turn
}

// keepLacks keeps what the chunks lack that were delivered, for an attempt that goes on with them.
func (c *course) keepLacks() {
	if c.delivery.begun {
		c.delivery.lacks = append(c.delivery.lacks, c.missing.listWarnings()...)
	}
}

// lateDelivery is the end of a query for chunks whose time is over.
func lateDelivery() step {
	return step{fail: status.Errorf(status.Timeout, "query: the trace could not be read in time")}
}
