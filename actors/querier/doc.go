// Package querier is the kind that reads blocks for queries.
//
// Owns: nothing but admission; the work runs on the scan pool, and opened blocks are kept by the opener it is given.
//
// Receives: BlockScanJob, BlockTracesJob (query-frontend). A job is answered with a result or a reason; it may be repeated.
// A job whose asker has gone is stopped at the next page.
//
// A restart loses the jobs under way; their askers are told `unavailable` and ask again.
//
// Draining means nothing here: the query-frontend has drained before.
package querier
