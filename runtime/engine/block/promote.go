package block

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Attributes are promoted to columns of their own if at least one row in promoteOneIn has them; of
// those the maxPromoted most frequent. Attributes of spans are promoted only if one row in
// promoteSpanOneIn has them, and leastPromoted rows, because what is rarer goes to the attributes
// table at little cost (attributes.go): if at least one row in sparseOneIn has it, and leastSparse
// rows; of those the maxSparse most frequent. The rest goes to the overflow.
const (
	promoteOneIn     = 1000
	promoteSpanOneIn = 64
	leastPromoted    = 4
	maxPromoted      = 512

	sparseOneIn = 10_000
	leastSparse = 2
	maxSparse   = 16 << 10
)

// keyCounts counts, by attribute, the rows that have it.
type keyCounts map[column.Key]int

// choosePromoted returns the attributes that get columns in a table of that many rows, in the order
// of Key.Compare, and those that go to the attributes table, in the order of compareSparse.
func (c keyCounts) choosePromoted(rows int) (columns, sparse []column.Key) {
	for k, n := range c {
		oneIn, least := promoteOneIn, 1
		if k.Scope == column.Span {
			oneIn, least = promoteSpanOneIn, leastPromoted
		}
		if n >= least && n*oneIn >= rows {
			columns = append(columns, k)
		} else if k.Scope == column.Span && n >= leastSparse && n*sparseOneIn >= rows {
			sparse = append(sparse, k)
		}
	}
	byCount := func(a, b column.Key) int { return cmp.Or(cmp.Compare(c[b], c[a]), a.Compare(b)) }
	slices.SortFunc(columns, byCount)
	if len(columns) > maxPromoted {
		for _, k := range columns[maxPromoted:] {
			if k.Scope == column.Span {
				sparse = append(sparse, k)
			}
		}
		columns = columns[:maxPromoted]
	}
	slices.SortFunc(sparse, byCount)
	sparse = sparse[:min(len(sparse), maxSparse)]
	slices.SortFunc(columns, column.Key.Compare)
	slices.SortFunc(sparse, compareSparse)
	return columns, sparse
}

// compareSparse orders the attributes of the attributes table: the values of one type are together.
func compareSparse(a, b column.Key) int {
	return cmp.Or(cmp.Compare(a.Type, b.Type), strings.Compare(a.Name, b.Name))
}

// countShapes counts the attributes of a table's own scope, by its shapes and its overflow.
func (c keyCounts) countShapes(ctx context.Context, t column.Columns, scope column.Scope) error {
	s := &shapeCounter{counts: make([]int, len(t.ShapeKeys()))}
	reader, hasOverflow := overflowReader{c: t, scope: scope}, true
	var over []int // by number of the key in reader
	var v column.Vector
	for page := range column.Pages(t.Rows()) {
		if _, err := t.Vector(ctx, column.Shape, page, &v); err != nil {
			return err
		}
		if err := s.countPage(&v); err != nil {
			return err
		}
		if hasOverflow { // the first page tells
			var err error
			if hasOverflow, err = reader.countKeys(ctx, page, &over); err != nil {
				return err
			}
		}
	}
	if err := s.countUses(); err != nil {
		return err
	}
	for i, n := range s.counts {
		c[t.ShapeKeys()[i]] += n
	}
	for i, n := range over {
		c[reader.keys[i]] += n
	}
	return nil
}

// shapeCounter counts how often shapes name each column. Shapes of a dictionary are counted by
// their codes first, and taken apart once.
type shapeCounter struct {
	counts []int // by index in ShapeKeys
	dict   []string
	uses   []int // by code of dict
}

// countPage counts the shapes of a page.
func (s *shapeCounter) countPage(v *column.Vector) error {
	if v.Dict == nil {
		for _, shape := range v.Strings {
			if err := s.addShape(shape, 1); err != nil {
				return err
			}
		}
		return nil
	}
	if unsafe.SliceData(v.Dict) != unsafe.SliceData(s.dict) || len(v.Dict) != len(s.dict) {
		if err := s.countUses(); err != nil {
			return err
		}
		s.dict, s.uses = v.Dict, make([]int, len(v.Dict))
	}
	for _, code := range v.Codes {
		s.uses[code]++
	}
	return nil
}

// countUses counts the shapes of the dictionary by their uses.
func (s *shapeCounter) countUses() error {
	for code, n := range s.uses {
		if n > 0 {
			if err := s.addShape(s.dict[code], n); err != nil {
				return err
			}
		}
	}
	return nil
}

// addShape counts a shape that n rows have.
func (s *shapeCounter) addShape(shape string, n int) error {
	for shape != "" {
		entry, rest, ok := column.NextShape(shape)
		if !ok || entry > len(s.counts) {
			return fmt.Errorf("read shape: %w", column.ErrCorrupt)
		}
		if shape = rest; entry > 0 {
			s.counts[entry-1] += n
		}
	}
	return nil
}
