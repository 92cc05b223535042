package backendscheduler

import (
	"fmt"
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
	require.Nil(t, l.acceptCut(question{msg: next}, next))
	refusal := l.replyDurable(l.queue.waiters[0]).(*blocks.PublishCutReply)
	require.Contains(t, refusal.GetReason(), "does not know block lost")
	require.True(t, refusal.GetStaleView())
	next.SharedTraces = nil
	require.Nil(t, l.acceptCut(question{}, next))

	require.EqualValues(t, 1, l.version(), "nothing is durable yet")
	b := l.beginCommit(time.Unix(1, 0))
	require.Len(t, b.commit.Entries, 2)
	again := cut(3, "l")
	again.ViewVersion = 2
	require.Nil(t, l.acceptCut(question{}, again), "while the commit is written")
	l.endCommit()
	require.EqualValues(t, 2, l.version())
	require.Equal(t, 2, l.view().Count())
	require.NoError(t, c.Apply(b.commit), "as whoever loads it does")
	require.Equal(t, c.View().Blocks("t", 0, 1), l.view().Blocks("t", 0, 1))
	require.Len(t, l.beginCommit(time.Unix(2, 0)).commit.Entries, 1)
}

// C13: the catalog at hand lags behind the answer to a builder's last cut, so the next cut is built
// without a look into that block. It is refused, and the answer names the version to look in; so
// does the answer to a cut that is accepted.
func TestC13CutThatHasNotSeenItsOwnLastBlock(t *testing.T) {
	c := catalog.New()
	require.NoError(t, c.Apply(&blocks.Commit{Seq: 1, Entries: []*blocks.Entry{{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0, 0}}}}}))
	l := newLedger(1000, c, 0)
	publish := func(p int32, at int64, view uint64) *blocks.PublishCutReply {
		m := &blocks.PublishCut{Epoch: "e", Partition: p, From: at, To: at + 1, ViewVersion: view,
			Blocks: []*blocks.BlockMeta{{Id: fmt.Sprint(p, at), Tenant: "t", Parts: []int32{2}}}}
		q := question{msg: m}
		if r := l.acceptCut(q, m); r != nil {
			return r
		}
		for l.beginCommit(time.Unix(1, 0)) != nil {
			q = l.endCommit().waiters[0]
		}
		return l.replyDurable(q).(*blocks.PublishCutReply)
	}
	first := publish(0, 0, 1)
	require.True(t, first.GetAccepted())
	require.EqualValues(t, 2, first.GetVersion())
	require.True(t, publish(1, 0, 1).GetAccepted(), "another partition of the same count has no part of its traces")

	late := publish(0, 1, 1)
	require.False(t, late.GetAccepted())
	require.True(t, late.GetStaleView())
	require.EqualValues(t, 3, late.GetVersion())
	require.EqualValues(t, 1, late.GetCovered())
	require.True(t, publish(0, 1, 2).GetAccepted())

	// C39: what is not durable yet was missed. The refusal comes when a view can have it.
	one := &blocks.PublishCut{Epoch: "e", From: 2, To: 3, ViewVersion: 4, Blocks: []*blocks.BlockMeta{{Id: "one", Tenant: "t", Parts: []int32{2}}}}
	two := &blocks.PublishCut{Epoch: "e", Partition: 1, From: 1, To: 2, ViewVersion: 4, Blocks: []*blocks.BlockMeta{{Id: "two", Tenant: "t", Parts: []int32{1, 2}}}}
	require.Nil(t, l.acceptCut(question{msg: one}, one))
	require.Nil(t, l.acceptCut(question{msg: two}, two))
	require.Len(t, l.beginCommit(time.Unix(2, 0)).commit.Entries, 1)
	waiting := l.endCommit().waiters
	require.Len(t, waiting, 2)
	require.True(t, l.replyDurable(waiting[0]).(*blocks.PublishCutReply).GetAccepted())
	refusal := l.replyDurable(waiting[1]).(*blocks.PublishCutReply)
	require.True(t, refusal.GetStaleView())
	require.EqualValues(t, 5, refusal.GetVersion())
}
