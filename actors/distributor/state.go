package distributor

import (
	"fmt"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

// state is the admission of one distributor. Requests wait for a moment when the live-stores are
// behind, so that a burst is slowed down and not refused. Waiting requests count as in flight.
type state struct {
	cfg      Config
	rates    *rates
	inflight int64     // bytes of requests not yet answered, waiting ones included
	waiting  []request // oldest first
	ticking  bool      // a waitTick is under way
	backlog  int64     // bytes in the log that the live-stores have not read yet
	running  int64     // bytes of requests that are being written; they will be backlog
	parts    map[int32]*partitionBacklog
	large    largeTraces
	draining bool
	drainer  *actor.PID // who waits for the end of the drain
}

// partitionBacklog is what is known of the backlog of one partition.
type partitionBacklog struct {
	epoch   string  // of the log, as the live-store has named it; empty: it has not yet
	next    int64   // next offset that the live-store reads
	entries []entry // appended to the log and not yet read
}

// entry is what one request has added to the log of a partition.
type entry struct {
	next  int64 // offset after the records
	bytes int64
}

// ack tells that a request's records are in the log of a partition.
type ack struct {
	partition int32
	entry
}

func newState(cfg Config, of func(tenant string) limits.Ingestion) *state {
	return &state{cfg: cfg, rates: newRates(of), parts: map[int32]*partitionBacklog{}}
}

func (s *state) backlogOf(p int32) *partitionBacklog {
	b := s.parts[p]
	if b == nil {
		b = &partitionBacklog{}
		s.parts[p] = b
	}
	return b
}

// hasRoomFor reports whether a request may be taken: with it the node has no more bytes in flight
// than it may. A lone request of any size is taken.
func (s *state) hasRoomFor(bytes int64) bool {
	return s.inflight == 0 || s.inflight+bytes <= int64(s.cfg.MaxInflightBytes)
}

// admit takes a request for which there is room.
func (s *state) admit(r request) {
	s.inflight += r.otlpBytes()
	s.waiting = append(s.waiting, r)
}

// takeDue takes from the waiting requests those whose turn it is, and those that have waited too
// long.
func (s *state) takeDue(now time.Time) (due, late []request) {
	for len(s.waiting) > 0 {
		r := s.waiting[0]
		pending := s.backlog + s.running
		switch {
		case pending == 0 || pending+r.otlpBytes() <= int64(s.cfg.MaxBacklogBytes):
			s.running += r.otlpBytes()
			due = append(due, r)
		case now.Sub(r.since) >= s.cfg.MaxWait:
			s.inflight -= r.otlpBytes()
			late = append(late, r)
		default:
			return due, late
		}
		s.waiting = s.waiting[1:]
	}
	return due, late
}

// noteWritten releases an answered request of so many bytes and takes its records into the backlog.
func (s *state) noteWritten(bytes int64, acks []ack) {
	s.inflight -= bytes
	s.running -= bytes
	for _, a := range acks {
		p := s.backlogOf(a.partition)
		if a.next <= p.next {
			continue
		}
		s.backlog += a.bytes
		p.entries = append(p.entries, a.entry)
	}
}

// noteAppended takes from the backlog what the live-store of a partition has read. In another epoch
// of the log the offsets begin anew, and what was written to the one before is not waited for any
// longer.
func (s *state) noteAppended(m *jobs.Appended) {
	p := s.backlogOf(m.Partition)
	newEpoch := p.epoch != "" && p.epoch != m.Epoch
	p.epoch = m.Epoch
	if newEpoch {
		p.next = m.Next
	}
	p.next = max(p.next, m.Next)
	left := p.entries[:0]
	for _, e := range p.entries { // answers of concurrent requests come in any order
		if e.next <= m.Next || newEpoch {
			s.backlog -= e.bytes
		} else {
			left = append(left, e)
		}
	}
	p.entries = left
}

func (s *state) inspect() *system.ActorStatus {
	shown := "taking"
	if s.draining {
		shown = "draining"
	}
	return &system.ActorStatus{State: shown, Detail: map[string]string{
		"inflight_bytes":   fmt.Sprint(s.inflight),
		"backlog_bytes":    fmt.Sprint(s.backlog),
		"waiting_requests": fmt.Sprint(len(s.waiting)),
	}}
}
