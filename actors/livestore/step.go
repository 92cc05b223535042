package livestore

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// phase is how far the actor has come since its start, or since it gave up what it had read.
type phase uint8

const (
	attaching phase = iota // asks the catalog where to start, and the log for its bounds
	comparing              // does the same, but the catalog first compares itself with the log
	replaying              // reads up to the end that the log had when it attached; questions wait
	ready                  // answers questions
	dropped                // has given up what it read; attaches when the read or pause under way ends
	rewritten              // the same for a log that is not the one that was read; then compares
)

func (p phase) String() string {
	return [...]string{"attaching", "comparing", "replaying", "ready", "dropped", "rewritten"}[p]
}

// attached reports whether what was read is still of use.
func (p phase) attached() bool { return p == replaying || p == ready }

// Pauses.
const (
	attachPause  = 500 * time.Millisecond // after an attempt to attach that has failed
	fullPause    = 50 * time.Millisecond  // while the node holds too much to read on
	firstPause   = 100 * time.Millisecond // after a read that has failed, doubled with each further one
	longestPause = 5 * time.Second
)

// step is everything that one message causes. The zero step does nothing. do carries it out in the
// order of the fields.
type step struct {
	report   report
	fail     error          // give up this incarnation
	reply    any            // to the sender of the message
	memory   *memory        // what the partition adds to the node's memory
	announce *jobs.Appended // to all distributors
	answers  []answer
	locate   *jobs.CoveredJob    // ask the catalog where to start
	bounds   *jobs.CoveredResult // read the bounds of the log, to start there
	after    time.Duration       // the next tick
	// nextSecond asks for the next secondTick.
	nextSecond bool
	read       *readJob // unless the node holds too much; then do goes on with onMemoryFull
}

// report is what the operator hears of a step: log lines and instruments.
type report struct {
	notAttached error
	attached    bool
	outOfRange  error
	unread      error   // the log could not be read
	setAside    []error // one for each record
	paused      bool    // not read for want of memory
	gauges      bool    // set them
}

// memory is what a partition adds to its node's memory, in bytes.
type memory struct {
	free    int64 // could become blocks
	pending int64 // is on its way out, or cannot be let go
}

func (s *state) start() step {
	st := s.attach()
	st.nextSecond = true
	return st
}

// attach asks the catalog where to start. Nothing else is under way when it is called.
func (s *state) attach() step {
	switch s.phase {
	case dropped:
		s.phase = attaching
	case rewritten:
		s.phase = comparing
	}
	return step{locate: &jobs.CoveredJob{Partition: s.partition, Check: s.phase == comparing}}
}

func (s *state) attachLater(err error) step {
	return step{report: report{notAttached: err}, after: attachPause}
}

// giveUp stops using what was read: the log is not what it was, or the catalog is in another epoch
// of it. The read under way ends first.
func (s *state) giveUp(next phase) { s.phase = next }

func (s *state) onTick() step { return s.thenRead(step{}) }

// thenRead has the step go on with the next read of the log, or attach first if it must. Exactly
// one read is outstanding at any time.
func (s *state) thenRead(st step) step {
	if !s.phase.attached() {
		st.locate = s.attach().locate
		return st
	}
	st.read = &readJob{
		partition: s.partition,
		from:      s.next,
		bytes:     int(s.cfg.FetchBytes),
		wait:      s.cfg.FetchWait,
		last:      s.lastMark(),
		leader:    s.leader,
	}
	return st
}

// onMemoryFull reads nothing for a moment. Records that come meanwhile stay in the log, so
// distributors let pushes wait and then refuse them.
func (s *state) onMemoryFull() step {
	s.behind = fmt.Sprintf("the live stores of the node hold more than %d bytes of memory", s.cfg.mostBytes())
	return step{report: report{paused: true}, after: fullPause}
}

func (s *state) onCovered(m covered) step {
	if m.err != nil {
		return s.attachLater(fmt.Errorf("ask for the covered offset: %w", m.err))
	}
	return step{bounds: m.reply}
}

