package livestore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/live"
	"github.com/troupe-tracing/troupe/runtime/engine/plan"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
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
	epoch   string
	version uint64 // newest catalog version seen
	covered int64  // as of version
	floor   int64  // lowest offset held
	next    int64  // next offset to read
	target  int64  // end of the log when the actor started

	tenants  map[string]*tenant
	records  []record // records held, by offset, for age and bytes of what is uncovered
	drops    []drop   // coverage seen, not yet acted on
	setAside int64    // records that no engine could read
}

// tenant is a tenant's part of the partition: sealed segments in offset order, then at most one open one.
type tenant struct {
	segments []*segment
	made     int // segments so far; the next one's number
	homes    *homes
}

type segment struct {
	*live.Segment
	number  int
	entered int // traces that homes knows of
}

type record struct {
	offset int64
	bytes  int64
	parts  int32
	at     time.Time
}

type drop struct {
	below int64
	at    time.Time
}

func newState(partition int32, cfg Config) *state {
	return &state{partition: partition, cfg: cfg, tenants: map[string]*tenant{}}
}

// attach starts reading at the covered offset. end is the end of the log at this moment.
func (s *state) attach(epoch string, version uint64, covered, end int64) {
	s.epoch, s.version = epoch, version
	s.covered, s.floor, s.next = covered, covered, covered
	s.target = end
	s.phase = replaying
	if s.next >= s.target {
		s.phase = ready
	}
}

// append takes one batch of records. It returns what became of records that could not be taken: they are set aside, counted
// and reported, never looped on.
func (s *state) append(now time.Time, b kafkalog.Batch) (aside []error) {
	for _, r := range b.Records {
		if r.Offset < s.next {
			continue // handed over twice
		}
		at := r.Time
		if at.IsZero() {
			at = now
		}
		if err := s.appendRecord(r, at); err != nil {
			s.setAside++
			aside = append(aside, fmt.Errorf("append record at offset %d of partition %d: %w", r.Offset, s.partition, err))
		}
		s.next = r.Offset + 1
		s.records = append(s.records, record{offset: r.Offset, bytes: int64(len(r.Value)), parts: r.Parts, at: at})
	}
	s.next = max(s.next, b.Next)
	if s.phase == replaying && s.next >= s.target {
		s.phase = ready
	}
	return aside
}

func (s *state) appendRecord(r kafkalog.Record, at time.Time) error {
	if r.Format != kafkalog.FormatOTLP {
		return fmt.Errorf("record has format %q, want %q: written by another program", r.Format, kafkalog.FormatOTLP)
	}
	t := s.tenants[r.Tenant]
	if t == nil {
		t = &tenant{homes: newHomes()}
		s.tenants[r.Tenant] = t
	}
	_, err := t.open(s.cfg).Append(r.Offset, at.UnixNano(), r.Value)
	if errors.Is(err, live.ErrFull) && t.open(s.cfg).Rows() > 0 {
		t.seal()
		_, err = t.open(s.cfg).Append(r.Offset, at.UnixNano(), r.Value)
	}
	return err
}

// open returns the tenant's open segment, beginning one where there is none or the last one is full.
func (t *tenant) open(cfg Config) *segment {
	if n := len(t.segments); n > 0 {
		last := t.segments[n-1]
		if !last.Sealed() && last.Rows() < cfg.SegmentSpans {
			return last
		}
		t.seal()
	}
	g := &segment{Segment: live.New(live.Limits{MaxColumns: cfg.SegmentColumns, Seed: cfg.Seed}), number: t.made}
	t.made++
	t.segments = append(t.segments, g)
	return g
}

// seal ends the open segment.
func (t *tenant) seal() {
	if n := len(t.segments); n > 0 && !t.segments[n-1].Sealed() {
		t.segments[n-1].Seal()
	}
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

// cover notes a newer coverage; what it covers is dropped a grace time later, by expire.
func (s *state) cover(now time.Time, version uint64, covered int64) {
	if version <= s.version {
		return
	}
	s.version = version
	if covered > s.covered {
		s.covered = covered
		s.drops = append(s.drops, drop{below: covered, at: now.Add(s.cfg.CoveredGrace)})
	}
}

// expire drops segments wholly below a coverage whose grace is over.
func (s *state) expire(now time.Time) {
	for len(s.drops) > 0 && !now.Before(s.drops[0].at) {
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
		i, _ := slices.BinarySearchFunc(s.records, below, func(r record, o int64) int { return cmp.Compare(r.offset, o) })
		s.records = slices.Clone(s.records[i:])
	}
}

// uncovered returns bytes and age of the records not yet in a block.
func (s *state) uncovered(from int64) (bytes int64, oldest time.Time) {
	i, _ := slices.BinarySearchFunc(s.records, from, func(r record, o int64) int { return cmp.Compare(r.offset, o) })
	for _, r := range s.records[i:] {
		bytes += r.bytes
		if oldest.IsZero() || r.at.Before(oldest) {
			oldest = r.at
		}
	}
	return bytes, oldest
}

// cut seals every open segment and returns the records [from, next) as tables by tenant, if the cut is due; else an empty range.
func (s *state) cut(now time.Time, m *plan.CutJob) *plan.CutResult {
	bytes, oldest := s.uncovered(m.From)
	out := &plan.CutResult{From: m.From, To: m.From, Bytes: bytes, Floor: s.floor}
	due := bytes > 0 && (m.Force || bytes >= m.Bytes || now.Sub(oldest) >= m.Age)
	if s.phase == attaching || m.From < s.floor || m.From > s.next || !due && !(m.Force && s.next > m.From) {
		return out
	}
	out.To = s.next
	out.Tables = map[string][]column.Table{}
	for name, t := range s.tenants {
		for _, g := range t.segments {
			if g.Next() <= m.From {
				continue
			}
			t.seal()
			if snap := g.Snapshot(m.From, s.next); snap.Rows() > 0 {
				out.Tables[name] = append(out.Tables[name], snap)
			}
		}
	}
	i, _ := slices.BinarySearchFunc(s.records, m.From, func(r record, o int64) int { return cmp.Compare(r.offset, o) })
	for k, r := range s.records[i:] {
		if !slices.Contains(out.Parts, r.parts) {
			out.Parts = append(out.Parts, r.parts)
		}
		ns := r.at.UnixNano()
		if k == 0 {
			out.FirstArrival, out.LastArrival = ns, ns
		}
		out.FirstArrival, out.LastArrival = min(out.FirstArrival, ns), max(out.LastArrival, ns)
	}
	return out
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

// watermark is the arrival time of the newest record held below upTo.
func (s *state) watermark() int64 {
	if len(s.records) == 0 {
		return 0
	}
	return s.records[len(s.records)-1].at.UnixNano()
}

func (s *state) bytes() (live, rows int64) {
	for _, t := range s.tenants {
		for _, g := range t.segments {
			live += g.Bytes()
			rows += int64(g.Rows())
		}
	}
	return live, rows
}
