package query

import (
	"errors"
	"time"
)

// Config is what an operator can set of the query API. Names and defaults are Tempo's.
type Config struct {
	APITimeout          time.Duration `koanf:"api_timeout"`                     // of one request; 0: none
	MultiTenant         bool          `koanf:"multi_tenant_queries_enabled"`    // one query over several tenants, "a|b"
	MaxQueryBytes       int           `koanf:"max_query_expression_size_bytes"` // of one TraceQL query
	MaxPacketBytes      int           `koanf:"max_grpc_streaming_packet_size"`  // of one streamed message; 0 or less: no limit
	Search              SearchConfig  `koanf:"search"`
	Metrics             MetricsConfig `koanf:"metrics"`
	CORSAllowedOrigins  []string      `koanf:"cors_allowed_origins"` // of browsers that may ask; "*": any
	MaxTagBytes         int           `koanf:"-"`                    // of all names or values of one answer, unless a tenant's limits say otherwise
	FirstPacket, Packet time.Duration `koanf:"-"`                    // streams: time to the first piece, and between pieces
}

// SearchConfig bounds searches.
type SearchConfig struct {
	DefaultLimit       int           `koanf:"default_result_limit"`       // traces, where a search names no limit
	MaxLimit           int           `koanf:"max_result_limit"`           // 0: none
	MaxDuration        time.Duration `koanf:"max_duration"`               // of the range; 0: none
	DefaultSpansPerSet int           `koanf:"default_spans_per_span_set"` // where a search names none
	MaxSpansPerSet     int           `koanf:"max_spans_per_span_set"`     // 0: none
	DefaultRange       time.Duration `koanf:"query_backend_after"`        // how far back a search without start and end looks
	MaxConditionGroups int           `koanf:"-"`                          // alternatives of a filter of names and values
}

// MetricsConfig bounds metrics queries.
type MetricsConfig struct {
	MaxDuration  time.Duration `koanf:"max_duration"`        // of the range; 0: none
	MaxIntervals int           `koanf:"max_intervals"`       // of a range query
	MaxExemplars int           `koanf:"max_exemplars"`       // of a query
	MaxSeries    int           `koanf:"max_response_series"` // 0: none
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{
		MultiTenant: true, MaxQueryBytes: 128 << 10, MaxPacketBytes: 1 << 20,
		Search: SearchConfig{DefaultLimit: 20, MaxLimit: 262144, MaxDuration: 168 * time.Hour, DefaultSpansPerSet: 3, MaxSpansPerSet: 100,
			DefaultRange: 15 * time.Minute, MaxConditionGroups: 100},
		Metrics:     MetricsConfig{MaxDuration: 24 * time.Hour, MaxIntervals: 10000, MaxExemplars: 100},
		MaxTagBytes: 1e6, FirstPacket: 10 * time.Millisecond, Packet: 500 * time.Millisecond,
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
	must(c.Search.DefaultRange > 0, "search.query_backend_after: must be positive")
	must(c.Metrics.MaxDuration >= 0, "metrics.max_duration: must not be negative")
	must(c.Metrics.MaxIntervals > 0, "metrics.max_intervals: must be positive")
	must(c.Metrics.MaxExemplars >= 0, "metrics.max_exemplars: must not be negative")
	must(c.Metrics.MaxSeries >= 0, "metrics.max_response_series: must not be negative")
	return errors.Join(errs...)
}
