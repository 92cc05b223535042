package livestore

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// state is the live-store of one partition. Exactly one ask of the catalog, read of the log or
// pause is outstanding at any time, beside comparisons with the log and work on questions.
type state struct {
	partition  int32
	cfg        Config
	traceLimit func(tenant string) int64

	phase       phase
	failedReads int // in a row
	setAside    int // records that could not be read, since the start
	// poison are the records of this epoch that have broken the engine, by offset, with the reason.
	// They are not tried again.
	poison  map[int64]string
	waiting []question // those that ask for more than was read so far

	attachment
	scratch live.Scratch
	// appendSpans appends a record to a segment.
	appendSpans func(*segment, kafkalog.Record) error
}

// attachment is what was read since the actor attached: the records [floor, next) of one epoch of
// the log. Each attachment begins with an empty one.
type attachment struct {
	epoch   string
	version uint64 // newest version of the catalog that was seen
	covered int64  // next offset to build, as of that version
	floor   int64  // lowest offset held
	next    int64  // next offset to read
	target  int64  // end of the log when the actor attached
	before  *mark  // of the record below the floor when it attached, as the catalog knows it

	leader int32 // epoch of the log's leader at the last read
	lag

	tenants map[string]*tenant
	records recordList
	keeping keeping
	lastCut offsetRange // handed out last; empty: none since
	usage   memoryUsage
	sizes   traceSizes
}

// offsetRange is [from, to).
type offsetRange struct{ from, to int64 }

// tenant is the part of the partition that one tenant has: sealed segments in the order of their
// offsets, then at most one open one.
type tenant struct {
	segments []*segment
	made     int // segments so far, which is the number of the next one
	homes    *homeIndex
}

type segment struct {
	*live.Segment
	number  int
	indexed int   // traces that the homeIndex knows of
	counted int64 // bytes, as counted in memoryUsage
}

func newState(partition int32, cfg Config, traceLimit func(string) int64) *state {
	return &state{
		partition:   partition,
		cfg:         cfg,
		traceLimit:  traceLimit,
		poison:      map[int64]string{},
		attachment:  newAttachment(traceLimit),
		appendSpans: appendSpans,
	}
}

func newAttachment(traceLimit func(string) int64) attachment {
	return attachment{tenants: map[string]*tenant{}, sizes: traceSizes{limit: traceLimit}, leader: noLeader}
}

func appendSpans(g *segment, r kafkalog.Record) error {
	_, err := g.Append(r.Offset, r.Time.UnixNano(), r.Value)
	return err
}

// startReplay begins an attachment at the covered offset.
func (s *state) startReplay(m logBounds) {
	if s.epoch != m.covered.Epoch {
		clear(s.poison)
	}
	from := m.covered.Covered
	s.attachment = newAttachment(s.traceLimit)
	s.epoch, s.version = m.covered.Epoch, m.covered.Version
	s.covered, s.floor, s.next = from, from, from
	s.lastCut = offsetRange{from, from}
	if f := m.covered.Last; f != nil {
		print := kafkalog.Fingerprint{CRC: f.GetCrc(), LeaderEpoch: f.GetLeaderEpoch()}
		s.before = &mark{offset: from - 1, fingerprint: print}
	}
	s.target = m.end
	s.phase = replaying
	s.noteEnd(s.next, logEnd{m.began, m.end})
	s.endReplay()
}

// endReplay makes the actor ready once it has read what was in the log at the start.
func (s *state) endReplay() {
	if s.phase == replaying && s.next >= s.target {
		s.phase = ready
	}
}

// appendBatch takes the records of one read. It returns an error for each record that could not be
// taken. These are set aside, counted and reported, and never tried in a loop. A record that breaks
// the engine ends the batch and has the actor give up what it has read.
// Next: actors/blockbuilder asks for a cut; queries find the spans from here on.
func (s *state) appendBatch(now time.Time, m batchRead) (setAside []error) {
	b := m.batch
	for _, r := range b.Records {
		if r.Offset < s.next {
			continue // handed over twice
		}
		if r.Time.IsZero() {
			r.Time = now
		}
		if err := s.appendRecord(r); err != nil {
			setAside = append(setAside,
				fmt.Errorf("append record at offset %d of partition %d: %w", r.Offset, s.partition, err))
			if !s.phase.attached() {
				return setAside
			}
			s.setAside++
			s.records.addAside(r, err)
		} else {
			s.sizes.countSpans(now, r.Tenant, r.Value)
		}
		s.next = r.Offset + 1
		s.records.add(r, now)
	}
	if len(b.Records) > 0 {
		s.records.markLast(b.Last)
	}
	s.next = max(s.next, b.Next)
	s.behind, s.failedReads, s.leader = "", 0, b.Leader
	s.noteEnd(s.next, logEnd{m.began, b.End})
	s.endReplay()
	return setAside
}

