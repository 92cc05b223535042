package backendscheduler

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
)

// step is all that one message caused, in the order in which it is carried out. The zero step does
// nothing.
type step struct {
	fail     error           // give up this incarnation
	lines    []line          // for the log
	report   []*blocks.Entry // the log is not what it was
	replies  []reply
	announce *catalog.View    // to every actor that follows the catalog
	snapshot *blocks.Snapshot // write it
	load     *loadJob         // read the journal
	commit   *batch           // write it; never together with load
	compare  *compareJob      // look at the log
	sweep    *sweepJob        // look at the bucket
	remove   *removeJob       // remove blocks from the bucket
	drained  *actor.PID
	counted  counted        // for the instruments
	shown    *upkeep.Status // for the instruments

	after ticks
}

// counted is what a step adds to the instruments.
type counted struct{ leasesLost, setAside, retired, removed int }

// ticks are the times until the next tick of each kind; 0: none.
type ticks struct{ load, check, sweep, keep time.Duration }

// line is one line of the log.
type line struct {
	level slog.Level
	text  string
	args  []any // keys and values in turn
}

// reply is the answer to a question.
type reply struct {
	to  *actor.PID
	msg any
}

type loadJob struct {
	adopted bool // then nobody else may have begun an epoch of another log
}

type compareJob struct {
	version uint64
	known   map[int32]*blocks.Coverage // by partition
}

func (st *step) addLine(level slog.Level, text string, args ...any) {
	st.lines = append(st.lines, line{level, text, args})
}

func (st *step) addReply(to *actor.PID, msg any) {
	if to != nil {
		st.replies = append(st.replies, reply{to, msg})
	}
}

func (s *state) start(now time.Time) step {
	s.keeping.shown.sweep.Next = now.Add(s.cfg.SweepInterval).UTC()
	return step{
		load:  s.beginLoad(),
		after: ticks{check: s.cfg.CheckInterval, sweep: s.cfg.SweepInterval, keep: keepEvery},
	}
}

// beginLoad has the journal read. Questions about the version at hand are answered meanwhile.
func (s *state) beginLoad() *loadJob {
	s.phase = loading
	return &loadJob{adopted: s.adopted}
}

func (s *state) onLoadTick() step { return step{load: s.beginLoad()} }

func (s *state) onLoaded(now time.Time, m loaded) (st step) {
	if m.err != nil {
		return s.onLoadFailed(now, m.err)
	}
	for _, d := range m.damaged {
		st.addLine(slog.LevelError,
			"snapshot of the catalog is damaged; an older one and the entries since replace it", "err", d)
	}
	if lasted, was := s.loads.noteSuccess(now); was && s.ledger != nil {
		st.addLine(slog.LevelInfo, "the catalog can be read again", "after", lasted.Round(time.Millisecond))
	}
	waiting := s.awaitingLoad
	s.awaitingLoad = nil
	if s.ledger != nil { // what was accepted and not written is judged anew
		waiting = append(waiting, s.ledger.queue.waiters...)
	}
	s.phase, s.adopted = ready, true
	s.ledger = newLedger(s.cfg.SnapshotEvery, m.catalog, m.lastSnapshot)
	if s.writes.fails == 0 {
		v := s.ledger.view()
		st.addLine(slog.LevelInfo, "catalog loaded", "version", v.Version, "epoch", v.Epoch, "blocks", v.Count())
	}
	for _, q := range waiting {
		q.settled = true
		s.answerQuestion(&st, now, q)
	}
	st.announce = s.ledger.view()
	s.beginNextWork(&st, now)
	s.endDrain(&st) // all that was accepted may have been refused
	return st
}

func (s *state) onLoadFailed(now time.Time, err error) (st step) {
	taken := errors.Is(err, journal.ErrTaken) // another scheduler was faster
	pause, first := s.loads.noteFailure(now, err)
	unloaded := s.ledger == nil
	if errors.Is(err, errForeign) || unloaded && !taken || unloaded && s.loads.fails > startTries {
		return step{fail: fmt.Errorf("load the catalog: %w", err)}
	}
	if first && !taken {
		st.addLine(slog.LevelWarn, "the catalog cannot be read; until it can, nothing is published", "err", err)
		s.keeping.shown.noteFailure(upkeep.Failure{At: now.UTC(), What: "catalog", Reason: err.Error()})
	}
	s.loadLater(&st, pause)
	return st
}

