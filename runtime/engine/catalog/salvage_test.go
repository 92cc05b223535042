package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

func encoded(t *testing.T, m proto.Message) []byte {
	b, err := proto.Marshal(m)
	require.NoError(t, err)
	return b
}

// What only the journal knows is taken over from what is left of it, once.
func TestSalvage(t *testing.T) {
	retired := &blocks.Retired{Block: &blocks.BlockMeta{Id: "r1", Tenant: "a"}}
	snapshot := encoded(t, &blocks.Snapshot{Seq: 4, Epoch: &blocks.Epoch{Id: "e"}, PastEpochs: []string{"d"}, Gaps: []*blocks.Gap{{Epoch: "d", To: 5}},
		Blocks: []*blocks.BlockMeta{{Id: "b1", Tenant: "a", From: 1, To: 2}}, Retired: []*blocks.Retired{retired}, Coverage: []*blocks.Coverage{{Covered: 9}}})
	older := encoded(t, &blocks.Commit{Seq: 3, Entries: []*blocks.Entry{{Gap: &blocks.Gap{Epoch: "d", To: 5}}}})
	aside := &blocks.SetAside{Epoch: "e", From: 3, To: 4, Records: 1}
	newer := encoded(t, &blocks.Commit{Seq: 6, Entries: []*blocks.Entry{{CutPublished: &blocks.PublishCut{SetAside: []*blocks.SetAside{aside}}}, {Gap: &blocks.Gap{Epoch: "e", To: 7}}, {Epoch: &blocks.Epoch{Id: "f"}},
		{BlocksRetired: &blocks.BlocksRetired{Tenant: "a", Blocks: []string{"b1", "unknown"}, AtUnixNano: 3}}}})
	got := Salvage(snapshot, [][]byte{older, []byte("damaged"), newer})
	want := &blocks.Snapshot{SetAside: []*blocks.SetAside{aside}, PastEpochs: []string{"d", "e", "f"}, Gaps: []*blocks.Gap{{Epoch: "d", To: 5}, {Epoch: "e", To: 7}}, Retired: []*blocks.Retired{retired,
		{Block: &blocks.BlockMeta{Id: "b1", Tenant: "a", From: 1, To: 2}, AtUnixNano: 3}, {Block: &blocks.BlockMeta{Id: "unknown", Tenant: "a"}, AtUnixNano: 3}}}
	require.True(t, proto.Equal(want, got), "%v", got)
	require.True(t, proto.Equal(&blocks.Snapshot{}, Salvage(nil, nil)))
	require.True(t, proto.Equal(&blocks.Snapshot{}, Salvage([]byte("damaged"), nil)))
}

// The ranges below the start of a log that no block and no gap has are lost, with the times between
// which they arrived; those of a log that nothing is known of are all lost.
func TestLostBefore(t *testing.T) {
	l := Log{Identity: "e", Partitions: []Partition{{Start: 50, End: 60, Arrival: 500}, {Start: 0, End: 10}, {Start: 7, End: 7}}}
	show := func(s *State) (out [][5]int64) {
		entries := s.Reconcile(l, 1000)
		require.Equal(t, []int64{50, 0, 7}, entries[0].GetEpoch().GetStarts())
		require.NoError(t, s.Apply(&blocks.Commit{Seq: s.View().Version + 1, Entries: entries}))
		require.Equal(t, map[int32]int64{0: 50, 1: 0, 2: 7}, s.View().Covered)
		for _, e := range entries[1:] {
			g := e.GetGap()
			out = append(out, [5]int64{int64(g.GetPartition()), g.GetFrom(), g.GetTo(), g.GetMinArrivalUnixNano(), g.GetMaxArrivalUnixNano()})
		}
		require.Empty(t, s.Reconcile(l, 1000), "once")
		return out
	}
	require.Equal(t, [][5]int64{{0, 0, 50, 0, 500}, {2, 0, 7, 0, 1000}}, show(New()))
	block := func(id, epoch string, partition int32, from, to int64) *blocks.BlockMeta {
		return &blocks.BlockMeta{Id: id, Tenant: "a", Epoch: epoch, Partition: partition, From: from, To: to, MinArrivalUnixNano: from * 10, MaxArrivalUnixNano: to*10 - 1}
	}
	s, err := Restore(&blocks.Snapshot{Seq: 1, Blocks: []*blocks.BlockMeta{block("1", "e", 0, 5, 20), block("2", "e.2", 0, 15, 30), block("3", "e", 0, 45, 55),
		block("4", "other", 0, 30, 45), block("5", "e", 2, 0, 7), block("6", "e", 0, 10, 12)}, Gaps: []*blocks.Gap{{Epoch: "e", From: 30, To: 33, MaxArrivalUnixNano: 333}}})
	require.NoError(t, err)
	require.Equal(t, [][5]int64{{0, 0, 5, 0, 50}, {0, 33, 45, 333, 450}}, show(s))
}
