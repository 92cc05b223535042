// Package query is the query API without its wires. It checks what a client asks against the
// limits, puts the question to the query-frontend, once for each tenant, and makes an answer of the
// public API out of what comes back. The packages httpapi and grpcapi speak HTTP and gRPC around
// it.
//
// A question goes this way: a method of Service (search.go, series.go, tags.go, query.go) makes a
// jobs.Query; askFor (ask.go) sends it, joins the tenants' answers, and renders the answer, or for
// a stream one answer after the other, by a function of runtime/engine/answer.
//
// What the gateway computes itself, on traces that have been found already, runs within bounds of
// its own (work.go).
//
// Next on the way of a query: actors/queryfrontend.
package query
