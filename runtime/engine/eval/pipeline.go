package eval

import (
	"context"
	"fmt"
	"math/bits"
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
	run(ctx context.Context, in []spanset) ([]spanset, error)
	// label is the name of the values it finds.
	label() string
	// never says that certainly nothing passes.
	never() bool
}

// selection returns the part of a query that selects spans.
func selection(q *traceql.Query) (*traceql.Pipeline, error) {
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
			return nil, unsupported("searches for arithmetic of metrics")
		default:
			return &traceql.Pipeline{Stages: []traceql.Node{x}}, nil
		}
	}
}

// compile makes the stages of a pipeline, or one filter if that is all it is.
func (s *scan) compile(p *traceql.Pipeline) error {
	plain := true
	var conds []cond
	for _, n := range p.Stages {
		if f, ok := n.(*traceql.Filter); ok {
			if f.Expr != nil {
				c, err := compiler{s: s}.cond(f.Expr)
				if err != nil {
					return err
				}
				conds = append(conds, c)
			}
			s.whole = s.whole || f.Expr != nil && readsTrace(f.Expr)
			continue
		}
		switch n.(type) {
		case *traceql.Select, *traceql.Coalesce:
		default:
			plain = false
		}
	}
	if plain {
		if len(conds) > 0 {
			s.filter = newAnd(conds)
		}
		return nil
	}
	s.whole, s.filter = true, nil
	stages, err := s.stagesOf(p)
	s.stages = stages
	return err
}

// readsTrace says whether an expression depends on other spans of the trace.
func readsTrace(e traceql.Expr) bool {
	reads := false
	fields(e, func(f *traceql.Field) {
		if f.Scope == traceql.ScopeIntrinsic {
			switch f.Name {
			case "traceDuration", "rootName", "rootServiceName", "span:childCount", "nestedSetLeft", "nestedSetRight", "nestedSetParent":
				reads = true
			}
		}
	})
	return reads
}

func (s *scan) stagesOf(p *traceql.Pipeline) ([]stage, error) {
	var out []stage
	for _, n := range p.Stages {
		st, err := s.stageOf(n)
		if err != nil {
			return nil, err
		}
		if st != nil {
			out = append(out, st)
		}
	}
	return out, nil
}

