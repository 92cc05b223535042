// Package eval evaluates TraceQL queries over columns: searches, metrics, and the names and values
// of autocomplete.
//
// A filter is evaluated on whole spans, and every answer is a function of the spans and the query,
// never of where the spans lie. docs/engine.md draws the evaluation of one filter over one page.
//
// # From a query to rows
//
// A tableView is one table as a query sees it (view.go). A selector is the selecting part of a
// query, compiled for the view (selector.go, compile.go). A scan holds what one evaluation knows of
// the rows so far (scan.go). All go through the table page by page, of column.PageRows rows each.
//
// Compiling binds each field to the columns that it has in this table: a source (source.go,
// sourceattr.go, intrinsic.go). A filter becomes conditions, which yield bitmaps of rows (cond.go).
// Conditions look at dictionaries first, each distinct value once, then at codes, 64 rows to a word
// (condcolumn.go); a chain of && evaluates first the conditions that have left the fewest rows so
// far. Expressions other than the comparison of a field with a constant are computed for the rows
// that are still in question (expr.go). Conditions on events and links are evaluated over the child
// tables and carried back to the spans (children.go).
//
// Whatever depends on other spans of the trace is evaluated trace by trace on the rows that the
// filters leave: spansets go through stages (pipeline.go, aggregate.go), and structural operators
// walk the tree of parents (structure.go, relation.go, forest.go). No object is made for a span
// that does not match.
//
// # From rows to answers
//
// Search keeps the newest traces and reads names and attributes of these only (search.go,
// answer.go). Metrics counts rows into series (metrics.go, metricsscan.go). Tags and Values list
// names and values, from dictionaries alone where they can (tags.go, tagvalues.go).
//
// A trace may have several homes. Such traces are left out of the evaluation of one home and named
// as candidates; the caller puts their spans together and evaluates them by the same code.
package eval
