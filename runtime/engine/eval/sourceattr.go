package eval

import (
	"context"
	"sort"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/extract"
)

// attrSource is an attribute of one scope: a column for each type that it has in the table, and the
// overflow.
type attrSource struct {
	cols           []*pageColumn // by type
	overflow       *overflow
	number         int
	emptyIfMissing bool // rows without a value have the empty string
	stored         column.Bitmap
}

// attributeSource returns the source of an attribute, which is absent if the table has none of that
// name.
func (f *frame) attributeSource(scope column.Scope, name string) *attrSource {
	s := &attrSource{}
	f.named = append(f.named, extract.Attribute{Scope: scope, Name: name})
	for _, k := range f.attributeKeys(scope, name) {
		s.cols = append(s.cols, f.column(k))
	}
	s.overflow, s.number = f.findOverflow(scope, name)
	return s
}

// newCond looks only in columns whose type can satisfy p.
func (s *attrSource) newCond(p *pred) cond {
	c := &attrCond{}
	for _, h := range s.cols {
		ofNumbers := p.literal.kind.isNumeric()
		switch t := h.key.Type; {
		case t == column.String && p.comparesText():
			c.operands = append(c.operands, &textCond{col: h, p: p})
		case t == column.Int && ofNumbers:
			c.operands = append(c.operands, &intCond{col: h, p: p, kind: intValue})
		case t == column.Float && ofNumbers:
			c.operands = append(c.operands, &floatCond{col: h, p: p})
		case t == column.Bool && p.literal.kind == boolValue:
			c.operands = append(c.operands, &intCond{col: h, p: p, kind: boolValue})
		case t == column.Any:
			c.operands = append(c.operands, &anyCond{col: h, p: p})
		case t != column.Bytes && p.op == "!=":
			c.operands = append(c.operands, &presentCond{col: h})
		}
	}
	if s.overflow != nil {
		c.operands = append(c.operands, &overCond{s: s, p: p})
	}
	if s.emptyIfMissing && p.holdsFor(value{kind: stringValue}) {
		c.operands = append(c.operands, &missingCond{s: s})
	}
	switch len(c.operands) {
	case 0:
		return constCond{boolean: true}
	case 1:
		return c.operands[0]
	}
	return c
}

// missingCond holds for rows that have no value of an attribute.
type missingCond struct {
	definite
	s *attrSource
}

func (c *missingCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	c.s.stored = resizeWords(c.s.stored, len(mask))
	if err := c.s.markStored(ctx, mask, c.s.stored); err != nil {
		return err
	}
	for i, w := range c.s.stored {
		out[i] |= mask[i] &^ w
	}
	return nil
}

func (c *missingCond) matchesNothing() bool               { return false }
func (c *missingCond) eachColumn(f func(*pageColumn))     { c.s.eachColumn(f) }
func (c *missingCond) estimateCost() (pass, work float64) { return 0.1, 2 }

// presentCond holds for rows that have a value in a column.
type presentCond struct {
	definite
	col *pageColumn
}

func (c *presentCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	v, err := c.col.loadPage(ctx)
	if err == nil && v.N > 0 {
		markStoredRows(v, mask, out)
	}
	return err
}

func (c *presentCond) matchesNothing() bool               { return false }
func (c *presentCond) eachColumn(f func(*pageColumn))     { f(c.col) }
func (c *presentCond) estimateCost() (pass, work float64) { return 0.5, 1 }

func (s *attrSource) markPresent(ctx context.Context, mask, out column.Bitmap) error {
	if s.emptyIfMissing {
		out.Or(mask)
		return nil
	}
	return s.markStored(ctx, mask, out)
}

// markStored adds to out the rows of mask that have a value in a column or in the overflow.
func (s *attrSource) markStored(ctx context.Context, mask, out column.Bitmap) error {
	for _, h := range s.cols {
		v, err := h.loadPage(ctx)
		if err != nil {
			return err
		}
		if v.N > 0 {
			markStoredRows(v, mask, out)
		}
	}
	if s.overflow == nil {
		return nil
	}
	found, err := s.overflow.readPage(ctx)
	for i := range found {
		if o := &found[i]; o.number == s.number && mask.Get(o.row) {
			out.Set(o.row)
		}
	}
	return err
}

