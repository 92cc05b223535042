// Package eval evaluates TraceQL queries over columns: searches, metrics, and the names and values
// of autocomplete.
//
// A filter is evaluated on whole spans, and every answer is a function of the spans and the query,
// never of where the spans lie.
//
// A scan evaluates the selecting part of a query over one table, page by page (scan.go). It is
// compiled for the table (compile.go): a field is bound to the columns it has there (sourceattr.go,
// intrinsic.go), a filter to conditions that yield bitmaps of rows. Conditions look at dictionaries
// first, each distinct value once, then at codes, 64 rows to a word (condcolumn.go); a chain of &&
// evaluates first the conditions that have left the fewest rows so far (cond.go). Expressions that
// are not a comparison of a field with a constant are computed for the rows still in question
// (expr.go). Conditions on events and links are evaluated over the child tables and carried back to
// the spans (children.go).
//
// Whatever depends on other spans of the trace is evaluated trace by trace on the rows that the
// filters leave: spansets through stages (pipeline.go, aggregate.go), structure by parents
// (structure.go, forest.go). No object is made for a span that does not match.
//
// Metrics count the selected spans of a page by arrays with an element for each span (metricsscan.go
// draws the steps); values are numbered once for each distinct one (grouper.go). The counts, and the
// series made of them, are those of package series.
//
// Search keeps the newest traces and reads names and attributes of these only (search.go,
// answer.go). Traces that have several homes are left out and named as candidates; the caller puts
// their spans together and evaluates them by the same code.
package eval
