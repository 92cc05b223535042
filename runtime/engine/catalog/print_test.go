package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// Equal prints of a block stand for equal sets of shared traces, through publication, replacement
// and a snapshot.
func TestSharedPrint(t *testing.T) {
	s := New()
	seq := uint64(0)
	apply := func(e *blocks.Entry) *View {
		seq++
		require.NoError(t, s.Apply(&blocks.Commit{Seq: seq, Entries: []*blocks.Entry{e}}))
		return s.View()
	}
	cut := func(from int64, id string, shared ...*blocks.SharedTrace) *blocks.Entry {
		return &blocks.Entry{CutPublished: &blocks.PublishCut{Epoch: "e", From: from, To: from + 10, Shared: shared,
			Blocks: []*blocks.BlockMeta{{Id: id, Tenant: "t", Epoch: "e", From: from, To: from + 10}}}}
	}
	tr := func(n byte, homes ...string) *blocks.SharedTrace {
		return &blocks.SharedTrace{Tenant: "t", TraceId: append(make([]byte, 15), n), Homes: homes}
	}
	print := func(block string) uint64 { return s.View().PrintsOf("t", block).Shared }
	apply(&blocks.Entry{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}})

	apply(cut(0, "a"))
	require.Zero(t, print("a"))
	apply(cut(10, "b", tr(1, "a", "b")))
	one := print("a")
	require.NotZero(t, one)
	require.Equal(t, one, print("b"))
	apply(cut(20, "c", tr(1, "a", "b", "c"), tr(2, "a", "c")))
	require.Equal(t, one, print("b"), "b holds no more shared traces than before")
	both := print("a")
	require.NotEqual(t, one, both)
	require.Equal(t, both, print("c"))

	again, err := Restore(proto.Clone(s.Snapshot()).(*blocks.Snapshot))
	require.NoError(t, err)
	require.Equal(t, both, again.View().PrintsOf("t", "a").Shared)

	old := s.View()
	apply(&blocks.Entry{BlocksReplaced: &blocks.BlocksReplaced{Tenant: "t", Inputs: []string{"b", "c"},
		Outputs: []*blocks.BlockMeta{{Id: "d", Tenant: "t", Epoch: "e"}}, Shared: []*blocks.SharedTrace{tr(1, "a", "d"), tr(2, "a", "d")}}})
	require.Equal(t, both, print("a"))
	require.Equal(t, both, print("d"))
	require.Equal(t, both, old.PrintsOf("t", "c").Shared, "a view does not change")
	apply(&blocks.Entry{BlocksRetired: &blocks.BlocksRetired{Tenant: "t", Blocks: []string{"a"}}})
	require.Equal(t, both, print("d"), "a retired block is still a home")
	apply(&blocks.Entry{Forgotten: &blocks.Forgotten{Blocks: []string{"a", "b", "c"}}})
	require.Zero(t, print("d"), "what one block is left with is not shared")
	apply(cut(30, "f", tr(1, "d", "f")))
	require.Equal(t, one, print("d"), "shared again")
	require.Equal(t, one, print("f"))
}

// A disjoint trace is in the print of the shared traces only, until a further home may repeat a
// span of it; then it is repeating in all of its blocks.
func TestRepeatingPrint(t *testing.T) {
	s := New()
	require.NoError(t, s.Apply(&blocks.Commit{Seq: 1, Entries: []*blocks.Entry{{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}}}}))
	publish := func(from int64, id string, disjoint bool, homes ...string) {
		cut := &blocks.PublishCut{Epoch: "e", From: from, To: from + 10, Blocks: []*blocks.BlockMeta{{Id: id, Tenant: "t"}}}
		if len(homes) > 0 {
			x := &blocks.SharedTrace{Tenant: "t", TraceId: make([]byte, 16), Homes: homes, Disjoint: disjoint}
			cut.Shared = append(cut.Shared, x)
		}
		entries := []*blocks.Entry{{CutPublished: cut}}
		require.NoError(t, s.Apply(&blocks.Commit{Seq: s.View().Version + 1, Entries: entries}))
	}
	publish(0, "a", false)
	publish(10, "b", true, "b", "a")
	require.Zero(t, s.View().PrintsOf("t", "a").Repeating)
	require.NotZero(t, s.View().PrintsOf("t", "a").Shared)

	publish(20, "c", false, "c", "b", "a")
	for _, block := range []string{"a", "b", "c"} {
		p := s.View().PrintsOf("t", block)
		require.NotZero(t, p.Repeating, block)
	}
	again, err := Restore(proto.Clone(s.Snapshot()).(*blocks.Snapshot))
	require.NoError(t, err)
	require.Equal(t, s.View().PrintsOf("t", "b"), again.View().PrintsOf("t", "b"))

	publish(30, "d", true, "d", "a")
	require.NotZero(t, s.View().PrintsOf("t", "d").Repeating, "what may repeat among some homes may repeat among all")
}

// The print of the shared traces changes when one of them is found to start earlier: scans go by
// where they start. Who counts spans does not, so that the print of the repeating ones stays.
func TestPrintsCoverStarts(t *testing.T) {
	s := New()
	require.NoError(t, s.Apply(&blocks.Commit{Seq: 1, Entries: []*blocks.Entry{{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}}}}))
	publish := func(from int64, id string, start uint64, homes ...string) Prints {
		cut := &blocks.PublishCut{Epoch: "e", From: from, To: from + 10, Blocks: []*blocks.BlockMeta{{Id: id, Tenant: "t"}}}
		x := &blocks.SharedTrace{Tenant: "t", TraceId: make([]byte, 16), Homes: homes, StartUnixNano: start}
		cut.Shared = append(cut.Shared, x)
		require.NoError(t, s.Apply(&blocks.Commit{Seq: s.View().Version + 1, Entries: []*blocks.Entry{{CutPublished: cut}}}))
		return s.View().PrintsOf("t", "a")
	}
	first := publish(0, "a", 50, "a", "x")
	later := publish(10, "b", 70, "b", "a")
	require.Equal(t, first, later)
	earlier := publish(20, "c", 30, "c", "a")
	require.NotEqual(t, first.Shared, earlier.Shared)
	require.Equal(t, first.Repeating, earlier.Repeating)
}
