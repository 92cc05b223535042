package jobs

import "time"

// ListQueries asks the query-frontend for the queries that run or wait: those of one tenant, or of
// all where Tenant is empty. The answer is *Queries. It may be repeated.
type ListQueries struct{ Tenant string }

// Queries answers ListQueries, by tenant and then in the order in which the queries came.
type Queries struct{ Queries []QueryStatus }

// QueryStatus is one query at a moment.
type QueryStatus struct {
	ID     string
	Tenant string
	Op     string // as Query.Op
	Text   string // as Query.Text
	State  string // queued, or the phase of its course
	Began  int64  // unix ns
	Jobs   int    // as in Answer
	Done   int    // as in Answer
	Blocks int    // as in Answer
	Bytes  int64  // read so far
	// SlotTime is how long its jobs that have ended held slots: what it has cost.
	SlotTime time.Duration
}

// CancelQuery asks the query-frontend to end a query of a tenant, or of any where Tenant is empty.
// The answer is *QueryCanceled, or a not-found error. It may be repeated.
type CancelQuery struct{ Tenant, ID string }

// QueryCanceled answers CancelQuery: the query's client is told, and its jobs are being stopped.
type QueryCanceled struct{}
