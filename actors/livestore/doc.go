// Package livestore is the kind that holds what the log has and no block has yet: one actor per
// partition.
//
// Owns: the partition's live segments, one list per tenant, covering the offsets [floor, next) of
// one epoch of the log.
//
// Receives: HomesJob, LiveScanJob, LiveTracesJob (query-frontend); CutJob (block-builder);
// CoverageChanged (backend-scheduler).
// Sends: CoveredJob to the backend-scheduler; Appended to the distributors after each batch, and
// again every second.
//
//	attaching ──covered offset, bounds of the log──► replaying ──read to the end seen at the start──► ready
//	    ▲                                                │                                           │
//	    └── restart; another epoch; a log that no longer has what was, or is to be, read ◄───────────┘
//
// A restart loses nothing: the log is the write-ahead log, and reading starts at the covered offset
// of the catalog. Queries wait until the actor has read to the end that it saw at the start, so an
// answer never misses what was acknowledged before. A question about the present waits in the same
// way after the process has slept. If the log cannot be read further, answers say so.
//
// A question names the version of the catalog it was planned on. If the offsets of that version are
// gone from memory, or its epoch differs, the reply names the lowest offset held and a version, and
// the query is planned again on that version. Segments are dropped ten seconds after the catalog
// covers them, and at once when memory is tight.
//
// A cut is due when enough bytes of the log have come, when the oldest record is old enough by this
// actor's clock, or when the live stores of the node take more memory than their budget and this
// one has the largest part of it. At four times the budget nothing more is read, so distributors
// hold pushes and then refuse them. The budget counts what segments take, not what was read. A cut
// that is asked for again is the same cut, or a part of it.
//
// If a tenant limits the size of traces, their bytes are counted. Appended tells the distributors
// which traces are over the limit, and they refuse further spans of these. After a restart counting
// begins at the covered offset.
//
// A record that another program wrote, that is malformed, or whose tenant is invalid is set aside,
// counted and logged. After a record that breaks the engine everything is read again without it.
// Answers name such records, and so does the cut: the block-builder keeps their bytes in the bucket
// before the log may forget them.
//
// Draining has nothing to do here, because what is in memory is in the log. Running queries end
// with their job pool.
//
// Next on the way of a span: actors/blockbuilder asks for a cut; on the way of a query:
// actors/queryfrontend combines.
package livestore
