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

// compileOp compiles an operator between spansets.
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

// combineRows applies the operator to the rows of both operands on one trace.
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

// mergeRows returns the rows of both lists, each once. Lists of rows ascend.
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
