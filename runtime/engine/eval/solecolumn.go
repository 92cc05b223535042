package eval

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// soleColumn is the one column of a page that has values of a field.
type soleColumn struct {
	column  *pageColumn // nil: no row of the page has a value
	missing value       // of rows without one
}

// findSoleColumn returns the one column that has values of a field in the current page. ok=false:
// values lie in several columns, or elsewhere.
func findSoleColumn(ctx context.Context, src source) (c soleColumn, ok bool, err error) {
	switch src := src.(type) {
	case *textSource:
		return soleColumn{src.col, value{kind: stringValue}}, true, nil
	case *numSource:
		return soleColumn{src.col, value{}}, true, nil
	case *attrSource:
		c.missing = src.missingValue()
		c.column, ok, err = src.findSoleColumn(ctx)
	case *unscoped:
		c.missing = src.resource.missingValue()
		if c.column, ok, err = src.span.findSoleColumn(ctx); err != nil || !ok {
			break
		}
		var below *pageColumn
		if below, ok, err = src.resource.findSoleColumn(ctx); c.column == nil {
			c.column = below
		} else if below != nil {
			ok = false
		}
	}
	return c, ok, err
}

// missingValue returns the value of rows that lack the attribute.
func (s *attrSource) missingValue() value {
	if s.emptyIfMissing {
		return value{kind: stringValue}
	}
	return value{}
}

// findSoleColumn is findSoleColumn for an attribute of one scope.
func (s *attrSource) findSoleColumn(ctx context.Context) (h *pageColumn, ok bool, err error) {
	if s.overflow != nil {
		found, err := s.overflow.readPage(ctx)
		if err != nil {
			return nil, false, err
		}
		for i := range found {
			if found[i].number == s.number {
				return nil, false, nil
			}
		}
	}
	for _, c := range s.cols {
		v, err := c.loadPage(ctx)
		if err != nil {
			return nil, false, err
		}
		if v.N > 0 {
			if h != nil {
				return nil, false, nil
			}
			h = c
		}
	}
	return h, true, nil
}

// onlyText returns the attribute's column if it has no other place in the table and the column is
// one of strings.
func (s *attrSource) onlyText() *pageColumn {
	if s.overflow == nil && len(s.cols) == 1 && s.cols[0].key.Type == column.String {
		return s.cols[0]
	}
	return nil
}
