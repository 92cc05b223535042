// Package query is the query API without its wires: it checks what clients ask, puts it to the query-frontend, once for each tenant, and makes the
// answers of the public API out of what comes back. httpapi and grpcapi speak HTTP and gRPC around it.
package query

import (
	"log/slog"
	"time"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
)

// Deps is what the query API reaches.
type Deps struct {
	Asker        ask.Asker
	Directory    ask.Directory
	Multitenancy bool
	Now          func() time.Time           // nil: the machine's clock
	Limits       func(tenant string) Limits // nil: no tenant has limits of its own
	Config       Config
	Logger       *slog.Logger
	Metrics      *Metrics // nil: none
}

// Limits are those of one tenant. Zero values leave it to the configuration.
type Limits struct {
	MaxSearchDuration  time.Duration // read.max_search_duration
	MaxMetricsDuration time.Duration // read.max_metrics_duration
	MaxTagBytes        int           // read.max_bytes_per_tag_values_query
	LeftPadTraceIDs    bool          // read.left_pad_trace_ids: 32 digits in searches
}
