// Package queryfrontend is the kind that answers queries: it plans a query on one version of the catalog, asks live stores and queriers,
// and combines what they answer.
//
// Owns: the running queries.
//
// Receives: plan.Query (gateways). Sends: ViewJob to the backend-scheduler; HomesJob, LiveScanJob, LiveTracesJob to live stores;
// BlockScanJob, BlockTracesJob to queriers.
//
//	viewing ─► homes ─► scanning ─► assembling ─► answered        search and metrics
//	viewing ─► reading ───────────► answered                      trace by id
//
// A query reads a snapshot: the blocks of one catalog version, and of each partition the records [covered, upTo). They meet exactly. Where
// a live-store has already dropped what an old version asks for, the query is planned again on a newer one. Traces with several homes are
// left out of the scans and evaluated put together from all of them, so an answer does not depend on where the data lies.
// What could not be read is named in the answer, which then says that it is not complete.
//
// A restart loses the running queries; their clients are told `unavailable`. Draining: no new queries; running ones end.
//
// Next on the way of a query: actors/livestore and actors/querier, then runtime/engine/combine at the gateway.
package queryfrontend
