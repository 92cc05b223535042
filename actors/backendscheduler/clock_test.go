package backendscheduler

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
)

// keeper is a scheduler that looks after blocks, of which one arrived on each of the last days.
type keeper struct {
	*state
	t       *testing.T
	now     time.Time
	arrived int
}

func newKeeper(t *testing.T, days int) *keeper {
	c := catalog.New()
	k := &keeper{t: t, now: time.Unix(0, 0).Add(20_000 * 24 * time.Hour).Add(12 * time.Hour)}
	c, err := c.With(1, &blocks.Entry{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{0}}})
	require.NoError(t, err)
	k.start(c)
	for day := range days {
		k.arrive(k.now.Add(-time.Duration(days-1-day) * 24 * time.Hour))
	}
	return k
}

// start starts the scheduler, which knows nothing but the catalog.
func (k *keeper) start(c *catalog.State) {
	cfg := DefaultConfig()
	cfg.LimitsOf = func(string) upkeep.Limits { return upkeep.Limits{Retention: 14 * 24 * time.Hour} }
	k.state = &state{cfg: cfg, keeping: newKeeping(), phase: ready, ledger: newLedger(1000, c, 0)}
}

// arrive publishes a block whose records have arrived at a time.
func (k *keeper) arrive(at time.Time) {
	from := int64(k.arrived)
	k.arrived++
	k.enter(&blocks.Entry{CutPublished: &blocks.PublishCut{Epoch: "e", From: from, To: from + 1, Blocks: []*blocks.BlockMeta{
		{Id: fmt.Sprint("b", from), Tenant: "a", MinArrivalUnixNano: at.UnixNano(), MaxArrivalUnixNano: at.UnixNano()}}}})
}

func (k *keeper) enter(e *blocks.Entry) {
	require.NoError(k.t, k.ledger.enqueueEntry(e))
	k.phase = committing
	k.commit()
}

// commit makes durable what was accepted.
func (k *keeper) commit() {
	for k.ledger.writing != nil || k.ledger.beginCommit(k.now) != nil {
		k.ledger.endCommit()
	}
	k.phase = ready
}

// pass lets time pass, and returns how many blocks were retired and removed meanwhile.
func (k *keeper) pass(d time.Duration) (retired, gone int) {
	for end := k.now.Add(d); ; {
		before := k.ledger.view().Count()
		st := k.onKeepTick(k.now)
		k.commit()
		retired += before - k.ledger.view().Count()
		if st.remove != nil {
			m := removedOf(st.remove)
			gone += len(m.ids)
			k.onRemoved(k.now, m)
			k.commit()
		}
		if !k.now.Before(end) {
			return retired, gone
		}
		k.now = k.now.Add(time.Minute)
	}
}

func removedOf(job *removeJob) (m removed) {
	for _, b := range job.blocks {
		m.ids = append(m.ids, b.GetId())
	}
	return m
}

// C17: a new scheduler's clock is an hour ahead of the one that has retired a block. The grace
// counts from when this one has seen it.
func TestC17GraceCountsFromWhenItWasSeen(t *testing.T) {
	k := newKeeper(t, 3)
	k.enter(&blocks.Entry{BlocksRetired: &blocks.BlocksRetired{Tenant: "a", Blocks: []string{"b0"}, AtUnixNano: k.now.UnixNano()}})
	k.start(k.ledger.catalog)
	k.now = k.now.Add(time.Hour)
	_, removed := k.pass(k.cfg.RetiredGrace - time.Minute)
	require.Zero(t, removed)
	_, removed = k.pass(2 * time.Minute)
	require.Equal(t, 1, removed)
}

// C36: the clock is a year ahead. It is not believed for a day, not even after a restart, and then
// one day goes an hour. When it is right again, it is not believed for a day either.
func TestC36ClockIsAYearAhead(t *testing.T) {
	k := newKeeper(t, 5)
	retired, _ := k.pass(time.Hour)
	require.Zero(t, retired)
	right := k.now
	k.now = k.now.Add(365 * 24 * time.Hour)
	retired, _ = k.pass(10 * time.Hour)
	require.Zero(t, retired)
	for range 3 {
		k.arrive(k.now) // under the wrong clock
		k.start(k.ledger.catalog)
		retired, _ = k.pass(4 * time.Hour)
		require.Zero(t, retired, "after a restart")
	}
	retired, _ = k.pass(3 * time.Hour)
	require.LessOrEqual(t, retired, 3, "one day an hour")
	left := k.ledger.view().Count()

	k.now = right.Add(26 * time.Hour)
	retired, _ = k.pass(23 * time.Hour)
	require.Zero(t, retired)
	require.Equal(t, left, k.ledger.view().Count())
}

// A clock that goes back an hour, or stands still, takes nothing that a right one would keep.
func TestClockGoesBackOrStandsStill(t *testing.T) {
	k := newKeeper(t, 20)
	k.enter(&blocks.Entry{BlocksRetired: &blocks.BlocksRetired{Tenant: "a", Blocks: []string{"b19"}, AtUnixNano: k.now.UnixNano()}})
	retired, removed := k.pass(10 * time.Minute)
	require.Equal(t, 1, retired, "the oldest day")
	require.Zero(t, removed)
	k.now = k.now.Add(-time.Hour)
	retired, removed = k.pass(59 * time.Minute)
	require.Zero(t, retired+removed)
	for range 1000 {
		retired, removed = k.pass(0)
		require.Zero(t, retired+removed)
	}
	_, removed = k.pass(30 * time.Minute)
	require.Equal(t, 2, removed)
}
