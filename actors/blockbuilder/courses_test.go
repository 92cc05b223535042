package blockbuilder

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// Courses of events that break a block-builder which looks for other homes once, and in the view
// that it has at hand.

func spanAt(traceID uint64, start time.Duration) *otlp.Span {
	return &otlp.Span{Trace: otlp.TraceID(traceID), ID: otlp.SpanID(uint64(start) + traceID), Start: uint64(start), End: uint64(start) + 1}
}

// merge puts a block in the place of others, whose objects are removed and which are forgotten.
func (p *publisher) merge(t *testing.T, output string, inputs ...*blocks.BlockMeta) *blocks.BlockMeta {
	var tables []column.Table
	entry := &blocks.BlocksReplaced{Tenant: "a"}
	for _, m := range inputs {
		b, err := p.deps.Blocks.Open(t.Context(), m)
		require.NoError(t, err)
		tables = append(tables, b.Reader().Tables()...)
		entry.Inputs = append(entry.Inputs, m.GetId())
	}
	o := compact.DescribeOutput(inputs)
	o.ID, o.Tenant, o.Level = output, "a", 1
	up := &upload{ctx: t.Context(), bucket: p.bucket, folder: blockstore.Folder("a", output), clock: p.deps.Clock, waited: &storageTime{}}
	meta, _, err := block.Write(t.Context(), tables, o, up)
	require.NoError(t, err)
	raw, err := json.Marshal(meta)
	require.NoError(t, err)
	require.NoError(t, up.createObject(block.MetaObject, bytes.NewReader(raw)))
	entry.Outputs = []*blocks.BlockMeta{jobs.CatalogMeta(meta, raw)}
	p.apply(t, &blocks.Entry{BlocksReplaced: entry})
	p.apply(t, &blocks.Entry{Forgotten: &blocks.Forgotten{Blocks: entry.Inputs}})
	for _, m := range inputs {
		p.remove(t, m)
	}
	return entry.Outputs[0]
}

// remove removes the objects of a block, and all that is kept of blocks in memory.
func (p *publisher) remove(t *testing.T, m *blocks.BlockMeta) {
	for _, name := range append([]string{block.MetaObject}, block.PartNames()...) {
		require.NoError(t, p.bucket.Delete(t.Context(), blockstore.Folder("a", m.GetId())+name))
	}
	p.deps.Blocks = blockstore.NewStore(p.bucket, 64<<20)
}

// lookAgain looks for other homes in the newest view.
func (p *publisher) lookAgain(t *testing.T, built *builtCut) *builtCut {
	built, err := lookAgain(t.Context(), p.deps, p.cfg, &lookJob{built: built, view: p.state.View()})
	require.NoError(t, err)
	return built
}

// C5: a builder meets 404 on a block that was replaced and removed since its view. The blocks that
// it has written stay; what the newer view lists is looked in.
func TestC5SuccessorOfABlockThatIsGone(t *testing.T) {
	p := newPublisher(t)
	first := p.publish(t, []*otlp.Span{spanAt(1, 1), spanAt(2, 2)}).GetBlocks()[0]
	p.view = p.state.View()
	successor := p.merge(t, "merged", first)
	built, err := p.build(t, []*otlp.Span{spanAt(2, 10), spanAt(3, 11)})
	require.NoError(t, err)
	require.True(t, built.isUnsettled())
	require.Empty(t, built.publish.GetSharedTraces())
	was := built.publish.GetBlocks()
	built = p.lookAgain(t, built)
	require.Equal(t, was, built.publish.GetBlocks())
	m := p.accept(t, built)
	require.ElementsMatch(t, []string{m.GetBlocks()[0].GetId(), successor.GetId()}, p.state.View().Shared("a").HomesOf(otlp.TraceID(2)))
	require.Equal(t, 1, p.state.View().Shared("a").Len())
	require.Empty(t, built.lostBlocks())
}