func (s *scan) stageOf(n traceql.Node) (stage, error) {
	switch n := n.(type) {
	case *traceql.Filter:
		return s.leaf(n)
	case *traceql.SpansetOp:
		return s.opOf(n)
	case *traceql.GroupBy:
		e, err := s.perRow(n.Expr)
		return &byStage{s: s, e: e, text: traceql.FormatNode(n)}, err
	case *traceql.ScalarFilter:
		a := n.Left.(*traceql.Aggregate)
		st := &scalarStage{fn: a.Func, op: n.Op, limit: fold(n.Right), text: traceql.FormatNode(a)}
		var err error
		if a.Expr != nil {
			st.e, err = s.perRow(a.Expr)
		}
		return st, err
	case *traceql.Coalesce:
		return coalesceStage{s}, nil
	case *traceql.Select:
		return nil, nil
	case *traceql.Pipeline:
		stages, err := s.stagesOf(n)
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
	s    *scan
	cond cond
	bits []column.Bitmap // by page; nil: not evaluated
}

func (s *scan) leaf(f *traceql.Filter) (*leaf, error) {
	l := &leaf{s: s, cond: constCond{truth: true, boolish: true}, bits: make([]column.Bitmap, s.pages())}
	s.leaves = append(s.leaves, l)
	if f.Expr == nil {
		return l, nil
	}
	var err error
	l.cond, err = compiler{s: s}.cond(f.Expr)
	return l, err
}

func (l *leaf) has(row uint32) bool {
	return l.bits[row/column.PageRows].Get(int(row % column.PageRows))
}

func (l *leaf) run(_ context.Context, in []spanset) ([]spanset, error) {
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

// perRow is the value of an expression on rows of the table, page by page.
type perRow struct {
	e     expr
	pages []*rowValues
}

// rowValues are the values of some rows of a page.
type rowValues struct {
	rows   column.Bitmap
	before []uint16 // rows before each word
	v      values
}

func (s *scan) perRow(e traceql.Expr) (*perRow, error) {
	x, err := s.expr(e)
	p := &perRow{e: x, pages: make([]*rowValues, s.pages())}
	s.perRows = append(s.perRows, p)
	return p, err
}

func (p *perRow) at(row uint32) value {
	pg := p.pages[row/column.PageRows]
	i := row % column.PageRows
	w := pg.rows[i>>6]
	return pg.v.at(int(pg.before[i>>6]) + bits.OnesCount64(w&(1<<(i&63)-1)))
}

// prepare evaluates at the current page what the stages read of it. It returns the rows that can be
// in a spanset.
func (s *scan) prepare(ctx context.Context, page int) (column.Bitmap, error) {
	if s.picked == nil {
		s.picked = make([]column.Bitmap, s.pages())
	}
	if s.picked[page] != nil {
		return s.picked[page], nil
	}
	if err := s.seek(ctx, page); err != nil {
		return nil, err
	}
	if err := s.within(ctx); err != nil {
		return nil, err
	}
	if err := s.above(ctx); err != nil {
		return nil, err
	}
	n := s.spans.rows
	if err := s.budget.take((len(s.leaves)+1)*n/8, "selected spans"); err != nil {
		return nil, err
	}
	picked := column.NewBitmap(n)
	if s.mask.Empty() {
		s.skip(page, picked)
		return picked, nil
	}
	if s.filter != nil {
		if err := s.filter.match(ctx, s.mask, picked); err != nil {
			return nil, err
		}
		s.picked[page] = picked
		return picked, nil
	}
	first := s.firstLeaves()
	for i, l := range s.leaves {
		l.bits[page] = column.NewBitmap(n)
		if err := l.cond.match(ctx, s.mask, l.bits[page]); err != nil {
			return nil, err
		}
		if i < first {
			picked.Or(l.bits[page])
		}
	}
	if first == 0 {
		picked.Or(s.mask)
	}
	rows := picked.AppendRows(nil, 0)
	for _, p := range s.perRows {
		v := &rowValues{rows: picked, before: make([]uint16, len(picked))}
		sum := 0
		for w, x := range picked {
			v.before[w] = uint16(sum)
			sum += bits.OnesCount64(x)
		}
		if err := p.e.values(ctx, rows, &v.v); err != nil {
			return nil, err
		}
		if err := s.budget.take(9*len(v.v.kinds)+16*len(v.v.strs), "values of by() and aggregates"); err != nil {
			return nil, err
		}
		p.pages[page] = v
	}
	s.picked[page] = picked
	return picked, nil
}

// skip notes that no row of a page can be in a spanset.
func (s *scan) skip(page int, none column.Bitmap) {
	s.picked[page] = none
	for _, l := range s.leaves {
		l.bits[page] = none
	}
}

// firstLeaves is the number of leaves, the first ones, that belong to the first stage; 0 if that is
// not one of filters.
func (s *scan) firstLeaves() int {
	// leaves counts those of a stage, and says whether all that it yields went through one of them.
	var leaves func(st stage) (n int, all bool)
	leaves = func(st stage) (n int, all bool) {
		switch st := st.(type) {
		case *leaf:
			return 1, true
		case *opStage:
			l, left := leaves(st.left)
			r, right := leaves(st.right)
			return l + r, left && right
		case *subStage:
			for i, x := range st.stages {
				k, through := leaves(x)
				n, all = n+k, all || i == 0 && through
			}
		}
		return n, all
	}
	if len(s.stages) > 0 {
		if n, all := leaves(s.stages[0]); all {
			return n
		}
	}
	return 0
}

// spansets runs the pipeline over one trace. The rows are valid until the next call.
func (s *scan) spansets(ctx context.Context, i int) ([]spanset, error) {
	s.traceRows = s.t.TraceRows(i, s.traceRows[:0])
	all := make([]uint32, 0, len(s.traceRows))
	for _, r := range s.traceRows {
		picked, err := s.prepare(ctx, int(r)/column.PageRows)
		if err != nil {
			return nil, err
		}
		// Only rows that a filter of the first stage lets through can be in a spanset.
		if picked.Get(int(r) % column.PageRows) {
			all = append(all, r)
		}
	}
	s.current = i
	sets := []spanset{{rows: all}}
	for _, st := range s.stages {
		if len(sets) == 0 || len(sets[0].rows) == 0 {
			return nil, nil
		}
		var err error
		if sets, err = st.run(ctx, sets); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// pipelined is rows of a pipeline with stages other than filters: it is run for all traces at the
// first call.
func (s *scan) pipelined(ctx context.Context, page int) (column.Bitmap, error) {
	if s.passed == nil {
		passed := make([]column.Bitmap, s.pages())
		for p := range passed {
			passed[p] = column.NewBitmap(min(s.t.Rows()-p*column.PageRows, column.PageRows))
		}
		err := s.eachPicked(ctx, func(i int) error {
			sets, err := s.spansets(ctx, i)
			for _, set := range sets {
				for _, r := range set.rows {
					passed[r/column.PageRows].Set(int(r % column.PageRows))
				}
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		s.passed = passed
		if err := s.seek(ctx, page); err != nil {
			return nil, err
		}
	}
	s.out = append(s.out[:0], s.passed[page]...)
	return s.out, nil
}

// eachPicked calls f once for every trace of which a row can be in a spanset, after all pages are
// prepared.
func (s *scan) eachPicked(ctx context.Context, f func(i int) error) error {
	traces := column.NewBitmap(s.t.Traces())
	for p := range s.pages() {
		picked, err := s.prepare(ctx, p)
		if err != nil {
			return err
		}
		if picked.Empty() {
			continue
		}
		v, err := s.traceRow.loadFull(ctx)
		if err != nil {
			return err
		}
		for r := picked.Next(0); r >= 0; r = picked.Next(r + 1) {
			traces.Set(int(v.Ints[r]))
		}
	}
	for i := traces.Next(0); i >= 0; i = traces.Next(i + 1) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// subStage is a pipeline in parentheses as an operand.
type subStage struct{ stages []stage }

func (st *subStage) run(ctx context.Context, in []spanset) (out []spanset, err error) {
	out = in
	for _, s := range st.stages {
		if len(out) == 0 {
			return nil, nil
		}
		if out, err = s.run(ctx, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}
func (st *subStage) label() string { return "" }
func (st *subStage) never() bool   { return len(st.stages) > 0 && st.stages[0].never() }

// coalesceStage is coalesce().
type coalesceStage struct{ s *scan }

func (coalesceStage) run(_ context.Context, in []spanset) ([]spanset, error) {
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
