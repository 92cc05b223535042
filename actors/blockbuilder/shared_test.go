package blockbuilder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/test/kit/otlp"
)

// publisher builds one cut after the other and publishes it in a catalog.
type publisher struct {
	deps    Deps
	bucket  *objstore.Memory
	state   *catalog.State
	lenient bool
	cfg     Config
	arrival int64           // of the records of the next cuts, in unix ns
	view    *catalog.View   // in which the next builds look for other homes; nil: the newest
	lost    map[string]bool // blocks that are known to be gone
}

func newPublisher(t testing.TB) *publisher {
	d, bucket := workshop(t, 0)
	d.Blocks = blockstore.NewStore(bucket, 64<<20)
	p := &publisher{deps: d, bucket: bucket, state: catalog.New(), cfg: DefaultConfig()}
	p.apply(t, &blocks.Entry{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}})
	return p
}

func (p *publisher) apply(t testing.TB, e *blocks.Entry) {
	require.NoError(t, p.state.Apply(&blocks.Commit{Seq: p.state.View().Version + 1, Entries: []*blocks.Entry{e}}))
}

// build builds a cut of one record of these spans, in two tables.
func (p *publisher) build(t testing.TB, spans []*otlp.Span) (*builtCut, error) {
	from, _ := p.state.Covered(0)
	cut := &jobs.CutResult{From: from, To: from + 1, Parts: []int32{1}, Last: &blocks.Fingerprint{Crc: 7},
		FirstArrival: p.arrival, LastArrival: p.arrival}
	cut.Tables = map[string][]column.Table{"a": {sealed(t, spans[:len(spans)/2]), sealed(t, spans[len(spans)/2:])}}
	j := &buildJob{epoch: "e", cut: cut, view: p.view, lenient: p.lenient, lost: p.lost}
	if j.view == nil {
		j.view = p.state.View()
	}
	return buildCut(context.Background(), p.deps, p.cfg, j)
}

func (p *publisher) publish(t testing.TB, spans []*otlp.Span) *blocks.PublishCut {
	built, err := p.build(t, spans)
	require.NoError(t, err)
	return p.accept(t, built)
}

// accept publishes a cut.
func (p *publisher) accept(t testing.TB, built *builtCut) *blocks.PublishCut {
	require.False(t, built.isUnsettled())
	require.NoError(t, p.state.CheckHomes(built.publish))
	p.apply(t, &blocks.Entry{CutPublished: built.publish})
	return built.publish
}

func sealed(t testing.TB, spans []*otlp.Span) column.Table {
	seg := live.New(live.Limits{})
	for at := int64(0); len(spans) > 0; at++ {
		n := min(len(spans), 1000)
		_, err := seg.Append(at, 1, otlp.Encode(spans[:n]...))
		require.NoError(t, err)
		spans = spans[n:]
	}
	seg.Seal()
	return seg.Snapshot(0, math.MaxInt64)
}

// Of spans that come in any number of cuts, the catalog lists exactly the traces that have several
// homes, and exactly those as disjoint of which no two homes have a span id and kind in common.
func TestSharedIsProved(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := newPublisher(t)
		type span struct {
			id   trace.SpanID
			kind int32
		}
		homes := map[trace.ID][]map[span]bool{} // spans by home
		extents := map[trace.ID]catalog.Extent{}
		for range 2 + r.IntN(4) {
			var spans []*otlp.Span
			now := map[trace.ID]map[span]bool{}
			for range 1 + r.IntN(400) {
				s := &otlp.Span{
					Trace: otlp.TraceID(1 + r.Uint64N(100)),
					ID:    otlp.SpanID(1 + r.Uint64N(60)),
					Kind:  r.Int32N(3),
					Name:  fmt.Sprint(r.IntN(2)),
					Start: 1000 + r.Uint64N(1000),
				}
				s.End = s.Start + r.Uint64N(100)
				spans = append(spans, s)
				if now[s.Trace] == nil {
					now[s.Trace] = map[span]bool{}
				}
				now[s.Trace][span{s.ID, s.Kind}] = true
				x, ok := extents[s.Trace]
				if !ok {
					x = catalog.Extent{ID: s.Trace, Start: s.Start, End: s.End}
				}
				extents[s.Trace] = x.Join(catalog.Extent{ID: s.Trace, Start: s.Start, End: s.End})
			}
			for id, list := range now {
				homes[id] = append(homes[id], list)
			}
			p.publish(t, spans)
		}
		shared := p.state.View().Shared("a")
		several := 0
		for id, list := range homes {
			x, listed := shared.Find(id)
			require.Equal(t, len(list) > 1, listed)
			if !listed {
				continue
			}
			several++
			count, sum := map[span]bool{}, 0
			for _, home := range list {
				sum += len(home)
				for s := range home {
					count[s] = true
				}
			}
			want := extents[id]
			want.Disjoint = len(count) == sum
			require.Equal(t, want, x)
			require.Len(t, shared.HomesOf(id), len(list))
		}
		require.Equal(t, several, shared.Len())
	}
}

