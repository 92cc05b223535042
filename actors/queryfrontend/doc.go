// Package queryfrontend is the kind that answers queries: it plans a query on one version of the
// catalog, asks live stores and queriers, and combines what they answer.
//
//	query-frontend ── one child, of kind query, for each running query
//
// The query-frontend owns the tenants' queues and the slots: it admits queries, starts a child for
// each, and deals out the slots in which their jobs look at spans (queues.go). Tenants share the
// slots by the time that their jobs hold them. A query is a subtree: when its client leaves, its
// time is over, or somebody ends it, its child stops, and with it all that was asked on its behalf.
//
// Receives: jobs.Query, jobs.ListQueries, jobs.CancelQuery (gateways). Sends: ViewJob to the
// backend-scheduler; HomesJob, LiveScanJob, LiveTracesJob to live stores; BlockScanJob,
// BlockTracesJob to queriers.
//
// The course of a query (step.go, scan.go, confirm.go):
//
//	viewing ─► homes ─► scanning ─► recalling ─► reading ─► assembling ─► answered     search and metrics
//	   ▲                                ▲                        │
//	   └ newer catalog                  └─ the next candidates ◄─┘
//	viewing ─► reading ─► assembling ─► answered                                       trace by id
//
// A query reads a snapshot: the blocks of one catalog version, and of each partition the records
// [covered, upTo). They meet exactly. Where a live-store has already dropped what an old version
// asks for, or a block was replaced and is gone, the query is planned again on a newer one. Traces
// with several homes are left out of the scans and evaluated put together from all of them, so an
// answer does not depend on where the data lies. What could not be read is named in the answer,
// which then says that it is not complete (missing.go).
//
// A restart loses the running queries; their clients are told `unavailable`. Draining: no new
// queries; running ones end.
//
// Next on the way of a query: actors/livestore and actors/querier.
package queryfrontend
