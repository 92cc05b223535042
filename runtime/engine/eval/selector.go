package eval

import (
	"math/bits"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// selector is the selecting part of a query, compiled for one table. Either it has a filter and no
// stages, or stages and no filter: then which spans leave the pipeline is decided trace by trace.
type selector struct {
	view *tableView

	filter  cond // the filters of a pipeline of filters together; nil: there are stages
	stages  []stage
	leaves  []*leaf   // the filters within the stages
	perRows []*perRow // the expressions within the stages

	// acrossSpans: whether a span is selected depends on the other spans of its trace.
	acrossSpans bool
	needsTrees  bool // deciding on a span needs the tree of its trace
}

// compileSelector compiles a pipeline for a view; nil selects every span. Errors: ErrUnsupported,
// those of regular expressions.
func compileSelector(v *tableView, p *traceql.Pipeline) (*selector, error) {
	sel := &selector{view: v, filter: constCond{truth: true, boolean: true}}
	if p == nil {
		return sel, nil
	}
	plain := true
	var conds []cond
	for _, n := range p.Stages {
		switch n := n.(type) {
		case *traceql.Filter:
			if n.Expr == nil {
				continue
			}
			c, err := compiler{view: v}.compileCond(n.Expr)
			if err != nil {
				return nil, err
			}
			conds = append(conds, c)
			sel.acrossSpans = sel.acrossSpans || !traceql.IsSpanwise(n)
		case *traceql.Select, *traceql.Coalesce:
		default:
			plain = false
		}
	}
	if plain {
		if len(conds) > 0 {
			sel.filter = newAnd(conds)
		}
		return sel, nil
	}
	sel.acrossSpans, sel.filter = true, nil
	var err error
	sel.stages, err = sel.compileStages(p)
	return sel, err
}

// selectedPart returns the part of a query that selects spans.
func selectedPart(q *traceql.Query) (*traceql.Pipeline, error) {
	n := q.Root
	for {
		switch x := n.(type) {
		case *traceql.Pipeline:
			return x, nil
		case *traceql.Metrics:
			return x.Pipeline, nil
		case *traceql.Second:
			n = x.Of
		case *traceql.Arithmetic:
			return nil, newUnsupported("searches for arithmetic of metrics")
		default:
			return &traceql.Pipeline{Stages: []traceql.Node{x}}, nil
		}
	}
}

// selectsNothing reports whether certainly no span of the table is selected. It reads nothing.
func (sel *selector) selectsNothing() bool {
	if sel.filter != nil {
		return sel.filter.matchesNothing()
	}
	return len(sel.stages) > 0 && sel.stages[0].passesNothing()
}

// selectsAll reports whether every span that exists for the query is selected.
func (sel *selector) selectsAll() bool {
	c, ok := sel.filter.(constCond)
	return ok && c.truth
}

// eachColumn calls f for the columns that filters and expressions read.
func (sel *selector) eachColumn(f func(*pageColumn)) {
	if sel.filter != nil {
		sel.filter.eachColumn(f)
	}
	for _, l := range sel.leaves {
		l.cond.eachColumn(f)
	}
	for _, p := range sel.perRows {
		p.expr.eachColumn(f)
	}
}

// leadingLeaves returns the number of leaves, the first ones, that every spanset has gone through
// one of; 0 if the first stage lets spans through that no leaf has seen.
func (sel *selector) leadingLeaves() int {
	if len(sel.stages) == 0 {
		return 0
	}
	if n, all := countLeaves(sel.stages[0]); all {
		return n
	}
	return 0
}

// countLeaves counts the leaves of a stage; all reports whether everything that the stage yields
// has gone through one of them.
func countLeaves(st stage) (n int, all bool) {
	switch st := st.(type) {
	case *leaf:
		return 1, true
	case *opStage:
		l, left := countLeaves(st.left)
		r, right := countLeaves(st.right)
		return l + r, left && right
	case *subStage:
		for i, x := range st.stages {
			k, through := countLeaves(x)
			n, all = n+k, all || i == 0 && through
		}
	}
	return n, all
}

// perRow is the value of an expression on rows of the table, page by page.
type perRow struct {
	expr  expr
	pages []*rowValues
}

// rowValues are the values of some rows of a page.
type rowValues struct {
	rows   column.Bitmap
	before []uint16 // number of rows before each word of rows
	vals   values
}

func newRowValues(rows column.Bitmap) *rowValues {
	v := &rowValues{rows: rows, before: make([]uint16, len(rows))}
	sum := 0
	for w, x := range rows {
		v.before[w] = uint16(sum)
		sum += bits.OnesCount64(x)
	}
	return v
}

// addPerRow compiles an expression that stages need on rows.
func (sel *selector) addPerRow(e traceql.Expr) (*perRow, error) {
	x, err := sel.view.compileExpr(e)
	p := &perRow{expr: x, pages: make([]*rowValues, sel.view.pageCount())}
	sel.perRows = append(sel.perRows, p)
	return p, err
}

// at returns the value on a row of a page that was prepared.
func (p *perRow) at(row uint32) value {
	pg := p.pages[row/column.PageRows]
	i := row % column.PageRows
	w := pg.rows[i>>6]
	return pg.vals.at(int(pg.before[i>>6]) + bits.OnesCount64(w&(1<<(i&63)-1)))
}
