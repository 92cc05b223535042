package distributor

import (
	"context"
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/messages/ingest"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

// state is the admission of one distributor. Requests are held for a moment when the live stores
// are behind, so that a burst is slowed down and not refused; what waits counts as in flight.
type state struct {
	cfg      Config
	inflight int64     // bytes of requests not yet answered, waiting ones included
	waiting  []request // oldest first
	ticking  bool
	backlog  int64              // bytes appended to the log and not yet by the live stores
	running  int64              // bytes of requests whose job runs; they will be backlog
	written  map[int32][]extent // per partition, what is in the backlog
	seen     map[int32]int64    // per partition, the live-store's next offset
	epochs   map[int32]string   // per partition, the epoch of the log that seen is of
	large    large
	draining bool
}

type request struct {
	from  *actor.PID
	ctx   context.Context
	push  *ingest.PushSpans
	bytes int64
	since time.Time
}

type extent struct {
	next  int64 // offset after the records
	bytes int64
}

type ack struct {
	partition int32
	next      int64
	bytes     int64
}

func newState(cfg Config) *state {
	return &state{cfg: cfg, written: map[int32][]extent{}, seen: map[int32]int64{}, epochs: map[int32]string{}}
}

// fits reports whether a request may be taken in: the node does not hold as many bytes yet as it
// may. A lone request of any size fits.
func (s *state) fits(bytes int64) bool {
	return s.inflight == 0 || s.inflight+bytes <= int64(s.cfg.MaxInflightBytes)
}

// take takes in a request that fits.
func (s *state) take(r request) {
	s.inflight += r.bytes
	s.waiting = append(s.waiting, r)
}

// next returns the requests whose turn it is and those that have waited too long.
func (s *state) next(now time.Time) (run, late []request) {
	for len(s.waiting) > 0 {
		r := s.waiting[0]
		pending := s.backlog + s.running
		switch {
		case pending == 0 || pending+r.bytes <= int64(s.cfg.MaxBacklogBytes):
			s.running += r.bytes
			run = append(run, r)
		case now.Sub(r.since) >= s.cfg.MaxWait:
			s.inflight -= r.bytes
			late = append(late, r)
		default:
			return run, late
		}
		s.waiting = s.waiting[1:]
	}
	return run, late
}

// done releases an answered request and notes what it left in the log.
func (s *state) done(n int64, acks []ack) {
	s.inflight -= n
	s.running -= n
	for _, a := range acks {
		if a.next <= s.seen[a.partition] {
			continue
		}
		s.backlog += a.bytes
		s.written[a.partition] = append(s.written[a.partition], extent{next: a.next, bytes: a.bytes})
	}
}

// appended notes that the live-store of a partition has everything below an offset. In another
// epoch of the log the offsets begin anew, and what was written to the one before is waited for no
// longer.
func (s *state) appended(m *jobs.Appended) {
	p := m.Partition
	another := s.epochs[p] != "" && s.epochs[p] != m.Epoch
	if s.epochs[p] = m.Epoch; another {
		s.seen[p] = m.Next
	}
	s.seen[p] = max(s.seen[p], m.Next)
	w := s.written[p]
	kept := w[:0]
	for _, e := range w { // answers of concurrent requests come in any order
		if e.next <= m.Next || another {
			s.backlog -= e.bytes
		} else {
			kept = append(kept, e)
		}
	}
	s.written[p] = kept
}

func (s *state) inspect() *system.ActorStatus {
	st := "taking"
	if s.draining {
		st = "draining"
	}
	return &system.ActorStatus{State: st, Detail: map[string]string{"inflight_bytes": fmt.Sprint(s.inflight), "backlog_bytes": fmt.Sprint(s.backlog),
		"waiting_requests": fmt.Sprint(len(s.waiting))}}
}
