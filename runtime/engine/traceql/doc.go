// Package traceql parses TraceQL queries and evaluates them over columns.
//
// The whole language is parsed, checked and printed. Evaluated are one span filter for searches, and rate() and count_over_time() over one
// span filter for metrics; everything else yields an ErrUnsupported that names the construct.
//
// Where the reference engine's answers follow from how it fetches data, the answers here follow the language: a filter is evaluated on whole
// spans. The rules of our own:
//
//   - Numbers compare across int, float and duration; a comparison with an absent attribute is false, its negation by ! is true.
//   - &&, || and ! over a bare field need it to be a boolean; otherwise && and || are false and ! is nothing.
//   - Arrays: some element for = < <= > >= =~, all elements for != !~. Maps, bytes, empty and mixed arrays exist but compare to nothing.
//   - A key sent more than once in one span, event or scope holds if one of its values does.
//   - All conditions on events that are operands of one && chain must hold for the same event of the span; so for links. This does not
//     depend on the rest of the query.
package traceql
