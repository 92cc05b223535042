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

// phase is what the builder is doing. In each phase one ask, job or timer is outstanding.
type phase uint8

const (
	attaching  phase = iota // asks the catalog for the covered offset
	pausing                 // after a failure; attaching follows
	waiting                 // for the time to ask for a cut
	cutting                 // asks the live-store for a cut, if one is due
	forcing                 // asks the live-store for a cut of whatever there is, to drain
	viewing                 // asks for the catalog, to look for other homes of the cut's traces
	building                // writes the blocks
	comparing               // compares durable blocks with the log, to publish them again
	publishing              // asks the catalog to take the cut
)

// String returns the phase as operators see it.
func (p phase) String() string {
	return [...]string{
		attaching:  "attaching",
		pausing:    "attaching",
		waiting:    "waiting",
		cutting:    "cutting",
		forcing:    "cutting",
		viewing:    "viewing",
		building:   "building",
		comparing:  "comparing",
		publishing: "publishing",
	}[p]
}

// state is the block-builder of one partition. Exactly one ask, job or timer is outstanding at any
// time, beside a trim of the log.
type state struct {
	partition int32
	cfg       Config
	jitter    func() float64 // in [0, 1); nil: none

	phase    phase
	epoch    string
	covered  int64
	version  uint64 // of the catalog, as an answer has named it last
	attempt  int    // grows with every build of this incarnation, so that no two share a block id
	failures int    // in a row, since a cut was published or none was due
	cut      *jobs.CutResult
	// built is the cut being published, or one whose blocks are durable, and which is published
	// again when the catalog answers.
	built   *builtCut
	lost    map[string]bool // blocks that the catalog lists and that are gone or damaged
	limit   cutLimit
	drainer *actor.PID // who has asked for a drain
	lastCut string     // for the operator
}

// step is everything that one message causes. The zero step does nothing. do carries it out in the
// order of the fields.
type step struct {
	fail    error // give up this incarnation
	wake    bool  // the pause under way ends now
	warn    error
	locate  *jobs.CoveredJob   // ask the catalog where to begin
	cut     *jobs.CutJob       // ask the live-store
	view    *jobs.ViewJob      // ask for the catalog, to look for other homes of the cut's traces
	publish *blocks.PublishCut // only in a step caused by built or compared
	build   *buildJob          // write the blocks
	look    *lookJob           // look for other homes of durable blocks again
	compare *blocks.PublishCut // check that the log still has what was built of it
	// trim lets the log forget what the cut covers. It comes only after the catalog has answered.
	trim      *blocks.PublishCut
	untrimmed error
	done      *blocks.PublishCut // for the log line and the instruments
	drained   *actor.PID
	after     time.Duration // the next tick
}

// patience is how many failures in a row are taken to be passing. After so many the next cut is
// built without the blocks that cannot be read. If that fails, too, a drain ends without the cut,
// and of further failures only every thirtieth is logged.
const patience = 5

// triesOfOne is how many builds of a single record may fail in a row, because of what the record
// holds, before it is set aside.
const triesOfOne = 3

// maxPause is the longest pause between two tries.
const maxPause = time.Minute

// buildJob is a cut to be made into blocks.
type buildJob struct {
	partition int32
	epoch     string
	attempt   int
	cut       *jobs.CutResult
	view      *catalog.View
	lenient   bool            // go on without blocks that cannot be read
	lost      map[string]bool // blocks that are known to be gone or damaged although the catalog lists them
	// aside is why the cut's records are set aside instead of built; empty: they are built.
	aside string
}

func newState(partition int32, cfg Config, jitter func() float64) *state {
	return &state{partition: partition, cfg: cfg, jitter: jitter, limit: cutLimit{single: -1}}
}

func (s *state) start() step { return s.attach() }

func (s *state) attach() step {
	s.phase = attaching
	return step{locate: &jobs.CoveredJob{Partition: s.partition, AtLeast: s.version}}
}

