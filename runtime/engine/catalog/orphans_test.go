package catalog

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
)

// orphaned is a catalog in its second epoch, with one live block and one that was replaced.
func orphaned(t *testing.T) *State {
	s := New()
	for i, e := range []*blocks.Entry{
		{Epoch: &blocks.Epoch{Id: "one", Log: "log", Starts: []int64{0}}},
		{CutPublished: &blocks.PublishCut{Epoch: "one", To: 10, Blocks: []*blocks.BlockMeta{{Id: "old", Tenant: "a", Epoch: "one", To: 10}}}},
		{Epoch: &blocks.Epoch{Id: "two", Log: "other", Starts: []int64{0, 0}}},
		{CutPublished: &blocks.PublishCut{Epoch: "two", To: 20, Blocks: []*blocks.BlockMeta{{Id: "live", Tenant: "a", Epoch: "two", To: 20}}}},
		{BlocksReplaced: &blocks.BlocksReplaced{Tenant: "a", Inputs: []string{"old"}, Outputs: []*blocks.BlockMeta{{Id: "merged", Tenant: "a", Epoch: "two", Level: 1, Partition: -1}}}},
	} {
		require.NoError(t, s.Apply(&blocks.Commit{Seq: uint64(i + 1), Entries: []*blocks.Entry{e}}))
	}
	return s
}

// Dead is only what can never be listed: not what is or was, what may yet be published, what comes
// from an epoch nobody has heard of, and what merges wrote.
func TestOrphans(t *testing.T) {
	o := orphaned(t).Orphans()
	for _, id := range []string{"live", "old", "merged"} {
		require.True(t, o.Known(id), id)
	}
	for _, c := range []struct {
		why  string
		m    *blocks.BlockMeta
		dead bool
	}{
		{"live", &blocks.BlockMeta{Id: "live", Epoch: "two", To: 20}, false},
		{"replaced, its objects may still be read", &blocks.BlockMeta{Id: "old", Epoch: "one", To: 10}, false},
		{"another builder's, of what is covered", &blocks.BlockMeta{Id: "x", Epoch: "two", From: 0, To: 15}, true},
		{"begins below the covered offset and ends above", &blocks.BlockMeta{Id: "x", Epoch: "two", From: 19, To: 40}, true},
		{"begins at the covered offset", &blocks.BlockMeta{Id: "x", Epoch: "two", From: 20, To: 40}, false},
		{"of the other partition, where nothing is covered", &blocks.BlockMeta{Id: "x", Epoch: "two", Partition: 1, From: 0, To: 5}, false},
		{"of a partition nobody knows yet", &blocks.BlockMeta{Id: "x", Epoch: "two", Partition: 2, From: 0, To: 5}, false},
		{"of an epoch that is over", &blocks.BlockMeta{Id: "x", Epoch: "one", From: 10, To: 15}, true},
		{"of an epoch that a newer catalog may know", &blocks.BlockMeta{Id: "x", Epoch: "three", From: 0, To: 5}, false},
		{"of another program, without an epoch", &blocks.BlockMeta{Id: "x", From: 0, To: 5}, false},
		{"written by a merge", &blocks.BlockMeta{Id: "x", Epoch: "two", Level: 1, From: 0, To: 5}, false},
		{"merged over partitions", &blocks.BlockMeta{Id: "x", Epoch: "two", Partition: -1, From: 0, To: 5}, false},
	} {
		require.Equal(t, c.dead, o.Dead(c.m), c.why)
	}
}

