package query

import (
	"errors"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
)

// Config is what an operator can set of the query API. Names and defaults are Tempo's.
type Config struct {
	// The time that one request may take. 0 sets no bound.
	APITimeout time.Duration `koanf:"api_timeout"`
	// Whether one query may cover several tenants, whose names stand in the tenant header with |
	// between them.
	MultiTenant bool `koanf:"multi_tenant_queries_enabled"`
	// The longest TraceQL query.
	MaxQueryBytes config.Bytes `koanf:"max_query_expression_size_bytes"`
	// The largest message of a streamed answer. 0 or less sets no bound.
	MaxPacketBytes int           `koanf:"max_grpc_streaming_packet_size"`
	Search         SearchConfig  `koanf:"search"`
	Metrics        MetricsConfig `koanf:"metrics"`
	TraceByID      TraceConfig   `koanf:"trace_by_id"`
	// The origins of web pages that may query from a browser. * allows any.
	CORSAllowedOrigins []string `koanf:"cors_allowed_origins"`
	// The bytes of all names or values of one answer, where the tenant has no limit of its own.
	MaxTagBytes int           `koanf:"-"`
	FirstPacket time.Duration `koanf:"-"` // of a stream: the time to the first message
	Packet      time.Duration `koanf:"-"` // of a stream: the time between messages
}

// SearchConfig bounds searches.
type SearchConfig struct {
	// The number of traces in the answer of a search that names no limit.
	DefaultLimit int `koanf:"default_result_limit"`
	// The largest limit that a search may name. 0 sets no bound.
	MaxLimit int `koanf:"max_result_limit"`
	// The longest range that a search may cover. 0 sets no bound.
	MaxDuration time.Duration `koanf:"max_duration"`
	// The number of spans of a span set in an answer, if the search names none.
	DefaultSpansPerSet int `koanf:"default_spans_per_span_set"`
	// The largest number of spans of a span set that a search may name. 0 sets no bound.
	MaxSpansPerSet int `koanf:"max_spans_per_span_set"`
	// How far back a search looks if it names neither start nor end. 0 means 15 minutes.
	DefaultRange       time.Duration `koanf:"query_backend_after"`
	MaxConditionGroups int           `koanf:"-"` // alternatives of a filter of names and values
}

// MetricsConfig bounds metrics queries.
type MetricsConfig struct {
	// The longest range that a metrics query may cover. 0 sets no bound.
	MaxDuration time.Duration `koanf:"max_duration"`
	// The number of intervals that a range query may have.
	MaxIntervals int `koanf:"max_intervals"`
	// The largest number of exemplars in an answer.
	MaxExemplars int `koanf:"max_exemplars"`
	// The number of series in an answer. 0 sets no bound.
	MaxSeries int `koanf:"max_response_series"`
}

// TraceConfig bounds answers to questions for a trace by its id.
type TraceConfig struct {
	// About how many bytes of one trace /api/v2/traces/{id} answers with. A larger trace is
	// PARTIAL, and the answer names the page that goes on. 0 sets no bound.
	MaxBytes config.Bytes `koanf:"max_bytes"`
}

const defaultRange = 15 * time.Minute

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{
		MultiTenant:    true,
		MaxQueryBytes:  128 << 10,
		MaxPacketBytes: 1 << 20,
		Search: SearchConfig{
			DefaultLimit:       20,
			MaxLimit:           262144,
			MaxDuration:        168 * time.Hour,
			DefaultSpansPerSet: 3,
			MaxSpansPerSet:     100,
			DefaultRange:       defaultRange,
			MaxConditionGroups: 100,
		},
		Metrics: MetricsConfig{
			MaxDuration:  24 * time.Hour,
			MaxIntervals: 10000,
			MaxExemplars: 100,
		},
		TraceByID:   TraceConfig{MaxBytes: 1 << 30},
		MaxTagBytes: 1e6,
		FirstPacket: 10 * time.Millisecond,
		Packet:      500 * time.Millisecond,
	}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	must := func(ok bool, text string) {
		if !ok {
			errs = append(errs, errors.New(text))
		}
	}
	must(c.APITimeout >= 0, "api_timeout: must not be negative")
	must(c.MaxQueryBytes > 0, "max_query_expression_size_bytes: must be positive")
	must(c.Search.DefaultLimit > 0, "search.default_result_limit: must be positive")
	must(c.Search.MaxLimit >= 0, "search.max_result_limit: must not be negative")
	must(c.Search.MaxDuration >= 0, "search.max_duration: must not be negative")
	must(c.Search.DefaultSpansPerSet > 0, "search.default_spans_per_span_set: must be positive")
	must(c.Search.MaxSpansPerSet >= 0, "search.max_spans_per_span_set: must not be negative")
	must(c.Search.DefaultRange >= 0, "search.query_backend_after: must not be negative")
	must(c.TraceByID.MaxBytes >= 0, "trace_by_id.max_bytes: must not be negative")
	must(c.Metrics.MaxDuration >= 0, "metrics.max_duration: must not be negative")
	must(c.Metrics.MaxIntervals > 0, "metrics.max_intervals: must be positive")
	must(c.Metrics.MaxExemplars >= 0, "metrics.max_exemplars: must not be negative")
	must(c.Metrics.MaxSeries >= 0, "metrics.max_response_series: must not be negative")
	return errors.Join(errs...)
}
