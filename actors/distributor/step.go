package distributor

import (
	"context"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// tickPause is how often waiting requests are looked at when nothing else happens.
const tickPause = 100 * time.Millisecond

// request is a push that was taken or is to be refused.
type request struct {
	from  *actor.PID
	ctx   context.Context
	push  *ingest.PushSpans
	since time.Time
}

func (r request) otlpBytes() int64 { return int64(len(r.push.Otlp)) }

// step is everything that one message causes. The zero step does nothing. do carries it out in the
// order of the fields.
type step struct {
	answered *actor.PID // whose request has ended
	answer   any
	fail     error // give up this incarnation
	refused  []refusal
	write    []request
	tick     bool       // look at the waiting requests again
	drained  *actor.PID // who waits for the drain
}

// refusal is a request that is refused as a whole.
type refusal struct {
	request
	reason refusals.Reason
	err    *status.Error
}

func refuseRequest(r request, reason refusals.Reason, err *status.Error) step {
	return step{refused: []refusal{{request: r, reason: reason, err: err}}}
}

// onPush admits a push or refuses it: because the node drains, has too much in flight, or because
// the tenant is over its rate.
func (s *state) onPush(now time.Time, r request) step {
	if s.draining {
		err := status.Errorf(status.Unavailable, "push spans: the node is shutting down")
		return refuseRequest(r, refusals.ShuttingDown, err)
	}
	if !s.hasRoomFor(r.otlpBytes()) {
		return refuseRequest(r, refusals.OverCapacity, s.overCapacity())
	}
	if err, retries := s.rates.takeTokens(now, r.push.Tenant, r.otlpBytes()); err != nil {
		after := s.cfg.RetryAfter
		if !retries {
			after = 0
		}
		return refuseRequest(r, refusals.RateLimited, status.Limitedf(after, "%w", err))
	}
	s.admit(r)
	return s.startDue(now)
}

// overCapacity is the error of a push that the node cannot take at present.
func (s *state) overCapacity() *status.Error {
	return status.Limitedf(s.cfg.RetryAfter,
		"push spans: over capacity: %d bytes in flight, %d bytes not yet searchable", s.inflight, s.backlog)
}

// onPushed answers a push whose work has ended. That makes room for others.
func (s *state) onPushed(now time.Time, m pushed) step {
	s.noteWritten(m.bytes, m.acks)
	if m.fail != nil {
		return step{answered: m.from, answer: m.reply, fail: m.fail}
	}
	st := s.startDue(now)
	st.answered, st.answer = m.from, m.reply
	st.drained = s.endDrain()
	return st
}

// onAppended takes what a live-store has read out of the backlog.
func (s *state) onAppended(now time.Time, m *jobs.Appended) step {
	s.noteAppended(m)
	s.large.replaceNamed(m.Partition, m.Large)
	return s.startDue(now)
}

func (s *state) onTick(now time.Time) step {
	s.ticking = false
	st := s.startDue(now)
	st.drained = s.endDrain()
	return st
}

func (s *state) onDrain(from *actor.PID) step {
	s.draining, s.drainer = true, from
	return step{drained: s.endDrain()}
}

// startDue starts the requests whose turn it is and refuses those that have waited too long.
func (s *state) startDue(now time.Time) step {
	due, late := s.takeDue(now)
	st := step{write: due}
	for _, r := range late {
		st.refused = append(st.refused, refusal{request: r, reason: refusals.OverCapacity, err: s.overCapacity()})
	}
	if len(s.waiting) > 0 && !s.ticking {
		s.ticking, st.tick = true, true
	}
	return st
}

// endDrain returns who waits for the drain, once, when no request is in flight any longer.
func (s *state) endDrain() *actor.PID {
	if s.inflight > 0 {
		return nil
	}
	from := s.drainer
	s.drainer = nil
	return from
}
