package livestore

import (
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// homeRange is what a question about homes is about: the records from an offset on, which are in
// the segments numbered segment or higher.
type homeRange struct {
	segment int
	offset  int64
	// isElsewhere reports that a trace may have a home in another partition; nil: none has.
	isElsewhere func(trace.ID) bool
}

// shareElsewhere notes that the traces of the range that may have a home in another partition are
// shared.
func (h *homeIndex) shareElsewhere(r homeRange) {
	if r.isElsewhere == nil {
		return
	}
	for _, place := range h.entries {
		if t := h.traces.at(place); int(t.segment) >= r.segment && r.isElsewhere(t.id) {
			h.share(place)
		}
	}
}

// sharedList is the list of all shared traces of a range, as it was last asked for.
type sharedList struct {
	of     homeRange
	traces []catalog.Extent // nil: it is not known any more
}

// isShared reports whether a trace has spans in the range and another home.
func (r *homeRange) isShared(t *sharedTrace) bool {
	if int(t.last) < r.segment {
		return false
	}
	return int(t.before) >= r.segment || t.part != 0 || r.isElsewhere != nil && r.isElsewhere(t.id)
}

// mayRepeat reports whether two homes may hold a span of a trace that is shared in the range.
func (s *sharedTraces) mayRepeat(t *sharedTrace, r homeRange) bool {
	return t.repeats >= r.offset || s.isInDoubt(t) || r.isElsewhere != nil && r.isElsewhere(t.id)
}

// isInDoubt reports whether a part of the trace has to be read before it is known whether the trace
// is repeating.
func (s *sharedTraces) isInDoubt(t *sharedTrace) bool {
	for i := t.part; i != 0; i = s.parts.at(i).next {
		if s.parts.at(i).state == isInDoubt {
			return true
		}
	}
	return false
}

// listRepeating lists the shared traces of the range that are not known to be disjoint.
func (s *sharedTraces) listRepeating(r homeRange) []catalog.Extent {
	if r.isElsewhere != nil {
		return slices.DeleteFunc(s.listAll(r), func(e catalog.Extent) bool { return e.Disjoint })
	}
	var out []catalog.Extent
	s.doubted = slices.DeleteFunc(s.doubted, func(place int32) bool {
		t := s.list.at(place)
		if r.isShared(t) && s.mayRepeat(t, r) {
			out = append(out, t.extent(false))
		}
		if t.repeats >= 0 || s.isInDoubt(t) {
			return false
		}
		t.flags &^= isDoubted
		return true
	})
	return out
}

// listAll lists the shared traces of the range. The result of another call may have the same
// memory.
func (s *sharedTraces) listAll(r homeRange) []catalog.Extent {
	isLasting := r.isElsewhere == nil
	if k := &s.listed; isLasting && k.traces != nil && k.of.segment == r.segment && k.of.offset == r.offset {
		return k.traces
	}
	out := make([]catalog.Extent, 0, s.list.len())
	for place := int32(1); place <= s.list.last; place++ {
		if t := s.list.at(place); t.flags != 0 && r.isShared(t) {
			out = append(out, t.extent(!s.mayRepeat(t, r)))
		}
	}
	if isLasting {
		s.listed = sharedList{of: r, traces: out}
	}
	return out
}

// listLive lists the traces that several segments share, or of which they hold a span twice if only
// the repeating ones are asked for: of the segments of the range, before the segment numbered end.
// It may list too many.
func (s *sharedTraces) listLive(r homeRange, end int, repeating bool) []trace.ID {
	var out []trace.ID
	if repeating {
		for _, place := range s.doubted {
			if t := s.list.at(place); int(t.before) >= r.segment && t.repeats >= r.offset {
				out = append(out, t.id)
			}
		}
		return out
	}
	for place := int32(1); place <= s.list.last; place++ {
		t := s.list.at(place)
		second := t.before // the last but one before the end, if at most one lies behind it
		if int(t.last) >= end {
			second = t.third
		}
		if t.flags != 0 && int(second) >= r.segment {
			out = append(out, t.id)
		}
	}
	return out
}

// extent returns the time of the trace's spans in segments and blocks.
func (t *sharedTrace) extent(disjoint bool) catalog.Extent {
	return catalog.Extent{
		ID:       t.id,
		Start:    min(t.starts.first, t.earlier.first, t.blockTime.first),
		End:      max(t.end, t.blockTime.last),
		Disjoint: disjoint,
	}
}
