package eval

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
)

// children is a child table, events or links, beside the span table that it belongs to. Its rows
// are in the order of the spans they refer to, so the children of a page of spans lie in
// neighbouring pages.
type children struct {
	frame   *frame
	spanRef *pageColumn
	spans   *frame
	firsts  []int64 // by page: the span row that the first child refers to; nil: not read
}

func newChildren(c column.Columns, spans *frame) *children {
	if c == nil {
		return nil
	}
	f := newFrame(c)
	return &children{frame: f, spanRef: f.column(column.RowRef), spans: spans}
}

// spanRow returns the row in the current page of spans that a child refers to.
func (k *children) spanRow(ref int64) (int, error) {
	r := ref - int64(k.spans.page)*column.PageRows
	if r < 0 || r >= int64(k.spans.rows) {
		return 0, fmt.Errorf("read child rows: span row %d is not in page %d: %w", ref, k.spans.page, column.ErrCorrupt)
	}
	return int(r), nil
}

// findFirsts learns at which span rows the pages begin.
func (k *children) findFirsts(ctx context.Context) error {
	if k.firsts != nil {
		return nil
	}
	firsts := make([]int64, column.Pages(k.frame.columns.Rows()))
	for p := range firsts {
		if k.frame.hint != nil {
			if lo, _, ok := k.frame.hint.Bounds(column.RowRef, p); ok {
				firsts[p] = lo
				continue
			}
		}
		k.frame.seekPage(p)
		v, err := k.spanRef.loadFull(ctx)
		if err != nil {
			return err
		}
		firsts[p] = v.Ints[0]
	}
	k.firsts = firsts
	return nil
}

// eachPage goes to every page with children of the current page of spans. It calls f with their
// rows there, [from, to), and the span rows of the table that the rows of the page refer to.
func (k *children) eachPage(ctx context.Context, f func(from, to int, refs []int64) error) error {
	if err := k.findFirsts(ctx); err != nil {
		return err
	}
	base := int64(k.spans.page) * column.PageRows
	end := base + int64(k.spans.rows)
	p, _ := slices.BinarySearch(k.firsts, base)
	for p = max(p-1, 0); p < len(k.firsts) && k.firsts[p] < end; p++ {
		k.frame.seekPage(p)
		v, err := k.spanRef.loadFull(ctx)
		if err != nil {
			return err
		}
		from, _ := slices.BinarySearch(v.Ints, base)
		to, _ := slices.BinarySearch(v.Ints, end)
		if from < to {
			if err := f(from, to, v.Ints); err != nil {
				return err
			}
		}
	}
	return nil
}

// childCond holds for spans of which some event, or link, satisfies a condition.
type childCond struct {
	definite
	kids *children
	cond cond
	mask column.Bitmap
	hits column.Bitmap
}

func (c *childCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	base := int64(c.kids.spans.page) * column.PageRows
	return c.eachMatchingPage(ctx, mask, func(hits column.Bitmap, refs []int64) error {
		for i := hits.Next(0); i >= 0; i = hits.Next(i + 1) {
			out.Set(int(refs[i] - base))
		}
		return nil
	})
}

// eachMatchingPage goes to every page with children of spans in mask. It calls f with the rows
// there that satisfy the condition, and the span rows that the rows of the page refer to.
func (c *childCond) eachMatchingPage(
	ctx context.Context, mask column.Bitmap, f func(hits column.Bitmap, refs []int64) error,
) error {
	base := int64(c.kids.spans.page) * column.PageRows
	return c.kids.eachPage(ctx, func(from, to int, refs []int64) error {
		c.mask, c.hits = c.mask.Resize(c.kids.frame.rows), c.hits.Resize(c.kids.frame.rows)
		for i := from; i < to; i++ {
			if mask.Get(int(refs[i] - base)) {
				c.mask.Set(i)
			}
		}
		if err := c.cond.matchRows(ctx, c.mask, c.hits); err != nil {
			return err
		}
		return f(c.hits, refs)
	})
}

func (c *childCond) matchesNothing() bool { return c.cond.matchesNothing() }

func (c *childCond) eachColumn(f func(*pageColumn)) {
	f(c.kids.spanRef)
	c.cond.eachColumn(f)
}

func (c *childCond) estimateCost() (pass, work float64) {
	p, w := c.cond.estimateCost()
	return p / 2, 4 * (w + 1)
}

// firstChild is a field of events or links as a value of the span: that of the first event, or
// link, which has the field.
type firstChild struct {
	kids    *children
	src     source
	missing value // of spans without such an event; nothing: none
	rows    []uint32
	at      []int
	vals    values
}

func (s *firstChild) newCond(p *pred) cond {
	return &exprCond{op: p.op, left: &fieldExpr{src: s}, right: constExpr{p.literal}, matcher: p.matcher}
}

func (s *firstChild) markPresent(ctx context.Context, mask, out column.Bitmap) error {
	return markHavingValue(ctx, s, mask, out)
}

func (s *firstChild) readValues(ctx context.Context, rows []uint32, out *values) error {
	base := int64(s.kids.spans.page) * column.PageRows
	err := s.kids.eachPage(ctx, func(from, to int, refs []int64) error {
		s.rows, s.at = s.rows[:0], s.at[:0]
		i := 0
		for c := from; c < to && i < len(rows); c++ {
			for i < len(rows) && int64(rows[i])+base < refs[c] {
				i++
			}
			if i < len(rows) && int64(rows[i])+base == refs[c] && out.kinds[i] == nothing {
				s.rows, s.at = append(s.rows, uint32(c)), append(s.at, i)
			}
		}
		s.vals.reset(len(s.rows))
		if err := s.src.readValues(ctx, s.rows, &s.vals); err != nil {
			return err
		}
		for n, i := range s.at {
			if s.vals.kinds[n] != nothing && out.kinds[i] == nothing {
				x := s.vals.at(n)
				for ; i < len(rows) && rows[i] == rows[s.at[n]]; i++ {
					out.set(i, x)
				}
			}
		}
		return nil
	})
	if err != nil || s.missing.kind == nothing {
		return err
	}
	for i := range rows {
		if out.kinds[i] == nothing {
			out.set(i, s.missing)
		}
	}
	return nil
}

func (s *firstChild) eachValue(ctx context.Context, row int, f func(value)) error {
	var v values
	v.reset(1)
	if err := s.readValues(ctx, []uint32{uint32(row)}, &v); err != nil {
		return err
	}
	if v.kinds[0] != nothing {
		f(v.at(0))
	}
	return nil
}

// eachChildValue calls f for the values of all events, or links, of a span, in the order in which
// they were sent.
func (s *firstChild) eachChildValue(ctx context.Context, row int, f func(value)) error {
	at := int64(s.kids.spans.page)*column.PageRows + int64(row)
	return s.kids.eachPage(ctx, func(from, to int, refs []int64) error {
		i, _ := slices.BinarySearch(refs[from:to], at)
		for i += from; i < to && refs[i] == at; i++ {
			if err := s.src.eachValue(ctx, i, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// childless is a field of events or links in a table that has none.
type childless struct{ fixedSource }

// eachChildValue calls f for no event.
func (*childless) eachChildValue(context.Context, int, func(value)) error { return nil }

func (s *firstChild) isAbsent() bool { return s.missing.kind == nothing && s.src.isAbsent() }

func (s *firstChild) eachColumn(f func(*pageColumn)) {
	f(s.kids.spanRef)
	s.src.eachColumn(f)
}
