// Package httpapi is the query API over HTTP, as clients of Tempo know it: it reads the parameters
// of a request, asks runtime/gateway/query, and writes the answer as the client accepts it.
//
// It adds three things to Tempo's API. An answer says whether it is complete: in the headers
// Troupe-Complete, Troupe-Watermark and Troupe-Warning, and in the fields complete, warnings and
// watermark of a JSON answer that lacks something, or of every answer where the request has the
// parameter require_complete. With require_complete=true an answer that lacks something is an
// error. /api/queries lists and ends running queries. /api/explain takes the parameters of a
// search, or of a metrics query with start and end in seconds, and answers how it is evaluated.
//
// Next on the way of a query: runtime/gateway/query.
package httpapi
