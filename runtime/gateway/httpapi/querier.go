// Package httpapi answers queries over HTTP.
package httpapi

import (
	"context"

	"github.com/troupe-tracing/troupe/messages/query"
)

// Querier answers queries. Its errors carry their class (kernel/status).
type Querier interface {
	TraceByID(ctx context.Context, q query.Trace) (query.TraceResult, error)
	Search(ctx context.Context, q query.Search) (query.SearchResult, error)
	QueryRange(ctx context.Context, q query.Range) (query.RangeResult, error)
}
