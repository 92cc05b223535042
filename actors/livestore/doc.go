// Package livestore is the kind that serves queries over the newest spans: those that are in the
// log and in no block yet. There is one live-store for each partition.
//
// It owns the live segments of its partition, in lists by tenant. They hold the offsets
// [floor, next) of one epoch of the log.
//
// It receives HomesJob, LiveScanJob, LiveTracesJob, LiveTraceJob, LiveKeysJob and LiveSpansJob from
// the query-frontend, CutJob from the block-builder, and CoverageChanged from the
// backend-scheduler. It sends CoveredJob to the backend-scheduler, and Appended to the distributors
// after each batch and again every second.
//
// Every message makes one step (step.go), which do carries out (actor.go). The phases are:
//
//	attaching  or  comparing      asks the catalog for the covered offset, and the
//	    ▲              ▲          log for its bounds; when comparing, the catalog
//	    │              │          compares itself with the log first
//	    │              ├──────────── the covered offset is outside of the log
//	    │              │
//	    │  replaying   │          reads up to the end that the log had at the start
//	    │      ▼       │
//	    │    ready     │          answers questions
//	    │              │
//	 dropped       rewritten      what was read is of no use; the read under way ends first
//
// A live-store drops what it has read when the catalog is in another epoch or covers more than was
// read, and after a record that has broken the engine. The log is rewritten if it no longer has
// what is to be read next, or if it has another record at the offset that was read last. That is
// compared at the first read, and whenever the leader of the log has changed.
//
// A restart loses nothing. The log is the write-ahead log, and reading begins at the covered offset
// of the catalog. Questions wait until the actor has read to the end that the log had at the start,
// so an answer never misses what was acknowledged before. In the same way a question about the
// present waits for an end of the log that was seen at most a second before it. If that takes a
// third of the question's time, or the log cannot be read, the answer says so.
//
// A question names the version of the catalog that it was planned on. If the offsets of that
// version are gone from memory, or its epoch differs, the reply names the lowest offset held and a
// newer version, and the query is planned again on that version. A segment is dropped as soon as
// the catalog covers it, unless a query has asked for it in the last ten seconds, and in any case
// when memory is tight.
//
// HomesJob asks which traces have another home: a second segment, or a block. An index for each
// tenant (homeindex.go) learns that when a query asks, and nothing twice. It also knows which of
// these traces may have a span in two homes (sharedtraces.go). Mostly the starts of spans show that
// none can; where they do not, span ids are compared, and those of blocks are read by columns. A
// scan also leaves out and names what its own segments share, though the query does not know it:
// the query may have asked a live-store of the same partition whose segments were cut elsewhere.
//
// A cut is due when enough bytes of the log have come, when the oldest record is old enough by this
// actor's clock, or when the live-stores of the node take more memory than their budget and this
// one has the largest part of it. At two and a half times the budget nothing more is read, so
// distributors let pushes wait and then refuse them. The budget counts what segments take, not what
// was read. When a cut is asked for again, the answer is the same cut or a part of it.
//
// If a tenant limits the size of traces, their bytes are counted (tracesizes.go). Appended names
// the traces that are over the limit, and the distributors refuse further spans of these. After a
// restart counting begins at the covered offset.
//
// A record that another program wrote, that is malformed, or whose tenant is invalid is set aside,
// counted and logged. After a record that breaks the engine everything is read again without it.
// Answers name such records, and so does the cut: the block-builder keeps their bytes in the bucket
// before the log may forget them.
//
// Draining has nothing to do, because everything in memory is in the log as well. Running questions
// end with their pool.
//
// Next on the way of a span: actors/blockbuilder asks for a cut. Next on the way of a query:
// actors/queryfrontend combines the results.
package livestore
