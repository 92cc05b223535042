package traceql

import (
	"context"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// grouper numbers the values of an expression. Where the expression is a field of dictionary coded strings, a distinct value is looked at once for
// each dictionary, not for each span.
type grouper struct {
	e      expr
	values []value // by number; nothing is nil. Opaque values are nil too.
	known  map[value]uint32
	vals   values
	text   *held // the only column of the field, if it is one of strings; else nil
	bare   bool  // rows without a value have the empty string
	codes0 []uint32
	first  *string // dictionary that codes0 translates
	n      int
}

// newGrouper groups by an expression of the scan.
func newGrouper(e expr) *grouper {
	g := &grouper{e: e, known: map[value]uint32{}}
	if f, ok := e.(*fieldExpr); ok {
		switch src := f.src.(type) {
		case *textSource:
			g.text, g.bare = src.h, true
		case *attrSource:
			g.text = src.onlyText()
		case *unscoped:
			if src.span.absent() {
				g.text = src.resource.onlyText()
			} else if src.resource.absent() {
				g.text = src.span.onlyText()
			}
		}
	}
	return g
}

// onlyText returns the attribute's column if it has no other and that is one of strings.
func (s *attrSource) onlyText() *held {
	if s.over == nil && len(s.cols) == 1 && s.cols[0].key.Type == column.String {
		return s.cols[0]
	}
	return nil
}

func (g *grouper) number(v value) uint32 {
	v = v.key()
	n, ok := g.known[v]
	if !ok {
		n = uint32(len(g.values))
		g.known[v] = n
		g.values = append(g.values, v)
	}
	return n
}

// codes appends to dst the number of the value of each of the rows, which ascend, of the current page.
func (g *grouper) codes(ctx context.Context, rows []uint32, dst []uint32) ([]uint32, error) {
	if g.text != nil {
		v, err := g.text.vector(ctx)
		if err != nil {
			return dst, err
		}
		if v.Dict != nil {
			return g.coded(v, rows, dst), nil
		}
	}
	if err := g.e.values(ctx, rows, &g.vals); err != nil {
		return dst, err
	}
	last, number := value{kind: opaqueValue + 1}, uint32(0)
	for i := range rows {
		if v := g.vals.at(i); v != last {
			last, number = v, g.number(v)
		}
		dst = append(dst, number)
	}
	return dst, nil
}

const untranslated = ^uint32(0)

func (g *grouper) coded(v *column.Vector, rows []uint32, dst []uint32) []uint32 {
	if g.first != unsafe.SliceData(v.Dict) || g.n != len(v.Dict) {
		g.first, g.n = unsafe.SliceData(v.Dict), len(v.Dict)
		g.codes0 = g.codes0[:0]
		for range v.Dict {
			g.codes0 = append(g.codes0, untranslated)
		}
	}
	none := untranslated
	ranks := column.Ranks(v.Present)
	for _, r := range rows {
		d, ok := ranks.At(int(r))
		if !ok {
			if none == untranslated {
				missing := value{}
				if g.bare {
					missing.kind = stringValue
				}
				none = g.number(missing)
			}
			dst = append(dst, none)
			continue
		}
		c := v.Codes[d]
		if g.codes0[c] == untranslated {
			g.codes0[c] = g.number(value{kind: stringValue, str: v.Dict[c]})
		}
		dst = append(dst, g.codes0[c])
	}
	return dst
}
