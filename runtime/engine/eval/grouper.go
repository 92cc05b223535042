package eval

import (
	"context"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// grouper numbers the values of an expression. Where a page has the values of a field in one
// column, they are not looked at span by span: a distinct string once for each dictionary, a small
// integer once.
type grouper struct {
	e        expr
	values   []value // by number; nothing is nil. Opaque values are nil too.
	known    map[value]uint32
	texts    map[string]uint32 // numbers of strings
	small    [][]uint32        // by kind and value: number + 1 of integers below smallInts
	computed values

	translated []uint32 // by code of the dictionary first: the number
	dict       *string
	dictLen    int
}

const (
	untranslated = ^uint32(0)
	smallInts    = 1024
)

// newGrouper groups by an expression of the scan.
func newGrouper(e expr) *grouper {
	return &grouper{e: e, known: map[value]uint32{}, texts: map[string]uint32{}, small: make([][]uint32, opaqueValue+1)}
}

func (g *grouper) numberValue(v value) uint32 {
	if v.kind == stringValue {
		return g.numberText(v.str)
	}
	v = v.key()
	n, ok := g.known[v]
	if !ok {
		n = uint32(len(g.values))
		g.known[v] = n
		g.values = append(g.values, v)
	}
	return n
}

func (g *grouper) numberText(s string) uint32 {
	n, ok := g.texts[s]
	if !ok {
		n = uint32(len(g.values))
		g.texts[s] = n
		g.values = append(g.values, value{kind: stringValue, str: s})
	}
	return n
}

// appendNumbers appends to dst the number of the value of each of the rows, which ascend, of the current
// page.
func (g *grouper) appendNumbers(ctx context.Context, rows []uint32, dst []uint32) ([]uint32, error) {
	if f, ok := g.e.(*fieldExpr); ok {
		h, missing, ok, err := findSoleColumn(ctx, f.src)
		if err != nil {
			return dst, err
		}
		if ok && h == nil {
			n := g.numberValue(missing)
			for range rows {
				dst = append(dst, n)
			}
			return dst, nil
		}
		if ok {
			v, err := h.load(ctx)
			if err != nil {
				return dst, err
			}
			switch {
			case h.key.Type == column.String && v.Dict != nil:
				return g.appendCoded(v, missing, rows, dst), nil
			case h.key.Type == column.String:
				return g.appendTexts(v, missing, rows, dst), nil
			case h.key.Type == column.Int:
				kind, clamp := intValue, false
				if n, ok := f.src.(*numSource); ok {
					kind, clamp = n.kind, n.clamp
				}
				return g.appendInts(v, kind, clamp, missing, rows, dst), nil
			}
		}
	}
	if err := g.e.values(ctx, rows, &g.computed); err != nil {
		return dst, err
	}
	last, number := value{kind: opaqueValue + 1}, uint32(0)
	for i := range rows {
		if v := g.computed.at(i); v != last {
			last, number = v, g.numberValue(v)
		}
		dst = append(dst, number)
	}
	return dst, nil
}

// hasNoValues says that no row of the page has a value.
func (g *grouper) hasNoValues(ctx context.Context) (bool, error) {
	f, ok := g.e.(*fieldExpr)
	if !ok {
		return false, nil
	}
	h, missing, ok, err := findSoleColumn(ctx, f.src)
	return ok && h == nil && missing.kind == nothing, err
}

// findSoleColumn returns the one column that has values of a field in the page, nil if none has, and the
// value of rows without one. ok=false: there are several columns, or other places.
func findSoleColumn(ctx context.Context, src source) (h *pageColumn, missing value, ok bool, err error) {
	switch src := src.(type) {
	case *textSource:
		return src.h, value{kind: stringValue}, true, nil
	case *numSource:
		return src.h, value{}, true, nil
	case *attrSource:
		missing = src.missingValue()
		h, ok, err = src.findSoleColumn(ctx)
	case *unscoped:
		missing = src.resource.missingValue()
		if h, ok, err = src.span.findSoleColumn(ctx); err != nil || !ok {
			break
		}
		var below *pageColumn
		if below, ok, err = src.resource.findSoleColumn(ctx); h == nil {
			h = below
		} else if below != nil {
			ok = false
		}
	}
	return h, missing, ok, err
}

// missingValue is the value of rows without one.
func (s *attrSource) missingValue() value {
	if s.bare {
		return value{kind: stringValue}
	}
	return value{}
}

// findSoleColumn is the function of this name for one scope.
func (s *attrSource) findSoleColumn(ctx context.Context) (h *pageColumn, ok bool, err error) {
	if s.over != nil {
		found, err := s.over.readPage(ctx)
		if err != nil {
			return nil, false, err
		}
		for i := range found {
			if found[i].name == s.name {
				return nil, false, nil
			}
		}
	}
	for _, c := range s.cols {
		v, err := c.load(ctx)
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

// onlyText returns the attribute's column if it has no other and that is one of strings.
func (s *attrSource) onlyText() *pageColumn {
	if s.over == nil && len(s.cols) == 1 && s.cols[0].key.Type == column.String {
		return s.cols[0]
	}
	return nil
}

func (g *grouper) appendCoded(v *column.Vector, missing value, rows []uint32, dst []uint32) []uint32 {
	if g.dict != unsafe.SliceData(v.Dict) || g.dictLen != len(v.Dict) {
		g.dict, g.dictLen = unsafe.SliceData(v.Dict), len(v.Dict)
		g.translated = g.translated[:0]
		for range v.Dict {
			g.translated = append(g.translated, untranslated)
		}
	}
	to := g.translated
	if v.Present == nil {
		for _, r := range rows {
			c := v.Codes[r]
			if to[c] == untranslated {
				to[c] = g.numberText(v.Dict[c])
			}
			dst = append(dst, to[c])
		}
		return dst
	}
	none := untranslated
	ranks := column.Ranks(v.Present)
	for _, r := range rows {
		d, ok := ranks.At(int(r))
		if !ok {
			if none == untranslated {
				none = g.numberValue(missing)
			}
			dst = append(dst, none)
			continue
		}
		c := v.Codes[d]
		if to[c] == untranslated {
			to[c] = g.numberText(v.Dict[c])
		}
		dst = append(dst, to[c])
	}
	return dst
}

func (g *grouper) appendTexts(v *column.Vector, missing value, rows []uint32, dst []uint32) []uint32 {
	none := untranslated
	ranks := column.Ranks(v.Present)
	for _, r := range rows {
		if d, ok := ranks.At(int(r)); ok {
			dst = append(dst, g.numberText(v.Strings[d]))
			continue
		}
		if none == untranslated {
			none = g.numberValue(missing)
		}
		dst = append(dst, none)
	}
	return dst
}

func (g *grouper) appendInts(v *column.Vector, kind valueKind, clamp bool, missing value, rows []uint32, dst []uint32) []uint32 {
	if g.small[kind] == nil {
		g.small[kind] = make([]uint32, smallInts)
	}
	small := g.small[kind]
	none := untranslated
	ranks := column.Ranks(v.Present)
	for _, r := range rows {
		d, ok := ranks.At(int(r))
		if !ok {
			if none == untranslated {
				none = g.numberValue(missing)
			}
			dst = append(dst, none)
			continue
		}
		n := v.Ints[d]
		if clamp {
			n = max(n, 0)
		}
		if uint64(n) >= smallInts {
			dst = append(dst, g.numberValue(value{kind: kind, num: n}))
			continue
		}
		if small[n] == 0 {
			small[n] = g.numberValue(value{kind: kind, num: n}) + 1
		}
		dst = append(dst, small[n]-1)
	}
	return dst
}
