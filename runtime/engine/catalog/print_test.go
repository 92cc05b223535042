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
	print := func(block string) uint64 { return s.View().SharedPrint("t", block) }
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
	require.Equal(t, both, again.View().SharedPrint("t", "a"))

	old := s.View()
	apply(&blocks.Entry{BlocksReplaced: &blocks.BlocksReplaced{Tenant: "t", Inputs: []string{"b", "c"},
		Outputs: []*blocks.BlockMeta{{Id: "d", Tenant: "t", Epoch: "e"}}, Shared: []*blocks.SharedTrace{tr(1, "a", "d"), tr(2, "a", "d")}}})
	require.Equal(t, both, print("a"))
	require.Equal(t, both, print("d"))
	require.Equal(t, both, old.SharedPrint("t", "c"), "a view does not change")
	apply(&blocks.Entry{BlocksRetired: &blocks.BlocksRetired{Tenant: "t", Blocks: []string{"a"}}})
	require.Zero(t, print("d"), "what one block is left with is not shared")
	apply(cut(30, "f", tr(1, "d", "f")))
	require.Equal(t, one, print("d"), "shared again")
	require.Equal(t, one, print("f"))
}
