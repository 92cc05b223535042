package backendscheduler

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

// state is the durable catalog, and what was accepted and is not durable yet. An accepted cut moves
// next at once, so that the one after it can be accepted too; the view moves when the entry is
// durable.
type state struct {
	cfg     Config
	catalog *catalog.State
	recent  *catalog.Recent
	next    map[int32]int64 // by partition, the covered offset once all that is accepted is durable
	epoch   string          // the epoch once all that is accepted is durable
	queue   batch           // accepted, to be written next
	writing bool
	saved   uint64 // version of the last snapshot
	saving  bool
}

// batch is one commit: entries that become durable together, and who waits for that.
type batch struct {
	seq     uint64
	commit  *blocks.Commit
	data    []byte
	waiters []waiter
}

// waiter is a question and what answers it once the batch is durable.
type waiter struct {
	question
	reply func(s *state) any
}

func newState(cfg Config, c *catalog.State, saved uint64) *state {
	s := &state{cfg: cfg, catalog: c, recent: catalog.NewRecent(c.View().Version), saved: saved, next: map[int32]int64{}, epoch: c.View().Epoch,
		queue: batch{commit: &blocks.Commit{}}}
	for p, n := range c.View().Covered {
		s.next[p] = n
	}
	return s
}

func (s *state) version() uint64     { return s.catalog.View().Version }
func (s *state) count() int          { return s.catalog.View().Count() }
func (s *state) view() *catalog.View { return s.catalog.View() }
func (s *state) idle() bool          { return !s.writing && len(s.queue.commit.Entries) == 0 }

// covered answers where a partition's live part begins: what is durable, whatever is under way.
func (s *state) covered(p int32) *jobs.CoveredResult {
	v := s.view()
	return &jobs.CoveredResult{Epoch: v.Epoch, Version: v.Version, Covered: v.Covered[p]}
}

func (s *state) coverage() *jobs.CoverageChanged {
	v := s.view()
	return &jobs.CoverageChanged{Version: v.Version, Epoch: v.Epoch, Covered: v.Covered}
}

// publish accepts a cut that begins where what is accepted ends, and refuses any other at once with
// the offset to go on from.
func (s *state) publish(from *actor.PID, m *blocks.PublishCut) *blocks.PublishCutReply {
	at, ok := s.next[m.GetPartition()]
	refuse := func(format string, args ...any) *blocks.PublishCutReply {
		return &blocks.PublishCutReply{Covered: s.view().Covered[m.GetPartition()], Epoch: s.view().Epoch, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case m.GetEpoch() != s.epoch:
		return refuse("it is of epoch %q of the log, the catalog is in %q", m.GetEpoch(), s.epoch)
	case !ok:
		return refuse("the catalog has no partition %d", m.GetPartition())
	case m.GetFrom() != at || m.GetTo() <= at:
		return refuse("it is [%d, %d), the catalog covers %d", m.GetFrom(), m.GetTo(), at)
	case s.recent.Missed(m):
		return refuse("a partition of another count has published since version %d, where its other homes were looked for", m.GetViewVersion())
	}
	if err := s.catalog.Check(m); err != nil {
		return refuse("%v", err)
	}
	s.next[m.GetPartition()] = m.GetTo()
	s.recent.Add(m, s.queued())
	s.accept(&blocks.Entry{CutPublished: m}, waiter{question: question{from: from, msg: m}, reply: func(*state) any {
		return &blocks.PublishCutReply{Accepted: true, Covered: m.GetTo(), Epoch: m.GetEpoch()}
	}})
	return nil
}

// queued is the version that what is accepted now becomes a part of.
func (s *state) queued() uint64 {
	if s.writing {
		return s.version() + 2
	}
	return s.version() + 1
}

func (s *state) accept(e *blocks.Entry, w ...waiter) {
	s.queue.commit.Entries = append(s.queue.commit.Entries, e)
	s.queue.waiters = append(s.queue.waiters, w...)
}

// reconcile accepts what makes the catalog fit the log. It returns false when the catalog has moved
// since the log was looked at: then it is to be looked at again.
func (s *state) reconcile(now time.Time, version uint64, l catalog.Log) (entries []*blocks.Entry, ok bool) {
	if s.version() != version || !s.idle() {
		return nil, false
	}
	entries = s.catalog.Reconcile(l, now.UnixNano())
	for _, e := range entries {
		if m := e.GetEpoch(); m != nil {
			if m.GetId() != s.epoch {
				clear(s.next)
			}
			s.epoch = m.GetId()
			for p, start := range m.GetStarts() {
				if _, ok := s.next[int32(p)]; !ok {
					s.next[int32(p)] = start
				}
			}
		}
		if m := e.GetGap(); m != nil {
			s.next[m.GetPartition()] = m.GetTo()
		}
		s.accept(e)
	}
	return entries, true
}

// take returns what is to be written, nil when there is nothing or something is being written.
func (s *state) take(now time.Time) *batch {
	if s.writing || len(s.queue.commit.Entries) == 0 {
		return nil
	}
	b := s.queue
	s.queue = batch{commit: &blocks.Commit{}}
	b.seq = s.version() + 1
	b.commit.Seq, b.commit.AtUnixNano = b.seq, now.UnixNano()
	data, err := proto.Marshal(b.commit)
	if err != nil {
		panic("BUG: encode commit: " + err.Error())
	}
	b.data = data
	s.writing = true
	return &b
}

// committed applies what has become durable.
func (s *state) committed(b *batch) {
	s.writing = false
	if err := s.catalog.Apply(b.commit); err != nil {
		panic("BUG: " + err.Error())
	}
}

// snapshotDue returns the catalog as it is when enough commits have come since the last snapshot.
func (s *state) snapshotDue() *blocks.Snapshot {
	if s.saving || s.version() < s.saved+s.cfg.SnapshotEvery {
		return nil
	}
	s.saving = true
	return s.catalog.Snapshot()
}

// snapshotted notes the end of a snapshot. One that has failed is tried again after as many commits
// as a tenth of those between two.
func (s *state) snapshotted(seq uint64, err error) {
	s.saving = false
	if s.saved = seq; err != nil {
		s.saved -= s.cfg.SnapshotEvery - s.cfg.SnapshotEvery/10
	}
}

func (s *state) inspect() *system.ActorStatus {
	st := "ready"
	if s.writing {
		st = "committing"
	}
	v := s.view()
	return &system.ActorStatus{State: st, Detail: map[string]string{"version": fmt.Sprint(v.Version), "epoch": v.Epoch, "blocks": fmt.Sprint(v.Count()),
		"tenants": fmt.Sprint(len(v.Tenants())), "gaps": fmt.Sprint(len(v.Gaps))}}
}
