package eval

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// attrSource is an attribute of one scope: a column for each type there is, and the overflow.
type attrSource struct {
	cols []*pageColumn // by type
	over *overflow
	name int
	bare bool // rows without a value have the empty string
	has  column.Bitmap
}

func (f *frame) attribute(scope column.Scope, name string) *attrSource {
	s := &attrSource{}
	for _, k := range f.attributeKeys(scope, name) {
		s.cols = append(s.cols, f.column(k))
	}
	s.over, s.name = f.findOverflow(scope, name)
	return s
}

// compare looks only in the columns whose type can satisfy p.
func (s *attrSource) compare(p *pred) cond {
	c := &attrCond{}
	for _, h := range s.cols {
		ofNumbers := p.lit.kind.numeric()
		switch t := h.key.Type; {
		case t == column.String && p.ofText():
			c.ops = append(c.ops, &textCond{h: h, p: p})
		case t == column.Int && ofNumbers:
			c.ops = append(c.ops, &intCond{h: h, p: p, kind: intValue})
		case t == column.Float && ofNumbers:
			c.ops = append(c.ops, &floatCond{h: h, p: p})
		case t == column.Bool && p.lit.kind == boolValue:
			c.ops = append(c.ops, &intCond{h: h, p: p, kind: boolValue})
		case t == column.Any:
			c.ops = append(c.ops, &anyCond{h: h, p: p})
		case t != column.Bytes && p.op == "!=":
			c.ops = append(c.ops, &presentCond{h: h})
		}
	}
	if s.over != nil {
		c.ops = append(c.ops, &overCond{s: s, p: p})
	}
	if s.bare && p.holds(value{kind: stringValue}) {
		c.ops = append(c.ops, &missingCond{s: s})
	}
	switch len(c.ops) {
	case 0:
		return constCond{boolish: true}
	case 1:
		return c.ops[0]
	}
	return c
}

// missingCond holds where no column of an attribute has a value.
type missingCond struct {
	definite
	s *attrSource
}

func (c *missingCond) match(ctx context.Context, mask, out column.Bitmap) error {
	c.s.has = resized(c.s.has, len(mask))
	if err := c.s.present(ctx, mask, c.s.has); err != nil {
		return err
	}
	for i, w := range c.s.has {
		out[i] |= mask[i] &^ w
	}
	return nil
}

func (c *missingCond) never() bool                    { return false }
func (c *missingCond) columns(f func(*pageColumn))    { c.s.columns(f) }
func (c *missingCond) estimate() (pass, work float64) { return 0.1, 2 }

// presentCond holds where a column has a value.
type presentCond struct {
	definite
	h *pageColumn
}

func (c *presentCond) match(ctx context.Context, mask, out column.Bitmap) error {
	v, err := c.h.load(ctx)
	if err == nil && v.N > 0 {
		present(v, mask, out)
	}
	return err
}

func (c *presentCond) never() bool                    { return false }
func (c *presentCond) columns(f func(*pageColumn))    { f(c.h) }
func (c *presentCond) estimate() (pass, work float64) { return 0.5, 1 }

func (s *attrSource) exists(ctx context.Context, mask, out column.Bitmap) error {
	if s.bare {
		out.Or(mask)
		return nil
	}
	return s.present(ctx, mask, out)
}

// present adds to out the rows of mask of which a column has a value.
func (s *attrSource) present(ctx context.Context, mask, out column.Bitmap) error {
	for _, h := range s.cols {
		v, err := h.load(ctx)
		if err != nil {
			return err
		}
		if v.N > 0 {
			present(v, mask, out)
		}
	}
	if s.over == nil {
		return nil
	}
	found, err := s.over.readPage(ctx)
	for i := range found {
		if o := &found[i]; o.name == s.name && mask.Get(o.row) {
			out.Set(o.row)
		}
	}
	return err
}

