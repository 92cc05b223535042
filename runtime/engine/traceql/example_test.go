package traceql_test

import (
	"errors"
	"fmt"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// A query is parsed and printed in its canonical form, which parses to the same query.
func ExampleParse() {
	q, err := traceql.Parse(`{status=error&&duration>1500ms} | by(resource.service.name) | count() > 2`)
	if err != nil {
		panic(err)
	}
	fmt.Println(q)
	fmt.Println("series:", q.IsMetrics())
	// Output:
	// { (status = error) && (duration > 1.5s) } | by(resource.service.name) | count() > 2
	// series: false
}

// An error tells where the query goes wrong. Semantic errors are in queries that parse.
func ExampleSyntaxError() {
	for _, text := range []string{`{ statuss = error }`, `{ duration }`} {
		_, err := traceql.Parse(text)
		var syntax *traceql.SyntaxError
		if errors.As(err, &syntax) {
			fmt.Println(syntax)
			fmt.Println("column", syntax.Column, "semantic", syntax.Semantic)
		}
	}
	// Output:
	// parse error at line 1, col 3: unknown identifier: statuss, did you mean status?
	// column 3 semantic false
	// parse error at line 1, col 3: a filter must be true or false, but duration is a duration
	// column 3 semantic true
}

// EachField visits the fields of a query in the order in which they are written.
func ExampleEachField() {
	q, err := traceql.Parse(`{ span.http.route = "/cart" && .retry } | avg_over_time(duration) by (kind)`)
	if err != nil {
		panic(err)
	}
	traceql.EachField(q.Root, func(f *traceql.Field) { fmt.Println(f) })
	// Output:
	// span.http.route
	// .retry
	// duration
	// kind
}
