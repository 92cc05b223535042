package livestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

type phase uint8

const (
	attaching phase = iota // asking the catalog where to start
	replaying              // reading up to the end seen at start; queries wait
	ready
)

func (p phase) String() string { return [...]string{"attaching", "replaying", "ready"}[p] }

// state is the live-store of one partition. It is a cache of the log: [floor, next).
type state struct {
	partition int32
	cfg       Config

	phase   phase
	check   bool // the catalog is to compare itself with the log before it says where to start
	life    int  // attachments so far
	epoch   string
	version uint64    // newest catalog version seen
	covered int64     // as of version
	floor   int64     // lowest offset held
	next    int64     // next offset to read
	target  int64     // end of the log when the actor attached
	behind  string    // why the log cannot be read at present
	current time.Time // when the last read began
	atEnd   time.Time // when the last read began that came to the end of the log: all that was in it then is held
	fails   int       // reads that have failed one after the other
	cutFrom int64     // where the cut begins that was handed out last
	cutTo   int64     // and where it ends

	tenants  map[string]*tenant
	parts    map[int32]int64    // numbers of partitions that records were routed by -> the last record so routed
	records  []record           // records held, by offset, for age and bytes of what is uncovered
	drops    []drop             // coverage seen, not yet acted on
	setAside int64              // records that no engine could read
	aside    []jobs.AsideRecord // those of them that are not dropped yet, by offset
	poison   map[int64]string   // records of this epoch that are not to be tried again, and how each broke the engine

	held    int64 // bytes of memory of all segments
	free    int64 // of those that hold records which are in no block and in no cut
	homes   int64 // of what is known of traces' homes, as of the last second
	scratch live.Scratch

	sizes sizes // of traces, of tenants that limit them

	put func(*segment, kafkalog.Record) error // appends to a segment
}

// tenant is a tenant's part of the partition: sealed segments in offset order, then at most one
// open one.
type tenant struct {
	segments []*segment
	made     int // segments so far; the next one's number
	homes    *homes
}

type segment struct {
	*live.Segment
	number  int
	entered int   // traces that homes knows of
	weighed int64 // its bytes as they are counted in the state's
}

type record struct {
	offset int64
	bytes  int64 // of this record and all before it that were read since the attachment
	parts  int32
	at     time.Time // arrival, by whoever wrote it
	seen   time.Time // arrival here
	last   kafkalog.Fingerprint
	marked bool // last is known: it ended a read
}

type drop struct {
	below int64
	at    time.Time
}

func newState(partition int32, cfg Config) *state {
	return &state{partition: partition, cfg: cfg, tenants: map[string]*tenant{}, poison: map[int64]string{}, put: put}
}

func put(g *segment, r kafkalog.Record) error {
	_, err := g.Append(r.Offset, r.Time.UnixNano(), r.Value)
	return err
}

// attach starts reading at the covered offset. end was the end of the log at the time now.
func (s *state) attach(now time.Time, m *jobs.CoveredResult, end int64) {
	if s.epoch != m.Epoch {
		clear(s.poison)
	}
	s.epoch, s.version = m.Epoch, m.Version
	s.covered, s.floor, s.next, s.cutFrom, s.cutTo = m.Covered, m.Covered, m.Covered, m.Covered, m.Covered
	s.target, s.check, s.behind, s.current, s.atEnd = end, false, "", now, time.Time{}
	s.life++
	s.tenants, s.parts, s.records, s.drops = map[string]*tenant{}, map[int32]int64{}, nil, nil
	s.aside, s.held, s.free, s.homes = nil, 0, 0, 0
	s.sizes = sizes{limit: s.sizes.limit}
	s.phase = replaying
	if s.next >= s.target {
		s.phase = ready
	}
}

// lose gives up what is held: the log is not what it was, or the catalog is in another epoch of it.
// The read under way ends first.
func (s *state) lose(check bool) {
	s.phase = attaching
	s.check = s.check || check
}

