// Package jobs is the vocabulary of questions: a query and its answer, the jobs that a query falls
// into, and their results. It also runs a job over tables (run.go) and merges partial results
// (partial.go). runtime/engine/plan decides which jobs a query has.
//
// The types named …Job are requests: those of a query, which the query-frontend sends to
// live-stores and queriers (jobs.go), those about the catalog (coverage.go), and CutJob (cut.go).
// The types named …Result are their answers. All of them are passed by pointer and must not be
// changed once they are sent. Those that travel between nodes are data alone, without functions,
// errors or tables; crossing_test.go lists them and holds them to it.
//
// The package is pure: actors carry the jobs out.
package jobs
