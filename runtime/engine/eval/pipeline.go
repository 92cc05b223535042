package eval

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// spanset is spans of one trace: rows of the table, ascending.
type spanset struct {
	rows  []uint32
	attrs []labelled // of by() and aggregates
}

// labelled is a value found by a stage, under the stage's text.
type labelled struct {
	stage stage
	v     value
}

// stage is one step of a pipeline, compiled for a table.
type stage interface {
	// run applies the stage to the spansets of one trace.
	run(ctx context.Context, trace int, in []spanset) ([]spanset, error)
	// label is the name of the values it finds.
	label() string
	// never says that certainly nothing passes.
	never() bool
}

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
		st := &scalarStage{fn: a.Func, op: n.Op, limit: fold(n.Right), text: traceql.FormatNode(a)}
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

// fold computes a constant outside of braces.
func fold(n traceql.Node) value {
	switch n := n.(type) {
	case *traceql.Literal:
		return literalValue(n)
	case *traceql.Negate:
		return negate(fold(n.Of))
	case *traceql.Arithmetic:
		return arithmetic(n.Op, fold(n.Left), fold(n.Right))
	}
	return value{}
}

// leaf is a filter: the rows of the table for which it is true, page by page.
type leaf struct {
	cond cond
	bits []column.Bitmap // by page; nil: not evaluated
}

func (sel *selector) addLeaf(f *traceql.Filter) (*leaf, error) {
	l := &leaf{cond: constCond{truth: true, boolish: true}, bits: make([]column.Bitmap, sel.view.pageCount())}
	sel.leaves = append(sel.leaves, l)
	if f.Expr == nil {
		return l, nil
	}
	var err error
	l.cond, err = compiler{view: sel.view}.cond(f.Expr)
	return l, err
}

func (l *leaf) has(row uint32) bool {
	return l.bits[row/column.PageRows].Get(int(row % column.PageRows))
}

func (l *leaf) run(_ context.Context, _ int, in []spanset) ([]spanset, error) {
	var out []spanset
	for _, set := range in {
		var rows []uint32
		for _, r := range set.rows {
			if l.has(r) {
				rows = append(rows, r)
			}
		}
		if len(rows) > 0 {
			out = append(out, spanset{rows, set.attrs})
		}
	}
	return out, nil
}

func (l *leaf) label() string { return "" }
func (l *leaf) never() bool   { return l.cond.never() }

// subStage is a pipeline in parentheses as an operand.
type subStage struct{ stages []stage }

func (st *subStage) run(ctx context.Context, trace int, in []spanset) (out []spanset, err error) {
	out = in
	for _, s := range st.stages {
		if len(out) == 0 {
			return nil, nil
		}
		if out, err = s.run(ctx, trace, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}
func (st *subStage) label() string { return "" }
func (st *subStage) never() bool   { return len(st.stages) > 0 && st.stages[0].never() }

// coalesceStage is coalesce().
type coalesceStage struct{}

func (coalesceStage) run(_ context.Context, _ int, in []spanset) ([]spanset, error) {
	return []spanset{{rows: unite(in)}}, nil
}
func (coalesceStage) label() string { return "" }
func (coalesceStage) never() bool   { return false }

// unite returns the rows of all spansets, each once, ascending.
func unite(sets []spanset) []uint32 {
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
