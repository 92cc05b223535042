package live

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Snapshot implements column.Hinter by what the segment's arrays tell at once.

// Prefetch implements column.Hinter: everything is in memory.
func (s *Snapshot) Prefetch(context.Context, []column.Key, []int) error { return nil }

// texts returns the strings of a column of spans, resources or scopes, nil if it is none of
// strings.
func (s *Snapshot) texts(k column.Key) *strs {
	if k == column.Name {
		return &s.name
	}
	if k.Type != column.String {
		return nil
	}
	var v *attrsView
	switch k.Scope {
	case column.Span:
		v = &s.attrs
	case column.Resource:
		v = &s.resource.attrs
	case column.Instrumentation:
		v = &s.scope.attrs
	default:
		return nil
	}
	if c := v.find(k); c != nil {
		return &c.strs
	}
	return nil
}

// Dict implements column.Hinter.
func (s *Snapshot) Dict(_ context.Context, k column.Key, _ int) (dict []string, ok bool, err error) {
	t := s.texts(k)
	if t == nil || t.plain.len() > 0 || len(t.dict) == 0 {
		return nil, false, nil
	}
	return t.dict, true, nil
}

// Bounds implements column.Hinter: those of the segment's starts, for every page.
func (s *Snapshot) Bounds(k column.Key, _ int) (lo, hi int64, ok bool) {
	if k != column.Start || s.Rows() == 0 || int64(s.latest) < 0 {
		return 0, 0, false
	}
	return int64(s.earliest), int64(s.latest), true
}

// Count implements column.Hinter for columns that are kept by row.
func (s *Snapshot) Count(k column.Key, page int) (n int, ok bool) {
	var c *sparse
	switch {
	case k == column.Overflow:
		c = s.overflow
	case k.Scope == column.Span:
		if c = s.attrs.find(k); c == nil {
			return 0, true
		}
	default:
		return 0, false
	}
	from, to := pageRange(s.first, s.last, page)
	return search(&c.rows, uint32(to)) - search(&c.rows, uint32(from)), true
}

// MayHave implements column.Hinter.
func (s *Snapshot) MayHave(k column.Key, value string) bool {
	t := s.texts(k)
	return t == nil || t.plain.len() > 0 || slices.Contains(t.dict, value)
}
