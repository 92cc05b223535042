// Package livestore is the kind that holds what the log has and no block has yet: one actor per partition.
//
// Owns: the partition's live segments, one list per tenant, covering the offsets [floor, next) of the log.
//
// Receives: HomesJob, LiveScanJob, LiveTracesJob (query-frontend); CutJob (block-builder); CoverageChanged (backend-scheduler).
// Sends: Attach to the backend-scheduler at start; Appended to the distributors after each batch.
//
//	attaching ──Attach answered──► replaying ──read to the end seen at start──► ready
//	    ▲                                                                        │
//	    └──────────────── restart: state is read back from the log ◄─────────────┘
//
// A restart loses nothing: the log is the write-ahead log, and reading starts at the covered offset of the catalog. Until the actor has
// read to the end it saw at start, queries wait; so an answer never misses what was acknowledged before the restart.
// Segments are dropped ten seconds after the catalog covers them, so that queries planned on the version before still find them.
//
// Draining means nothing here: what is in memory is in the log. Queries under way end with their job pool.
//
// Next on the way of a span: actors/blockbuilder asks for a cut; on the way of a query: actors/queryfrontend combines.
package livestore
