package eval

import (
	"context"
	"math"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Where a query looks across spans, no home can judge a shared trace, but most that cannot match
// are told by what the homes hold: a match of
//
//	{ name = "a" && traceDuration > 1s } >> { status = error }
//
// has a row named a, in some home, and a row with an error, in some home. Such a filter, without
// what it reads of other spans, is a clue. Each home counts the rows of a shared trace that a clue
// accepts and names the traces that have any. The sums over all homes tell which of the traces can
// match, and only these are put together. A span that lies in two homes is counted twice; that, as
// any other count that is too high, names a trace too many.

// Clues are how many rows of a trace each clue of a query accepts. A count of 255 is any number
// from there on. In a trace of which nothing is known all are 255.
type Clues [8]uint8

// anyClues are those of a trace of which nothing is known.
var anyClues = Clues{255, 255, 255, 255, 255, 255, 255, 255}

// join adds what another home has counted.
func (c Clues) join(o Clues) Clues {
	for i := range c {
		c[i] = uint8(min(int(c[i])+int(o[i]), math.MaxUint8))
	}
	return c
}

// clueFinder knows the clues of a pipeline that looks across spans.
type clueFinder struct {
	filters []*traceql.Filter // by clue, as they are in the query
	needs   need
}

// need reports whether a trace can match that has these clues.
type need func(Clues) bool

// newClueFinder returns the clues of a pipeline.
func newClueFinder(p *traceql.Pipeline) *clueFinder {
	f := &clueFinder{}
	f.needs = f.needOfStages(p.Stages)
	return f
}

// isIdle reports whether any trace can match, as far as clues tell.
func (f *clueFinder) isIdle() bool { return f.needs(Clues{}) }

// needOfStages returns what a trace must have for spansets to pass all stages.
func (f *clueFinder) needOfStages(stages []traceql.Node) need {
	var all []need
	for i, n := range stages {
		if first, ok := stages[0].(*traceql.Filter); ok && i > 0 {
			if least, ok := leastCount(n); ok {
				all = append(all, f.needOfFilter(first, least))
			}
		}
		all = append(all, f.needOf(n))
	}
	all = slices.DeleteFunc(all, func(x need) bool { return x == nil })
	return func(c Clues) bool {
		return !slices.ContainsFunc(all, func(x need) bool { return !x(c) })
	}
}

// needOf returns what a trace must have for spansets to pass a stage, nil: nothing.
func (f *clueFinder) needOf(n traceql.Node) need {
	switch n := n.(type) {
	case *traceql.Filter:
		if traceql.SpanwisePart(n.Expr) == nil {
			return nil
		}
		return f.needOfFilter(n, 1)
	case *traceql.Pipeline:
		return f.needOfStages(n.Stages)
	case *traceql.SpansetOp:
		if n.Op[0] == '!' {
			return f.needOf(n.Right)
		}
		left, right := f.needOf(n.Left), f.needOf(n.Right)
		switch {
		case n.Op == "||" && (left == nil || right == nil):
			return nil
		case left == nil:
			return right
		case right == nil:
			return left
		case n.Op == "||":
			return func(c Clues) bool { return left(c) || right(c) }
		}
		return func(c Clues) bool { return left(c) && right(c) }
	}
	return nil
}

// needOfFilter returns the need of so many rows that a filter may accept.
func (f *clueFinder) needOfFilter(n *traceql.Filter, least uint8) need {
	i := slices.Index(f.filters, n)
	if i < 0 {
		i = len(f.filters)
		if i == len(Clues{}) {
			return nil
		}
		f.filters = append(f.filters, n)
	}
	return func(c Clues) bool { return c[i] >= least }
}

// leastCount returns how many rows a spanset must have at least to pass a comparison of count().
func leastCount(n traceql.Node) (least uint8, ok bool) {
	s, ok := n.(*traceql.ScalarFilter)
	if !ok || s.Op != ">" && s.Op != ">=" && s.Op != "=" {
		return 0, false
	}
	a, ok := s.Left.(*traceql.Aggregate)
	limit := foldConstant(s.Right)
	if !ok || a.Func != "count" || !limit.kind.isNumeric() {
		return 0, false
	}
	wants := limit.toFloat()
	if s.Op == ">" {
		wants = math.Floor(wants) + 1
	}
	if math.IsNaN(wants) || wants < 1 {
		return 0, false
	}
	return uint8(min(math.Ceil(wants), math.MaxUint8)), true
}

// eachCandidate calls f for the shared traces of the table that can match, with their ends here, as
// far as their rows in the given pages tell. Traces that start before newer are not looked for.
func (v *tableView) eachCandidate(ctx context.Context, rows [][]sharedRow, clues *clueFinder, pages []int, newer uint64,
	f func(c Candidate, end uint64)) error {
	if rows == nil {
		return nil
	}
	pages = slices.DeleteFunc(slices.Clone(pages), func(p int) bool {
		_, newest, ok := v.startBounds(p)
		return len(rows[p]) == 0 || ok && newest < newer
	})
	if err := v.budget.takeBytes(v.table.Traces()*len(Clues{}), "clues of traces with several homes"); err != nil {
		return err
	}
	counted := make([]Clues, v.table.Traces())
	if clues.isIdle() {
		for _, p := range pages {
			for _, r := range rows[p] {
				counted[r.trace] = anyClues
			}
		}
	} else if err := v.countClues(ctx, rows, clues, pages, counted); err != nil {
		return err
	}
	for trace, c := range counted {
		if c == (Clues{}) {
			continue
		}
		info, err := v.describeTrace(ctx, trace)
		if err != nil {
			return err
		}
		if info.Spans > 0 && info.Start >= newer {
			f(Candidate{ID: info.ID, Start: info.Start, Clues: c}, info.End)
		}
	}
	return nil
}

// countClues counts the rows that clues accept, by trace.
func (v *tableView) countClues(ctx context.Context, rows [][]sharedRow, clues *clueFinder, pages []int,
	counted []Clues) error {
	conds, keys, err := v.compileClues(clues)
	if err != nil || len(conds) == 0 || len(pages) == 0 {
		return err
	}
	if v.hint != nil {
		if err := v.hint.Prefetch(ctx, keys, pages); err != nil {
			return err
		}
	}
	var mask, existing, out column.Bitmap
	for _, p := range pages {
		if err := v.seekPage(ctx, p); err != nil {
			return err
		}
		mask, existing = mask.Resize(v.spans.rows), existing.Resize(v.spans.rows)
		if err := v.markExisting(ctx, existing); err != nil {
			return err
		}
		for _, r := range rows[p] {
			mask.Set(int(r.row))
		}
		mask.And(existing)
		for i, c := range conds {
			out = out.Resize(v.spans.rows)
			if err := c.matchRows(ctx, mask, out); err != nil {
				return err
			}
			if out.Empty() {
				continue
			}
			for _, r := range rows[p] {
				if n := &counted[r.trace][i]; out.Get(int(r.row)) && *n < math.MaxUint8 {
					*n++
				}
			}
		}
	}
	return nil
}

// compileClues compiles the conditions of clues, and lists the columns that they read. It returns
// no conditions if none of them accepts any row of the table.
func (v *tableView) compileClues(clues *clueFinder) ([]cond, []column.Key, error) {
	conds := make([]cond, len(clues.filters))
	keys, nothing := keySet{}, true
	for i, n := range clues.filters {
		conds[i] = constCond{truth: true, boolean: true}
		if e := traceql.SpanwisePart(n.Expr); e != nil {
			var err error
			if conds[i], err = (compiler{view: v}).compileCond(e); err != nil {
				return nil, nil, err
			}
		}
		nothing = nothing && conds[i].matchesNothing()
		conds[i].eachColumn(func(c *pageColumn) { keys.addColumn(v.spans, c) })
	}
	if nothing {
		return nil, nil, nil
	}
	if v.clipped {
		keys.addKeys(column.Start, column.Duration)
	}
	return conds, keys, nil
}

// clues returns the clues of a search.
func (r *SearchRequest) clues() *clueFinder {
	p, err := selectedPart(r.Query)
	if err != nil {
		return newClueFinder(&traceql.Pipeline{})
	}
	return newClueFinder(p)
}

// clues returns the clues of a metrics query. Of several first stages one may count a trace that
// the others do not, so that clues tell nothing.
func (r *MetricsRequest) clues() *clueFinder {
	stages := firstStages(r.Query.Root)
	if len(stages) != 1 {
		return newClueFinder(&traceql.Pipeline{})
	}
	return newClueFinder(stages[0].Pipeline)
}

// CanMatch returns a function that reports whether a candidate can match, with the clues of all of
// its homes together.
func (r *SearchRequest) CanMatch() func(Candidate) bool { return r.clues().canMatch }

// CanMatch returns what CanMatch of a search does.
func (r *MetricsRequest) CanMatch() func(Candidate) bool { return r.clues().canMatch }

func (f *clueFinder) canMatch(c Candidate) bool { return f.needs(c.Clues) }

// SelectsAcrossSpans reports whether a span may be selected because of other spans of its trace.
func (r *MetricsRequest) SelectsAcrossSpans() bool {
	return slices.ContainsFunc(firstStages(r.Query.Root), func(m *traceql.Metrics) bool {
		return !traceql.IsSpanwise(m.Pipeline)
	})
}
