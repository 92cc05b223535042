package eval

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// expr is an expression compiled for one frame and evaluated at the frame's page.
type expr interface {
	// computeValues sets out to the value of each of the rows, which ascend.
	computeValues(ctx context.Context, rows []uint32, out *values) error
	// eachValue calls f for every value that the expression has on a row. Only a field may have
	// several.
	eachValue(ctx context.Context, row int, f func(value)) error
	eachColumn(f func(*pageColumn))
}

// constExpr is a constant.
type constExpr struct{ v value }

func (e constExpr) computeValues(_ context.Context, rows []uint32, out *values) error {
	out.reset(len(rows))
	for i := range rows {
		out.set(i, e.v)
	}
	return nil
}

func (e constExpr) eachValue(_ context.Context, _ int, f func(value)) error { f(e.v); return nil }
func (e constExpr) eachColumn(func(*pageColumn))                            {}

// fieldExpr is a field.
type fieldExpr struct{ src source }

func (e *fieldExpr) computeValues(ctx context.Context, rows []uint32, out *values) error {
	out.reset(len(rows))
	return e.src.readValues(ctx, rows, out)
}

func (e *fieldExpr) eachValue(ctx context.Context, row int, f func(value)) error {
	return e.src.eachValue(ctx, row, f)
}
func (e *fieldExpr) eachColumn(f func(*pageColumn)) { e.src.eachColumn(f) }

// mathExpr is arithmetic. Of a field with several values the first one counts.
type mathExpr struct {
	op          traceql.Op
	left, right expr
	l, r        values
}

func (e *mathExpr) computeValues(ctx context.Context, rows []uint32, out *values) error {
	if err := e.left.computeValues(ctx, rows, &e.l); err != nil {
		return err
	}
	if err := e.right.computeValues(ctx, rows, &e.r); err != nil {
		return err
	}
	out.reset(len(rows))
	for i := range rows {
		if e.l.kinds[i].isNumeric() && e.r.kinds[i].isNumeric() {
			l := value{kind: e.l.kinds[i], num: e.l.nums[i]}
			r := value{kind: e.r.kinds[i], num: e.r.nums[i]}
			out.set(i, computeArithmetic(e.op, l, r))
		}
	}
	return nil
}

func (e *mathExpr) eachValue(ctx context.Context, row int, f func(value)) error {
	return eachOnlyValue(ctx, e, row, f)
}

// eachOnlyValue calls f for the only value of an expression on a row.
func eachOnlyValue(ctx context.Context, e expr, row int, f func(value)) error {
	var v values
	if err := e.computeValues(ctx, []uint32{uint32(row)}, &v); err != nil {
		return err
	}
	f(v.at(0))
	return nil
}

// eachPair calls f for every combination of values of two expressions on a row.
func eachPair(ctx context.Context, left, right expr, row int, f func(a, b value)) error {
	const most = 64 // values of each side, because a span may repeat a key without end
	var rs []value
	err := right.eachValue(ctx, row, func(v value) {
		if len(rs) < most {
			rs = append(rs, v)
		}
	})
	if err != nil {
		return err
	}
	n := 0
	return left.eachValue(ctx, row, func(a value) {
		if n++; n > most {
			return
		}
		for _, b := range rs {
			f(a, b)
		}
	})
}

func (e *mathExpr) eachColumn(f func(*pageColumn)) {
	e.left.eachColumn(f)
	e.right.eachColumn(f)
}

// negExpr is unary minus.
type negExpr struct{ of expr }

func (e *negExpr) computeValues(ctx context.Context, rows []uint32, out *values) error {
	if err := e.of.computeValues(ctx, rows, out); err != nil {
		return err
	}
	for i := range rows {
		out.set(i, negateValue(out.at(i)))
	}
	out.many = out.many[:0]
	return nil
}

func (e *negExpr) eachValue(ctx context.Context, row int, f func(value)) error {
	return eachOnlyValue(ctx, e, row, f)
}
func (e *negExpr) eachColumn(f func(*pageColumn)) { e.of.eachColumn(f) }

// boolExpr is a condition as a value: a boolean, or nothing where the condition is none.
type boolExpr struct {
	c             cond
	rows          func() int // of the frame's page
	mask, yes, is column.Bitmap
}

func (e *boolExpr) computeValues(ctx context.Context, rows []uint32, out *values) error {
	n := e.rows()
	e.mask, e.yes, e.is = e.mask.Resize(n), e.yes.Resize(n), e.is.Resize(n)
	for _, r := range rows {
		e.mask.Set(int(r))
	}
	if err := e.c.markBooleans(ctx, e.mask, e.is); err != nil {
		return err
	}
	if err := e.c.matchRows(ctx, e.mask, e.yes); err != nil {
		return err
	}
	out.reset(len(rows))
	for i, r := range rows {
		if e.is.Get(int(r)) {
			out.set(i, boolValueOf(e.yes.Get(int(r))))
		}
	}
	return nil
}

func (e *boolExpr) eachValue(ctx context.Context, row int, f func(value)) error {
	return eachOnlyValue(ctx, e, row, f)
}
func (e *boolExpr) eachColumn(f func(*pageColumn)) { e.c.eachColumn(f) }

// exprCond compares two expressions, value by value if a field has several. With the operator "" it
// tests whether left has a value.
type exprCond struct {
	definite
	op          traceql.Op
	left, right expr
	matcher     *matcher
	rows        []uint32
	l, r        values
}

func (c *exprCond) matchRows(ctx context.Context, mask, out column.Bitmap) error {
	c.rows = mask.AppendRows(c.rows[:0], 0)
	if len(c.rows) == 0 {
		return nil
	}
	if err := c.left.computeValues(ctx, c.rows, &c.l); err != nil {
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
	if err := c.right.computeValues(ctx, c.rows, &c.r); err != nil {
		return err
	}
	for i, r := range c.rows {
		if c.l.kinds[i] != nothing && c.r.kinds[i] != nothing && compareValues(c.op, c.l.at(i), c.r.at(i), c.matcher) {
			out.Set(int(r))
		}
	}
	for _, list := range [][]int{c.l.many, c.r.many} {
		for _, i := range list {
			row := int(c.rows[i])
			err := eachPair(ctx, c.left, c.right, row, func(a, b value) {
				if compareValues(c.op, a, b, c.matcher) {
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

func (c *exprCond) matchesNothing() bool { return false }

func (c *exprCond) eachColumn(f func(*pageColumn)) {
	c.left.eachColumn(f)
	if c.right != nil {
		c.right.eachColumn(f)
	}
}
func (c *exprCond) estimateCost() (pass, work float64) { return 0.4, 15 }
