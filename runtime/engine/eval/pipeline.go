package eval

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// A pipeline works on the spansets of one trace at a time: lists of rows, which every stage passes
// on, splits, or drops. A trace with five spans, in rows 10 to 14 of the table, and the query
//
//	{ kind = server } | by(resource.service.name) | avg(duration) > 5ms
//
//	row             10    11    12    13    14
//	kind            ser.  cli.  ser.  ser.  ser.
//	service         cart  cart  user  cart  user
//	duration (ms)   4     9     7     8     2
//
//	{ kind = server }      one spanset    [10 12 13 14]
//	by(…)                  two            [10 13] with cart, [12 14] with user
//	avg(duration) > 5ms    one            [10 13] with cart and 6 ms; the other has 4.5 ms
//
// Filters and expressions are evaluated before, page by page (scan.preparePage). A stage only looks
// up its rows in bitmaps (leaf) or values (perRow).

// spanset is some spans of one trace: rows of the table, ascending.
type spanset struct {
	rows  []uint32
	attrs []stageResult // of the stages passed: by() and aggregates
}

// stageResult is a value that a stage found for a spanset.
type stageResult struct {
	stage stage
	value value
}

// stage is one step of a pipeline, compiled for a table.
type stage interface {
	// runStage applies the stage to the spansets of one trace, which stay as they are, and returns
	// those that pass it.
	runStage(ctx context.Context, trace int, in []spanset) ([]spanset, error)
	// resultName is the name under which answers show the values that the stage finds.
	resultName() string
	// passesNothing reports whether it is certain that no spanset passes.
	passesNothing() bool
}

// compileStages compiles the stages of a pipeline. select() has none: it only affects answers.
func (sel *selector) compileStages(p *traceql.Pipeline) ([]stage, error) {
	var out []stage
	for _, n := range p.Stages {
		st, err := sel.compileStage(n)
		if err != nil {
			return nil, err
		}
		if st != nil {
			out = append(out, st)
		}
	}
	return out, nil
}

// compileStage compiles one stage; nil: the node has none.
func (sel *selector) compileStage(n traceql.Node) (stage, error) {
	switch n := n.(type) {
	case *traceql.Filter:
		return sel.addLeaf(n)
	case *traceql.SpansetOp:
		return sel.compileOp(n)
	case *traceql.GroupBy:
		e, err := sel.addPerRow(n.Expr)
		return &byStage{e: e, text: traceql.FormatNode(n)}, err
	case *traceql.ScalarFilter:
		a := n.Left.(*traceql.Aggregate)
		st := &scalarStage{fn: a.Func, op: n.Op, limit: foldConstant(n.Right), text: traceql.FormatNode(a)}
		var err error
		if a.Expr != nil {
			st.e, err = sel.addPerRow(a.Expr)
		}
		return st, err
	case *traceql.Coalesce:
		return coalesceStage{}, nil
	case *traceql.Select:
		return nil, nil
	case *traceql.Pipeline:
		stages, err := sel.compileStages(n)
		return &subStage{stages: stages}, err
	}
	return nil, fmt.Errorf("BUG: stage %T", n)
}

// foldConstant computes a constant outside of braces; it is nothing if that is not possible.
func foldConstant(n traceql.Node) value {
	switch n := n.(type) {
	case *traceql.Literal:
		return literalValue(n)
	case *traceql.Negate:
		return negateValue(foldConstant(n.Of))
	case *traceql.Arithmetic:
		return computeArithmetic(n.Op, foldConstant(n.Left), foldConstant(n.Right))
	}
	return value{}
}

// leaf is a filter as a stage: the rows of the table for which it is true, page by page.
type leaf struct {
	cond cond
	bits []column.Bitmap // by page; nil: not evaluated
}

// addLeaf compiles a filter and adds it to the leaves of the selector.
func (sel *selector) addLeaf(f *traceql.Filter) (*leaf, error) {
	l := &leaf{cond: constCond{truth: true, boolean: true}, bits: make([]column.Bitmap, sel.view.pageCount())}
	sel.leaves = append(sel.leaves, l)
	if f.Expr == nil {
		return l, nil
	}
	var err error
	l.cond, err = compiler{view: sel.view}.compileCond(f.Expr)
	return l, err
}

// hasRow reports whether the filter is true for a row, whose page must have been prepared.
func (l *leaf) hasRow(row uint32) bool {
	return l.bits[row/column.PageRows].Get(int(row % column.PageRows))
}

func (l *leaf) runStage(_ context.Context, _ int, in []spanset) ([]spanset, error) {
	var out []spanset
	for _, set := range in {
		var rows []uint32
		for _, r := range set.rows {
			if l.hasRow(r) {
				rows = append(rows, r)
			}
		}
		if len(rows) > 0 {
			out = append(out, spanset{rows, set.attrs})
		}
	}
	return out, nil
}

func (l *leaf) resultName() string { return "" }

func (l *leaf) passesNothing() bool { return l.cond.matchesNothing() }

// subStage is a pipeline in parentheses, as an operand of a spanset operation.
type subStage struct{ stages []stage }

func (st *subStage) runStage(ctx context.Context, trace int, in []spanset) (out []spanset, err error) {
	out = in
	for _, s := range st.stages {
		if len(out) == 0 {
			return nil, nil
		}
		if out, err = s.runStage(ctx, trace, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (st *subStage) resultName() string { return "" }

func (st *subStage) passesNothing() bool { return len(st.stages) > 0 && st.stages[0].passesNothing() }

// coalesceStage is coalesce(): it joins all spansets into one.
type coalesceStage struct{}

func (coalesceStage) runStage(_ context.Context, _ int, in []spanset) ([]spanset, error) {
	return []spanset{{rows: uniteRows(in)}}, nil
}

func (coalesceStage) resultName() string { return "" }

func (coalesceStage) passesNothing() bool { return false }

// uniteRows returns the rows of all spansets, each once and ascending. It may return the rows of
// one.
func uniteRows(sets []spanset) []uint32 {
	if len(sets) == 1 {
		return sets[0].rows
	}
	var out []uint32
	for _, s := range sets {
		out = append(out, s.rows...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