// beginAgain goes back to the beginning after a pause: the covered offset is asked for again, so
// nothing rests on an assumption. Blocks that are durable are kept. The catalog takes them as long
// as it covers everything below them.
func (s *state) beginAgain(err error) step {
	s.phase, s.cut = attaching, nil
	s.failures++
	if s.drainer != nil && s.failures > patience {
		d := s.drainer
		s.drainer = nil
		return step{drained: d, warn: err} // the log keeps what could not be built
	}
	s.phase = pausing
	return step{after: s.pauseAfterFailure(), warn: err}
}

// pauseAfterFailure is twice as long each time. A random part of it keeps the partitions of a node
// from trying all at once. A drain has no time to wait longer.
func (s *state) pauseAfterFailure() time.Duration {
	d := s.cfg.RetryDelay
	if s.drainer == nil {
		d = max(d, min(d<<min(s.failures-1, 16), maxPause))
	}
	if s.jitter != nil {
		d -= time.Duration(s.jitter() / 4 * float64(d))
	}
	return d
}

// isFailureLogged reports whether the last failure is worth a line. The first few are, which come
// after ever longer pauses, and then every thirtieth.
func (s *state) isFailureLogged() bool { return s.failures <= patience || s.failures%30 == 1 }

func (s *state) onTick() step {
	switch s.phase {
	case attaching, pausing:
		return s.attach()
	case waiting:
		return s.askForCut()
	}
	return step{}
}

func (s *state) askForCut() step {
	s.phase = cutting
	if s.drainer != nil {
		s.phase = forcing
	}
	return step{cut: &jobs.CutJob{
		Partition: s.partition,
		Epoch:     s.epoch,
		From:      s.covered,
		Bytes:     int64(s.cfg.CutBytes),
		Age:       s.cfg.CutAge,
		Force:     s.phase == forcing,
		Most:      s.limit.most,
	}}
}

// onCovered goes on from the covered offset: with the durable blocks, if they begin there, or with
// the next cut.
func (s *state) onCovered(m covered) step {
	if m.err != nil {
		return s.beginAgain(fmt.Errorf("ask for the covered offset: %w", m.err))
	}
	s.epoch, s.covered, s.version = m.reply.Epoch, m.reply.Covered, m.reply.Version
	if s.built != nil {
		if p := s.built.publish; p.GetEpoch() == s.epoch && p.GetFrom() == s.covered {
			s.phase = comparing
			return step{compare: p}
		}
	}
	s.built = nil // the catalog has taken it after all, or another builder was faster
	return s.waitForCut(0)
}

// onCompared publishes durable blocks again, unless the log has another history by now: then they
// hold other records than the ones to be covered.
func (s *state) onCompared(m compared) step {
	if m.err != nil {
		if errors.Is(m.err, errOtherRecord) {
			s.built = nil
		}
		return s.beginAgain(fmt.Errorf("publish the cut again: %w", m.err))
	}
	return s.publishBuilt()
}

// publishBuilt publishes durable blocks. If a block was gone in which their other homes were to be
// looked for, a newer version of the catalog is asked for first: it lists what has replaced it.
func (s *state) publishBuilt() step {
	if b := s.built; b.isUnsettled() {
		return s.lookAgain(b.publish.GetViewVersion()+1, errors.New("blocks are gone that the catalog lists"))
	}
	s.phase = publishing
	return step{publish: s.built.publish}
}

// lookAgain has other homes of durable blocks looked for in what a newer version of the catalog
// lists. The blocks stay as they are.
func (s *state) lookAgain(version uint64, why error) step {
	if s.built.looks++; s.built.looks > patience {
		s.built = nil
		return s.beginAgain(fmt.Errorf("look for other homes: %w", why))
	}
	s.phase = viewing
	return step{view: &jobs.ViewJob{AtLeast: version}}
}

func (s *state) waitForCut(d time.Duration) step {
	if d <= 0 {
		return s.askForCut()
	}
	s.phase = waiting
	return step{after: d}
}

