// Package trace reads, splits, joins and prints OTLP trace data as bytes.
//
// One wire-level reader (Reader) serves the distributor, live segments and block builders: it walks
// the protobuf message without building objects and hands out spans whose slices alias the input.
// pdata appears only in tests, where it judges the reader and FromJSON, which turns JSON into such
// a message.
//
// Canonical form. Content is compared, stored and printed in one encoding: fields in the order of
// their numbers, zero scalars left out, unknown fields dropped. Sub-messages that pdata always
// writes (resource, scope, an attribute's value) are always written, possibly empty; a status is
// written iff one was sent. Canonical bytes of the same content are equal, whoever encoded it.
//
// Repeated fields that should come once follow pdata: scalars and oneofs take the last, resource,
// scope and status are merged.
//
// Text. OTLP strings are kept byte for byte, valid UTF-8 or not: SDKs and byte-wise truncation do
// produce broken runes, and refusing them would lose spans that other backends take. AppendJSON
// prints each invalid byte as U+FFFD.
package trace