func (s *attrSource) read(ctx context.Context, rows []uint32, out *values) error {
	var found []overflowing
	if s.over != nil {
		var err error
		if found, err = s.over.readPage(ctx); err != nil {
			return err
		}
	}
	next := 0
	for t := column.String; t <= column.Any; t++ {
		if next < len(s.cols) && s.cols[next].key.Type == t {
			if err := readColumn(ctx, s.cols[next], rows, out); err != nil {
				return err
			}
			next++
		}
		at := 0
		for k := range found {
			o := &found[k]
			if o.name != s.name || o.typ != t {
				continue
			}
			for at < len(rows) && int(rows[at]) < o.row {
				at++
			}
			for i := at; i < len(rows) && int(rows[i]) == o.row; i++ {
				if out.kinds[i] != nothing {
					out.many = append(out.many, i)
				} else {
					out.set(i, o.v)
				}
			}
		}
	}
	if s.bare {
		strs := out.texts()
		for i := range rows {
			if out.kinds[i] == nothing {
				out.kinds[i], strs[i] = stringValue, ""
			}
		}
	}
	return nil
}

// readColumn sets the values of one attribute column; those of rows that have one already are many.
func readColumn(ctx context.Context, h *pageColumn, rows []uint32, out *values) error {
	if n, ok := h.sameValue(rows); ok {
		for i := range rows {
			if out.kinds[i] != nothing {
				out.many = append(out.many, i)
			} else {
				out.kinds[i], out.nums[i] = intValue, n
			}
		}
		return nil
	}
	v, err := h.load(ctx)
	if err != nil || v.N == 0 {
		return err
	}
	t := h.key.Type
	ranks := column.Ranks(v.Present)
	var strs []string
	if t == column.String {
		strs = out.texts()
	}
	for i, r := range rows {
		d, ok := ranks.At(int(r))
		if !ok {
			continue
		}
		if out.kinds[i] != nothing {
			out.many = append(out.many, i)
			continue
		}
		switch t {
		case column.String:
			out.kinds[i], strs[i] = stringValue, v.Text(d)
		default:
			out.set(i, denseValue(v, t, d))
		}
	}
	return nil
}

// denseValue returns the dense value d of an attribute column.
func denseValue(v *column.Vector, t column.Type, d int) value {
	switch t {
	case column.String:
		return value{kind: stringValue, str: v.Text(d)}
	case column.Int:
		return value{kind: intValue, num: v.Ints[d]}
	case column.Float:
		return floatOf(v.Floats[d])
	case column.Bool:
		return value{kind: boolValue, num: v.Ints[d]}
	case column.Any:
		return anyValue(v.Text(d))
	}
	return value{kind: opaqueValue}
}

func (s *attrSource) each(ctx context.Context, row int, f func(value)) error {
	some := false
	for _, h := range s.cols {
		v, err := h.load(ctx)
		if err != nil {
			return err
		}
		ranks := column.Ranks(v.Present)
		if v.N > 0 {
			if d, ok := ranks.At(row); ok {
				some = true
				f(denseValue(v, h.key.Type, d))
			}
		}
	}
	if s.over != nil {
		found, err := s.over.readPage(ctx)
		if err != nil {
			return err
		}
		for i := range found {
			if o := &found[i]; o.name == s.name && o.row == row {
				some = true
				f(o.v)
			}
		}
	}
	if s.bare && !some {
		f(value{kind: stringValue})
	}
	return nil
}

func (s *attrSource) absent() bool { return !s.bare && len(s.cols) == 0 && s.over == nil }

func (s *attrSource) columns(f func(*pageColumn)) {
	for _, h := range s.cols {
		f(h)
	}
	if s.over != nil {
		f(s.over.col)
	}
}

// attrCond holds if one of the columns of an attribute holds a value that satisfies the predicate.
type attrCond struct {
	definite
	ops []cond
}

func (c *attrCond) match(ctx context.Context, mask, out column.Bitmap) error {
	for _, o := range c.ops {
		if err := o.match(ctx, mask, out); err != nil {
			return err
		}
	}
	return nil
}

func (c *attrCond) never() bool {
	for _, o := range c.ops {
		if !o.never() {
			return false
		}
	}
	return true
}

func (c *attrCond) columns(f func(*pageColumn)) {
	for _, o := range c.ops {
		o.columns(f)
	}
}

