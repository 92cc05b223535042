// Package traceql is the TraceQL language: it parses queries, checks them and prints them in one
// canonical form. It knows nothing of stored spans; package eval evaluates a query over columns.
//
// Parse runs the lexer (lex.go), the parser (parse.go outside of braces, parsefield.go inside) and
// the checker (check.go), which applies the rules that the grammar cannot express. The result is an
// immutable tree (ast.go) under a Query, whose String method prints it (print.go). Printing and
// parsing again yields the same tree.
//
// Two readers besides Parse accept what is not quite TraceQL: ParseTags the older search by tags in
// logfmt (legacy.go), and ParseFilter a query that a user is still typing (lenient.go). ParseField
// reads the name of a single field.
//
// Answers that differ from the reference engine on purpose are listed in
// docs/traceql-differences.md.
package traceql