func (s *state) appendRecord(r kafkalog.Record) (err error) {
	switch {
	case r.Format == "":
		return errors.New("record has no format: written by another program")
	case r.Format != kafkalog.FormatOTLP || r.Parts <= 0:
		return fmt.Errorf("record has format %q and %d partitions, which this version does not read", r.Format, r.Parts)
	case s.poison[r.Offset] != "":
		return fmt.Errorf("record broke the engine before: %s", s.poison[r.Offset])
	}
	if err := checkTenant(r.Tenant); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			// The segment cannot be trusted any longer. Everything is read again without this
			// record.
			s.poison[r.Offset] = fmt.Sprint(p)
			s.giveUp(dropped)
			err = fmt.Errorf("BUG: record broke the engine: %v", p)
		}
	}()
	t := s.tenants[r.Tenant]
	if t == nil {
		t = &tenant{homes: newHomeIndex()}
		s.tenants[r.Tenant] = t
	}
	g := s.openSegment(t)
	err = s.appendSpans(g, r)
	if errors.Is(err, live.ErrFull) && g.Rows() > 0 {
		g.Seal()
		s.countSegment(g)
		g = s.openSegment(t)
		err = s.appendSpans(g, r)
	}
	s.countSegment(g)
	return err
}

func checkTenant(name string) error {
	if strings.Contains(name, "/") {
		return fmt.Errorf("record of tenant %q, which is no name", name)
	}
	if err := objstore.CheckName(name); err != nil {
		return fmt.Errorf("record of tenant %q, which is no name: %w", name, err)
	}
	return nil
}

// openSegment returns the segment of the tenant that takes spans. It begins one if there is none or
// the last one is full.
func (s *state) openSegment(t *tenant) *segment {
	if n := len(t.segments); n > 0 {
		last := t.segments[n-1]
		if !last.Sealed() && last.Rows() < s.cfg.SegmentSpans {
			return last
		}
		if !last.Sealed() {
			last.Seal()
			s.countSegment(last)
		}
	}
	limits := live.Limits{MaxColumns: s.cfg.SegmentColumns, Seed: s.cfg.Seed, Scratch: &s.scratch}
	g := &segment{Segment: live.New(limits), number: t.made}
	t.made++
	t.segments = append(t.segments, g)
	return g
}

// indexHomes tells the homeIndex what has come since it was told last.
func (t *tenant) indexHomes() {
	for _, g := range t.segments {
		for ; g.indexed < g.Traces(); g.indexed++ {
			t.homes.addTrace(g.number, g.indexed, g.TraceID(g.indexed))
		}
	}
	t.homes.shared.readRows(t.segments)
}

// firstSegment returns the number of the first segment that has records from an offset on.
func (t *tenant) firstSegment(from int64) int {
	for _, g := range t.segments {
		if g.Next() > from {
			return g.number
		}
	}
	return t.made
}

// firstSegmentAfter returns the number of the first segment that has no record below an offset.
func (t *tenant) firstSegmentAfter(upTo int64) int {
	for _, g := range t.segments {
		if g.From() >= upTo {
			return g.number
		}
	}
	return t.made
}

// snapshotsOf returns the tenant's records in [from, upTo) as tables, oldest first.
func (s *state) snapshotsOf(name string, from, upTo int64) []column.Table {
	t := s.tenants[name]
	if t == nil {
		return nil
	}
	var out []column.Table
	for _, g := range t.segments {
		if g.Next() <= from || g.From() >= upTo {
			continue
		}
		if snap := g.Snapshot(from, upTo); snap.Rows() > 0 {
			out = append(out, snap)
		}
	}
	return out
}

// watermark returns the time, in unix ns, before which everything that came into the log is held;
// 0 means that it is not known.
func (s *state) watermark() (ns int64) {
	if n := len(s.records.list); n > 0 {
		ns = s.records.list[n-1].arrived.UnixNano()
	}
	if !s.atEnd.IsZero() {
		ns = max(ns, s.atEnd.UnixNano())
	}
	return ns
}

// lastMark returns the last record read, with its fingerprint as it was read; before the first, the
// last one that is covered. nil: its fingerprint is not known.
func (s *state) lastMark() *mark {
	if len(s.records.list) == 0 {
		return s.before
	}
	return s.records.lastMark()
}

// spansOf returns the number of the tenant's spans in the segments that have records of
// [from, upTo).
func (s *state) spansOf(name string, from, upTo int64) (n int64) {
	if t := s.tenants[name]; t != nil {
		for _, g := range t.segments {
			if g.Next() > from && g.From() < upTo {
				n += int64(g.Rows())
			}
		}
	}
	return n
}

// spanCount returns the number of spans held.
func (s *state) spanCount() (n int64) {
	for _, t := range s.tenants {
		for _, g := range t.segments {
			n += int64(g.Rows())
		}
	}
	return n
}

func (s *state) inspect() *system.ActorStatus {
	shown := attaching // operators see one word for all phases on the way to replaying
	if s.phase.attached() {
		shown = s.phase
	}
	free, pending := s.memoryUse()
	return &system.ActorStatus{State: shown.String(), Detail: map[string]string{
		"epoch":           s.epoch,
		"floor":           fmt.Sprint(s.floor),
		"covered":         fmt.Sprint(s.covered),
		"next":            fmt.Sprint(s.next),
		"tenants":         fmt.Sprint(len(s.tenants)),
		"spans":           fmt.Sprint(s.spanCount()),
		"bytes":           fmt.Sprint(free + pending),
		"set_aside":       fmt.Sprint(s.setAside),
		"waiting_queries": fmt.Sprint(len(s.waiting)),
		"behind":          s.behind,
	}}
}
