// Package traceql parses TraceQL queries and evaluates them over columns: searches, metrics, and
// the names and values of autocomplete.
//
// A query is read by Parse, checked, and printed in one canonical form. What it means, and where
// that differs from the reference engine on purpose, is in docs/traceql-differences.md. In one
// line: a filter is evaluated on whole spans, and every answer is a function of the spans and the
// query, never of where the spans lie.
//
// A scan evaluates the selecting part of a query over one table, page by page (scan.go). It is
// compiled for the table (compile.go): a field is bound to the columns it has there (sourceattr.go,
// intrinsic.go), a filter to conditions that yield bitmaps of rows. Conditions look at dictionaries
// first, each distinct value once, then at codes, 64 rows to a word (condcolumn.go); a chain of &&
// asks first what has turned out to leave least (cond.go). Expressions that are no comparison of a
// field with a constant are computed for the rows still in question (expr.go). Conditions on events
// and links are evaluated over the child tables and carried back to the spans (children.go).
//
// What depends on other spans of the trace is evaluated trace by trace on the rows that the filters
// leave: spansets through stages (pipeline.go, aggregate.go), structure by parents (structure.go,
// forest.go). No object is made for a span that does not match.
//
// Search keeps the newest traces and looks at names and attributes of these only (search.go,
// answer.go). Traces that have several homes are left out and named as candidates; they are
// evaluated put together, by the same code.
package traceql
