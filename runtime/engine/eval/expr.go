package eval

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// expr is an expression compiled for one frame, evaluated at the frame's page.
type expr interface {
	// values sets out to the value of each of the rows, which ascend.
	values(ctx context.Context, rows []uint32, out *values) error
	// each calls f for every value the expression has on a row: a field may have several.
	each(ctx context.Context, row int, f func(value)) error
	columns(f func(*pageColumn))
}

// constExpr is a constant.
type constExpr struct{ v value }

func (e constExpr) values(_ context.Context, rows []uint32, out *values) error {
	out.reset(len(rows))
	for i := range rows {
		out.set(i, e.v)
	}
	return nil
}

func (e constExpr) each(_ context.Context, _ int, f func(value)) error { f(e.v); return nil }
func (e constExpr) columns(func(*pageColumn))                          {}

// fieldExpr is a field.
type fieldExpr struct{ src source }

func (e *fieldExpr) values(ctx context.Context, rows []uint32, out *values) error {
	out.reset(len(rows))
	return e.src.read(ctx, rows, out)
}

func (e *fieldExpr) each(ctx context.Context, row int, f func(value)) error {
	return e.src.each(ctx, row, f)
}
func (e *fieldExpr) columns(f func(*pageColumn)) { e.src.columns(f) }

// mathExpr is arithmetic. Of a field with several values the first counts.
type mathExpr struct {
	op          traceql.Op
	left, right expr
	l, r        values
}

func (e *mathExpr) values(ctx context.Context, rows []uint32, out *values) error {
	if err := e.left.values(ctx, rows, &e.l); err != nil {
		return err
	}
	if err := e.right.values(ctx, rows, &e.r); err != nil {
		return err
	}
	out.reset(len(rows))
	for i := range rows {
		if e.l.kinds[i].numeric() && e.r.kinds[i].numeric() {
			out.set(i, arithmetic(e.op, value{kind: e.l.kinds[i], num: e.l.nums[i]}, value{kind: e.r.kinds[i], num: e.r.nums[i]}))
		}
	}
	return nil
}

func (e *mathExpr) each(ctx context.Context, row int, f func(value)) error {
	return one(ctx, e, row, f)
}

// one calls f for the only value of an expression on a row.
func one(ctx context.Context, e expr, row int, f func(value)) error {
	var v values
	if err := e.values(ctx, []uint32{uint32(row)}, &v); err != nil {
		return err
	}
	f(v.at(0))
	return nil
}

// pairs calls f for every combination of values of two expressions on a row.
func pairs(ctx context.Context, left, right expr, row int, f func(a, b value)) error {
	const most = 64 // of each side: a span may repeat a key without end
	var rs []value
	err := right.each(ctx, row, func(v value) {
		if len(rs) < most {
			rs = append(rs, v)
		}
	})
	if err != nil {
		return err
	}
	n := 0
	return left.each(ctx, row, func(a value) {
		if n++; n > most {
			return
		}
		for _, b := range rs {
			f(a, b)
		}
	})
}

func (e *mathExpr) columns(f func(*pageColumn)) {
	e.left.columns(f)
	e.right.columns(f)
}

// negExpr is unary minus.
type negExpr struct{ of expr }

func (e *negExpr) values(ctx context.Context, rows []uint32, out *values) error {
	if err := e.of.values(ctx, rows, out); err != nil {
		return err
	}
	for i := range rows {
		out.set(i, negate(out.at(i)))
	}
	out.many = out.many[:0]
	return nil
}

func (e *negExpr) each(ctx context.Context, row int, f func(value)) error { return one(ctx, e, row, f) }
func (e *negExpr) columns(f func(*pageColumn))                            { e.of.columns(f) }

// boolExpr is a condition as a value.
type boolExpr struct {
	c             cond
	rows          func() int // of the frame's page
	mask, yes, is column.Bitmap
}

func (e *boolExpr) values(ctx context.Context, rows []uint32, out *values) error {
	n := e.rows()
	e.mask, e.yes, e.is = e.mask.Resize(n), e.yes.Resize(n), e.is.Resize(n)
	for _, r := range rows {
		e.mask.Set(int(r))
	}
	if err := e.c.boolean(ctx, e.mask, e.is); err != nil {
		return err
	}
	if err := e.c.match(ctx, e.mask, e.yes); err != nil {
		return err
	}
	out.reset(len(rows))
	for i, r := range rows {
		if e.is.Get(int(r)) {
			out.set(i, boolOf(e.yes.Get(int(r))))
		}
	}
	return nil
}

func (e *boolExpr) each(ctx context.Context, row int, f func(value)) error {
	return one(ctx, e, row, f)
}
func (e *boolExpr) columns(f func(*pageColumn)) { e.c.columns(f) }

// exprCond compares two expressions. With op "" it tests whether left has a value.
type exprCond struct {
	definite
	op          traceql.Op
	left, right expr
	re          *matcher
	rows        []uint32
	l, r        values
}

func (c *exprCond) match(ctx context.Context, mask, out column.Bitmap) error {
	c.rows = mask.AppendRows(c.rows[:0], 0)
	if len(c.rows) == 0 {
		return nil
	}
	if err := c.left.values(ctx, c.rows, &c.l); err != nil {
		return err
	}
	if c.op == "" {
		for i, r := range c.rows {
			if c.l.kinds[i] != nothing {
				out.Set(int(r))
			}
		}
		return nil
	}
	if err := c.right.values(ctx, c.rows, &c.r); err != nil {
		return err
	}
	for i, r := range c.rows {
		if c.l.kinds[i] != nothing && c.r.kinds[i] != nothing && compare(c.op, c.l.at(i), c.r.at(i), c.re) {
			out.Set(int(r))
		}
	}
	for _, list := range [][]int{c.l.many, c.r.many} {
		for _, i := range list {
			row := int(c.rows[i])
			err := pairs(ctx, c.left, c.right, row, func(a, b value) {
				if compare(c.op, a, b, c.re) {
					out.Set(row)
				}
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *exprCond) never() bool { return false }

func (c *exprCond) columns(f func(*pageColumn)) {
	c.left.columns(f)
	if c.right != nil {
		c.right.columns(f)
	}
}
func (c *exprCond) estimate() (pass, work float64) { return 0.4, 15 }