// A home whose spans cannot be read is still a home, but nothing is proved of it.
func TestNothingIsProvedOfWhatCannotBeRead(t *testing.T) {
	span := func(n, start uint64) *otlp.Span {
		return &otlp.Span{Trace: otlp.TraceID(n), ID: otlp.SpanID(start), Start: start, End: start + 1}
	}
	at := uint64(1)
	many := func() (spans []*otlp.Span) {
		for n := range uint64(3000) {
			spans = append(spans, span(n+1, at))
			at++
		}
		return spans
	}
	p := newPublisher(t)
	first := p.publish(t, many()).GetBlocks()[0]
	require.Len(t, p.publish(t, many()).GetSharedTraces(), 1)
	count := func() (shared, repeating int) {
		s := p.state.View().Shared("a")
		for range s.Repeating() {
			repeating++
		}
		return s.Len(), repeating
	}
	shared, repeating := count()
	require.Equal(t, []int{3000, 0}, []int{shared, repeating})

	meta, err := blockstore.DecodeMeta(first)
	require.NoError(t, err)
	name := blockstore.Folder("a", first.GetId()) + block.SpansObject
	body, err := p.bucket.Read(t.Context(), name, 1<<30)
	require.NoError(t, err)
	clear(body[:meta.Index.Offset*2/3]) // pages, but not the ids of the traces
	require.NoError(t, p.bucket.Delete(t.Context(), name))
	_, err = p.bucket.Create(t.Context(), name, bytes.NewReader(body))
	require.NoError(t, err)
	p.publish(t, many())
	shared, repeating = count()
	require.Equal(t, []int{3000, 3000}, []int{shared, repeating}, "damaged")

	failing := objstore.NewFaulty(p.bucket, func(c objstore.Call) objstore.Fault {
		if c.Name == name {
			return objstore.Fault{Before: errors.New("no answer")}
		}
		return objstore.Fault{}
	})
	p.deps.Blocks = blockstore.NewStore(failing, 64<<20)
	late := []*otlp.Span{span(5000, 7), span(5001, 8)}
	_, err = p.build(t, late)
	require.ErrorContains(t, err, "no answer", "it is tried again")
	p.lenient = true
	m := p.publish(t, late)
	require.Equal(t, []string{m.GetBlocks()[0].GetId(), first.GetId()}, p.state.View().Shared("a").HomesOf(otlp.TraceID(5000)))
	shared, repeating = count()
	require.Equal(t, []int{3002, 3002}, []int{shared, repeating}, "it may have them")
}

// A cut that shares more traces than one message may list is built again in halves.
func TestCutOfTooManySharedTraces(t *testing.T) {
	p := newPublisher(t)
	spans := func(cut uint64) (list []*otlp.Span) {
		for n := range uint64(2000) {
			list = append(list, &otlp.Span{Trace: otlp.TraceID(n + 1), ID: otlp.SpanID(cut*2000 + n + 1), Start: n, End: n})
		}
		return list
	}
	p.publish(t, spans(0))
	p.cfg.MaxPublish = 20_000
	_, err := p.build(t, spans(1))
	require.ErrorIs(t, err, errInput)
	p.publish(t, spans(1)[:1000])
	p.publish(t, spans(1)[1000:])
	require.Equal(t, 2000, p.state.View().Shared("a").Len())
}

// BenchmarkFindShared looks for 200,000 traces in a block that has them all, and proves that no
// span is in both.
func BenchmarkFindShared(b *testing.B) {
	const traces = 200_000
	for _, perTrace := range []int{1, 5} {
		b.Run(fmt.Sprint("spans=", perTrace), func(b *testing.B) {
			p := newPublisher(b)
			spans := func(cut int) (out []*otlp.Span) {
				r := rand.New(rand.NewPCG(uint64(cut), 1))
				for n := range traces {
					for i := range perTrace {
						start := uint64(time.Duration(n)*300*time.Microsecond) + r.Uint64N(1e9) + uint64(cut)*60e9
						out = append(out, &otlp.Span{Trace: otlp.TraceID(uint64(n) + 1),
							ID: otlp.SpanID(uint64((cut*traces+n)*perTrace+i) + 1), Start: start, End: start + 1e6})
					}
				}
				return out
			}
			p.publish(b, spans(0))
			m := p.publish(b, spans(1))
			list := m.GetSharedTraces()
			require.Len(b, list, 1)
			require.Len(b, list[0].GetGroups(), 1)
			require.True(b, list[0].GetGroups()[0].GetDisjoint())
			require.Len(b, list[0].GetGroups()[0].GetStarts(), traces)

			tables := []column.Table{sealed(b, spans(2))}
			meta, extents, err := block.Write(b.Context(), tables, block.WriteOptions{ID: "next", Tenant: "a", Parts: []int32{1}},
				&upload{ctx: b.Context(), bucket: objstore.NewMemory(), clock: p.deps.Clock, waited: &storageTime{}})
			require.NoError(b, err)
			view := p.state.View()
			cut := &jobs.CutResult{Tables: map[string][]column.Table{"a": tables}}
			build := &cutBuild{deps: p.deps, cfg: DefaultConfig(), job: &buildJob{view: view, cut: cut}}
			b.ReportAllocs()
			for b.Loop() {
				t := &tenantBlock{meta: jobs.CatalogMeta(meta, nil), sharing: newSharing("next", extents)}
				t.meta.Tenant = "a"
				require.NoError(b, build.findShared(b.Context(), t))
				got := t.sharing.message("a", view.Shared("a"))
				require.Len(b, got.GetGroups()[0].GetStarts(), traces)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/traces, "ns/trace")
		})
	}
}