// onCut takes the cut, if there is one and it fits what the catalog has told.
func (s *state) onCut(m cutReady) step {
	if m.err != nil {
		return s.beginAgain(fmt.Errorf("ask the live-store for a cut: %w", m.err))
	}
	if m.cut.Epoch == "" { // it has not attached yet, which takes it a moment when the node starts
		return s.waitForCut(s.cfg.Tick)
	}
	if m.cut.Epoch != s.epoch {
		return s.beginAgain(fmt.Errorf(
			"ask the live-store for a cut: it reads epoch %q of the log, the catalog is in %q", m.cut.Epoch, s.epoch))
	}
	if m.cut.Floor > s.covered {
		s.version = max(s.version, m.cut.Version)
		return s.beginAgain(fmt.Errorf("cut from offset %d: the live-store begins at %d", s.covered, m.cut.Floor))
	}
	if m.cut.To <= m.cut.From {
		return s.onNoCut()
	}
	s.cut = m.cut
	s.phase = viewing
	return step{view: &jobs.ViewJob{AtLeast: s.version}}
}

// onNoCut waits, or ends the drain when there is nothing left.
func (s *state) onNoCut() step {
	s.failures = 0
	if s.drainer == nil {
		return s.waitForCut(s.cfg.Tick)
	}
	if s.phase == cutting {
		return s.askForCut() // a cut that was not due is made for the drain
	}
	d := s.drainer
	s.drainer = nil
	st := s.waitForCut(s.cfg.Tick)
	st.drained = d
	return st
}

func (s *state) onViewed(m viewed) step {
	if m.err != nil {
		return s.beginAgain(fmt.Errorf("ask for the catalog: %w", m.err))
	}
	s.phase, s.version = building, m.view.Version
	if s.built != nil {
		return step{look: &lookJob{built: s.built, view: m.view, lenient: s.failures >= patience}}
	}
	s.attempt++
	b := &buildJob{
		partition: s.partition,
		epoch:     s.epoch,
		attempt:   s.attempt,
		cut:       s.cut,
		view:      m.view,
		lenient:   s.failures >= patience,
		lost:      s.lost,
	}
	if n := s.limit.triesOf(s.cut); n >= triesOfOne {
		b.aside = fmt.Sprintf("no block could be built of it in %d tries", n)
	}
	return step{build: b}
}

// onBuilt publishes the blocks. A cut that could not be built because of its input becomes shorter.
func (s *state) onBuilt(m built) step {
	if m.err != nil {
		if errors.Is(m.err, errInput) {
			if s.built != nil {
				s.cut = s.built.job.cut
			}
			s.limit.shorten(s.cut)
			s.built = nil
		}
		return s.beginAgain(fmt.Errorf("build blocks: %w", m.err))
	}
	s.cut, s.built, s.lost = nil, m.cut, m.cut.lostBlocks()
	return s.publishBuilt()
}

// onPublished goes on from the new covered offset at once, because more may be due.
func (s *state) onPublished(m published) step {
	if m.err != nil {
		// The blocks are durable. They are published again.
		return s.beginAgain(fmt.Errorf("publish the cut: %w", m.err))
	}
	cut := s.built.publish
	s.covered, s.version = m.reply.GetCovered(), m.reply.GetVersion()
	if !m.reply.GetAccepted() {
		err := fmt.Errorf("publish the cut [%d, %d): %s", cut.From, cut.To, m.reply.GetReason())
		if m.reply.GetStaleView() {
			return s.lookAgain(m.reply.GetVersion(), err)
		}
		s.built = nil
		return s.beginAgain(err)
	}
	s.built = nil
	s.failures = 0
	s.limit.lengthen()
	s.lastCut = fmt.Sprintf("[%d, %d)", cut.From, cut.To)
	st := s.waitForCut(0)
	st.done = cut
	st.trim = cut
	return st
}

// onTrimmed reports a failure. The next trim does the work of this one, too.
func (s *state) onTrimmed(m trimmed) step { return step{untrimmed: m.err} }

func (s *state) onDrain(from *actor.PID) step {
	s.drainer = from
	if s.phase != pausing {
		return step{} // the tick, ask or job outstanding leads to a forced cut
	}
	// The pause may be longer than there is time.
	s.failures = min(s.failures, 1)
	st := s.attach()
	st.wake = true
	return st
}

func (s *state) inspect() *system.ActorStatus {
	return &system.ActorStatus{State: s.phase.String(), Detail: map[string]string{
		"epoch":    s.epoch,
		"covered":  fmt.Sprint(s.covered),
		"last_cut": s.lastCut,
		"failures": fmt.Sprint(s.failures),
	}}
}
