package blockbuilder

import (
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

type phase uint8

const (
	attaching phase = iota
	waiting
	cutting
	viewing
	building
	comparing
	publishing
)

func (p phase) String() string {
	return [...]string{"attaching", "waiting", "cutting", "viewing", "building", "comparing", "publishing"}[p]
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
	cut      *jobs.CutResult
	publish  *blocks.PublishCut // under way; or durable, and to be published again when the catalog answers
	asleep   bool               // a pause after a failure is under way
	most     int64              // offsets that a cut may span, since a longer one could not be built; 0: any number
	whole    int64              // offsets of the cut that could not be built
	stuck    int                // builds of one record in a row that have failed because of the record
	stuckAt  int64              // its offset
	jitter   func() float64     // in [0, 1); nil: none
	drainer  *actor.PID         // asked for a drain
	forced   bool               // the cut asked for takes whatever there is
	lastCut  string
	failures int
}

// step is all that one message caused. The zero step does nothing.
type step struct {
	covered *jobs.CoveredJob   // ask where to begin
	cut     *jobs.CutJob       // ask the live-store
	view    bool               // ask for the catalog, to look for other homes of the cut's traces
	build   *buildJob          // write the blocks
	compare *blocks.PublishCut // whether the log still has what was built of it, before it is published again
	publish *blocks.PublishCut // only in a step caused by `built` or `compared`
	trim    *blocks.PublishCut // the log may forget what it covers; only after the catalog has answered
	done    *blocks.PublishCut // for the log line
	wake    bool               // the pause under way ends now; before anything else
	drained *actor.PID
	after   time.Duration // next tick
	warn    error
}

// patience is how many times in a row something may fail before a cut is made without what cannot
// be read.
const patience = 5

// tries is how many times in a row a record may break the build of a cut of nothing else before it
// is set aside.
const tries = 3

// maxPause is the longest pause between two tries.
const maxPause = time.Minute

type buildJob struct {
	partition int32
	epoch     string
	attempt   int
	cut       *jobs.CutResult
	view      *catalog.View
	lenient   bool   // go on without blocks that cannot be read
	aside     string // why the cut's records are set aside instead of built; empty: they are built
}

func (s *state) start() step {
	s.phase = attaching
	return step{covered: s.ask()}
}

func (s *state) ask() *jobs.CoveredJob {
	return &jobs.CoveredJob{Partition: s.partition, AtLeast: s.atLeast}
}

// retry goes back to the beginning after a pause: the covered offset is asked for again, so nothing
// rests on what was believed. Blocks that are durable already are kept: the catalog takes them as
// long as it covers what is below them.
func (s *state) retry(err error) step {
	s.phase, s.cut = attaching, nil
	s.failures++
	if s.drainer != nil && s.failures > 5 {
		d := s.drainer
		s.drainer = nil
		return step{drained: d, warn: err} // the log keeps what could not be built
	}
	s.asleep = true
	return step{after: s.pause(), warn: err}
}

// pause is how long to wait after a failure: twice as long each time, a part of it by chance, so
// that the partitions of a node do not come together. Who drains has no time.
func (s *state) pause() time.Duration {
	d := s.cfg.RetryDelay
	if s.drainer == nil {
		d = max(d, min(d<<min(s.failures-1, 16), maxPause))
	}
	if s.jitter != nil {
		d -= time.Duration(s.jitter() / 4 * float64(d))
	}
	return d
}

// loud reports whether a retry is worth a line: each of the first few of a row, which come at ever
// longer times, and then every thirtieth.
func (s *state) loud() bool { return s.failures <= 5 || s.failures%30 == 1 }

func (s *state) onTick() step {
	s.asleep = false
	switch s.phase {
	case attaching:
		return step{covered: s.ask()}
	case waiting:
		s.phase = cutting
		s.forced = s.drainer != nil
		return step{cut: &jobs.CutJob{Partition: s.partition, Epoch: s.epoch, From: s.covered, Bytes: s.cfg.CutBytes, Age: s.cfg.CutAge, Force: s.forced, Most: s.most}}
	}
	return step{}
}

func (s *state) onCovered(m covered) step {
	if m.err != nil {
		return s.retry(fmt.Errorf("ask for the covered offset: %w", m.err))
	}
	s.epoch, s.covered = m.reply.Epoch, m.reply.Covered
	if p := s.publish; p != nil && p.GetEpoch() == s.epoch && p.GetFrom() == s.covered {
		s.phase = comparing
		return step{compare: p}
	}
	s.publish = nil // it was taken after all, or another builder was faster
	return s.wait(0)
}

// onCompared publishes durable blocks again: of a log whose history is another one meanwhile they
// hold other records than are to be covered.
func (s *state) onCompared(m compared) step {
	if m.err != nil {
		if errors.Is(m.err, errOther) {
			s.publish = nil
		}
		return s.retry(fmt.Errorf("publish the cut again: %w", m.err))
	}
	s.phase = publishing
	return step{publish: s.publish}
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
		s.failures = 0
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
	b := &buildJob{partition: s.partition, epoch: s.epoch, attempt: s.attempt, cut: s.cut, view: m.view, lenient: s.failures >= patience}
	if s.stuck >= tries && s.cut.Records == 1 && s.cut.From == s.stuckAt {
		b.aside = fmt.Sprintf("no block could be built of it in %d tries", s.stuck)
	}
	return step{build: b}
}

func (s *state) onBuilt(m built) step {
	if m.err != nil {
		if errors.Is(m.err, errInput) {
			s.shorten()
		}
		return s.retry(fmt.Errorf("build blocks: %w", m.err))
	}
	s.phase = publishing
	s.cut = nil
	s.publish = m.publish
	return step{publish: m.publish}
}

// shorten has the next cut be half as long, because this one cannot be built for what it holds: the
// same again would fail the same again. Of a cut of one record it counts the tries.
func (s *state) shorten() {
	if n := s.cut.To - s.cut.From; s.cut.Records > 1 {
		if s.most == 0 {
			s.whole = n
		}
		s.most = max(n/2, 1)
		return
	}
	if s.stuckAt != s.cut.From {
		s.stuck, s.stuckAt = 0, s.cut.From
	}
	s.stuck++
}

// lengthen has the next cut be twice as long as one that was published, up to any length.
func (s *state) lengthen() {
	if s.most *= 2; s.most >= s.whole {
		s.most = 0
	}
	s.stuck = 0
}

func (s *state) onPublished(m published) step {
	if m.err != nil {
		return s.retry(fmt.Errorf("publish the cut: %w", m.err)) // the blocks are durable: they are published again
	}
	cut := s.publish
	s.publish = nil
	s.covered = m.reply.GetCovered()
	if !m.reply.GetAccepted() {
		return s.retry(fmt.Errorf("publish the cut [%d, %d): %s", cut.From, cut.To, m.reply.GetReason()))
	}
	s.failures = 0
	s.lengthen()
	s.lastCut = fmt.Sprintf("[%d, %d)", cut.From, cut.To)
	st := s.wait(0)
	st.done = cut
	st.trim = cut
	return st
}

func (s *state) onDrain(from *actor.PID) step {
	s.drainer = from
	if s.asleep { // a pause may be longer than there is time
		s.failures = min(s.failures, 1)
		st := s.onTick()
		st.wake = true
		return st
	}
	return step{} // the tick, ask or job outstanding leads to a forced cut
}

func (s *state) inspect() *system.ActorStatus {
	return &system.ActorStatus{State: s.phase.String(), Detail: map[string]string{"epoch": s.epoch, "covered": fmt.Sprint(s.covered), "last_cut": s.lastCut,
		"failures": fmt.Sprint(s.failures)}}
}