func (c *attrCond) estimate() (pass, work float64) {
	for _, o := range c.ops {
		p, w := o.estimate()
		pass, work = max(pass, p), work+w
	}
	return pass, work
}

// overCond looks in the overflow.
type overCond struct {
	definite
	s *attrSource
	p *pred
}

func (c *overCond) match(ctx context.Context, mask, out column.Bitmap) error {
	found, err := c.s.over.readPage(ctx)
	for i := range found {
		if o := &found[i]; o.name == c.s.name && mask.Get(o.row) && c.p.holds(o.v) {
			out.Set(o.row)
		}
	}
	return err
}

func (c *overCond) never() bool                    { return false }
func (c *overCond) columns(f func(*pageColumn))    { f(c.s.over.col) }
func (c *overCond) estimate() (pass, work float64) { return c.p.guess(), 4 }

// unscoped is an attribute of the span or, where that has none of the name, of its resource.
type unscoped struct {
	span, resource *attrSource
	own, rest      column.Bitmap
	rows           []uint32
	index          []int
	vals           values
}

// split sets rest to the rows of mask whose span has no such attribute.
func (s *unscoped) split(ctx context.Context, mask column.Bitmap) error {
	s.own = resized(s.own, len(mask))
	if err := s.span.exists(ctx, mask, s.own); err != nil {
		return err
	}
	s.rest = append(s.rest[:0], mask...)
	s.rest.AndNot(s.own)
	return nil
}

func (s *unscoped) compare(p *pred) cond {
	if s.span.absent() {
		return s.resource.compare(p)
	}
	if s.resource.absent() {
		return s.span.compare(p)
	}
	return &unscopedCond{s: s, span: s.span.compare(p), resource: s.resource.compare(p)}
}

func (s *unscoped) exists(ctx context.Context, mask, out column.Bitmap) error {
	if err := s.span.exists(ctx, mask, out); err != nil {
		return err
	}
	return s.resource.exists(ctx, mask, out)
}

func (s *unscoped) read(ctx context.Context, rows []uint32, out *values) error {
	if err := s.span.read(ctx, rows, out); err != nil || s.resource.absent() {
		return err
	}
	if s.span.absent() {
		return s.resource.read(ctx, rows, out)
	}
	s.rows, s.index = s.rows[:0], s.index[:0]
	for i, r := range rows {
		if out.kinds[i] == nothing {
			s.rows, s.index = append(s.rows, r), append(s.index, i)
		}
	}
	s.vals.reset(len(s.rows))
	if err := s.resource.read(ctx, s.rows, &s.vals); err != nil {
		return err
	}
	for k, i := range s.index {
		out.set(i, s.vals.at(k))
	}
	for _, k := range s.vals.many {
		out.many = append(out.many, s.index[k])
	}
	return nil
}

func (s *unscoped) each(ctx context.Context, row int, f func(value)) error {
	found := false
	err := s.span.each(ctx, row, func(v value) { found = true; f(v) })
	if err != nil || found {
		return err
	}
	return s.resource.each(ctx, row, f)
}

func (s *unscoped) absent() bool { return s.span.absent() && s.resource.absent() }

func (s *unscoped) columns(f func(*pageColumn)) {
	s.span.columns(f)
	s.resource.columns(f)
}

type unscopedCond struct {
	definite
	s              *unscoped
	span, resource cond
}

func (c *unscopedCond) match(ctx context.Context, mask, out column.Bitmap) error {
	if err := c.span.match(ctx, mask, out); err != nil {
		return err
	}
	if err := c.s.split(ctx, mask); err != nil {
		return err
	}
	return c.resource.match(ctx, c.s.rest, out)
}

func (c *unscopedCond) never() bool { return c.span.never() && c.resource.never() }

func (c *unscopedCond) columns(f func(*pageColumn)) { c.s.columns(f) }

func (c *unscopedCond) estimate() (pass, work float64) {
	p, w := c.span.estimate()
	q, x := c.resource.estimate()
	return max(p, q), w + x + 2
}
