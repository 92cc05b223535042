package traceql

import (
	"context"
)

// opStage combines the spansets of two operands, both evaluated on the same spanset.
type opStage struct {
	s           *scan
	op          Op
	left, right stage
}

func (s *scan) opOf(n *SpansetOp) (stage, error) {
	l, err := s.stageOf(n.Left)
	if err != nil {
		return nil, err
	}
	r, err := s.stageOf(n.Right)
	if err != nil {
		return nil, err
	}
	s.treed = s.treed || structural(n.Op)
	return &opStage{s: s, op: n.Op, left: l, right: r}, nil
}

func (st *opStage) label() string { return "" }

func (st *opStage) never() bool {
	switch {
	case st.op == "||":
		return st.left.never() && st.right.never()
	case st.op[0] == '!':
		return st.right.never()
	}
	return st.left.never() || st.right.never()
}

func (st *opStage) run(ctx context.Context, in []spanset) ([]spanset, error) {
	var out []spanset
	for _, set := range in {
		l, err := st.left.run(ctx, []spanset{set})
		if err != nil {
			return nil, err
		}
		r, err := st.right.run(ctx, []spanset{set})
		if err != nil {
			return nil, err
		}
		rows, err := st.combine(ctx, unite(l), unite(r))
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			out = append(out, spanset{rows, set.attrs})
		}
	}
	return out, nil
}

func (st *opStage) combine(ctx context.Context, l, r []uint32) ([]uint32, error) {
	switch st.op {
	case "&&":
		if len(l) == 0 || len(r) == 0 {
			return nil, nil
		}
		return merge(l, r), nil
	case "||":
		return merge(l, r), nil
	}
	op := st.op
	negated, union := op[0] == '!', op[0] == '&'
	if len(r) == 0 || len(l) == 0 && !negated {
		return nil, nil
	}
	if negated || union {
		op = op[1:]
	}
	t := st.s.forest()
	if err := t.build(ctx, st.s.current); err != nil {
		return nil, err
	}
	hits, err := t.related(ctx, op, l, r)
	switch {
	case err != nil:
		return nil, err
	case negated:
		return without(r, hits), nil
	case union:
		back := map[Op]Op{">": "<", ">>": "<<", "<": ">", "<<": ">>", "~": "~"}[op]
		left, err := t.related(ctx, back, r, l)
		return merge(hits, left), err
	}
	return hits, nil
}

// merge returns the rows of both lists, each once. All lists ascend.
func merge(a, b []uint32) []uint32 {
	out := make([]uint32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			out, a = append(out, a[0]), a[1:]
		case a[0] > b[0]:
			out, b = append(out, b[0]), b[1:]
		default:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		}
	}
	return append(append(out, a...), b...)
}

// without returns the rows of a that are not in b.
func without(a, b []uint32) []uint32 {
	var out []uint32
	for _, r := range a {
		for len(b) > 0 && b[0] < r {
			b = b[1:]
		}
		if len(b) == 0 || b[0] != r {
			out = append(out, r)
		}
	}
	return out
}

// Marks of rows while an operator is evaluated.
const (
	onLeft = 1 << iota // the row is in the left operand
	hit                // it is the parent, or an ancestor, of one that is
)

// related returns the rows r of right with: > a parent in left, >> an ancestor in left, < a child in left, << a descendant in left, ~ a sibling in
// left. The trace is built.
func (t *forest) related(ctx context.Context, op Op, left, right []uint32) (out []uint32, err error) {
	is := func(r uint32, mark uint8) bool { return *t.marks.at(r)&mark != 0 }
	up := func(r uint32) int32 { return *t.parent.at(r) }
	roots := int32(0)
	for _, l := range left {
		*t.marks.at(l) |= onLeft
		p := up(l)
		switch {
		case op == "<" && p >= 0:
			*t.marks.at(uint32(p)) |= hit
		case op == "<<":
			err = firstError(err, t.ancestors(ctx, l, func(a uint32) bool { *t.marks.at(a) |= hit; return true }))
		case op == "~" && p >= 0:
			*t.count.at(uint32(p))++
		case op == "~" && p == root:
			roots++
		}
	}
	for _, r := range right {
		in := false
		switch p := up(r); op {
		case "<", "<<":
			in = is(r, hit)
		case ">":
			in = p >= 0 && is(uint32(p), onLeft)
		case ">>":
			err = firstError(err, t.ancestors(ctx, r, func(a uint32) bool { in = is(a, onLeft); return !in }))
		case "~":
			n := int32(0)
			if p >= 0 {
				n = *t.count.at(uint32(p))
			} else if p == root {
				n = roots
			}
			in = n > 1 || n == 1 && !is(r, onLeft)
		}
		if in {
			out = append(out, r)
		}
	}
	for _, l := range left {
		*t.marks.at(l) = 0
		if p := up(l); p >= 0 {
			*t.marks.at(uint32(p)), *t.count.at(uint32(p)) = 0, 0
		}
		if op == "<<" {
			err = firstError(err, t.ancestors(ctx, l, func(a uint32) bool { *t.marks.at(a) = 0; return true }))
		}
	}
	return out, err
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// ancestors calls f for the spans above a row, from its parent up, until f returns false. A span is not its own ancestor, whatever its parents say.
func (t *forest) ancestors(ctx context.Context, row uint32, f func(a uint32) bool) error {
	steps := 0
	first := int32(-1) // where a walk of this length began to repeat
	for a := *t.parent.at(row); a >= 0 && a != int32(row); a = *t.parent.at(uint32(a)) {
		if !f(uint32(a)) {
			return nil
		}
		if steps++; steps&(steps-1) == 0 {
			first = a // the powers of two catch a circle that the row is not part of
		} else if a == first {
			return nil
		}
		if steps&4095 == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
		}
	}
	return nil
}
