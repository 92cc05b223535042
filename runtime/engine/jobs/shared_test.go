package jobs

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
	"github.com/troupe-tracing/troupe/test/kit/views"
)

// A block leaves out the live traces that it may hold by time and routing, however they are found,
// and its print stands for these: it changes with each of them, and with nothing else.
func TestLiveTracesOfBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var live []catalog.Extent
		for n := range r.IntN(30) {
			start := r.Uint64N(100)
			live = append(live, catalog.Extent{ID: trace.ID{15: byte(n)}, Start: start, End: start + r.Uint64N(40), Disjoint: r.IntN(2) == 0})
		}
		o := SharedOptions{Tenant: "t", Partitions: 1 + r.IntN(4), Spanwise: r.IntN(2) == 0}
		s := NewShared(o, nil, live)
		m := &blocks.BlockMeta{Tenant: "t", MinStartUnixNano: r.Uint64N(100), Partition: int32(r.IntN(o.Partitions+1)) - 1}
		m.MaxEndUnixNano = m.GetMinStartUnixNano() + r.Uint64N(50)
		m.Parts = [][]int32{nil, {int32(o.Partitions)}, {int32(o.Partitions), 7}}[r.IntN(3)]

		want := slices.DeleteFunc(slices.Clone(live), func(e catalog.Extent) bool {
			return o.Spanwise && e.Disjoint || !MayHold(m, e.ID) || e.End < m.GetMinStartUnixNano() || e.Start > m.GetMaxEndUnixNano()
		})
		var ids []trace.ID
		for _, e := range want {
			ids = append(ids, e.ID)
		}
		require.ElementsMatch(t, ids, s.LeftOutOf(m).IDs())
		require.Equal(t, s.PrintFor(m), NewShared(o, nil, want).PrintFor(m), "the others do not matter")
		if len(want) > 0 {
			require.NotEqual(t, s.PrintFor(m), NewShared(o, nil, want[1:]).PrintFor(m))
			earlier := slices.Clone(want)
			earlier[0].Start--
			changed := s.PrintFor(m) != NewShared(o, nil, earlier).PrintFor(m)
			require.Equal(t, !o.Spanwise && want[0].Start > 0, changed && want[0].Start > 0, fmt.Sprint(want[0]))
		}
	}
}

// Of a candidate that the query does not know to be shared nothing is known: it is of all time, and
// may have a live part.
func TestUnknownCandidates(t *testing.T) {
	s := NewShared(SharedOptions{}, nil, []catalog.Extent{{ID: trace.ID{1}, Start: 5, End: 7}})
	require.True(t, s.Live(trace.ID{1}))
	require.True(t, s.Live(trace.ID{2}))
	require.Zero(t, s.Extent(trace.ID{2}).Start)
	require.Equal(t, ^uint64(0), s.Extent(trace.ID{2}).End)
	require.False(t, s.Has(trace.ID{2}))
}

// A live scan leaves out what live-stores have named and what the scanned one knows beyond that,
// and nothing else: a trace whose homes in blocks repeat spans counts where it is live.
func TestLeftOutLive(t *testing.T) {
	var list catalog.SharedList
	list.Add(catalog.Extent{ID: trace.ID{9}, Start: 1, End: 2}, []string{"x", "y"})
	published := views.Shared(&list)
	named := catalog.Extent{ID: trace.ID{1}, Start: 5, End: 7}
	s := NewShared(SharedOptions{Spanwise: true}, published, []catalog.Extent{named})
	require.True(t, s.Has(trace.ID{9}))
	l := s.LeftOutLive([]trace.ID{{1}, {2}})
	require.ElementsMatch(t, []trace.ID{{1}, {2}}, l.IDs())
	require.True(t, l.Has(trace.ID{1}))
	require.True(t, l.Has(trace.ID{2}))
	require.False(t, l.Has(trace.ID{9}))
	require.Equal(t, named.Start, l.Earliest(trace.ID{1}))
	require.Zero(t, l.Earliest(trace.ID{2}), "it may have begun at any time")
	require.Nil(t, NewShared(SharedOptions{Spanwise: true}, published).LeftOutLive(nil))
}
