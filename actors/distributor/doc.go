// Package distributor is the kind that writes accepted spans to the log: the only writer of the
// topic.
//
// Owns: admission. It counts the bytes of requests in flight and the bytes that are in the log but
// not yet appended by the partition's live-store; over the limit a push is refused with a time to
// come back, so that "found within a second" holds when more is sent than can be taken. And it
// keeps each tenant to its rate, in bytes of OTLP, with a token bucket for each, and refuses the
// spans of traces that live stores have named as larger than their tenant's limit; what was
// acknowledged of them stays.
//
// Receives: PushSpans (gateways), Appended (live stores).
// Sends: nothing to actors; a job on the ingest pool splits the request by partition and appends it
// to the log.
//
// A push is acknowledged when all its records are durable. A log that is full refuses it with a
// time to come back; after another failure it is not known what was written, which the client hears
// as unavailable. A log that takes nothing until it is opened again ends the actor, and at last the
// process.
//
// A restart loses the counters, and fills the buckets; the requests in flight are answered
// `unavailable` by the kernel, and their clients send again. Spans that were appended all the same
// are duplicates, which every reader removes.
//
// Draining: no new pushes; the drain ends when the last request in flight is answered.
//
// Next on the way of a span: runtime/storage/kafkalog (durable, acknowledged), then
// actors/livestore.
package distributor
