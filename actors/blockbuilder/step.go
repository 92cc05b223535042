package blockbuilder

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

type phase uint8

const (
	attaching phase = iota
	waiting
	cutting
	viewing
	building
	publishing
)

func (p phase) String() string {
	return [...]string{"attaching", "waiting", "cutting", "viewing", "building", "publishing"}[p]
}

// state is one partition's builder. Exactly one ask, job or timer is outstanding at any time.
type state struct {
	partition int32
	cfg       Config

	phase    phase
	epoch    string
	covered  int64
	atLeast  uint64 // version of the catalog that the live-store knows of
	attempt  int    // grows with every build of this incarnation, so that no two builds share a block id
	cut      *plan.CutResult
	publish  *blocks.PublishCut
	drainer  *actor.PID // asked for a drain
	forced   bool       // the cut asked for takes whatever there is
	lastCut  string
	failures int
}

// step is all that one message caused. The zero step does nothing.
type step struct {
	covered *plan.CoveredJob   // ask where to begin
	cut     *plan.CutJob       // ask the live-store
	view    bool               // ask for the catalog, to look for other homes of the cut's traces
	build   *buildJob          // write the blocks
	publish *blocks.PublishCut // only in a step caused by `built`
	trim    *blocks.PublishCut // the log may forget what it covers; only after the catalog has answered
	done    *blocks.PublishCut // for the log line
	drained *actor.PID
	after   time.Duration // next tick
	warn    error
}

// patience is how many times in a row something may fail before a cut is made without what cannot be read.
const patience = 5

type buildJob struct {
	partition int32
	epoch     string
	attempt   int
	cut       *plan.CutResult
	view      *catalog.View
	lenient   bool // go on without blocks that cannot be read
}

func (s *state) start() step {
	s.phase = attaching
	return step{covered: s.ask()}
}

func (s *state) ask() *plan.CoveredJob {
	return &plan.CoveredJob{Partition: s.partition, AtLeast: s.atLeast}
}

// retry goes back to the beginning after a pause: the covered offset is asked for again, so nothing rests on what was believed.
func (s *state) retry(err error) step {
	s.phase, s.cut, s.publish = attaching, nil, nil
	s.failures++
	if s.drainer != nil && s.failures > 5 {
		d := s.drainer
		s.drainer = nil
		return step{drained: d, warn: err} // the log keeps what could not be built
	}
	return step{after: s.cfg.RetryDelay, warn: err}
}

// loud reports whether a retry is worth a line: the first of a row and then every thirtieth.
func (s *state) loud() bool { return s.failures%30 == 1 }

func (s *state) onTick() step {
	switch s.phase {
	case attaching:
		return step{covered: s.ask()}
	case waiting:
		s.phase = cutting
		s.forced = s.drainer != nil
		return step{cut: &plan.CutJob{Partition: s.partition, Epoch: s.epoch, From: s.covered, Bytes: s.cfg.CutBytes, Age: s.cfg.CutAge, Force: s.forced}}
	}
	return step{}
}

func (s *state) onCovered(m covered) step {
	if m.err != nil {
		return s.retry(fmt.Errorf("ask for the covered offset: %w", m.err))
	}
	s.epoch, s.covered = m.reply.Epoch, m.reply.Covered
	return s.wait(0)
}

func (s *state) wait(d time.Duration) step {
	s.phase = waiting
	if d <= 0 {
		return s.onTick()
	}
	return step{after: d}
}

func (s *state) onCut(m cutReady) step {
	if m.err != nil {
		return s.retry(fmt.Errorf("ask the live-store for a cut: %w", m.err))
	}
	if m.cut.Epoch == "" { // it has not attached yet, which takes it a moment when the node starts
		return s.wait(s.cfg.Tick)
	}
	if m.cut.Epoch != s.epoch {
		return s.retry(fmt.Errorf("ask the live-store for a cut: it reads epoch %q of the log, the catalog is in %q", m.cut.Epoch, s.epoch))
	}
	if m.cut.Floor > s.covered {
		s.atLeast = m.cut.Version
		return s.retry(fmt.Errorf("cut from offset %d: the live-store begins at %d", s.covered, m.cut.Floor))
	}
	if m.cut.To <= m.cut.From {
		if s.drainer != nil && !s.forced {
			return s.wait(0) // what was not due is due now
		}
		if s.drainer != nil {
			d := s.drainer
			s.drainer = nil
			st := s.wait(s.cfg.Tick)
			st.drained = d
			return st
		}
		return s.wait(s.cfg.Tick)
	}
	s.cut = m.cut
	s.phase = viewing
	return step{view: true}
}

func (s *state) onViewed(m viewed) step {
	if m.err != nil {
		return s.retry(fmt.Errorf("ask for the catalog: %w", m.err))
	}
	s.phase = building
	s.attempt++
	return step{build: &buildJob{partition: s.partition, epoch: s.epoch, attempt: s.attempt, cut: s.cut, view: m.view,
		lenient: s.failures >= patience}}
}

func (s *state) onBuilt(m built) step {
	if m.err != nil {
		return s.retry(fmt.Errorf("build blocks: %w", m.err))
	}
	s.phase = publishing
	s.cut = nil
	s.publish = m.publish
	return step{publish: m.publish}
}

func (s *state) onPublished(m published) step {
	if m.err != nil {
		return s.retry(fmt.Errorf("publish the cut: %w", m.err))
	}
	cut := s.publish
	s.publish = nil
	s.covered = m.reply.GetCovered()
	if !m.reply.GetAccepted() {
		return s.retry(fmt.Errorf("publish the cut [%d, %d): %s", cut.From, cut.To, m.reply.GetReason()))
	}
	s.failures = 0
	s.lastCut = fmt.Sprintf("[%d, %d)", cut.From, cut.To)
	st := s.wait(0)
	st.done = cut
	st.trim = cut
	return st
}

func (s *state) onDrain(from *actor.PID) step {
	s.drainer = from
	return step{} // the tick, ask or job outstanding leads to a forced cut
}

func (s *state) inspect() *system.ActorStatus {
	return &system.ActorStatus{State: s.phase.String(), Detail: map[string]string{"epoch": s.epoch, "covered": fmt.Sprint(s.covered), "last_cut": s.lastCut}}
}
