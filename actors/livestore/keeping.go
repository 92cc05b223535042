package livestore

import (
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
)

// keeping tells how long what is covered is kept: for queries under way, which may ask for it
// again.
type keeping struct {
	drops []drop    // by offset
	asked time.Time // when a question last asked for anything that is held
}

// drop has the segments below an offset dropped, as soon as no query under way needs them.
type drop struct {
	below int64
	asked time.Time // when a question last asked for any of them
}

// noteCovered has the records below an offset dropped.
func (k *keeping) noteCovered(below int64) {
	k.drops = append(k.drops, drop{below: below, asked: k.asked})
}

// noteAsked has the records from an offset on kept for a while, because the query that has asked
// for them may ask again.
func (k *keeping) noteAsked(now time.Time, from int64) {
	k.asked = now
	for i := range k.drops {
		if d := &k.drops[i]; d.below > from {
			d.asked = now
		}
	}
}

// takeDue takes the next drop whose records nobody has asked for within the grace time.
func (k *keeping) takeDue(now time.Time, grace time.Duration) (below int64, ok bool) {
	if len(k.drops) == 0 || now.Sub(k.drops[0].asked) < grace {
		return 0, false
	}
	below = k.drops[0].below
	k.drops = k.drops[1:]
	return below, true
}

// noteCoverage takes a newer coverage; what it covers is to be dropped (dropCovered). If it is of
// another epoch, or all that was read is covered and more, what was read is of no use. An older
// coverage changes nothing, whatever it says: a scheduler that was deposed may go on announcing the
// one it knows.
func (s *state) noteCoverage(m *jobs.CoverageChanged) {
	covered := m.Covered[s.partition]
	switch {
	case !s.phase.attached(), m.Version <= s.version:
	case m.Epoch != s.epoch, covered > s.next:
		s.giveUp(dropped)
	default:
		s.version = m.Version
		if covered > s.covered {
			s.covered = covered
			s.keeping.noteCovered(covered)
		}
	}
}

// dropCovered drops the segments that lie wholly below a coverage and for which no query has asked
// of late. When memory is tight they go all the same: a query that still needs them is planned
// again.
func (s *state) dropCovered(now time.Time, tight bool) {
	grace := s.cfg.CoveredGrace
	if tight {
		grace = 0
	}
	if len(s.keeping.drops) > 0 {
		defer s.recountMemory() // what is covered could no longer become a block
	}
	for below, ok := s.keeping.takeDue(now, grace); ok; below, ok = s.keeping.takeDue(now, grace) {
		s.dropBelow(below)
	}
}

// dropBelow drops the segments that lie wholly below an offset.
func (s *state) dropBelow(below int64) {
	for name, t := range s.tenants {
		n := len(t.segments)
		t.segments = slices.DeleteFunc(t.segments, func(g *segment) bool { return g.Next() <= below })
		switch {
		case len(t.segments) == 0:
			delete(s.tenants, name)
		case len(t.segments) < n:
			t.homes.dropSegments(t.segments[0].number, below)
		}
	}
	s.floor = max(s.floor, below)
	s.records.dropBelow(below)
}