// A block that is gone although the newest view lists it is lost. It does not keep cuts from being
// published, and the next cut asks for no newer view because of it.
func TestLostBlockIsPassedOver(t *testing.T) {
	p := newPublisher(t)
	first := p.publish(t, []*otlp.Span{spanAt(1, 1), spanAt(2, 2)}).GetBlocks()[0]
	p.remove(t, first)
	built, err := p.build(t, []*otlp.Span{spanAt(2, 10), spanAt(3, 11)})
	require.NoError(t, err)
	require.True(t, built.isUnsettled())
	built = p.lookAgain(t, built)
	p.accept(t, built)
	p.lost = built.lostBlocks()
	require.Equal(t, map[string]bool{first.GetId(): true}, p.lost)
	p.publish(t, []*otlp.Span{spanAt(2, 20), spanAt(3, 21)})
}

// C28: the fragments of a trace start further apart than the trace window and arrive on one day.
// The blocks may be merged, and then they are one trace: so they are already now. Of blocks of
// different days they never become one.
func TestC28FragmentsFarApart(t *testing.T) {
	for name, c := range map[string]struct {
		later  time.Duration // of the arrival
		shared int
	}{"one day": {time.Hour, 1}, "another day": {25 * time.Hour, 0}} {
		t.Run(name, func(t *testing.T) {
			p := newPublisher(t)
			p.cfg.SharedWindow = time.Hour
			p.publish(t, []*otlp.Span{spanAt(1, time.Hour), spanAt(2, time.Hour)})
			p.arrival = int64(c.later)
			p.publish(t, []*otlp.Span{spanAt(1, 31*time.Hour), spanAt(3, 31*time.Hour)})
			require.Equal(t, c.shared, p.state.View().Shared("a").Len())
		})
	}
}

// counting counts how often blocks are opened.
type counting struct {
	blockstore.Opener
	opened map[string]int
}

func (c *counting) Open(ctx context.Context, m *blocks.BlockMeta) (*block.Block, error) {
	c.opened[m.GetId()]++
	return c.Opener.Open(ctx, m)
}

// C39: a cut is refused because others have published since its view. Its blocks stay, and other
// homes are looked for in what came since, and nowhere else. Homes that were replaced meanwhile are
// not named any more.
func TestC39OnlyWhatCameSinceIsLookedIn(t *testing.T) {
	p := newPublisher(t)
	first := p.publish(t, []*otlp.Span{spanAt(1, 1), spanAt(2, 2)}).GetBlocks()[0]
	second := p.publish(t, []*otlp.Span{spanAt(1, 3), spanAt(3, 4)}).GetBlocks()[0]
	built, err := p.build(t, []*otlp.Span{spanAt(1, 10), spanAt(2, 11), spanAt(4, 12)})
	require.NoError(t, err)
	own := built.publish.GetBlocks()[0].GetId()

	// Another partition publishes a block, and the first one is replaced and forgotten.
	merged := p.merge(t, "merged", first)
	other := p.merge(t, "other", p.publishElsewhere(t, []*otlp.Span{spanAt(4, 20), spanAt(5, 21)}))
	require.Error(t, p.state.CheckHomes(built.publish))
	count := &counting{p.deps.Blocks, map[string]int{}}
	p.deps.Blocks = count
	built = p.lookAgain(t, built)
	require.Equal(t, map[string]int{merged.GetId(): 1, other.GetId(): 1}, count.opened)
	require.Equal(t, p.state.View().Version, built.publish.GetViewVersion())
	p.apply(t, &blocks.Entry{CutPublished: built.publish})
	homes := func(n uint64) []string { return p.state.View().Shared("a").HomesOf(otlp.TraceID(n)) }
	require.ElementsMatch(t, []string{own, merged.GetId(), second.GetId()}, homes(1))
	require.ElementsMatch(t, []string{own, merged.GetId()}, homes(2))
	require.ElementsMatch(t, []string{own, other.GetId()}, homes(4))
	for x := range p.state.View().Shared("a").Repeating() {
		t.Errorf("no span is in two blocks, but %v may be", x)
	}
}

// publishElsewhere publishes a block of an epoch that is over, which covers nothing of this one.
func (p *publisher) publishElsewhere(t *testing.T, spans []*otlp.Span) *blocks.BlockMeta {
	was := p.state
	p.state = catalog.New()
	p.apply(t, &blocks.Entry{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}})
	m := p.publish(t, spans).GetBlocks()[0]
	p.state = was
	p.apply(t, &blocks.Entry{BlocksReplaced: &blocks.BlocksReplaced{Tenant: "a", Outputs: []*blocks.BlockMeta{m}}})
	return m
}
