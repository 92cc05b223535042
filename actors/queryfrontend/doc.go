// Package queryfrontend is the kind that answers queries: it plans a query on one version of the
// catalog, asks live-stores and queriers, and joins what they answer.
//
//	query-frontend ── one child, of kind query, for each running query
//
// The query-frontend (actor.go) owns the tenants' queues and the slots (queues.go): it admits
// queries, starts a child for each, and deals out the slots in which their jobs look at spans.
// Tenants share the slots by the time that their jobs hold them. A query is a subtree: when its
// client leaves, its time is over, or somebody cancels it, its child stops, and with it every job
// that was asked on its behalf.
//
// Receives: jobs.Query, jobs.ListQueries, jobs.CancelQuery, jobs.TakeChunk (gateways). Sends:
// ViewJob to the backend-scheduler; HomesJob, LiveScanJob, LiveTracesJob, LiveTraceJob,
// LiveKeysJob, LiveSpansJob to live-stores; BlockScanJob, BlockTracesJob, BlockTraceJob,
// BlockKeysJob, BlockSpansJob to queriers; ask.Progress and the answer to the asker.
//
// The child (query.go) carries out what the course of its query (course.go) decides. The course
// goes through these phases, of which confirm.go has those that put candidates together. Below them
// are the phases of a trace by id: whole (byid.go), and in chunks (chunks.go), or its outline in
// parts (outline.go).
//
//	viewing ─► homes ─► scanning ─► recalling ─► reading ─► assembling ─► answered
//	   ▲                                ▲                        │
//	   └ newer catalog                  └─ the next candidates ◄─┘
//	viewing ─► collecting ─► joining ─► answered
//	viewing ─► indexing ─► sifting ─► comparing ─► arranging ─┐          (in chunks)
//	         answered ◄─ delivering ◄─ writing ◄─ chunking ◄──┘
//	                         └─ the next chunk ──────►─┘
//
// runtime/engine/plan plans which jobs a phase has, and in which order. The task of a job (task.go)
// knows what the job costs, how long it may take, and what its reply or its failure means: there is
// one type of task for each kind of job.
//
// A query reads a snapshot: the blocks of one version of the catalog, and of each partition the
// records [covered, upTo). They meet exactly. Where a live-store has already dropped what an old
// version asks for, or a block was replaced and is gone, the attempt (attempt.go) is replaced by a
// new one on a newer version. Traces with several homes are left out of the scans and evaluated put
// together from all of them, so an answer does not depend on where the data lies. What could not be
// read is named in the answer, which then says that it is not complete (missing.go).
//
// A restart loses the running queries; their clients are told `unavailable`. Draining admits no new
// queries and lets the running ones end.
//
// Next on the way of a query: actors/livestore and actors/querier.
package queryfrontend
