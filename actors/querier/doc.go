// Package querier is the kind that reads blocks for queries.
//
// Owns: nothing but admission; the work runs on the scan pool, opened blocks are kept by the opener
// it is given, and results of row groups by the cache it is given (ADR 12).
//
// Receives: BlockScanJob, BlockTracesJob (query-frontend), CoverageChanged (backend-scheduler).
// Sends: ViewJob to the backend-scheduler.
//
// At its start, and when the catalog has changed, the querier opens the indexes of blocks that are
// new to it, newest first, up to half of the block cache (ahead.go): so the first query after a
// restart or a cut finds them open. Nothing waits for that, and queries do not depend on it.
//
// A job is answered with a result or a reason; it may be repeated. A job whose results are all
// known is answered at once. A job whose asker has gone is stopped at the next page. A damaged
// block is reported once, loudly.
//
// How many jobs are under way is bounded by the slots that the query-frontend deals out.
//
// A restart loses the jobs under way; their askers are told `unavailable` and ask again.
//
// Draining means nothing here: the query-frontend has drained before.
package querier
