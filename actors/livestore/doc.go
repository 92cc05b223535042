// Package livestore is the kind that holds what the log has and no block has yet: one actor per partition.
//
// Owns: the partition's live segments, one list per tenant, covering the offsets [floor, next) of one epoch of the log.
//
// Receives: HomesJob, LiveScanJob, LiveTracesJob (query-frontend); CutJob (block-builder); CoverageChanged (backend-scheduler).
// Sends: CoveredJob to the backend-scheduler; Appended to the distributors after each batch, and again every second.
//
//	attaching ──covered offset, bounds of the log──► replaying ──read to the end seen at the start──► ready
//	    ▲                                                │                                           │
//	    └── restart; another epoch; a log that no longer has what was, or is to be, read ◄───────────┘
//
// A restart loses nothing: the log is the write-ahead log, and reading starts at the covered offset of the catalog. Until the actor has read to the end
// it saw, queries wait; so an answer never misses what was acknowledged before. So does a question about the present after the process has slept. Where the
// log cannot be read on, answers say so.
//
// A question names the version of the catalog it was planned on. If the offsets of that version are gone
// from memory, or its epoch differs, the reply names the lowest offset held and a version, and the query is
// planned again on that version. Segments are dropped ten seconds after the catalog covers them, and at
// once when memory is tight.
//
// A cut is due by bytes of the log, by the age that this actor's clock has seen, or because the live stores of the node take more memory than their budget and this one
// most of it. At four times the budget no more is read: then distributors hold pushes and refuse them. The budget is of what segments take, not of what was read. A
// cut that is asked for again is the same again, or a part of it.
//
// Where a tenant limits the size of traces, their bytes are counted, and the distributors are told with Appended which traces are over: they refuse what comes of
// these. A restart begins to count at the covered offset.
//
// A record that is not ours, is malformed, or is of an impossible tenant is set aside, counted and logged; one that breaks the engine makes everything be read again
// without it. Answers name such records, and so does the cut: the block-builder keeps their bytes in the bucket before the log may forget them.
//
// Draining means nothing here: what is in memory is in the log. Queries under way end with their job pool.
//
// Next on the way of a span: actors/blockbuilder asks for a cut; on the way of a query: actors/queryfrontend combines.
package livestore
