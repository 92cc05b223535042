package eval

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// opStage combines the spansets of two operands, both evaluated on the same spanset.
type opStage struct {
	view        *tableView
	op          traceql.Op
	left, right stage
}

func (sel *selector) compileOp(n *traceql.SpansetOp) (stage, error) {
	l, err := sel.compileStage(n.Left)
	if err != nil {
		return nil, err
	}
	r, err := sel.compileStage(n.Right)
	if err != nil {
		return nil, err
	}
	sel.needsTrees = sel.needsTrees || n.Op.IsStructural()
	return &opStage{view: sel.view, op: n.Op, left: l, right: r}, nil
}

func (st *opStage) resultName() string { return "" }

func (st *opStage) passesNothing() bool {
	switch {
	case st.op == "||":
		return st.left.passesNothing() && st.right.passesNothing()
	case st.op[0] == '!':
		return st.right.passesNothing()
	}
	return st.left.passesNothing() || st.right.passesNothing()
}

func (st *opStage) runStage(ctx context.Context, trace int, in []spanset) ([]spanset, error) {
	var out []spanset
	for _, set := range in {
		l, err := st.left.runStage(ctx, trace, []spanset{set})
		if err != nil {
			return nil, err
		}
		r, err := st.right.runStage(ctx, trace, []spanset{set})
		if err != nil {
			return nil, err
		}
		rows, err := st.combineRows(ctx, trace, uniteRows(l), uniteRows(r))
		if err != nil {
			return nil, err
		}
		if len(rows) > 0 {
			out = append(out, spanset{rows, set.attrs})
		}
	}
	return out, nil
}

func (st *opStage) combineRows(ctx context.Context, trace int, l, r []uint32) ([]uint32, error) {
	switch st.op {
	case "&&":
		if len(l) == 0 || len(r) == 0 {
			return nil, nil
		}
		return mergeRows(l, r), nil
	case "||":
		return mergeRows(l, r), nil
	}
	op := st.op
	negated, union := op[0] == '!', op[0] == '&'
	if len(r) == 0 || len(l) == 0 && !negated {
		return nil, nil
	}
	if negated || union {
		op = op[1:]
	}
	t := st.view.forest()
	if err := t.linkParents(ctx, trace); err != nil {
		return nil, err
	}
	hits, err := t.relatedRows(ctx, op, l, r)
	switch {
	case err != nil:
		return nil, err
	case negated:
		return subtractRows(r, hits), nil
	case union:
		back := map[traceql.Op]traceql.Op{">": "<", ">>": "<<", "<": ">", "<<": ">>", "~": "~"}[op]
		left, err := t.relatedRows(ctx, back, r, l)
		return mergeRows(hits, left), err
	}
	return hits, nil
}