func (s *attrSource) readValues(ctx context.Context, rows []uint32, out *values) error {
	var found []overflowAttribute
	if s.overflow != nil {
		var err error
		if found, err = s.overflow.readPage(ctx); err != nil {
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
			if o.number != s.number || o.typ != t {
				continue
			}
			for at < len(rows) && int(rows[at]) < o.row {
				at++
			}
			for i := at; i < len(rows) && int(rows[i]) == o.row; i++ {
				if out.kinds[i] != nothing {
					out.many = append(out.many, i)
				} else {
					out.set(i, o.value)
				}
			}
		}
	}
	if s.emptyIfMissing {
		strs := out.textSlots()
		for i := range rows {
			if out.kinds[i] == nothing {
				out.kinds[i], strs[i] = stringValue, ""
			}
		}
	}
	return nil
}

// readColumn sets the values of one attribute column. Rows that have a value already are noted in
// out.many.
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
	v, err := h.loadPage(ctx)
	if err != nil || v.N == 0 {
		return err
	}
	t := h.key.Type
	ranks := column.Ranks(v.Present)
	var strs []string
	if t == column.String {
		strs = out.textSlots()
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

// denseValue returns the d-th value of a page of an attribute column.
func denseValue(v *column.Vector, t column.Type, d int) value {
	switch t {
	case column.String:
		return value{kind: stringValue, str: v.Text(d)}
	case column.Int:
		return value{kind: intValue, num: v.Ints[d]}
	case column.Float:
		return floatValueOf(v.Floats[d])
	case column.Bool:
		return value{kind: boolValue, num: v.Ints[d]}
	case column.Any:
		return parseAnyValue(v.Text(d))
	}
	return value{kind: opaqueValue}
}

// eachValue calls f by type, as readValues takes values: which of them lie in the overflow differs
// from table to table.
func (s *attrSource) eachValue(ctx context.Context, row int, f func(value)) error {
	var found []overflowAttribute
	if s.overflow != nil {
		var err error
		if found, err = s.overflow.readPage(ctx); err != nil {
			return err
		}
		from := sort.Search(len(found), func(i int) bool { return found[i].row >= row })
		to := from
		for to < len(found) && found[to].row == row {
			to++
		}
		found = found[from:to]
	}
	some := false
	next := 0
	for t := column.String; t <= column.Any; t++ {
		if next < len(s.cols) && s.cols[next].key.Type == t {
			v, err := s.cols[next].loadPage(ctx)
			if err != nil {
				return err
			}
			next++
			ranks := column.Ranks(v.Present)
			if v.N > 0 {
				if d, ok := ranks.At(row); ok {
					some = true
					f(denseValue(v, t, d))
				}
			}
		}
		for i := range found {
			if o := &found[i]; o.number == s.number && o.typ == t {
				some = true
				f(o.value)
			}
		}
	}
	if s.emptyIfMissing && !some {
		f(value{kind: stringValue})
	}
	return nil
}

func (s *attrSource) isAbsent() bool {
	return !s.emptyIfMissing && len(s.cols) == 0 && s.overflow == nil
}

func (s *attrSource) eachColumn(f func(*pageColumn)) {
	for _, h := range s.cols {
		f(h)
	}
	if s.overflow != nil {
		f(s.overflow.column)
	}
}

// attrCond holds if one of its operands holds. Each looks for values of the attribute in one column
// or in the overflow.
type attrCond struct {
	definite
	operands []cond
}

func (c *attrCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	for _, o := range c.operands {
		if err := o.matchRows(ctx, mask, out); err != nil {
			return err
		}
	}
	return nil
}

func (c *attrCond) matchesNothing() bool {
	for _, o := range c.operands {
		if !o.matchesNothing() {
			return false
		}
	}
	return true
}

func (c *attrCond) eachColumn(f func(*pageColumn)) {
	for _, o := range c.operands {
		o.eachColumn(f)
	}
}

func (c *attrCond) estimateCost() (pass, work float64) {
	for _, o := range c.operands {
		p, w := o.estimateCost()
		pass, work = max(pass, p), work+w
	}
	return pass, work
}

// overCond looks for values of an attribute in the overflow.
type overCond struct {
	definite
	s *attrSource
	p *pred
}

func (c *overCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	found, err := c.s.overflow.readPage(ctx)
	for i := range found {
		if o := &found[i]; o.number == c.s.number && mask.Get(o.row) && c.p.holdsFor(o.value) {
			out.Set(o.row)
		}
	}
	return err
}

func (c *overCond) matchesNothing() bool               { return false }
func (c *overCond) eachColumn(f func(*pageColumn))     { f(c.s.overflow.column) }
func (c *overCond) estimateCost() (pass, work float64) { return c.p.guessShare(), 4 }

// unscoped is an attribute of the span or, where the span has none of that name, of its resource.
type unscoped struct {
	span, resource *attrSource
	own, rest      column.Bitmap
	rows           []uint32
	index          []int
	vals           values
}

// splitRows sets rest to the rows of mask whose spans have no such attribute.
func (s *unscoped) splitRows(ctx context.Context, mask column.Bitmap) error {
	s.own = resizeWords(s.own, len(mask))
	if err := s.span.markPresent(ctx, mask, s.own); err != nil {
		return err
	}
	s.rest = append(s.rest[:0], mask...)
	s.rest.AndNot(s.own)
	return nil
}

func (s *unscoped) newCond(p *pred) cond {
	if s.span.isAbsent() {
		return s.resource.newCond(p)
	}
	if s.resource.isAbsent() {
		return s.span.newCond(p)
	}
	return &unscopedCond{s: s, span: s.span.newCond(p), resource: s.resource.newCond(p)}
}

func (s *unscoped) markPresent(ctx context.Context, mask, out column.Bitmap) error {
	if err := s.span.markPresent(ctx, mask, out); err != nil {
		return err
	}
	return s.resource.markPresent(ctx, mask, out)
}

func (s *unscoped) readValues(ctx context.Context, rows []uint32, out *values) error {
	if err := s.span.readValues(ctx, rows, out); err != nil || s.resource.isAbsent() {
		return err
	}
	if s.span.isAbsent() {
		return s.resource.readValues(ctx, rows, out)
	}
	s.rows, s.index = s.rows[:0], s.index[:0]
	for i, r := range rows {
		if out.kinds[i] == nothing {
			s.rows, s.index = append(s.rows, r), append(s.index, i)
		}
	}
	s.vals.reset(len(s.rows))
	if err := s.resource.readValues(ctx, s.rows, &s.vals); err != nil {
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

func (s *unscoped) eachValue(ctx context.Context, row int, f func(value)) error {
	found := false
	err := s.span.eachValue(ctx, row, func(v value) { found = true; f(v) })
	if err != nil || found {
		return err
	}
	return s.resource.eachValue(ctx, row, f)
}

func (s *unscoped) isAbsent() bool { return s.span.isAbsent() && s.resource.isAbsent() }

func (s *unscoped) eachColumn(f func(*pageColumn)) {
	s.span.eachColumn(f)
	s.resource.eachColumn(f)
}

// unscopedCond compares an unscoped attribute.
type unscopedCond struct {
	definite
	s              *unscoped
	span, resource cond
}

func (c *unscopedCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	if err := c.span.matchRows(ctx, mask, out); err != nil {
		return err
	}
	if err := c.s.splitRows(ctx, mask); err != nil {
		return err
	}
	return c.resource.matchRows(ctx, c.s.rest, out)
}

func (c *unscopedCond) matchesNothing() bool {
	return c.span.matchesNothing() && c.resource.matchesNothing()
}

func (c *unscopedCond) eachColumn(f func(*pageColumn)) { c.s.eachColumn(f) }

func (c *unscopedCond) estimateCost() (pass, work float64) {
	p, w := c.span.estimateCost()
	q, x := c.resource.estimateCost()
	return max(p, q), w + x + 2
}