// append takes one batch of records, of a read that began at s.current. It returns what became of
// records that could not be taken: they are set aside, counted and reported, never looped on.
func (s *state) append(now time.Time, b kafkalog.Batch) (aside []error) {
	for _, r := range b.Records {
		if r.Offset < s.next {
			continue // handed over twice
		}
		if r.Time.IsZero() {
			r.Time = now
		}
		if err := s.appendRecord(r); err != nil {
			aside = append(aside, fmt.Errorf("append record at offset %d of partition %d: %w", r.Offset, s.partition, err))
			if s.phase == attaching {
				return aside
			}
			s.setAside++
			s.aside = append(s.aside, jobs.AsideRecord{Offset: r.Offset, Tenant: known(r), Arrival: r.Time.UnixNano(), Reason: err.Error(),
				Foreign: r.Format == ""})
		} else {
			s.sizes.add(now, r.Tenant, r.Value)
		}
		s.next = r.Offset + 1
		s.parts[r.Parts] = r.Offset
		s.records = append(s.records, record{offset: r.Offset, bytes: s.read() + int64(len(r.Value)), parts: r.Parts, at: r.Time, seen: now})
	}
	if n := len(s.records); n > 0 && len(b.Records) > 0 {
		s.records[n-1].last, s.records[n-1].marked = b.Last, true
	}
	s.next = max(s.next, b.Next)
	if s.behind, s.fails = "", 0; b.Next >= b.End {
		s.atEnd = s.current
	}
	if s.phase == replaying && s.next >= s.target {
		s.phase = ready
	}
	return aside
}

// read is the number of bytes read since the attachment.
func (s *state) read() int64 {
	if n := len(s.records); n > 0 {
		return s.records[n-1].bytes
	}
	return 0
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
			// What the segment holds now is not to be trusted: all is read again, without this
			// record.
			s.poison[r.Offset] = fmt.Sprint(p)
			s.lose(false)
			err = fmt.Errorf("BUG: record broke the engine: %v", p)
		}
	}()
	t := s.tenants[r.Tenant]
	if t == nil {
		t = &tenant{homes: newHomes()}
		s.tenants[r.Tenant] = t
	}
	g := s.open(t)
	err = s.put(g, r)
	if errors.Is(err, live.ErrFull) && g.Rows() > 0 {
		g.Seal()
		s.weigh(g)
		g = s.open(t)
		err = s.put(g, r)
	}
	s.weigh(g)
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

// known returns the tenant of a record that was set aside; empty: whose spans it held cannot be
// told.
func known(r kafkalog.Record) string {
	if r.Format != kafkalog.FormatOTLP || checkTenant(r.Tenant) != nil {
		return ""
	}
	return r.Tenant
}

// What is held beside the segments, in bytes.
const (
	tenantBytes = 1 << 10
	recordBytes = 96
	traceBytes  = 128 // of one trace of which it is known where it lies
)

// weigh counts what a segment that is in no cut has come to weigh.
func (s *state) weigh(g *segment) {
	n := g.Bytes()
	s.held += n - g.weighed
	s.free += n - g.weighed
	g.weighed = n
}

// reckon counts the memory of all that is held anew.
func (s *state) reckon() {
	s.held, s.free, s.homes = 0, 0, 0
	from := max(s.covered, s.cutTo)
	for _, t := range s.tenants {
		s.homes += tenantBytes + traceBytes*int64(len(t.homes.order)+len(t.homes.checked))
		for _, g := range t.segments {
			g.weighed = g.Bytes()
			s.held += g.weighed
			if g.Next() > from {
				s.free += g.weighed
			}
		}
	}
}

// memory returns the bytes that could be let go as blocks, and those that are on their way out or
// cannot be.
func (s *state) memory() (free, pending int64) {
	return s.free, s.held - s.free + s.homes + recordBytes*int64(len(s.records))
}

// failed notes that a read has failed and returns the pause before the next.
func (s *state) failed(err error) time.Duration {
	s.behind = err.Error()
	s.fails++
	return min(100*time.Millisecond<<min(s.fails-1, 10), 5*time.Second)
}

// open returns the tenant's open segment, beginning one where there is none or the last one is
// full.
func (s *state) open(t *tenant) *segment {
	if n := len(t.segments); n > 0 {
		last := t.segments[n-1]
		if !last.Sealed() && last.Rows() < s.cfg.SegmentSpans {
			return last
		}
		if !last.Sealed() {
			last.Seal()
			s.weigh(last)
		}
	}
	g := &segment{Segment: live.New(live.Limits{MaxColumns: s.cfg.SegmentColumns, Seed: s.cfg.Seed, Scratch: &s.scratch}), number: t.made}
	t.made++
	t.segments = append(t.segments, g)
	return g
}

// enter tells homes of the traces that have come.
func (t *tenant) enter() {
	for _, g := range t.segments {
		if g.entered == g.Traces() {
			continue
		}
		for snap := g.Snapshot(0, math.MaxInt64); g.entered < snap.Traces(); g.entered++ {
			id, err := snap.TraceID(context.Background(), g.entered)
			if err != nil {
				panic("BUG: " + err.Error())
			}
			t.homes.enter(g.number, id)
		}
	}
}

// from returns the number of the first segment that holds records from an offset on.
func (t *tenant) from(offset int64) int {
	for _, g := range t.segments {
		if g.Next() > offset {
			return g.number
		}
	}
	return t.made
}

