package limits

import (
	"errors"
	"fmt"
	"time"
)

// Tenant is the limits of one tenant. The keys are Tempo's.
type Tenant struct {
	Ingestion  Ingestion  `koanf:"ingestion"`
	Read       Read       `koanf:"read"`
	Traces     Traces     `koanf:"global"`
	Compaction Compaction `koanf:"compaction"`
	// Settings of the metrics-generator, which is not built yet. They are checked, and
	// /api/overrides shows them.
	Generator map[string]any `koanf:"metrics_generator"`
}

// Validate returns an error for an unknown key or a value of the wrong type in the section of the
// generator. The other sections validate themselves.
func (t Tenant) Validate() error {
	_, err := ParseGenerator(t.Generator)
	return err
}

// Ingestion limits what a tenant may send.
type Ingestion struct {
	// local means that each node allows the whole rate, global that all nodes together allow it. On
	// one node they are the same.
	Strategy string `koanf:"rate_strategy"`
	// The OTLP bytes that a tenant may send in a second. Pushes beyond them are refused with a time
	// to come back. With 0 nothing is accepted; if it is not set, there is no limit.
	RateLimit *int64 `koanf:"rate_limit_bytes"`
	// The OTLP bytes that a tenant may send at once. A larger request is never accepted. If it is
	// not set, it is as much as the rate allows in a second.
	BurstSize *int64 `koanf:"burst_size_bytes"`
	// Whether clients that are refused are told when to come back. If it is not set, they are.
	RetryInfo *bool `koanf:"retry_info_enabled"`
}

// The strategies of a rate limit.
const (
	Local  = "local"
	Global = "global"
)

// Traces limits what one trace of a tenant may have.
type Traces struct {
	// The bytes that a trace may have. Further spans of it are refused; those that were accepted
	// stay. 0 sets no bound.
	MaxBytes int64 `koanf:"max_bytes_per_trace"`
}

// Validate returns an error that names every value that cannot work.
func (g Traces) Validate() error {
	if g.MaxBytes < 0 {
		return errors.New("max_bytes_per_trace: must not be negative")
	}
	return nil
}

// Read limits what a tenant may ask.
type Read struct {
	// The longest range that a search may cover. With 0 query_frontend.search.max_duration applies.
	MaxSearchDuration time.Duration `koanf:"max_search_duration"`
	// The longest range that a metrics query may cover. With 0 query_frontend.metrics.max_duration
	// applies.
	MaxMetricsDuration time.Duration `koanf:"max_metrics_duration"`
	// The bytes of the tag names, or of the tag values, in one answer. 0 means 1 MB.
	MaxTagBytes int `koanf:"max_bytes_per_tag_values_query"`
	// The number of alternatives that the filter of an autocomplete query may have. The value in
	// the defaults applies to every tenant. 0 means 100.
	MaxConditionGroups int `koanf:"max_condition_groups_per_tag_query"`
	// Whether trace ids in the answers of searches always have 32 digits.
	LeftPadTraceIDs bool `koanf:"left_pad_trace_ids"`
}

// Compaction says how long a tenant's blocks are kept.
type Compaction struct {
	// How long spans are kept after the end of the day on which they arrived, in UTC. With 0
	// backend_worker.compaction.block_retention applies.
	Retention time.Duration `koanf:"block_retention"`
	// Whether the blocks stay as they are: they are neither merged nor removed.
	Disabled bool `koanf:"compaction_disabled"`
}

// Validate returns an error that names every value that cannot work.
func (c Compaction) Validate() error {
	if c.Retention < 0 {
		return errors.New("block_retention: must not be negative")
	}
	return nil
}

// Validate returns an error that names every value that cannot work.
func (i Ingestion) Validate() error {
	var errs []error
	if i.Strategy != "" && i.Strategy != Local && i.Strategy != Global {
		errs = append(errs,
			fmt.Errorf("rate_strategy: unknown strategy %s; known are %s, %s", i.Strategy, Local, Global))
	}
	if i.RateLimit != nil && *i.RateLimit < 0 {
		errs = append(errs, errors.New("rate_limit_bytes: must not be negative"))
	}
	if i.BurstSize != nil && *i.BurstSize < 0 {
		errs = append(errs, errors.New("burst_size_bytes: must not be negative"))
	}
	return errors.Join(errs...)
}

// Validate returns an error that names every value that cannot work.
func (r Read) Validate() error {
	if r.MaxSearchDuration < 0 || r.MaxMetricsDuration < 0 || r.MaxTagBytes < 0 || r.MaxConditionGroups < 0 {
		return errors.New("max_search_duration, max_metrics_duration, max_bytes_per_tag_values_query, " +
			"max_condition_groups_per_tag_query: must not be negative")
	}
	return nil
}

// Rate returns how many bytes may be sent in a second and how many at once. limited=false: there is
// no limit.
func (i Ingestion) Rate() (perSecond, burst int64, limited bool) {
	if i.RateLimit == nil {
		return 0, 0, false
	}
	perSecond, burst = *i.RateLimit, *i.RateLimit
	if i.BurstSize != nil {
		burst = *i.BurstSize
	}
	return perSecond, burst, true
}

// Retries reports whether a refused client is told when to try again.
func (i Ingestion) Retries() bool { return i.RetryInfo == nil || *i.RetryInfo }

// Set is the limits of all tenants. It is never changed after it was made.
type Set struct {
	Defaults Tenant
	Entries  map[string]Tenant // by tenant; "*" is for all tenants without an entry
}

// Of returns the limits of a tenant: its own entry or, without one, that of "*" or, without that,
// the defaults. An entry replaces the others as a whole, with two exceptions: an entry that does
// not set a rate, or whether clients are told when to try again, has that of the defaults; and the
// strategy is always that of the defaults.
func (s *Set) Of(id string) Tenant {
	t, ok := s.Entries[id]
	if !ok {
		if t, ok = s.Entries["*"]; !ok {
			return s.Defaults
		}
	}
	d := s.Defaults.Ingestion
	if t.Ingestion.RateLimit == nil {
		t.Ingestion.RateLimit = d.RateLimit
		if t.Ingestion.BurstSize == nil {
			t.Ingestion.BurstSize = d.BurstSize
		}
	}
	if t.Ingestion.RetryInfo == nil {
		t.Ingestion.RetryInfo = d.RetryInfo
	}
	t.Ingestion.Strategy = d.Strategy
	return t
}
