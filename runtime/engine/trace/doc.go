// Package trace reads, splits, joins and prints OTLP trace data as bytes.
//
// One reader (Reader) serves the distributor, live segments and block-builders. It walks the
// protobuf message without building objects, and hands out spans whose slices alias the input.
// FromJSON turns OTLP/JSON into such a message. pdata appears only in tests, which compare both
// with it.
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
