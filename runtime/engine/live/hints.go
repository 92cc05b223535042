package live

import (
	"context"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Prefetch implements column.Hinter. There is nothing to fetch: everything is in memory.
func (s *Snapshot) Prefetch(context.Context, []column.Key, []int) error { return nil }

// stringsOf returns the strings of a column of spans, resources or scopes. It returns nil if that
// is not a column of strings, or if there is none.
func (s *Snapshot) stringsOf(k column.Key) *stringColumn {
	if k == column.Name {
		return &s.name
	}
	if k.Type != column.String {
		return nil
	}
	var v *attributeView
	switch k.Scope {
	case column.Span:
		v = &s.attributes
	case column.Resource:
		v = &s.resource.attributes
	case column.Instrumentation:
		v = &s.scope.attributes
	default:
		return nil
	}
	if c := v.columnOf(k); c != nil {
		return &c.strings
	}
	return nil
}

// Dict implements column.Hinter.
func (s *Snapshot) Dict(_ context.Context, k column.Key, _ int) (dict []string, ok bool, err error) {
	t := s.stringsOf(k)
	if t == nil || t.plain.len() > 0 || len(t.dict) == 0 {
		return nil, false, nil
	}
	return t.dict, true, nil
}

// Bounds implements column.Hinter. It knows the bounds of the segment's starts only, and returns
// them for every page.
func (s *Snapshot) Bounds(k column.Key, _ int) (lo, hi int64, ok bool) {
	if k != column.Start || s.Rows() == 0 || int64(s.latest) < 0 {
		return 0, 0, false
	}
	return int64(s.earliest), int64(s.latest), true
}

// Count implements column.Hinter for columns that are kept by row.
func (s *Snapshot) Count(k column.Key, page int) (n int, ok bool) {
	var c *sparseColumn
	switch {
	case k == column.Overflow:
		c = s.overflow
	case k.Scope == column.Span:
		if c = s.attributes.columnOf(k); c == nil {
			return 0, true
		}
	default:
		return 0, false
	}
	from, to := pageRange(s.first, s.last, page)
	return searchRows(&c.rows, uint32(to)) - searchRows(&c.rows, uint32(from)), true
}

// MayHave implements column.Hinter.
func (s *Snapshot) MayHave(k column.Key, value string) bool {
	t := s.stringsOf(k)
	return t == nil || t.plain.len() > 0 || slices.Contains(t.dict, value)
}
