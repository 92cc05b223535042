package backendscheduler

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// ledger is the durable catalog, and what was accepted and is not durable yet. What is accepted is
// applied at once, so that nothing is written that cannot be applied, and so that the cut after it
// can be accepted too; the view moves when it is durable.
type ledger struct {
	snapshotEvery uint64 // commits between two snapshots
	catalog       *catalog.State
	ahead         *catalog.State // the catalog once all that is accepted is durable
	recent        *catalog.Recent
	queue         batch  // accepted, and written next
	writing       *batch // being written; nil when nothing is
	lastSnapshot  uint64 // version of the newest snapshot
	snapshotting  bool   // a snapshot is being written
}

// batch is one commit: entries that become durable together, and the questions that are answered
// then.
type batch struct {
	seq     uint64
	commit  *blocks.Commit
	after   *catalog.State // the catalog once it is durable
	waiters []question
}

// question is a CoveredJob, a ViewJob, a PublishCut, or one of a backend-worker, that has not been
// answered yet.
type question struct {
	from *actor.PID
	msg  any
	// The journal has been read since the question was asked. A newer version, which the question
	// may ask for, was not in it.
	settled bool
	// Why a cut is refused that has looked for other homes in too old a version. It is answered
	// when the newer version is durable. Empty: it is accepted.
	stale string
}

func newLedger(snapshotEvery uint64, c *catalog.State, lastSnapshot uint64) *ledger {
	return &ledger{
		snapshotEvery: snapshotEvery,
		catalog:       c,
		ahead:         c,
		recent:        catalog.NewRecent(c.View().Version),
		queue:         batch{commit: &blocks.Commit{}},
		lastSnapshot:  lastSnapshot,
	}
}

func (l *ledger) view() *catalog.View { return l.catalog.View() }
func (l *ledger) version() uint64     { return l.view().Version }

// isIdle reports whether all that was accepted is durable.
func (l *ledger) isIdle() bool { return l.writing == nil && len(l.queue.commit.Entries) == 0 }

// coveredOf tells where a partition's live part begins. Only what is durable counts.
func (l *ledger) coveredOf(partition int32) *jobs.CoveredResult {
	v := l.view()
	_, last := l.catalog.Covered(partition)
	return &jobs.CoveredResult{
		Epoch:   v.Epoch,
		Version: v.Version,
		Covered: v.Covered[partition],
		Log:     l.catalog.Epoch().GetLog(),
		Last:    last,
	}
}

// acceptCut takes a cut that begins where the accepted ones end; it is answered when it is durable.
// Any other cut is refused, and acceptCut returns the refusal with the offset to go on from. A cut
// that has looked for other homes in too old a version is refused when the newer one is durable, in
// which it can look again; then acceptCut returns nil, too.
// Next: the journal (writeCommit), and then the log and the live-store drop the records.
func (l *ledger) acceptCut(q question, m *blocks.PublishCut) (refusal *blocks.PublishCutReply) {
	refuse := func(format string, args ...any) *blocks.PublishCutReply {
		return l.refusalOf(m, fmt.Sprintf(format, args...))
	}
	isStale := func(reason string) *blocks.PublishCutReply {
		q.stale = reason
		if b := l.lastBatch(); b != nil {
			b.waiters = append(b.waiters, q)
			return nil
		}
		return l.replyDurable(q).(*blocks.PublishCutReply)
	}
	q.stale = ""
	ahead := l.ahead.View()
	next, ok := ahead.Covered[m.GetPartition()]
	switch {
	case m.GetEpoch() != ahead.Epoch:
		return refuse("it is of epoch %q of the log, the catalog is in %q", m.GetEpoch(), ahead.Epoch)
	case !ok:
		return refuse("the catalog has no partition %d", m.GetPartition())
	case m.GetFrom() != next || m.GetTo() <= next:
		return refuse("it is [%d, %d), the catalog covers %d", m.GetFrom(), m.GetTo(), next)
	case l.recent.Missed(m):
		const reason = "its partition, or one of another count, has published since version %d, " +
			"where its other homes were looked for"
		return isStale(fmt.Sprintf(reason, m.GetViewVersion()))
	}
	if err := l.ahead.CheckHomes(m); err != nil {
		return isStale(err.Error())
	}
	if err := l.enqueueEntry(&blocks.Entry{CutPublished: m}); err != nil {
		return refuse("%v", err)
	}
	l.recent.Add(m, l.queuedVersion())
	l.queue.waiters = append(l.queue.waiters, q)
	return nil
}