// cover notes a newer coverage; what it covers is dropped a grace time later, by expire. Coverage
// of another epoch says that what is held is of no use.
func (s *state) cover(now time.Time, m *jobs.CoverageChanged) {
	switch {
	case s.phase == attaching:
	case m.Epoch != s.epoch:
		s.lose(false)
	case m.Version > s.version:
		s.version = m.Version
		if covered := m.Covered[s.partition]; covered > s.covered {
			s.covered = covered
			s.drops = append(s.drops, drop{below: covered, at: now.Add(s.cfg.CoveredGrace)})
			s.reckon()
		}
	}
}

// expire drops segments wholly below a coverage whose grace is over. Where memory is tight there is
// no grace: queries that were planned before are planned again.
func (s *state) expire(now time.Time, tight bool) {
	if len(s.drops) > 0 {
		defer s.reckon()
	}
	for len(s.drops) > 0 && (tight || !now.Before(s.drops[0].at)) {
		below := s.drops[0].below
		s.drops = s.drops[1:]
		for name, t := range s.tenants {
			n := len(t.segments)
			t.segments = slices.DeleteFunc(t.segments, func(g *segment) bool { return g.Next() <= below })
			switch {
			case len(t.segments) == 0:
				delete(s.tenants, name)
			case len(t.segments) < n:
				t.enter()
				t.homes.drop(t.segments[0].number)
			}
		}
		s.floor = max(s.floor, below)
		if i := s.index(below); i > 0 {
			i-- // the one before tells how many bytes lie below
			s.records = slices.Clone(s.records[i:])
		}
		s.aside = slices.DeleteFunc(s.aside, func(r jobs.AsideRecord) bool { return r.Offset < below })
	}
}

// index returns the index of the first record held from an offset on.
func (s *state) index(offset int64) int {
	i, _ := slices.BinarySearchFunc(s.records, offset, func(r record, o int64) int { return cmp.Compare(r.offset, o) })
	return i
}

// bytes is the number of bytes of the records in [from, to).
func (s *state) bytes(from, to int64) int64 {
	before := func(offset int64) int64 {
		if i := s.index(offset); i > 0 {
			return s.records[i-1].bytes
		}
		return 0
	}
	return before(to) - before(from)
}

// uncovered returns the bytes in no block yet, those of them that are in no cut either, and those
// that are.
func (s *state) uncovered() (free, cut int64) {
	from := max(s.covered, s.cutTo)
	return s.bytes(from, s.next), s.bytes(s.covered, from)
}

// cut seals every open segment and returns the records [from, to) as tables by tenant, if the cut
// is due; else an empty range. fattest says that the node holds too much, and this partition most
// of it. A cut that is asked for again is due, and no longer than it was: so the segments it was
// made of are sealed once.
func (s *state) cut(now time.Time, m *jobs.CutJob, fattest bool) *jobs.CutResult {
	out := &jobs.CutResult{Epoch: s.epoch, Version: s.version, From: m.From, To: m.From, Floor: s.floor}
	if s.phase == attaching || m.Epoch != s.epoch || m.From < s.floor || m.From > s.next {
		return out
	}
	defer s.reckon()
	again := m.From == s.cutFrom && s.cutTo > m.From
	i, end := s.index(m.From), s.cutTo
	s.cutFrom, s.cutTo = m.From, m.From // whoever asks has no cut under way
	out.Bytes = s.bytes(m.From, s.next)
	if i == len(s.records) || !again && !m.Force && !fattest && out.Bytes < m.Bytes && now.Sub(s.records[i].seen) < m.Age {
		return out
	}
	j := 0
	if again {
		j = s.index(end) - 1
	} else {
		j = s.lastOf(i, out.Bytes, m.Bytes)
	}
	if m.Most > 0 {
		j = min(j, max(i, s.index(m.From+m.Most)-1))
	}
	out.To, out.Records = s.records[j].offset+1, j-i+1
	if k := j + slices.IndexFunc(s.records[j:], func(r record) bool { return r.marked }); k == j {
		out.Last = fingerprint(s.records[k])
	} else {
		// every read has ended with one that is marked
		out.Later, out.LaterPrint = s.records[k].offset, fingerprint(s.records[k])
	}
	s.cutTo = out.To
	out.Tables = map[string][]column.Table{}
	for name, t := range s.tenants {
		for _, g := range t.segments {
			if g.Next() <= m.From || g.From() >= out.To {
				continue
			}
			g.Seal()
			if snap := g.Snapshot(m.From, out.To); snap.Rows() > 0 {
				out.Tables[name] = append(out.Tables[name], snap)
			}
		}
	}
	out.Aside = s.asideIn(m.From, out.To)
	out.FirstArrival, out.LastArrival = math.MaxInt64, math.MinInt64
	for _, r := range s.records[i : j+1] {
		if !slices.Contains(out.Parts, r.parts) {
			out.Parts = append(out.Parts, r.parts)
		}
		out.FirstArrival, out.LastArrival = min(out.FirstArrival, r.at.UnixNano()), max(out.LastArrival, r.at.UnixNano())
	}
	slices.Sort(out.Parts)
	return out
}

