package livestore

import (
	"math"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/compact"
	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// takeCut seals the segments of the records [from, to) and returns them as tables by tenant if the
// cut is due; otherwise it returns an empty range. A cut that is asked for again is due and no
// longer than it was, so the segments that it was made of are sealed once.
// Next: actors/blockbuilder builds it.
func (s *state) takeCut(now time.Time, m *jobs.CutJob, fattest bool) *jobs.CutResult {
	out := &jobs.CutResult{Epoch: s.epoch, Version: s.version, From: m.From, To: m.From, Floor: s.floor}
	if !s.phase.attached() || m.Epoch != s.epoch || m.From < s.floor || m.From > s.next {
		return out
	}
	defer s.recountMemory()
	earlier := s.lastCut
	again := m.From == earlier.from && earlier.to > m.From
	s.lastCut = offsetRange{m.From, m.From} // whoever asks has no cut under way
	list := s.records.list
	first := s.records.indexOf(m.From)
	out.Bytes = s.records.bytesBetween(m.From, s.next)
	if first == len(list) {
		return out
	}
	nextDay := s.records.firstOfNextDay(first, now)
	due := again || m.Force || fattest || nextDay < len(list) ||
		out.Bytes >= m.Bytes || now.Sub(list[first].read) >= m.Age
	if !due {
		return out
	}
	last := 0
	if again {
		last = s.records.indexOf(earlier.to) - 1
	} else {
		last = s.records.lastOfCut(first, out.Bytes, m.Bytes)
	}
	if m.Most > 0 {
		last = min(last, max(first, s.records.indexOf(m.From+m.Most)-1))
	}
	last = min(last, nextDay-1)
	out.To, out.Records = list[last].offset+1, last-first+1
	s.lastCut.to = out.To
	if list[last].ended {
		out.Last = fingerprintOf(list[last])
	} else {
		// Every read has ended with a record whose fingerprint is known.
		later := last + slices.IndexFunc(list[last:], func(r record) bool { return r.ended })
		out.Later, out.LaterPrint = list[later].offset, fingerprintOf(list[later])
	}
	out.Tables = s.sealTables(m.From, out.To)
	out.Aside = s.records.asideBetween(m.From, out.To)
	describeArrivals(out, list[first:last+1])
	return out
}

// sealTables seals the segments that have records of [from, to) and returns these records, by
// tenant.
func (s *state) sealTables(from, to int64) map[string][]column.Table {
	out := map[string][]column.Table{}
	for name, t := range s.tenants {
		for _, g := range t.segments {
			if g.Next() <= from || g.From() >= to {
				continue
			}
			g.Seal()
			if snap := g.Snapshot(from, to); snap.Rows() > 0 {
				out[name] = append(out[name], snap)
			}
		}
	}
	return out
}

// describeArrivals fills in when the cut's records arrived and how they were routed.
func describeArrivals(out *jobs.CutResult, list []record) {
	out.FirstArrival, out.LastArrival = math.MaxInt64, math.MinInt64
	for _, r := range list {
		if !slices.Contains(out.Parts, r.parts) {
			out.Parts = append(out.Parts, r.parts)
		}
		out.FirstArrival = min(out.FirstArrival, r.arrived.UnixNano())
		out.LastArrival = max(out.LastArrival, r.arrived.UnixNano())
	}
	slices.Sort(out.Parts)
}

func fingerprintOf(r record) *blocks.Fingerprint {
	return &blocks.Fingerprint{Crc: r.fingerprint.CRC, LeaderEpoch: r.fingerprint.LeaderEpoch}
}

// lastOfCut returns the index of the last record of a cut from record first on, which has bytes to
// take. The cut ends where a read has ended, because the fingerprint is known there, and at the
// first such record by which the cut is due; but it takes everything when that is at most twice the
// bytes that make it due.
func (l *recordList) lastOfCut(first int, bytes, due int64) int {
	last := len(l.list) - 1
	if bytes <= 2*due {
		return last
	}
	before := l.list[last].bytes - bytes
	for i := first; i < last; i++ {
		if l.list[i].ended && l.list[i].bytes-before >= due {
			return i
		}
	}
	return last
}

// firstOfNextDay returns the index of the first record after the day, in UTC, of record first; the
// length of the list if there is none. A cut ends there, because blocks of one day are merged and
// go together.
func (l *recordList) firstOfNextDay(first int, now time.Time) int {
	day := dayOf(l.list[first], now)
	next := slices.IndexFunc(l.list[first:], func(r record) bool { return dayOf(r, now) > day })
	if next < 0 {
		return len(l.list)
	}
	return first + next
}

// dayOf returns the day on which a record arrived, in days since 1970, UTC. An arrival that is more
// than an hour ahead is of a clock that is wrong, and counts as now.
func dayOf(r record, now time.Time) int64 {
	at := r.arrived
	if at.Sub(now) > time.Hour {
		at = now
	}
	return compact.DayAt(at.UnixNano())
}

// uncoveredBytes returns the bytes that are in no block and in no cut, and those that are in the
// cut under way.
func (s *state) uncoveredBytes() (free, cut int64) {
	from := max(s.covered, s.lastCut.to)
	return s.records.bytesBetween(from, s.next), s.records.bytesBetween(s.covered, from)
}
