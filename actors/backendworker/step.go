package backendworker

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

// phase is what the worker is doing. In each phase one question, merge or timer is outstanding,
// beside the beats of a merge.
type phase uint8

const (
	asking    phase = iota // for a lease
	resting                // nothing was due, or nobody has answered
	merging                // blocks, under a lease
	reporting              // how a merge has ended
)

func (p phase) String() string { return [...]string{"asking", "resting", "merging", "reporting"}[p] }

// beatEvery is how often the scheduler is told that a merge goes on: a sixth of the silence after
// which it closes the lease.
const beatEvery = 10 * time.Second

// restFactor is how many times as long as it has merged the worker rests, so that merging takes at
// most a third of a processor from what the node is there for.
const restFactor = 2

// state is all that the worker decides by.
type state struct {
	cfg     Config
	name    string // by which the scheduler knows it
	phase   phase
	lease   *jobs.MergeLease // while merging and reporting
	done    *jobs.MergeDone  // while reporting
	drainer *actor.PID
}

// step is everything that one message causes. do carries it out in the order of the fields.
type step struct {
	cancel  bool               // end the merge under way
	next    *jobs.NextMergeJob // ask the scheduler for a lease
	merge   *jobs.MergeLease
	beat    *jobs.MergeBeat
	done    *jobs.MergeDone
	ended   *ended // for the log line and the instruments
	drained *actor.PID
	rest    time.Duration // the next restTick
	beatIn  time.Duration // the next beatTick
}

// ended is how a merge has ended.
type ended struct {
	lease  *jobs.MergeLease
	output *blocks.BlockMeta // nil: there is none
	reason string            // why
}

func (s *state) start() step { return s.ask() }

// ask asks for a lease, unless the worker is draining.
func (s *state) ask() step {
	s.lease, s.done = nil, nil
	if s.drainer != nil {
		s.phase = resting
		return step{drained: s.takeDrainer()}
	}
	s.phase = asking
	return step{next: &jobs.NextMergeJob{Worker: s.name}}
}

// restFor has the worker rest before it asks again, unless it is draining.
func (s *state) restFor(d time.Duration) step {
	st := s.ask()
	if s.phase == asking {
		s.phase = resting
		return step{rest: d}
	}
	return st
}

func (s *state) takeDrainer() *actor.PID {
	d := s.drainer
	s.drainer = nil
	return d
}

func (s *state) onRestTick() step {
	switch s.phase {
	case resting:
		return s.ask()
	case reporting:
		return step{done: s.done}
	}
	return step{}
}

// onLeased begins the merge. Without a lease the worker rests.
func (s *state) onLeased(m leased) step {
	if s.phase != asking {
		return step{}
	}
	if m.err != nil || m.lease.Lease == "" || s.drainer != nil {
		return s.restFor(s.cfg.Rest)
	}
	s.phase, s.lease = merging, m.lease
	return step{merge: m.lease, beatIn: beatEvery}
}

// onBeatTick tells the scheduler that the merge goes on.
func (s *state) onBeatTick(lease string) step {
	if s.phase != merging || s.lease.Lease != lease {
		return step{}
	}
	return step{beat: &jobs.MergeBeat{Lease: lease}, beatIn: beatEvery}
}

// onBeaten ends the merge if the lease is closed. A beat that was lost does no harm.
func (s *state) onBeaten(m beaten) step {
	if s.phase != merging || s.lease.Lease != m.lease || m.err != nil || m.reply.Valid {
		return step{}
	}
	return step{cancel: true} // it ends with an error, which is reported
}

// onMerged reports how the merge has ended.
func (s *state) onMerged(m merged) step {
	if s.phase != merging || s.lease.Lease != m.lease {
		return step{}
	}
	s.phase = reporting
	s.done = &jobs.MergeDone{Lease: m.lease, Output: m.output, Rest: max(restFactor*m.took, time.Millisecond)}
	if m.err != nil {
		s.done.Rest = s.cfg.Rest
		s.done.Failure, s.done.Passing, s.done.Damaged = m.err.Error(), !isOfBlocks(m.err), damagedBlocks(m.err)
	}
	return step{done: s.done}
}

// onReported goes on with the next lease. A report that was not answered is repeated: the merged
// block is durable, and the work must not be lost.
func (s *state) onReported(m reported) step {
	if s.phase != reporting {
		return step{}
	}
	if m.err != nil {
		if s.drainer != nil {
			return s.ask()
		}
		return step{rest: s.cfg.Rest}
	}
	e := &ended{lease: s.lease, reason: m.reply.Reason}
	if m.reply.Valid {
		e.output = s.done.Output
	} else if s.done.Failure != "" {
		e.reason = s.done.Failure
	}
	pause := s.cfg.Rest
	if m.reply.Valid {
		pause = s.done.Rest
	}
	st := s.restFor(pause)
	st.ended = e
	return st
}

// onDrain ends the merge under way, and answers when that is reported.
func (s *state) onDrain(from *actor.PID) step {
	s.drainer = from
	switch s.phase {
	case merging:
		return step{cancel: true}
	case reporting:
		return step{}
	}
	return s.ask()
}

func (s *state) inspect() *system.ActorStatus {
	detail := map[string]string{}
	if s.lease != nil {
		detail["lease"], detail["tenant"] = s.lease.Lease, s.lease.Tenant
		detail["inputs"] = fmt.Sprint(len(s.lease.Inputs))
	}
	return &system.ActorStatus{State: s.phase.String(), Detail: detail}
}