// refusalOf returns a refusal of a cut.
func (l *ledger) refusalOf(m *blocks.PublishCut, reason string) *blocks.PublishCutReply {
	v := l.view()
	return &blocks.PublishCutReply{
		Covered: v.Covered[m.GetPartition()],
		Epoch:   v.Epoch,
		Reason:  reason,
		Version: v.Version,
	}
}

// lastBatch returns the batch that becomes durable last of those accepted; nil: all are durable.
func (l *ledger) lastBatch() *batch {
	if len(l.queue.commit.Entries) > 0 {
		return &l.queue
	}
	return l.writing
}

// queuedVersion is the version of the catalog that will hold what is accepted now.
func (l *ledger) queuedVersion() uint64 {
	if l.writing != nil {
		return l.version() + 2
	}
	return l.version() + 1
}

// enqueueEntry accepts an entry, unless it does not fit what was accepted before.
func (l *ledger) enqueueEntry(e *blocks.Entry) error {
	ahead, err := l.ahead.With(l.queuedVersion(), e)
	if err != nil {
		return err
	}
	l.ahead = ahead
	l.queue.commit.Entries = append(l.queue.commit.Entries, e)
	return nil
}

// fitTo accepts the entries that make the catalog fit the log, and returns them. It returns false
// when the catalog is no longer of that version: then the log must be looked at again.
func (l *ledger) fitTo(log catalog.Log, version uint64, now time.Time) (entries []*blocks.Entry, ok bool) {
	if l.version() != version || !l.isIdle() {
		return nil, false
	}
	entries = l.catalog.Reconcile(log, now.UnixNano())
	for _, e := range entries {
		if err := l.enqueueEntry(e); err != nil {
			panic("BUG: " + err.Error())
		}
	}
	return entries, true
}

// beginCommit returns the batch that is written now, or nil when nothing was accepted or another
// batch is being written.
func (l *ledger) beginCommit(now time.Time) *batch {
	if l.writing != nil || len(l.queue.commit.Entries) == 0 {
		return nil
	}
	b := l.queue
	l.queue = batch{commit: &blocks.Commit{}}
	b.seq, b.after = l.version()+1, l.ahead
	b.commit.Seq, b.commit.AtUnixNano = b.seq, now.UnixNano()
	l.writing = &b
	return &b
}

// endCommit moves to the catalog after the batch that has become durable, and returns the batch.
func (l *ledger) endCommit() *batch {
	b := l.writing
	l.writing = nil
	l.catalog = b.after
	return b
}

// abandonCommit forgets the batch of which nobody knows whether it is durable, and returns its
// questions.
func (l *ledger) abandonCommit() []question {
	b := l.writing
	l.writing = nil
	return b.waiters
}

// replyDurable returns the reply to a question of a batch that is durable.
func (l *ledger) replyDurable(q question) any {
	switch m := q.msg.(type) {
	case *blocks.PublishCut:
		if q.stale != "" {
			r := l.refusalOf(m, q.stale)
			r.StaleView = true
			return r
		}
		return &blocks.PublishCutReply{
			Accepted: true,
			Covered:  m.GetTo(),
			Epoch:    m.GetEpoch(),
			Version:  l.version(),
		}
	case *jobs.CoveredJob:
		return l.coveredOf(m.Partition)
	case *jobs.NextMergeJob:
		return l.leaseOf(m.Worker)
	case *jobs.MergeDone:
		return l.replyMergeDone(m)
	}
	panic(fmt.Sprintf("BUG: %T waits for a commit", q.msg))
}

// beginSnapshot returns the catalog as it is when enough commits have come since the last snapshot.
func (l *ledger) beginSnapshot() *blocks.Snapshot {
	if l.snapshotting || l.version() < l.lastSnapshot+l.snapshotEvery {
		return nil
	}
	l.snapshotting = true
	return l.catalog.Snapshot()
}

// endSnapshot notes the end of a snapshot. A snapshot that has failed is tried again after a tenth
// of the commits that lie between two.
func (l *ledger) endSnapshot(seq uint64, err error) {
	l.snapshotting = false
	l.lastSnapshot = seq
	if err != nil {
		l.lastSnapshot -= l.snapshotEvery - l.snapshotEvery/10
	}
}
