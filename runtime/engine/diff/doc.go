// Package diff compares two traces: which spans of one have no counterpart in the other, and how
// those that have one differ. It renders the difference as a Patch, as a Summary in numbers, or as
// both (Composed). It is pure.
//
// Spans are matched from the roots down. Children of matched spans match if service, name and kind
// are the same; of several such siblings the n-th matches the n-th. A span without a counterpart
// has no matched descendants. Siblings are ordered by start and span id, so the result does not
// depend on how the traces are stored.
//
//	base                     compare                  result
//	shop GET /               shop GET /               matched
//	├── cart load            ├── cart load            matched, the first of its signature
//	├── cart load            ├── user find            the second "cart load" is removed
//	└── user find            └── user login           "user find" matched, "user login" added
//	    └── db query             └── db query         removed below one, added below the other
//
// Traces come from clients and may have any shape, such as one chain of a million spans. So nothing
// here recurses, and every loop over spans looks at its context from time to time.
//
// Source: docs/spec/api.md, "Trace diff".
package diff
