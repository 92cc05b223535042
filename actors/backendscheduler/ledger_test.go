package backendscheduler

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// C37: of two entries that retire one block the second is not written: together they could not be
// applied, and no node could load the catalog again. A cut that names a home which nobody knows is
// not written either.
func TestC37WhatDoesNotApplyIsNotWritten(t *testing.T) {
	c := catalog.New()
	cut := func(at int64, id string) *blocks.PublishCut {
		return &blocks.PublishCut{Epoch: "e", From: at, To: at + 1, Blocks: []*blocks.BlockMeta{{Id: id, Tenant: "t", Parts: []int32{1}}}}
	}
	require.NoError(t, c.Apply(&blocks.Commit{Seq: 1, Entries: []*blocks.Entry{
		{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}}, {CutPublished: cut(0, "i")}, {CutPublished: cut(1, "j")}}}))
	l := newLedger(1000, c, 0)
	merge := func(output string) *blocks.Entry {
		return &blocks.Entry{BlocksReplaced: &blocks.BlocksReplaced{Tenant: "t", Inputs: []string{"i", "j"},
			Outputs: []*blocks.BlockMeta{{Id: output, Tenant: "t"}}}}
	}
	require.NoError(t, l.enqueueEntry(merge("o")))
	require.ErrorIs(t, l.enqueueEntry(merge("p")), catalog.ErrCorrupt)

	next := cut(2, "k")
	next.ViewVersion = 1
	var list catalog.SharedList
	list.Add(catalog.Extent{ID: trace.ID{1}}, []string{"k", "lost"})
	next.SharedTraces = append(next.SharedTraces, list.Message("t"))
	require.Contains(t, l.acceptCut(question{}, next).GetReason(), "does not know block lost")
	next.SharedTraces = nil
	require.Nil(t, l.acceptCut(question{}, next))

	require.EqualValues(t, 1, l.version(), "nothing is durable yet")
	b := l.beginCommit(time.Unix(1, 0))
	require.Len(t, b.commit.Entries, 2)
	again := cut(3, "l")
	again.ViewVersion = 1
	require.Nil(t, l.acceptCut(question{}, again), "while the commit is written")
	l.endCommit()
	require.EqualValues(t, 2, l.version())
	require.Equal(t, 2, l.view().Count())
	require.NoError(t, c.Apply(b.commit), "as whoever loads it does")
	require.Equal(t, c.View().Blocks("t", 0, 1), l.view().Blocks("t", 0, 1))
	require.Len(t, l.beginCommit(time.Unix(2, 0)).commit.Entries, 1)
}
