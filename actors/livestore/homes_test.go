package livestore

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// homesWorld is a live-store of one tenant beside a bucket with blocks.
type homesWorld struct {
	t      testing.TB
	s      *state
	bucket objstore.Bucket
	opener blockstore.Opener
	metas  []*blocks.BlockMeta
	// between is called while blocks are looked at.
	between func()
}

func newHomesWorld(t testing.TB, segmentSpans int) *homesWorld {
	cfg := DefaultConfig()
	cfg.SegmentSpans = segmentSpans
	w := &homesWorld{t: t, s: newState(0, cfg, nil), bucket: objstore.NewMemory(), between: func() {}}
	w.opener = blockstore.NewStore(w.bucket, 1<<30)
	w.s.startReplay(logBounds{covered: &jobs.CoveredResult{Epoch: "e", Version: 1}})
	return w
}

// appendSpans has the live-store read a record.
func (w *homesWorld) appendSpans(spans ...*otlp.Span) {
	r := kafkalog.Record{Offset: w.s.next, Tenant: "a", Format: kafkalog.FormatOTLP, Parts: 1, Value: otlp.Encode(spans...)}
	b := kafkalog.Batch{Records: []kafkalog.Record{r}, Next: w.s.next + 1, End: w.s.next + 1}
	require.Empty(w.t, w.s.appendBatch(time.Time{}, batchRead{batch: b}))
}

// blockObject is an object of a block that is being written.
type blockObject struct {
	bytes.Buffer
	w    *homesWorld
	name string
}

func (o *blockObject) Close() error {
	_, err := o.w.bucket.Create(o.w.t.Context(), o.name, &o.Buffer)
	return err
}

type blockSink struct {
	w      *homesWorld
	folder string
}

func (k blockSink) Create(name string) (io.WriteCloser, error) {
	return &blockObject{w: k.w, name: k.folder + name}, nil
}

// writeBlock makes a block of tables, which hold the records [from, to) of a partition.
func (w *homesWorld) writeBlock(tables []column.Table, epoch string, partition int32, from, to int64) {
	id := fmt.Sprint("block-", len(w.metas))
	m, _, err := block.Write(w.t.Context(), tables, block.WriteOptions{ID: id, Tenant: "a", Epoch: epoch,
		Partition: partition, From: from, To: to}, blockSink{w, blockstore.Folder("a", id)})
	require.NoError(w.t, err)
	raw, err := json.Marshal(m)
	require.NoError(w.t, err)
	w.metas = append(w.metas, jobs.CatalogMeta(m, raw))
}

// cover makes a block of the records up to an offset and has the catalog cover them.
func (w *homesWorld) cover(to int64) {
	w.writeBlock(w.s.snapshotsOf("a", w.s.covered, to), "e", 0, w.s.covered, to)
	w.s.noteCoverage(&jobs.CoverageChanged{Epoch: "e", Version: w.s.version + 1, Covered: map[int32]int64{0: to}})
}

// ask asks the live-store a question and does the work that it takes.
func (w *homesWorld) ask(job any) any {
	st := w.s.onQuestion(time.Time{}, question{ctx: w.t.Context(), job: job})
	for {
		require.Len(w.t, st.answers, 1, "the question waits")
		x := st.answers[0]
		if x.work == nil {
			return x.reply
		}
		reply, err := x.work.run(w.t.Context(), w.opener)
		require.NoError(w.t, err)
		found, ok := reply.(homesFound)
		if !ok {
			return reply
		}
		w.between()
		st = w.s.onHomesFound(time.Time{}, found)
	}
}

// heldSpan is what a home has of a trace.
type heldSpan struct {
	trace      trace.ID
	id         trace.SpanID
	kind       int32
	start, end uint64
	offset     int64  // of a live span
	home       string // the segment or block
}

// isElsewhere reports whether another home of the list has a span that is or, if it is loose, may
// look like the span.
func (s heldSpan) isElsewhere(list []heldSpan, loose bool) bool {
	return slices.ContainsFunc(list, func(o heldSpan) bool {
		return s.home != o.home && s.trace == o.trace && s.id == o.id && s.kind == o.kind && (loose || s.start == o.start)
	})
}

// homesModel is a homesWorld of which everything is known.
type homesModel struct {
	*homesWorld
	r       *rand.Rand
	sent    []*otlp.Span
	inBlock map[string][]heldSpan
	covers  []int64 // the covered offset, by number of blocks
}

// send has some spans come, of which some have come before.
func (m *homesModel) send() {
	var list []*otlp.Span
	for range 1 + m.r.IntN(3) {
		n := len(m.sent)
		s := &otlp.Span{Trace: otlp.TraceID(1 + uint64(m.r.IntN(8)+n/40)), ID: otlp.SpanID(uint64(n + 1)),
			Name: "x", Kind: int32(m.r.IntN(3)), Start: uint64(1000*n + m.r.IntN(20_000))}
		s.End = s.Start + uint64(m.r.IntN(30_000))
		switch m.r.IntN(12) {
		case 0: // another span with the id of an earlier one
			s.ID = otlp.SpanID(uint64(m.r.IntN(n+1) + 1))
		case 1:
			if n > 0 {
				s = m.sent[max(0, n-1-m.r.IntN(60))]
			}
		}
		m.sent = append(m.sent, s)
		list = append(list, s)
	}
	m.appendSpans(list...)
}

