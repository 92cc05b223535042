package backendscheduler

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

// snapshotEvery is the number of commits after which the whole catalog is written.
const snapshotEvery = 1000

// state is the durable catalog, and what was accepted and is not durable yet. An accepted cut moves next at once, so that the one after it can be accepted
// too; the view moves when the entry is durable.
type state struct {
	catalog *catalog.State
	next    map[int32]int64 // by partition, the covered offset once all that is accepted is durable
	queue   batch           // accepted, to be written next
	writing bool
	saved   uint64 // version of the last snapshot
}

// batch is one commit: entries that become durable together, and who waits for that.
type batch struct {
	seq     uint64
	commit  *blocks.Commit
	data    []byte
	waiters []waiter
}

type waiter struct {
	from  *actor.PID
	reply any
}

func newState(c *catalog.State, saved uint64) *state {
	s := &state{catalog: c, saved: saved, next: map[int32]int64{}, queue: batch{commit: &blocks.Commit{}}}
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
func (s *state) covered(p int32) *plan.CoveredResult {
	v := s.view()
	return &plan.CoveredResult{Epoch: v.Epoch, Version: v.Version, Covered: v.Covered[p]}
}

func (s *state) coverage() *plan.CoverageChanged {
	v := s.view()
	return &plan.CoverageChanged{Version: v.Version, Covered: v.Covered}
}

// publish accepts a cut that begins where what is accepted ends, and refuses any other at once with the offset to go on from.
func (s *state) publish(from *actor.PID, m *blocks.PublishCut) *blocks.PublishCutReply {
	at, ok := s.next[m.GetPartition()]
	if epoch := s.view().Epoch; !ok || m.GetEpoch() != epoch || m.GetFrom() != at || m.GetTo() <= at {
		return &blocks.PublishCutReply{Covered: s.view().Covered[m.GetPartition()], Epoch: epoch}
	}
	s.next[m.GetPartition()] = m.GetTo()
	s.accept(&blocks.Entry{CutPublished: m}, waiter{from: from,
		reply: &blocks.PublishCutReply{Accepted: true, Covered: m.GetTo(), Epoch: m.GetEpoch()}})
	return nil
}

func (s *state) accept(e *blocks.Entry, w waiter) {
	s.queue.commit.Entries = append(s.queue.commit.Entries, e)
	s.queue.waiters = append(s.queue.waiters, w)
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

// snapshotDue returns the catalog as it is, encoded, when enough commits have come since the last snapshot.
func (s *state) snapshotDue() ([]byte, uint64) {
	if s.version() < s.saved+snapshotEvery {
		return nil, 0
	}
	s.saved = s.version()
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(s.catalog.Snapshot())
	if err != nil {
		panic("BUG: encode snapshot: " + err.Error())
	}
	return data, s.saved
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
