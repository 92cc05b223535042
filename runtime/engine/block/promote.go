package block

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// Attributes are promoted to columns of their own if at least one row in promoteOneIn has them; of
// those the maxPromoted most frequent.
const (
	promoteOneIn = 1000
	maxPromoted  = 512
)

// keyCounts counts, by attribute, the rows that have it.
type keyCounts map[column.Key]int

// choosePromoted returns the attributes that get columns in a table of that many rows, in the order
// of Key.Compare.
func (c keyCounts) choosePromoted(rows int) []column.Key {
	var keys []column.Key
	for k, n := range c {
		if n > 0 && n*promoteOneIn >= rows {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b column.Key) int {
		return cmp.Or(cmp.Compare(c[b], c[a]), a.Compare(b))
	})
	keys = keys[:min(len(keys), maxPromoted)]
	slices.SortFunc(keys, column.Key.Compare)
	return keys
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
