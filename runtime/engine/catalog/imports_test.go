package catalog_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

func importOf(id string, from, to int64) *blocks.Entry {
	return &blocks.Entry{BlocksImported: &blocks.BlocksImported{Tenant: "shop", Blocks: []*blocks.BlockMeta{{
		Id: id, Tenant: "shop", Epoch: catalog.ImportEpoch("old"), Parts: []int32{1}, From: from, To: to,
	}}}}
}

// Imported blocks are live without a log; a range is imported once, also when its block was merged
// or is retired; a log that comes later begins its first epoch.
func TestImportedBlocks(t *testing.T) {
	s, err := catalog.New().With(1, importOf("a", 0, 10), importOf("b", 10, 20))
	require.NoError(t, err)
	require.Equal(t, 2, s.View().Count())
	_, err = s.With(2, importOf("c", 9, 11))
	require.ErrorIs(t, err, catalog.ErrCorrupt)

	entries := s.Reconcile(catalog.Log{Identity: "log", Partitions: []catalog.Partition{{}}}, 0)
	require.Len(t, entries, 1)
	require.Equal(t, catalog.FirstLog, entries[0].GetEpoch().GetReason())
	s, err = s.With(2, entries...)
	require.NoError(t, err)

	merged := &blocks.BlockMeta{Id: "m", Tenant: "shop", Level: 1, Epoch: catalog.ImportEpoch("old"), From: 0, To: 20}
	s, err = s.With(3, &blocks.Entry{BlocksReplaced: &blocks.BlocksReplaced{
		Tenant: "shop", Inputs: []string{"a", "b"}, Outputs: []*blocks.BlockMeta{merged},
	}}, &blocks.Entry{Forgotten: &blocks.Forgotten{Blocks: []string{"a", "b"}}})
	require.NoError(t, err)
	_, err = s.With(4, importOf("c", 0, 5))
	require.ErrorIs(t, err, catalog.ErrCorrupt)
	s, err = s.With(4, importOf("c", 20, 25))
	require.NoError(t, err)
	require.Len(t, s.Imported("shop")[catalog.ImportEpoch("old")], 2)

	of := importOf("d", 30, 40)
	of.BlocksImported.Blocks[0].Epoch = "log"
	_, err = s.With(5, of)
	require.ErrorIs(t, err, catalog.ErrCorrupt)
}

// An imported block that shares traces with a block that is replaced meanwhile shares them with
// what has replaced it; and a snapshot keeps that.
func TestImportedHomes(t *testing.T) {
	s, err := catalog.New().With(1, importOf("a", 0, 10))
	require.NoError(t, err)
	merged := &blocks.BlockMeta{Id: "m", Tenant: "shop", Level: 1, Epoch: catalog.ImportEpoch("old"), From: 0, To: 10}
	s, err = s.With(2, &blocks.Entry{BlocksReplaced: &blocks.BlocksReplaced{
		Tenant: "shop", Inputs: []string{"a"}, Outputs: []*blocks.BlockMeta{merged},
	}})
	require.NoError(t, err)
	var list catalog.SharedList
	list.Add(catalog.Extent{ID: trace.ID{1}, Start: 1, End: 2}, []string{"a", "b"})
	entry := importOf("b", 10, 20)
	entry.BlocksImported.SharedTraces = list.Message("shop")
	s, err = s.With(3, entry)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a", "b", "m"}, s.View().Shared("shop").HomesOf(trace.ID{1}))
	again, err := catalog.Restore(proto.Clone(s.Snapshot()).(*blocks.Snapshot))
	require.NoError(t, err)
	require.ElementsMatch(t, []string{"a", "b", "m"}, again.View().Shared("shop").HomesOf(trace.ID{1}))
}
