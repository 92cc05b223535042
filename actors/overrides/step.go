package overrides

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/storage/documents"
	"github.com/troupe-tracing/troupe/runtime/storage/journal"
)

// maxWaiting bounds the writes that wait for those before them. Each of them takes one append to
// the bucket.
const maxWaiting = 1000

// state is what the actor decides by. One read of the file, or the timer of the next, is
// outstanding at any time; so is one job on the documents, or the timer of the next refresh.
type state struct {
	cfg      Config
	inForce  *Limits
	lastText []byte // of the file, as it was read last; it may be wrong, which is told once

	writing    bool    // a job on the documents is under way
	waiting    []write // for that job, in the order in which they came
	refreshDue bool    // documents are read again after the writes that wait
	drainer    *actor.PID
}

// write is one change of a document, and who waits for it.
type write struct {
	asker   *actor.PID
	ctx     context.Context // of the asker
	tenant  string
	version uint64 // that is replaced
	body    []byte // nil removes the document
}

// step is all that one message caused. The zero step does nothing.
type step struct {
	putInForce   *Limits
	keepOld      error // why the file changed nothing
	readFile     bool
	fileAfter    time.Duration // when the file is looked at next
	reply        any           // to the asker
	asker        *actor.PID
	write        *write
	refresh      bool
	refreshError error         // documents stay as they were read last
	refreshAfter time.Duration // when they are read next
	drained      *actor.PID
}

// start waits for the first look at the file and at the documents: both were read before.
func (s *state) start() step {
	var st step
	if s.cfg.File != "" {
		st.fileAfter = s.cfg.Period
	}
	if s.cfg.Own.Enabled {
		st.refreshAfter = s.cfg.Own.Poll
	}
	return st
}

func (s *state) onLookAtFile() step { return step{readFile: true} }

// onFileRead puts the limits of a changed file in force. A file that is wrong changes nothing, and
// is complained of once; one that cannot be read at all is complained of every time.
func (s *state) onFileRead(m fileRead) step {
	st := step{fileAfter: s.cfg.Period, keepOld: m.err}
	if m.text != nil {
		s.lastText = m.text
	}
	if m.limits != nil {
		s.inForce = m.limits
		st.putInForce = m.limits
	}
	return st
}

// onWrite begins a write, or has it wait for the one that is under way.
func (s *state) onWrite(w write) step {
	if len(s.waiting) >= maxWaiting {
		return step{
			asker: w.asker,
			reply: status.Limitedf(time.Second, "%d changes of limits wait to be written already", maxWaiting),
		}
	}
	s.waiting = append(s.waiting, w)
	return s.beginNext(step{})
}

// onWritten answers a write and begins the next.
func (s *state) onWritten(m written) step {
	s.writing = false
	return s.beginNext(step{asker: m.asker, reply: m.asReply()})
}

// onRefreshDue takes up what other processes have written, after the writes that wait.
func (s *state) onRefreshDue() step {
	s.refreshDue = true
	return s.beginNext(step{})
}

func (s *state) onRefreshed(err error) step {
	s.writing = false
	return s.beginNext(step{refreshError: err, refreshAfter: s.cfg.Own.Poll})
}

func (s *state) onDrain(asker *actor.PID) step {
	s.drainer = asker
	return s.beginNext(step{})
}

// beginNext adds the next job on the documents to a step, where none is under way.
func (s *state) beginNext(st step) step {
	switch {
	case s.writing:
	case len(s.waiting) > 0:
		s.writing = true
		st.write = &s.waiting[0]
		s.waiting = s.waiting[1:]
	case s.drainer != nil:
		st.drained, s.drainer = s.drainer, nil
	case s.refreshDue:
		s.writing, s.refreshDue = true, false
		st.refresh = true
	}
	return st
}

// asReply is the answer to a write.
func (m written) asReply() any {
	switch {
	case m.err == nil:
		return limits.OwnWritten{Version: m.version}
	case errors.Is(m.err, documents.ErrVersion):
		return limits.OwnWritten{Conflict: true}
	case errors.Is(m.err, documents.ErrFull):
		return status.Errorf(status.Limited, "%w", m.err)
	case errors.Is(m.err, journal.ErrCorrupt):
		return status.Errorf(status.Corrupt, "%w", m.err)
	}
	return status.Errorf(status.Unavailable, "%w", m.err)
}

// describeState are what /status/actors shows.
func (s *state) describeState(own int) map[string]string {
	return map[string]string{
		"tenants_in_file": fmt.Sprint(len(s.inForce.Entries)),
		"tenants_own":     fmt.Sprint(own),
		"writes_waiting":  fmt.Sprint(len(s.waiting)),
	}
}