// loadLater has the journal read after a pause. Cuts that cannot be published meanwhile stay in the
// log.
func (s *state) loadLater(st *step, pause time.Duration) {
	s.phase = pausing
	st.after.load = pause
	if s.isTroubled() && s.ledger != nil {
		for _, q := range s.awaitingLoad {
			s.refuseQuestion(st, q)
		}
		s.awaitingLoad = nil
	}
	s.endDrain(st)
}

// refuseQuestion answers that the journal cannot be read or written. Whoever asked asks again.
func (s *state) refuseQuestion(st *step, q question) {
	err := s.writes.err
	if s.loads.fails > 0 {
		err = s.loads.err
	}
	st.addReply(q.from, status.Errorf(status.Unavailable, "the catalog can not be read or written now: %w", err))
}

func (s *state) onQuestion(now time.Time, q question) (st step) {
	s.answerQuestion(&st, now, q)
	s.beginNextWork(&st, now)
	return st
}

// answerQuestion replies at once, or keeps the question until it can be answered.
func (s *state) answerQuestion(st *step, now time.Time, q question) {
	if s.ledger == nil {
		s.awaitLoad(st, q)
		return
	}
	switch m := q.msg.(type) {
	case *jobs.CoveredJob:
		switch {
		case s.isNewer(q, m.AtLeast):
			s.awaitLoad(st, q)
		case m.Check:
			s.wantComparison()
			s.awaitingComparison = append(s.awaitingComparison, q)
		default:
			st.addReply(q.from, s.ledger.coveredOf(m.Partition))
		}
	case *jobs.ViewJob:
		if s.isNewer(q, m.AtLeast) {
			s.awaitLoad(st, q)
			return
		}
		st.addReply(q.from, s.ledger.view())
	case *blocks.PublishCut:
		if !s.isKnown() {
			s.awaitLoad(st, q)
			return
		}
		if refusal := s.ledger.acceptCut(q, m); refusal != nil {
			st.addReply(q.from, refusal)
		}
	default:
		if !s.isKnown() {
			s.awaitLoad(st, q)
			return
		}
		s.answerWorker(st, now, q)
	}
}

// answerWorker answers a question of a backend-worker.
func (s *state) answerWorker(st *step, now time.Time, q question) {
	switch m := q.msg.(type) {
	case *jobs.NextMergeJob:
		s.answerNextMerge(st, now, q, m)
	case *jobs.MergeBeat:
		s.answerMergeBeat(st, now, q, m)
	case *jobs.MergeDone:
		s.answerMergeDone(st, now, q, m)
	}
}

// isNewer reports whether the question asks for a newer version than the ledger's. Then somebody
// else has written to the journal, and it is read.
func (s *state) isNewer(q question, atLeast uint64) bool {
	if q.settled || atLeast <= s.ledger.version() {
		return false
	}
	s.noteNewerEntries()
	return true
}

func (s *state) awaitLoad(st *step, q question) {
	if (s.phase == loading || s.phase == pausing) && s.ledger != nil && s.isTroubled() {
		s.refuseQuestion(st, q)
		return
	}
	s.awaitingLoad = append(s.awaitingLoad, q)
}

// beginNextWork begins the next piece of work when none is under way.
func (s *state) beginNextWork(st *step, now time.Time) {
	switch s.phase {
	case outdated:
		st.load = s.beginLoad()
	case ready:
		if st.commit = s.ledger.beginCommit(now); st.commit != nil {
			s.phase = committing
		} else if s.comparison == wanted {
			s.beginComparison(st, now)
		}
	}
}

func (s *state) onCommitted(now time.Time, m committed) (st step) {
	seq := s.ledger.writing.seq
	if m.err != nil {
		// Only the journal tells whether it was written. The questions are answered when it has
		// been read.
		s.awaitingLoad = append(s.awaitingLoad, s.ledger.abandonCommit()...)
		pause, first := s.writes.noteFailure(now, m.err)
		if first {
			st.addLine(slog.LevelWarn,
				"the catalog cannot be written; it is loaded again, and what is not in it stays in the log",
				"version", seq, "err", m.err)
			s.keeping.shown.noteFailure(upkeep.Failure{At: now.UTC(), What: "catalog", Reason: m.err.Error()})
		}
		s.loadLater(&st, pause)
		return st
	}
	if lasted, was := s.writes.noteSuccess(now); was {
		st.addLine(slog.LevelInfo, "the catalog can be written again",
			"version", seq, "after", lasted.Round(time.Millisecond))
	}
	for _, q := range s.ledger.endCommit().waiters {
		st.addReply(q.from, s.ledger.replyDurable(q))
	}
	st.announce = s.ledger.view()
	st.snapshot = s.ledger.beginSnapshot()
	if s.phase == overtaken {
		s.phase = outdated
	} else {
		s.phase = ready
	}
	s.beginNextWork(&st, now)
	s.endDrain(&st)
	return st
}