// spansIn reads spans as queries read them.
func (m *homesModel) spansIn(home string, table column.Table) (out []heldSpan) {
	ctx := m.t.Context()
	var ids, kinds, starts, durations, records column.Vector
	for n := range table.Traces() {
		id, err := table.TraceID(ctx, n)
		require.NoError(m.t, err)
		for _, row := range table.TraceRows(n, nil) {
			for k, v := range map[column.Key]*column.Vector{column.SpanID: &ids, column.Kind: &kinds,
				column.Start: &starts, column.Duration: &durations, column.Record: &records} {
				_, err := table.Vector(ctx, k, int(row)/column.PageRows, v)
				require.NoError(m.t, err)
			}
			i := int(row) % column.PageRows
			start := uint64(starts.Ints[i])
			out = append(out, heldSpan{trace: id, id: trace.SpanID([]byte(ids.Text(i))), kind: int32(kinds.Ints[i]),
				start: start, end: start + uint64(durations.Ints[i]), offset: records.Ints[i], home: home})
		}
	}
	return out
}

// liveSpans returns the spans of all segments from an offset on.
func (m *homesModel) liveSpans(from int64) (out []heldSpan) {
	if t := m.s.tenants["a"]; t != nil {
		for _, g := range t.segments {
			if g.Next() > from {
				out = append(out, m.spansIn(fmt.Sprint("segment-", g.number), g.Snapshot(from, g.Next()))...)
			}
		}
	}
	return out
}

// makeBlock makes a block: a cut, or spans that have come to another partition.
func (m *homesModel) makeBlock() {
	if m.s.covered == m.s.next {
		return
	}
	to := m.s.covered + 1 + m.r.Int64N(m.s.next-m.s.covered)
	tables := m.s.snapshotsOf("a", m.s.covered, to)
	if len(tables) == 0 {
		return
	}
	var spans []heldSpan
	for _, t := range tables {
		spans = append(spans, m.spansIn("", t)...)
	}
	if m.r.IntN(3) == 0 {
		m.writeBlock(tables, "e", 1, 0, 1<<40)
	} else {
		m.cover(to)
	}
	id := m.metas[len(m.metas)-1].GetId()
	for i := range spans {
		spans[i].home = id
	}
	m.inBlock[id] = spans
	m.covers = append(m.covers, m.s.covered)
}

// check asks which traces have another home, as a query does that was planned on one of the last
// versions of the catalog.
func (m *homesModel) check(hint string) {
	n := len(m.metas) - m.r.IntN(min(len(m.metas)+1, 3))
	q := &jobs.HomesJob{Snapshot: jobs.Snapshot{Epoch: "e", Version: 1}, Tenant: "a", Blocks: m.metas[:n],
		Repeating: m.r.IntN(2) == 0}
	if n > 0 {
		q.From = m.covers[n-1]
	}
	isLatest := n == len(m.metas)
	if m.r.IntN(4) == 0 {
		q.Blocks, isLatest = q.Blocks[n/2:], false // those of its time
	}
	a := m.ask(q).(*jobs.HomesResult)
	if a.Floor > q.From {
		return
	}
	named := map[trace.ID]catalog.Extent{}
	for _, e := range a.Shared {
		require.NotContains(m.t, named, e.ID, "%s: named twice", hint)
		named[e.ID] = e
	}
	var inBlocks []heldSpan
	for _, b := range q.Blocks {
		inBlocks = append(inBlocks, m.inBlock[b.GetId()]...)
	}
	live := m.liveSpans(q.From)
	isLater := func(s heldSpan) bool { return s.offset >= a.UpTo } // it came while blocks were looked at
	seen := slices.DeleteFunc(slices.Clone(live), isLater)
	all := append(slices.Clone(seen), inBlocks...)
	for _, s := range seen {
		isShared := slices.ContainsFunc(all, func(o heldSpan) bool { return o.trace == s.trace && o.home != s.home })
		e, isNamed := named[s.trace]
		repeats := s.isElsewhere(all, false)
		require.True(m.t, isNamed || !repeats && (q.Repeating || !isShared),
			"%s: trace %s has spans in %s and elsewhere and is not named", hint, s.trace, s.home)
		require.False(m.t, repeats && e.Disjoint, "%s: trace %s is taken to be disjoint", hint, s.trace)
		if isNamed {
			require.LessOrEqual(m.t, e.Start, s.start, hint)
			require.GreaterOrEqual(m.t, e.End, s.end, hint)
		}
	}
	for _, s := range inBlocks {
		if e, ok := named[s.trace]; ok && !q.Repeating {
			require.LessOrEqual(m.t, e.Start, s.start, hint)
			require.GreaterOrEqual(m.t, e.End, s.end, hint)
		}
	}
	for id, e := range named {
		repeats := slices.ContainsFunc(live, func(s heldSpan) bool {
			return s.trace == id && (s.isElsewhere(live, true) || s.isElsewhere(inBlocks, true))
		})
		if isLatest && q.Repeating {
			require.True(m.t, repeats, "%s: trace %s is taken to be repeating", hint, id)
		}
		require.False(m.t, q.Repeating && e.Disjoint, hint)
	}
}

// A live-store names every trace that lies in a second segment or in a block, with the time of its
// parts, and takes none of them to be disjoint that has a span twice, from whatever version of the
// catalog on a query asks, in whatever order queries, blocks, spans and drops come. A trace of
// which no span is twice is not repeating.
func TestHomesMissNone(t *testing.T) {
	for seed := range uint64(150) {
		m := &homesModel{homesWorld: newHomesWorld(t, 6), r: rand.New(rand.NewPCG(seed, 1)),
			inBlock: map[string][]heldSpan{}}
		m.between = func() {
			for range m.r.IntN(3) {
				m.send()
			}
		}
		for step := range 60 {
			switch m.r.IntN(8) {
			case 0:
				m.makeBlock()
			case 1:
				if m.r.IntN(3) == 0 {
					m.s.dropCovered(time.Time{}, true)
				}
			case 2, 3:
				m.check(fmt.Sprintf("seed %d, step %d", seed, step))
			default:
				m.send()
			}
		}
	}
}
