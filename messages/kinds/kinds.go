// Package kinds names the kinds of actors. A kind's name is part of an actor's address, of the
// configuration, of metrics and of logs, so it is spelled here and nowhere else.
//
// The names lie among the messages because every sender needs them: actors name each other without
// importing each other, and gateways and the code that places actors on nodes name them as well.
package kinds

// The kinds of actors.
const (
	Distributor      = "distributor"
	LiveStore        = "live-store"
	BlockBuilder     = "block-builder"
	BackendScheduler = "backend-scheduler"
	QueryFrontend    = "query-frontend"
	Query            = "query" // a child of the query-frontend: one running query
	Querier          = "querier"
	Overrides        = "overrides"
	BackendWorker    = "backend-worker"
)
