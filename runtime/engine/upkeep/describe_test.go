package upkeep

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
)

// now is an hour after noon of the second day: the first one is settled.
var now = on(1, 13*time.Hour)

// newFacts are the facts of a scheduler that has two tenants, of which "off" has merging off. Of
// "a", a merge is due, another one is under way, two blocks are set aside, and one is retired.
func newFacts(t *testing.T) *Facts {
	list := []*blocks.BlockMeta{newBlock("old1", "a", 0, 2, 500), newBlock("old2", "a", 0, 3, 400),
		newBlock("bad1", "a", 1, 0, 7), newBlock("bad2", "a", 1, 0, 7),
		newBlock("m1", "a", 1, 0, 20), newBlock("m2", "a", 1, 0, 20), newBlock("due1", "a", 1, 0, 30), newBlock("due2", "a", 1, 0, 30),
		newBlock("late", "a", 1, 1, 90), newBlock("gone", "a", 1, 0, 11), newBlock("x", "off", 1, 0, 1000)}
	s := newCatalog(t, list...)
	lease := func(version uint64, inputs ...string) *blocks.Entry {
		return &blocks.Entry{JobLeased: &blocks.JobLeased{Lease: catalog.LeaseName(version, "l"), Tenant: "a", Inputs: inputs,
			Worker: "w1", Attempt: 2, Level: 1}}
	}
	s, err := s.With(3, lease(3, "bad1", "bad2"), &blocks.Entry{JobClosed: &blocks.JobClosed{Lease: "3.l", Reason: "block bad1 is damaged", SetAside: true}})
	require.NoError(t, err)
	s, err = s.With(4, lease(4, "m1", "m2"), &blocks.Entry{BlocksRetired: &blocks.BlocksRetired{Tenant: "a", Blocks: []string{"gone"}}})
	require.NoError(t, err)
	due := compact.Job{Inputs: s.FindBlocks("a", []string{"due1", "due2"})}
	f := &Facts{Catalog: s, Due: map[string][]compact.Job{"a": {due}},
		Policy: Policy{LimitsOf: func(tenant string) Limits {
			return Limits{Retention: 24 * time.Hour, Kept: tenant == "off"}
		}},
		Tended:  func(string) (began, heard time.Time) { return now.Add(-20 * time.Second), now.Add(-time.Second) },
		Workers: []*Worker{{Name: "w1", Heard: now.Add(-time.Second)}},
		Failed:  []Failure{{At: now, Reason: "older"}, {At: now, Reason: "newer"}}}
	f.Rate.Note(1000, 10*time.Second)
	return f
}

// The status counts every block once as what it is, of each tenant and in sum, by level and by day.
func TestDescribe(t *testing.T) {
	s := Describe(newFacts(t), now)
	require.Len(t, s.Tenants, 2)
	a, off := s.Tenants[0], s.Tenants[1]
	require.Equal(t, Amount{9, 11040, 1104}, a.Live)
	require.Equal(t, Amount{10, 21040, 2104}, s.Total.Live)
	require.Equal(t, []Level{{0, Amount{6, 1140, 114}}, {1, Amount{1, 900, 90}}, {2, Amount{1, 5000, 500}}, {3, Amount{1, 4000, 400}}}, a.Levels)
	require.Equal(t, Amount{4, 1000, 100}, a.Debt, "what is due, and what is being merged")
	require.Equal(t, Amount{1, 900, 90}, a.Waiting, "of a day that is over nothing waits")
	require.Equal(t, Amount{2, 140, 14}, a.SetAside)
	require.Equal(t, Amount{1, 110, 11}, a.Retired)
	require.Equal(t, a.Debt, s.Total.Debt)
	require.Equal(t, Amount{}, off.Waiting, "it is not merged at all")
	require.Equal(t, CauseOff, off.Cause.Name)

	require.Equal(t, []string{"2024-10-05", "2024-10-04"}, []string{a.Days[0].Day, a.Days[1].Day})
	require.Equal(t, on(2, 0), a.Days[1].Goes, "a day after its end")
	require.Equal(t, []Level{{2, Amount{1, 5000, 500}}, {3, Amount{1, 4000, 400}}}, a.Days[1].Levels)
	require.True(t, off.Days[0].Goes.IsZero())
	require.Equal(t, on(3, 0), s.Total.Days[0].Goes, "the first that goes of it")

	require.Len(t, s.Jobs, 1)
	require.Equal(t, Job{Lease: "4.l", Tenant: "a", Day: "2024-10-05", Level: 1, Inputs: []string{"m1", "m2"}, Amount: Amount{2, 400, 40},
		Worker: "w1", Attempt: 2, Began: now.Add(-20 * time.Second), Heard: now.Add(-time.Second)}, *s.Jobs[0])
	require.Equal(t, []*SetAside{{Tenant: "a", Inputs: []string{"bad1", "bad2"}, Amount: Amount{2, 140, 14}, Reason: "block bad1 is damaged"}}, s.SetAside)
	require.Equal(t, "newer", s.Failures[0].Reason)

	require.Equal(t, &NextDay{Day: "2024-10-04", At: on(2, 0), Amount: Amount{2, 9000, 900}, Tenants: 1}, s.Retention.Next)
	require.True(t, s.Merging.ETAKnown)
	require.Equal(t, 10.0, s.Merging.ETASeconds, "1,000 bytes at 100 a second")
	b, err := json.Marshal(s)
	require.NoError(t, err)
	require.NotContains(t, string(b), "0001-01-01", "times that are not known are left out")
}