func (s *state) onSnapshotted(m snapshotted) (st step) {
	s.ledger.endSnapshot(m.seq, m.err)
	if m.err != nil {
		st.addLine(slog.LevelWarn, "write catalog snapshot", "version", m.seq, "err", m.err)
	}
	return st
}

// onCheckTick announces the catalog again, because a message may have been lost, and has it
// compared with the log.
func (s *state) onCheckTick(now time.Time) (st step) {
	if s.ledger != nil {
		st.announce = s.ledger.view()
	}
	s.wantComparison()
	s.beginNextWork(&st, now)
	st.after.check = s.cfg.CheckInterval
	return st
}

// beginComparison has the log looked at, while everything else goes on.
func (s *state) beginComparison(st *step, now time.Time) {
	if now.Before(s.compareAfter) {
		s.comparison = compared
		s.refuseComparisons(st)
		return
	}
	s.comparison = comparing
	st.compare = &compareJob{version: s.ledger.version(), known: s.ledger.catalog.Coverage()}
}

func (s *state) onLogInspected(now time.Time, m logInspected) (st step) {
	if s.comparison == comparingAgain {
		s.comparison = wanted
	} else {
		s.comparison = compared
	}
	if m.err != nil {
		pause, first := s.comparisons.noteFailure(now, m.err)
		s.compareAfter = now.Add(pause)
		if first {
			st.addLine(slog.LevelWarn, "the catalog cannot be compared with the log", "err", m.err)
		}
		s.refuseComparisons(&st)
		s.beginNextWork(&st, now)
		return st
	}
	if lasted, was := s.comparisons.noteSuccess(now); was {
		st.addLine(slog.LevelInfo, "the catalog is compared with the log again",
			"after", lasted.Round(time.Millisecond))
	}
	if m.newer && s.ledger.version() == m.version {
		s.noteNewerEntries()
	}
	s.judgeLog(&st, now, m)
	s.beginNextWork(&st, now)
	return st
}

// judgeLog makes the catalog fit the log that was looked at, and answers the questions that wait
// for that. When the catalog has moved meanwhile, the log is looked at again.
func (s *state) judgeLog(st *step, now time.Time, m logInspected) {
	var entries []*blocks.Entry
	ok := s.isKnown()
	if ok {
		entries, ok = s.ledger.fitTo(m.log, m.version, now)
	}
	if !ok {
		s.comparison = compared
		if len(s.awaitingComparison) > 0 {
			s.comparison = wanted
		}
		return
	}
	asked := s.awaitingComparison
	s.awaitingComparison = nil
	if len(entries) > 0 {
		st.report = entries
		s.ledger.queue.waiters = append(s.ledger.queue.waiters, asked...)
		return
	}
	for _, q := range asked {
		st.addReply(q.from, s.ledger.replyDurable(q))
	}
}

// refuseComparisons tells those who wait for a comparison why there is none.
func (s *state) refuseComparisons(st *step) {
	for _, q := range s.awaitingComparison {
		err := status.Errorf(status.Unavailable, "compare the catalog with the log: %w", s.comparisons.err)
		st.addReply(q.from, err)
	}
	s.awaitingComparison = nil
}

func (s *state) onDrain(from *actor.PID) (st step) {
	s.drainer = from
	s.endDrain(&st)
	return st
}

// endDrain answers the drain when all that was accepted is durable, and also when it cannot become
// durable: what is not published is in the log.
func (s *state) endDrain(st *step) {
	if s.drainer != nil && (s.ledger == nil || s.ledger.isIdle() || s.loads.fails+s.writes.fails > 0) {
		st.drained = s.drainer
		s.drainer = nil
	}
}