// onBounds begins an attachment if the covered offset lies in the log.
func (s *state) onBounds(now time.Time, m logBounds) step {
	if m.err != nil {
		return s.attachLater(fmt.Errorf("read bounds of the log: %w", m.err))
	}
	var why error
	switch at := m.covered.Covered; {
	case m.covered.Log != m.log:
		why = fmt.Errorf("the catalog is about the log %s, and this one is %s", m.covered.Log, m.log)
	case at < m.start || at > m.end:
		why = fmt.Errorf("covered offset %d is outside of the log's [%d, %d)", at, m.start, m.end)
	}
	if why != nil {
		s.phase = comparing // the catalog was compared with the log before this
		return s.attachLater(why)
	}
	s.startReplay(m)
	return s.thenRead(step{report: report{attached: true}, memory: s.noteMemory(), answers: s.answerWaiting(now)})
}

// onRead takes what was read and reads on. What was read after the actor gave up is not used.
func (s *state) onRead(now time.Time, m batchRead) step {
	switch {
	case !s.phase.attached():
		return s.attach()
	case errors.Is(m.err, kafkalog.ErrOutOfRange):
		s.giveUp(rewritten)
		st := s.attach()
		st.report.outOfRange = m.err
		return st
	case errors.Is(m.err, kafkalog.ErrCorrupt):
		return step{fail: fmt.Errorf("read log from offset %d: %w", s.next, m.err)}
	case m.err != nil:
		pause := s.noteFailedRead(m.err)
		// An answer that says that it may miss something is better than none.
		return step{report: report{unread: m.err}, answers: s.answerWaiting(now), after: pause}
	}
	before := s.next
	st := step{report: report{setAside: s.appendBatch(now, m)}}
	if !s.phase.attached() {
		return s.thenRead(st)
	}
	if s.next > before {
		st.memory, st.announce = s.noteMemory(), s.noteAppended()
	}
	st.answers = s.answerWaiting(now)
	if len(m.batch.Records) == 0 {
		// The read has already waited for data. The pause only keeps a log that cannot wait from
		// being asked without end.
		st.after = s.cfg.Pause
		return st
	}
	return s.thenRead(st)
}

// noteFailedRead returns the pause before the next read.
func (s *state) noteFailedRead(err error) time.Duration {
	s.behind = err.Error()
	s.failedReads++
	return min(firstPause<<min(s.failedReads-1, 10), longestPause)
}

func (s *state) noteMemory() *memory {
	free, pending := s.memoryUse()
	return &memory{free: free, pending: pending}
}

func (s *state) noteAppended() *jobs.Appended {
	return &jobs.Appended{Partition: s.partition, Epoch: s.epoch, Next: s.next, Large: s.sizes.large}
}

// onSecond drops what is covered, and repeats the announcement, which may have been lost on its
// way. tight means that the node is short of memory.
func (s *state) onSecond(now time.Time, tight bool) step {
	s.dropCovered(now, tight)
	s.recountMemory()
	s.sizes.listLarge(now)
	st := step{report: report{gauges: true}, memory: s.noteMemory(), nextSecond: true}
	if s.phase.attached() {
		st.announce = s.noteAppended()
	}
	st.answers = s.answerWaiting(now) // those that have waited long enough
	return st
}

// onCoverage drops what is covered by now. tight means that the node is short of memory.
func (s *state) onCoverage(now time.Time, m *jobs.CoverageChanged, tight bool) step {
	s.noteCoverage(m)
	s.dropCovered(now, tight)
	return step{memory: s.noteMemory()}
}

// onCut hands out the cut that is asked for, if it is due. fattest means that the node has too much
// in memory, and this partition most of it.
func (s *state) onCut(now time.Time, m *jobs.CutJob, fattest bool) step {
	return step{reply: s.takeCut(now, m, fattest), memory: s.noteMemory()}
}

// onDrain has nothing to finish: everything in memory is in the log as well.
func (s *state) onDrain() step { return step{reply: supervise.Drained{}} }

// onEnd gives the memory back to the node's budget. The next incarnation reads everything again.
func (s *state) onEnd() step { return step{memory: &memory{}} }
