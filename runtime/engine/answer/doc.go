// Package answer makes the answers of the public API out of what a query has found: jobs.Answer
// and the results of traceql become messages of messages/api, and those their JSON. It is pure.
//
// Text that is not valid UTF-8, which OTLP does not forbid in practice, is repaired here: protobuf
// and JSON both demand valid text.
package answer
