package query

import (
	"errors"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Check is what the language says of a query that nobody has run.
type Check struct {
	Kind      string // search, metrics, or filter: one filter and nothing else; empty: it does not parse
	Canonical string // the query as it is understood, with every operation in parentheses
	Error     *traceql.SyntaxError
}

// CheckQuery parses a query and reads nothing. A query that is too long has an error without a
// place: line and column are 0.
func (s *Service) CheckQuery(text string) Check {
	q, err := traceql.ParseMax(text, int(s.Config.MaxQueryBytes))
	if err != nil {
		var where *traceql.SyntaxError
		if !errors.As(err, &where) {
			where = &traceql.SyntaxError{Message: err.Error()}
		}
		return Check{Error: where}
	}
	root := q.Root
	if p, ok := root.(*traceql.Pipeline); ok && len(p.Stages) == 1 {
		root = p.Stages[0]
	}
	c := Check{Kind: "search", Canonical: q.String()}
	if _, ok := root.(*traceql.Filter); ok {
		c.Kind = "filter"
	} else if q.IsMetrics() {
		c.Kind = "metrics"
	}
	return c
}