// A program finds empty lists where there is nothing.
func TestDescribeNothing(t *testing.T) {
	s := Describe(&Facts{Catalog: catalog.New()}, now)
	for _, s := range []*Status{s, s.OfTenant("nobody")} {
		b, err := json.Marshal(s)
		require.NoError(t, err)
		require.NotContains(t, string(b), "null")
	}
}

// The cause names the one thing that stands in the way, and there is an ETA only where merges go
// on.
func TestCause(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Facts)
		eta    bool
	}{
		CauseBusy:     {func(*Facts) {}, true},
		CauseResting:  {func(f *Facts) { closeLease(t, f); f.Workers[0].Rests = now.Add(time.Minute) }, true},
		CauseSoon:     {func(f *Facts) { closeLease(t, f) }, true},
		CauseNoWorker: {func(f *Facts) { f.Workers[0].Heard = now.Add(-2 * time.Minute) }, false},
		CauseCatalog:  {func(f *Facts) { f.Trouble = "the store is away" }, false},
		CauseFailing:  {func(f *Facts) { failMerge(f, "the store is away") }, false},
		CauseFull:     {func(f *Facts) { failMerge(f, "write x: no space left on device") }, false},
		CauseOff:      {func(f *Facts) { f.Off = true }, false},
		CauseNone:     {func(f *Facts) { closeLease(t, f); f.Due = nil }, true},
	} {
		f := newFacts(t)
		c.change(f)
		s := Describe(f, now)
		require.Equal(t, name, s.Total.Cause.Name)
		require.Equal(t, name, s.Tenants[0].Cause.Name)
		require.Equal(t, c.eta, s.Merging.ETAKnown, name)
		require.Equal(t, name == "", s.Total.Cause.Text == "")
	}
	f := newFacts(t)
	failMerge(f, "the store is away")
	require.Equal(t, Amount{5, 1900, 190}, Describe(f, now).Total.Debt, "what rests is due too")
	f.Failed = append(f.Failed, Failure{What: "merge", Tenant: "other", Reason: "no space left on device"})
	require.Equal(t, CauseFailing, Describe(f, now).Total.Cause.Name, "nothing of the other tenant rests")
	f = newFacts(t)
	f.Workers = nil
	require.Equal(t, CauseNoWorker, Describe(f, now).Total.Cause.Name)
	f = newFacts(t)
	f.Rate = Rate{}
	require.False(t, Describe(f, now).Merging.ETAKnown, "no merge has been measured")
}

// failMerge notes that a merge of block "late" of tenant "a" has failed.
func failMerge(f *Facts, reason string) {
	f.Failed = append(f.Failed, Failure{What: "merge", Tenant: "a", Reason: reason})
	f.Resting = map[string]bool{"late": true}
}

func closeLease(t *testing.T, f *Facts) {
	var err error
	f.Catalog, err = f.Catalog.With(5, &blocks.Entry{JobClosed: &blocks.JobClosed{Lease: "4.l", Reason: "given up"}})
	require.NoError(t, err)
}

// The next day is told with the time at which it really goes: not before the clock is believed, and
// not within an hour of the one before.
func TestNextDay(t *testing.T) {
	f := newFacts(t)
	late := on(2, 30*time.Minute)
	require.Equal(t, late, Describe(f, late).Retention.Next.At, "it is due")
	require.Equal(t, Amount{2, 9000, 900}, Describe(f, late).Retention.Overdue)
	f.NotBefore = on(3, time.Hour)
	require.Equal(t, f.NotBefore, Describe(f, late).Retention.Next.At)
	f.Policy = Policy{}
	require.Nil(t, Describe(f, late).Retention.Next, "nothing ever goes")
}

// What is said of one tenant is what is said of it among all, with its own next day.
func TestOfTenant(t *testing.T) {
	s := Describe(newFacts(t), on(2, 30*time.Minute))
	a, off := s.OfTenant("a"), s.OfTenant("off")
	require.Equal(t, *s.Tenants[0], a.Total)
	require.Equal(t, s.Retention.Next, a.Retention.Next)
	require.Equal(t, Amount{2, 9000, 900}, a.Retention.Overdue)
	require.Len(t, a.Jobs, 1)
	require.Len(t, a.SetAside, 1)
	require.Empty(t, off.Jobs)
	require.Empty(t, off.SetAside)
	require.Nil(t, off.Retention.Next)
	require.Zero(t, off.Retention.Overdue)
	require.Empty(t, s.OfTenant("nobody").Tenants)
	require.Len(t, s.Jobs, 1, "the status itself stays as it is")
}

// The rate is that of the newest merges.
func TestRate(t *testing.T) {
	var r Rate
	require.Zero(t, r.BytesPerSecond())
	r.Note(1, 0)
	require.Zero(t, r.Count(), "a merge that took no time says nothing")
	for range mostMeasured {
		r.Note(1, time.Second)
	}
	for range mostMeasured {
		r.Note(9, 3*time.Second)
	}
	require.Equal(t, mostMeasured, r.Count())
	require.Equal(t, 3.0, r.BytesPerSecond())
}

// A status of 20,000 blocks is made in some milliseconds.
func BenchmarkDescribe(b *testing.B) {
	var list []*blocks.BlockMeta
	for i := range 20_000 {
		list = append(list, newBlock(fmt.Sprintf("%036d", i), fmt.Sprint("tenant", i%20), int64(i%14), int32(i%4), 1000))
	}
	f := &Facts{Catalog: newCatalog(&testing.T{}, list...), Policy: Policy{LimitsOf: func(string) Limits { return Limits{Retention: 14 * 24 * time.Hour} }}}
	f.Due = map[string][]compact.Job{"tenant1": {{Inputs: list[:64]}}}
	b.ReportAllocs()
	for b.Loop() {
		Describe(f, now)
	}
}
