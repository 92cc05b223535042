package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// course is a catalog of tenant t that is led through some course of events.
type course struct {
	*State
	t *testing.T
}

// newCourse begins with blocks.
func newCourse(t *testing.T, ids ...string) course {
	c := course{New(), t}
	c.enter(&blocks.Entry{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}})
	for _, id := range ids {
		c.enter(&blocks.Entry{CutPublished: c.cut(id)})
	}
	return c
}

func (c course) enter(e ...*blocks.Entry) {
	c.t.Helper()
	require.NoError(c.t, c.Apply(&blocks.Commit{Seq: c.View().Version + 1, Entries: e}))
}

// cut is a block, and homes of traces of it: 1 of the first list, 2 of the second, and so on.
func (c course) cut(id string, homes ...[]string) *blocks.PublishCut {
	at, _ := c.Covered(0)
	m := &blocks.PublishCut{Epoch: "e", From: at, To: at + 1, Blocks: []*blocks.BlockMeta{{Id: id, Tenant: "t"}}}
	var list SharedList
	for i, l := range homes {
		list.Add(Extent{ID: trace.ID{byte(i + 1)}, Disjoint: true}, append([]string{id}, l...))
	}
	if l := list.Message("t"); l != nil {
		m.SharedTraces = append(m.SharedTraces, l)
	}
	return m
}

func replaced(output string, inputs ...string) *blocks.Entry {
	return &blocks.Entry{BlocksReplaced: &blocks.BlocksReplaced{Tenant: "t", Inputs: inputs,
		Outputs: []*blocks.BlockMeta{{Id: output, Tenant: "t"}}}}
}

func (c course) homes(n byte) []string { return c.View().Shared("t").HomesOf(trace.ID{n}) }

// C2: a merge has looked at the catalog before a cut named a trace that an input shares with it.
// The output is a home all the same.
func TestC2HomesOfInputsPassToTheOutput(t *testing.T) {
	c := newCourse(t, "i", "j")
	c.enter(&blocks.Entry{CutPublished: c.cut("cut", []string{"i"})})
	c.enter(replaced("o", "i", "j"))
	require.ElementsMatch(t, []string{"cut", "i", "o"}, c.homes(1))
	x, ok := c.View().Shared("t").Find(trace.ID{1})
	require.True(t, ok && x.Disjoint, "the output holds what the input held")
	require.NotZero(t, c.View().PrintsOf("t", "o"))
}

// C3: a cut names a home that was replaced before it is published, twice even. The successors are
// homes. A home that nobody knows any more refuses the cut.
func TestC3SuccessorsAreHomes(t *testing.T) {
	c := newCourse(t, "i", "j")
	late := []string{"i"}
	c.enter(replaced("o", "i"))
	c.enter(replaced("p", "o", "j"))
	cut := c.cut("cut", late)
	require.NoError(t, c.CheckHomes(cut))
	c.enter(&blocks.Entry{CutPublished: cut})
	require.ElementsMatch(t, []string{"cut", "i", "o", "p"}, c.homes(1))

	c.enter(&blocks.Entry{Forgotten: &blocks.Forgotten{Blocks: []string{"o"}}})
	require.Error(t, c.CheckHomes(c.cut("next", late)), "what has replaced it is forgotten")
	require.NoError(t, c.CheckHomes(c.cut("next", []string{"p", "j"})))
	c.enter(&blocks.Entry{Forgotten: &blocks.Forgotten{Blocks: []string{"i", "j"}}})
	require.Error(t, c.CheckHomes(c.cut("next", late)))
	require.ElementsMatch(t, []string{"cut", "p"}, c.homes(1))
}

// C4: a query planned before a merge reads its inputs, and its querier has the version after it. A
// trace of both inputs is still shared, until the inputs are forgotten.
func TestC4RetiredBlocksStayHomes(t *testing.T) {
	c := newCourse(t, "i")
	c.enter(&blocks.Entry{CutPublished: c.cut("j", []string{"i"})})
	before := c.View()
	c.enter(replaced("o", "i", "j"))
	for _, block := range []string{"i", "j"} {
		require.Equal(t, before.PrintsOf("t", block), c.View().PrintsOf("t", block), block)
	}
	c.enter(&blocks.Entry{Forgotten: &blocks.Forgotten{Blocks: []string{"i"}}})
	require.ElementsMatch(t, []string{"j", "o"}, c.homes(1))
	c.enter(&blocks.Entry{Forgotten: &blocks.Forgotten{Blocks: []string{"j"}}})
	require.Nil(t, c.homes(1))
	require.Zero(t, c.View().Shared("t").Len())
	require.Zero(t, c.View().PrintsOf("t", "o"))
}