// C26: the sweep takes its picture, and then lists the bucket. A lease that began meanwhile is not
// in the picture, and its blocks are left alone; those of leases that are closed are dead.
func TestC26LeasesAboveThePicture(t *testing.T) {
	s := New()
	enter := func(e *blocks.Entry) {
		require.NoError(t, s.Apply(&blocks.Commit{Seq: s.View().Version + 1, Entries: []*blocks.Entry{e}}))
	}
	enter(&blocks.Entry{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}})
	enter(&blocks.Entry{CutPublished: &blocks.PublishCut{Epoch: "e", To: 2, Blocks: []*blocks.BlockMeta{{Id: "i", Tenant: "a"}, {Id: "j", Tenant: "a"}}}})
	lease := func(chance, input string) *blocks.JobLeased {
		return &blocks.JobLeased{Lease: LeaseName(s.View().Version+1, chance), Tenant: "a", Inputs: []string{input}}
	}
	closed, open := lease("x", "i"), (*blocks.JobLeased)(nil)
	enter(&blocks.Entry{JobLeased: closed})
	enter(&blocks.Entry{JobClosed: &blocks.JobClosed{Lease: closed.GetLease()}})
	open = lease("y", "i")
	enter(&blocks.Entry{JobLeased: open})
	picture, later := s.Orphans(), lease("z", "j")
	enter(&blocks.Entry{JobLeased: later})
	made := func(l *blocks.JobLeased) *blocks.BlockMeta {
		return &blocks.BlockMeta{Id: "made", Tenant: "a", Level: 1, Lease: l.GetLease()}
	}
	require.True(t, picture.Dead(made(closed)))
	require.False(t, picture.Dead(made(open)))
	require.False(t, picture.Dead(made(later)))
	require.False(t, s.Orphans().Dead(made(later)))
	enter(&blocks.Entry{JobClosed: &blocks.JobClosed{Lease: later.GetLease()}})
	require.False(t, picture.Dead(made(later)), "the picture does not know")
	require.True(t, s.Orphans().Dead(made(later)))
}

// Of the inputs of a merge that has failed, those that the entry names are not merged any more.
// Older entries name none, and mean all.
func TestUnmergedInputs(t *testing.T) {
	s := New()
	enter := func(e *blocks.Entry) error {
		return s.Apply(&blocks.Commit{Seq: s.View().Version + 1, Entries: []*blocks.Entry{e}})
	}
	require.NoError(t, enter(&blocks.Entry{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}}))
	require.NoError(t, enter(&blocks.Entry{CutPublished: &blocks.PublishCut{Epoch: "e", To: 2, Blocks: []*blocks.BlockMeta{{Id: "i", Tenant: "a"}, {Id: "j", Tenant: "a"}}}}))
	name := LeaseName(3, "x")
	require.NoError(t, enter(&blocks.Entry{JobLeased: &blocks.JobLeased{Lease: name, Tenant: "a", Inputs: []string{"i", "j"}}}))
	fail := func(m *blocks.JobClosed) error {
		m.Lease, m.Reason = name, "damaged"
		return enter(&blocks.Entry{JobClosed: m})
	}
	require.ErrorIs(t, fail(&blocks.JobClosed{SetAside: true, Unmerged: []string{"k"}}), ErrCorrupt)
	require.ErrorIs(t, fail(&blocks.JobClosed{Unmerged: []string{"i"}}), ErrCorrupt)
	require.NoError(t, fail(&blocks.JobClosed{SetAside: true, Unmerged: []string{"j"}}))
	require.Equal(t, map[string]string{"j": "damaged"}, s.Unmerged())
	name = LeaseName(5, "y")
	require.NoError(t, enter(&blocks.Entry{JobLeased: &blocks.JobLeased{Lease: name, Tenant: "a", Inputs: []string{"i"}}}))
	require.NoError(t, fail(&blocks.JobClosed{SetAside: true}))
	require.Len(t, s.Unmerged(), 2)
}

// A cut whose blocks cannot be listed is not applied. If it were written, no catalog could be
// loaded.
func TestCutWithoutName(t *testing.T) {
	s := orphaned(t)
	cut := func(list ...*blocks.BlockMeta) *blocks.PublishCut {
		return &blocks.PublishCut{Epoch: "two", From: 20, To: 30, Blocks: list}
	}
	with := func(m *blocks.PublishCut) error {
		_, err := s.With(6, &blocks.Entry{CutPublished: m})
		return err
	}
	require.NoError(t, with(cut()))
	require.NoError(t, with(cut(&blocks.BlockMeta{Id: "x", Tenant: "a"}, &blocks.BlockMeta{Id: "y", Tenant: "b"})))
	for _, m := range []*blocks.PublishCut{
		cut(&blocks.BlockMeta{Tenant: "a"}), cut(&blocks.BlockMeta{Id: "x"}), cut(&blocks.BlockMeta{Id: "live", Tenant: "a"}),
		cut(&blocks.BlockMeta{Id: "x", Tenant: "a"}, &blocks.BlockMeta{Id: "x", Tenant: "a"}),
	} {
		require.ErrorIs(t, with(m), ErrCorrupt)
	}
	require.EqualValues(t, 5, s.View().Version, "nothing has changed")
}
