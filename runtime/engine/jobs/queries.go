package jobs

import "time"

// ListQueries asks the query-frontend for the queries that run or wait, of one tenant, or of all
// where Tenant is empty. It is answered with *Queries. May be repeated.
type ListQueries struct{ Tenant string }

// Queries answers ListQueries, by tenant and then in the order they came.
type Queries struct{ Queries []QueryStatus }

// QueryStatus is one query at a moment.
type QueryStatus struct {
	ID, Tenant string
	Op, Text   string
	State      string // queued; then viewing, homes, scanning, reading, assembling
	Began      int64  // unix ns
	Jobs, Done int
	Blocks     int
	Bytes      int64         // read so far
	SlotTime   time.Duration // of scan slots by its jobs that have ended: what it has cost
}

// CancelQuery asks the query-frontend to end a query; an empty Tenant may end any. It is answered
// with *QueryCanceled, or with a not-found error. May be repeated.
type CancelQuery struct{ Tenant, ID string }

// QueryCanceled answers CancelQuery: the query's client is told, and its jobs are being stopped.
type QueryCanceled struct{}