// A cut that was compared with fewer blocks than the trace has proves nothing of the others.
func TestHomesThatWereNotComparedProveNothing(t *testing.T) {
	c := newCourse(t, "i", "j")
	c.enter(&blocks.Entry{CutPublished: c.cut("k", []string{"i", "j"})})
	c.enter(&blocks.Entry{CutPublished: c.cut("l", []string{"i", "k"})})
	x, ok := c.View().Shared("t").Find(trace.ID{1})
	require.True(t, ok)
	require.False(t, x.Disjoint, "l may repeat a span of j")
	require.ElementsMatch(t, []string{"i", "j", "k", "l"}, c.homes(1))
}

// C37: two entries retire one block. Each is right alone; together they are not applied, and the
// state stays as it is.
func TestC37EntriesAreAppliedToACopy(t *testing.T) {
	c := newCourse(t, "i", "j", "k")
	c.enter(&blocks.Entry{CutPublished: c.cut("l", []string{"i", "j"})})
	one, two := replaced("o", "i", "j"), replaced("p", "j", "k")
	version, view := c.View().Version, c.View()
	for _, e := range []*blocks.Entry{one, two} {
		next, err := c.With(version+1, e)
		require.NoError(t, err)
		require.Len(t, next.View().Shared("t").HomesOf(trace.ID{1}), 4)
	}
	_, err := c.With(version+1, one, two)
	require.ErrorIs(t, err, ErrCorrupt)
	require.ErrorIs(t, c.Apply(&blocks.Commit{Seq: version + 1, Entries: []*blocks.Entry{one, two}}), ErrCorrupt)
	require.Same(t, view, c.View())
	require.Empty(t, c.Retired())
	require.Len(t, c.homes(1), 3)
	c.enter(one)
}

// Records are routed by all partitions that an epoch begins with, and by those that come later only
// when an entry says so. It never says less, or more than there are.
func TestRouted(t *testing.T) {
	c := New()
	enter := func(e *blocks.Entry) error {
		return c.Apply(&blocks.Commit{Seq: c.View().Version + 1, Entries: []*blocks.Entry{e}})
	}
	epoch := func(id string, partitions int) *blocks.Entry {
		return &blocks.Entry{Epoch: &blocks.Epoch{Id: id, Starts: make([]int64, partitions)}}
	}
	routed := func(epoch string, parts int32) *blocks.Entry {
		return &blocks.Entry{Routed: &blocks.Routed{Epoch: epoch, Parts: parts}}
	}
	require.ErrorIs(t, enter(routed("e", 1)), ErrCorrupt, "before the first epoch")
	require.NoError(t, enter(epoch("e", 2)))
	require.EqualValues(t, 2, c.View().Routed)
	require.ErrorIs(t, enter(routed("e", 3)), ErrCorrupt, "there are two")
	require.NoError(t, enter(epoch("e", 5)))
	require.EqualValues(t, 2, c.View().Routed, "the new ones have no owner yet")
	require.ErrorIs(t, enter(routed("d", 5)), ErrCorrupt, "another epoch")
	require.NoError(t, enter(routed("e", 4)))
	for _, parts := range []int32{3, 4, 6, -1} {
		require.ErrorIs(t, enter(routed("e", parts)), ErrCorrupt)
	}
	again, err := Restore(c.Snapshot())
	require.NoError(t, err)
	require.EqualValues(t, 4, again.View().Routed)
	old := c.Snapshot()
	old.Routed = 0
	again, err = Restore(old)
	require.NoError(t, err)
	require.EqualValues(t, 5, again.View().Routed, "older versions route by all")
	require.NoError(t, enter(epoch("f", 3)))
	require.EqualValues(t, 3, c.View().Routed)
}
