// Package querier is the kind that reads blocks for queries.
//
// The querier owns nothing but the jobs under way. They run on the scan pool. Opened blocks are
// kept by the opener that it is given, and the results of row groups by the cache that it is given
// (ADR 12): the same question about the same rows always has the same answer (scan.go).
//
// Receives: BlockScanJob, BlockTracesJob, BlockTraceJob, BlockKeysJob, BlockSpansJob
// (query-frontend), CoverageChanged (backend-scheduler).
// Sends: ViewJob to the backend-scheduler.
//
// At its start, and when the catalog has changed, the querier opens the indexes of the blocks that
// are new to it, newest first, up to half of the block cache (ahead.go). The first query after a
// restart or a cut then finds them open. Nothing waits for that, and no answer depends on it.
//
// A job is answered with a result or an error, and may be repeated. A job whose results are all
// known is answered at once. A job whose asker has gone stops at the next page. A damaged block is
// reported once, in the log and by a metric. The query-frontend bounds the jobs under way by the
// slots that it deals out.
//
// A restart loses the jobs under way; their askers are told `unavailable` and ask again. Draining
// has nothing to do, because the query-frontend has drained before.
//
// Next on the way of a query: runtime/engine/jobs, whose RunScan evaluates a scan over a row group.
package querier
