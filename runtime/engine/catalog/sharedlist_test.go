package catalog

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Journals of older versions list shared traces one by one. They are read as they were meant.
func TestOldFormOfSharedTraces(t *testing.T) {
	id := func(n byte) []byte { return append(make([]byte, 15), n) }
	old := []*blocks.SharedTrace{
		{Tenant: "t", TraceId: id(1), StartUnixNano: 10, EndUnixNano: 20, Homes: []string{"b", "a"}},
		{Tenant: "u", TraceId: id(1), StartUnixNano: 11, EndUnixNano: 21, Homes: []string{"c", "d"}},
		{Tenant: "t", TraceId: id(2), StartUnixNano: 5, EndUnixNano: 7, Homes: []string{"b", "a"}, Disjoint: true},
		{Tenant: "t", TraceId: []byte("short"), Homes: []string{"b", "a"}},
	}
	s, err := Restore(&blocks.Snapshot{Shared: old})
	require.NoError(t, err)
	require.Equal(t, map[Extent][]string{
		{ID: trace.ID(id(1)), Start: 10, End: 20}:               {"a", "b"},
		{ID: trace.ID(id(2)), Start: 5, End: 7, Disjoint: true}: {"a", "b"},
	}, dump(s.View().Shared("t")))
	require.Equal(t, map[Extent][]string{{ID: trace.ID(id(1)), Start: 11, End: 21}: {"c", "d"}}, dump(s.View().Shared("u")))
}

// Messages whose columns do not fit together are refused, and name what is wrong.
func TestSharedTracesThatDoNotFit(t *testing.T) {
	ids := make([]byte, 16)
	for why, g := range map[string]*blocks.HomeGroup{
		"home 2 of 2":       {Homes: []uint32{2}},
		"15 bytes of ids":   {TraceIds: ids[1:], Starts: []int64{1}, Lengths: []int64{1}},
		"2 starts":          {TraceIds: ids, Starts: []int64{1, 2}, Lengths: []int64{1}},
		"0 lengths":         {TraceIds: ids, Starts: []int64{1}},
		"is listed twice":   {Homes: []uint32{0, 1}, TraceIds: append(ids, ids...), Starts: []int64{1, 2}, Lengths: []int64{1, 2}},
		"home 4294967295 o": {Homes: []uint32{0, 1<<32 - 1}},
	} {
		m := &blocks.SharedTraces{Tenant: "t", Blocks: []string{"a", "b"}, Groups: []*blocks.HomeGroup{g}}
		_, err := Restore(&blocks.Snapshot{SharedTraces: []*blocks.SharedTraces{m}})
		require.ErrorIs(t, err, ErrCorrupt, why)
		require.ErrorContains(t, err, why)
	}
}

// Whatever is read either is refused or is the same after it was written and read again.
func FuzzSharedTraces(f *testing.F) {
	var list SharedList
	for n := range byte(20) {
		list.Add(Extent{ID: trace.ID{n}, Start: uint64(n), End: 1 << n, Disjoint: n%3 == 0},
			[]string{"a", fmt.Sprint(n % 4)})
	}
	seed, err := proto.Marshal(list.Message("t"))
	require.NoError(f, err)
	f.Add(seed)
	f.Fuzz(func(t *testing.T, data []byte) {
		var m blocks.SharedTraces
		if proto.Unmarshal(data, &m) != nil {
			return
		}
		s, err := Restore(&blocks.Snapshot{SharedTraces: []*blocks.SharedTraces{&m}})
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		again, err := Restore(s.Snapshot())
		require.NoError(t, err)
		require.Equal(t, dump(s.View().Shared(m.GetTenant())), dump(again.View().Shared(m.GetTenant())))
		require.LessOrEqual(t, s.View().Shared(m.GetTenant()).Len()*16, len(data))
	})
}

// twoHomes is a cut of traces that each lie in the block and in one of ten others, by time.
func twoHomes(from, traces int) *blocks.SharedTraces {
	var list SharedList
	r := rand.New(rand.NewPCG(uint64(from), 1))
	for n := range traces {
		x := Extent{Start: 1_700_000_000e9 + uint64(from+n)*300_000 + r.Uint64N(1e9), Disjoint: true}
		x.End = x.Start + 70e9 + r.Uint64N(1e9)
		for i := range x.ID {
			x.ID[i] = byte(r.Uint32())
		}
		list.Add(x, []string{
			fmt.Sprintf("8b8b2f0e-6a4f-4e0c-9c59-%012d", from),
			fmt.Sprintf("8b8b2f0e-6a4f-4e0c-9c59-%012d", 1000+n*10/traces),
		})
	}
	return list.Message("t")
}

// BenchmarkShared measures a catalog with 200,000 traces of two homes each.
func BenchmarkShared(b *testing.B) {
	const traces = 200_000
	m := twoHomes(0, traces)
	begin := func() *State {
		s, err := Restore(&blocks.Snapshot{Seq: 1, Epoch: &blocks.Epoch{Id: "e"}, Coverage: []*blocks.Coverage{{}},
			SharedTraces: []*blocks.SharedTraces{m}})
		require.NoError(b, err)
		return s
	}
	b.Run("restore", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			begin()
		}
		b.ReportMetric(float64(proto.Size(m))/traces, "message-B/trace")
		b.ReportMetric(heldBytes(func() any { return begin().View() })/traces, "held-B/trace")
	})
	b.Run("publish 100 times 1000", func(b *testing.B) {
		base := begin()
		var cuts []*blocks.Entry
		for n := range 100 {
			cuts = append(cuts, &blocks.Entry{CutPublished: &blocks.PublishCut{Epoch: "e", From: int64(n), To: int64(n + 1),
				SharedTraces: []*blocks.SharedTraces{twoHomes(n+1, 1000)}}})
		}
		b.ReportAllocs()
		for b.Loop() {
			s := base
			for _, e := range cuts {
				var err error
				s, err = s.With(s.View().Version+1, e)
				require.NoError(b, err)
			}
		}
	})
	b.Run("find", func(b *testing.B) {
		s := begin().View().Shared("t")
		ids := m.GetGroups()[0].GetTraceIds()
		n := 0
		for b.Loop() {
			if _, ok := s.Find(trace.ID(ids[n*16:])); !ok {
				b.Fatal("not found")
			}
			n = (n + 7919) % (len(ids) / 16)
		}
	})
	b.Run("all", func(b *testing.B) {
		s := begin().View().Shared("t")
		for b.Loop() {
			require.Equal(b, traces, count(s.All()))
		}
	})
}

// heldBytes returns how much memory what make returns takes.
func heldBytes(make func() any) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := make()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(x)
	return float64(after.HeapAlloc) - float64(before.HeapAlloc)
}
