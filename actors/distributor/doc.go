// Package distributor is the kind that writes accepted spans to the log. It is the only writer of
// the topic.
//
// It owns admission. It counts the bytes of requests in flight, and the bytes in the log that the
// live-stores have not read yet. When either is over its limit a push is refused with a time to
// come back, so that spans are found within a second even when more is sent than the node can take.
// It also keeps each tenant to its rate, in bytes of OTLP, with a token bucket for each (rates.go),
// and it has spans of large traces refused (largetraces.go): traces that live-stores have named
// because they exceed their tenant's limit. What was acknowledged of them stays.
//
// It receives PushSpans from the gateways and Appended from the live-stores. It sends nothing to
// actors but answers. A job on the ingest pool splits a request by partition and appends it to the
// log (logwriter.go).
//
// Every message makes one step (step.go), which do carries out (actor.go). There are two states,
// taking and draining.
//
// A push is acknowledged when all its records are durable. When the log is full, the push is
// refused with a time to come back. After another failure nobody knows what was written, and the
// client is told "unavailable". When the log takes nothing until it is opened again, the actor
// ends, and at last the process.
//
// A restart loses the counters and fills the buckets. The kernel answers "unavailable" to the
// requests in flight, and their clients send them again. Their spans may be in the log twice then;
// every reader removes duplicates.
//
// Draining means that new pushes are refused. The drain ends when the last request in flight is
// answered.
//
// Next on the way of a span: runtime/storage/kafkalog, which makes it durable. Then the client is
// answered, and actors/livestore reads it.
package distributor