// mergeRows returns the rows of both lists, each once. All lists ascend.
func mergeRows(a, b []uint32) []uint32 {
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

// subtractRows returns the rows of a that are not in b.
func subtractRows(a, b []uint32) []uint32 {
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
	hit                // it is the parent of one that is, or an ancestor
	// it is on a circle of which one row, and nothing below the circle, is on the left: that row is
	// not hit
	ring
	under  // an ancestor is in the left operand
	free   // none is
	onPath // it is on the path that is being walked
)

// patience is after how many steps a walk over a trace looks at its context.
const patience = 1 << 10

// countStep counts one step of a walk, and looks at the context now and then.
func (t *forest) countStep(ctx context.Context) error {
	if t.steps++; t.steps%patience == 0 {
		return ctx.Err()
	}
	return nil
}

// addMark sets marks of a row, which are taken away when the operator is done.
func (t *forest) addMark(row uint32, m uint8) {
	p := t.marks.at(row)
	if *p == 0 {
		t.marked = append(t.marked, row)
	}
	*p |= m
}

func (t *forest) hasMark(row uint32, m uint8) bool { return *t.marks.at(row)&m != 0 }

// clearMarks takes away all marks and counts.
func (t *forest) clearMarks() {
	for _, r := range t.marked {
		*t.marks.at(r) = 0
	}
	for _, r := range t.counted {
		*t.count.at(r) = 0
	}
	t.marked, t.counted = t.marked[:0], t.counted[:0]
}

// relatedRows returns the rows r of right with: > a parent in left, >> an ancestor in left, < a child
// in left, << a descendant in left, ~ a sibling in left. The trace is built. It takes about as many
// steps as the trace has spans, whatever its shape.
func (t *forest) relatedRows(ctx context.Context, op traceql.Op, left, right []uint32) (out []uint32, err error) {
	defer t.clearMarks()
	up := func(r uint32) int32 { return *t.parent.at(r) }
	roots := int32(0)
	for _, l := range left {
		if err := t.countStep(ctx); err != nil {
			return nil, err
		}
		t.addMark(l, onLeft)
		switch p := up(l); {
		case op == "<" && p >= 0:
			t.addMark(uint32(p), hit)
		case op == "<<":
			if err := t.markAncestors(ctx, l); err != nil {
				return nil, err
			}
		case op == "~" && p >= 0:
			n := t.count.at(uint32(p))
			if *n == 0 {
				t.counted = append(t.counted, uint32(p))
			}
			*n++
		case op == "~" && p == root:
			roots++
		}
	}
	for _, r := range right {
		if err := t.countStep(ctx); err != nil {
			return nil, err
		}
		in := false
		switch p := up(r); op {
		case "<", "<<":
			in = t.hasMark(r, hit)
		case ">":
			in = p >= 0 && t.hasMark(uint32(p), onLeft)
		case ">>":
			if in, err = t.hasAncestorInLeft(ctx, r); err != nil {
				return nil, err
			}
		case "~":
			n := int32(0)
			if p >= 0 {
				n = *t.count.at(uint32(p))
			} else if p == root {
				n = roots
			}
			in = n > 1 || n == 1 && !t.hasMark(r, onLeft)
		}
		if in {
			out = append(out, r)
		}
	}
	return out, nil
}

// markAncestors marks the ancestors of a row as hit. It stops at one that is hit already, as all above
// it are, too: so all walks together pass each span about once. A span is not its own ancestor,
// whatever its parents say.
//
// A circle needs care: walked from a row on it, that row itself is not hit, until something else is
// found below it.
func (t *forest) markAncestors(ctx context.Context, row uint32) error {
	for a := *t.parent.at(row); a >= 0; a = *t.parent.at(uint32(a)) {
		if err := t.countStep(ctx); err != nil {
			return err
		}
		switch {
		case a == int32(row): // all others of the circle are hit
			return t.eachOnCircle(ctx, row, func(r uint32) { t.addMark(r, ring) })
		case t.hasMark(uint32(a), ring):
			return t.eachOnCircle(ctx, uint32(a), func(r uint32) {
				t.addMark(r, hit)
				*t.marks.at(r) &^= ring
			})
		case t.hasMark(uint32(a), hit):
			return nil
		}
		t.addMark(uint32(a), hit)
	}
	return nil
}

// eachOnCircle calls f for every row of the circle that a row is on.
func (t *forest) eachOnCircle(ctx context.Context, row uint32, f func(uint32)) error {
	for r := row; ; {
		if err := t.countStep(ctx); err != nil {
			return err
		}
		next := uint32(*t.parent.at(r))
		f(r)
		if r = next; r == row {
			return nil
		}
	}
}

// hasAncestorInLeft reports whether a row has an ancestor in the left operand. What is found of the rows on
// its way up is kept, so that all questions together take about as many steps as the trace has
// spans.
func (t *forest) hasAncestorInLeft(ctx context.Context, row uint32) (bool, error) {
	// Most traces are shallow: a short walk needs no notes.
	const short = 16
	p := *t.parent.at(row)
	for range short {
		if p < 0 || p == int32(row) {
			return false, nil
		}
		switch m := *t.marks.at(uint32(p)); {
		case m&(onLeft|under) != 0:
			return true, nil
		case m&free != 0:
			return false, nil
		}
		p = *t.parent.at(uint32(p))
	}
	t.path = t.path[:0]
	r := row
	for !t.hasMark(r, under|free|onPath) {
		if err := t.countStep(ctx); err != nil {
			return false, err
		}
		t.path = append(t.path, r)
		p := *t.parent.at(r)
		if p < 0 {
			t.addMark(r, free)
			break
		}
		t.addMark(r, onPath)
		r = uint32(p)
	}
	if t.hasMark(r, onPath) { // the path has come back to r: it is on a circle
		if err := t.decideCircle(ctx, r); err != nil {
			return false, err
		}
	}
	for i := len(t.path) - 1; i >= 0; i-- { // from the top down
		r := t.path[i]
		*t.marks.at(r) &^= onPath
		if t.hasMark(r, under|free) {
			continue
		}
		if p := uint32(*t.parent.at(r)); t.hasMark(p, onLeft|under) {
			t.addMark(r, under)
		} else {
			t.addMark(r, free)
		}
	}
	return t.hasMark(row, under), nil
}

// decideCircle finds which rows of a circle have another of its rows in the left operand.
func (t *forest) decideCircle(ctx context.Context, row uint32) error {
	n := 0
	err := t.eachOnCircle(ctx, row, func(r uint32) {
		if t.hasMark(r, onLeft) {
			n++
		}
	})
	if err != nil {
		return err
	}
	return t.eachOnCircle(ctx, row, func(r uint32) {
		if n > 1 || n == 1 && !t.hasMark(r, onLeft) {
			t.addMark(r, under)
		} else {
			t.addMark(r, free)
		}
	})
}
