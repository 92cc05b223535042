// Package oracle is the judge of the query engine: an evaluator of TraceQL over plain traces in
// memory that is as simple as the language allows, one small function for each construct, written
// from the language's specification and without a thought of speed. It shares the parser with the
// engine and nothing else.
//
// The tests judge the judge by the cases of the specification, and the engine by the judge: the
// same cases over every layout of the spans, and random queries over random traces. Where the
// specification leaves room, the judge's rules are docs/traceql-differences.md.
package oracle