func fingerprint(r record) *blocks.Fingerprint {
	return &blocks.Fingerprint{Crc: r.last.CRC, LeaderEpoch: r.last.LeaderEpoch}
}

// asideIn returns the records of [from, to) that were set aside.
func (s *state) asideIn(from, to int64) []jobs.AsideRecord {
	at := func(offset int64) int {
		i, _ := slices.BinarySearchFunc(s.aside, offset, func(r jobs.AsideRecord, o int64) int { return cmp.Compare(r.Offset, o) })
		return i
	}
	i, j := at(from), at(to)
	return slices.Clone(s.aside[i:max(i, j)])
}

// lastOf returns the index of the last record of a cut from record i on: one that ended a read,
// because its fingerprint is known, and with which the cut has at most twice the bytes that make
// one due, as far as there is such a one.
func (s *state) lastOf(i int, bytes, due int64) int {
	j := len(s.records) - 1
	if bytes <= 2*due {
		return j
	}
	before := s.records[j].bytes - bytes
	for k := i; k < j; k++ {
		if s.records[k].marked {
			j = k
			if s.records[k].bytes-before >= due {
				break
			}
		}
	}
	return j
}

// snapshots returns the tenant's records in [from, upTo) as tables, oldest first.
func (s *state) snapshots(name string, from, upTo int64) []column.Table {
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

// watermark is the time, in unix ns, before which all that came into the log is held; 0: not known.
func (s *state) watermark() (ns int64) {
	if n := len(s.records); n > 0 {
		ns = s.records[n-1].at.UnixNano()
	}
	if !s.atEnd.IsZero() {
		ns = max(ns, s.atEnd.UnixNano())
	}
	return ns
}

// mark returns the last record read and its fingerprint as it was read.
func (s *state) mark() (offset int64, fp kafkalog.Fingerprint, ok bool) {
	if n := len(s.records); n > 0 && s.phase != attaching && s.records[n-1].marked {
		return s.records[n-1].offset, s.records[n-1].last, true
	}
	return 0, fp, false
}

// stale is how much longer ago than usual the last read may have begun before a question about the
// present waits for the next: a process that has slept does not answer from before.
const stale = time.Second

// ask says what a question of a tenant can be answered from, and which records it asks for were set
// aside. upTo below 0 asks for all there is at present.
func (s *state) ask(now time.Time, at jobs.Snapshot, tenant string, from, upTo int64) (held jobs.Held, ok bool) {
	switch {
	case s.phase != ready:
		return held, false
	case upTo < 0 && s.behind == "" && now.Sub(s.current) > 2*s.cfg.FetchWait+s.cfg.Pause+stale:
		return held, false
	case at.Epoch != s.epoch && at.Version > s.version:
		s.lose(false) // the catalog has moved on to another epoch of the log, and nobody has told us
		return held, false
	case at.Epoch != s.epoch:
		return jobs.Held{Floor: math.MaxInt64, Version: s.version}, true
	case s.floor > from:
		return jobs.Held{Floor: s.floor, Version: s.version}, true
	}
	held = jobs.Held{Floor: s.floor, Version: s.version}
	end := upTo
	if end < 0 {
		end = s.next
	}
	if len(s.aside) > 0 {
		held.Aside = jobs.SetAside(s.epoch, s.partition, slices.DeleteFunc(s.asideIn(from, end), func(r jobs.AsideRecord) bool { return r.Tenant != "" && r.Tenant != tenant }))
	}
	return held, upTo <= s.next
}

// routedBy lists every number of partitions that records from an offset on were routed by.
func (s *state) routedBy(from int64) (out []int32) {
	for n, last := range s.parts {
		if n > 0 && last >= from {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// spans is the number of the tenant's spans in the segments that hold records of [from, upTo).
func (s *state) spans(name string, from, upTo int64) (n int64) {
	if t := s.tenants[name]; t != nil {
		for _, g := range t.segments {
			if g.Next() > from && g.From() < upTo {
				n += int64(g.Rows())
			}
		}
	}
	return n
}

// rows is the number of spans held.
func (s *state) rows() (n int64) {
	for _, t := range s.tenants {
		for _, g := range t.segments {
			n += int64(g.Rows())
		}
	}
	return n
}
