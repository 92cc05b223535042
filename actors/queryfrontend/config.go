package queryfrontend

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Config of the query-frontend.
type Config struct {
	MaxRunning  int            `koanf:"max_running_queries"`        // of a tenant; more wait
	MaxAll      int            `koanf:"max_running_queries_all"`    // of all tenants; more wait
	MaxQueued   int            `koanf:"max_outstanding_per_tenant"` // queries of a tenant that wait; more are refused
	Slots       int            `koanf:"query_slots"`                // jobs under way at once; 0: two more than processors
	TenantSlots int            `koanf:"query_slots_per_tenant"`     // of these, one tenant's; 0: one for each processor
	Burst       time.Duration  `koanf:"fair_share_burst"`           // time of slots that a tenant who paused gets before others
	Weights     map[string]int `koanf:"tenant_weights"`             // share of the slots by tenant; 1 where there is none

	MaxDuration  time.Duration `koanf:"max_query_duration"`  // then the answer is what is known
	JobTimeout   time.Duration `koanf:"job_timeout"`         // of one job; its absence is named in the answer
	MaxTries     int           `koanf:"max_retries"`         // of a job that finds nobody to do it, the first included
	RetryAfter   time.Duration `koanf:"retry_after"`         // doubled each time
	MaxJobs      int           `koanf:"max_jobs_per_query"`  // scans of live-stores and parts of blocks
	MaxBytes     int64         `koanf:"max_bytes_per_query"` // read from blocks
	MaxResult    int64         `koanf:"max_result_bytes"`    // memory of a query's answer while it grows
	MaxResults   int64         `koanf:"max_results_bytes"`   // the same of all queries together; over it the largest is ended
	JobSpans     int64         `koanf:"spans_per_job"`       // of a block; larger blocks are read in parts
	Confirm      int           `koanf:"confirm_traces"`      // traces with several homes put together at a time, at most
	TraceWindow  time.Duration `koanf:"trace_window"`        // how far beyond the range of a query spans of its traces are seen; block-builders look as far for other parts of a trace
	ProgressStep time.Duration `koanf:"progress_interval"`   // between two partial answers of one query
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{MaxRunning: 32, MaxAll: 256, MaxQueued: 2000, Burst: 250 * time.Millisecond, MaxDuration: 5 * time.Minute, JobTimeout: 30 * time.Second,
		MaxTries: 3, RetryAfter: 100 * time.Millisecond, MaxJobs: 100_000, MaxBytes: 1 << 40, MaxResult: 128 << 20, MaxResults: 256 << 20, JobSpans: 128 << 10, Confirm: 512,
		ProgressStep: 100 * time.Millisecond, TraceWindow: traceql.DefaultTraceWindow}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	positive := func(key string, ok bool) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: must be positive", key))
		}
	}
	positive("max_running_queries", c.MaxRunning > 0)
	positive("max_running_queries_all", c.MaxAll > 0)
	positive("max_results_bytes", c.MaxResults > 0)
	positive("max_query_duration", c.MaxDuration > 0)
	positive("job_timeout", c.JobTimeout > 0)
	positive("max_retries", c.MaxTries > 0)
	positive("retry_after", c.RetryAfter > 0)
	positive("max_jobs_per_query", c.MaxJobs > 0)
	positive("max_bytes_per_query", c.MaxBytes > 0)
	positive("max_result_bytes", c.MaxResult > 0)
	positive("spans_per_job", c.JobSpans > 0)
	positive("trace_window", c.TraceWindow > 0)
	positive("confirm_traces", c.Confirm > 0)
	if c.MaxQueued < 0 || c.Slots < 0 || c.TenantSlots < 0 || c.Burst < 0 || c.ProgressStep < 0 {
		errs = append(errs, errors.New("max_outstanding_per_tenant, query_slots, query_slots_per_tenant, fair_share_burst, progress_interval: must not be negative"))
	}
	for t, w := range c.Weights {
		positive("tenant_weights."+t, w > 0)
	}
	return errors.Join(errs...)
}

// SpareSlots are the slots that there are beyond the processors by default. The pool that scans should have a worker for each slot.
const SpareSlots = 2

// On fills in what depends on the machine.
func (c Config) On(processors int) Config {
	if c.Slots == 0 {
		c.Slots = processors + SpareSlots
	}
	if c.TenantSlots == 0 {
		c.TenantSlots = processors
	}
	c.TenantSlots = min(c.TenantSlots, c.Slots)
	return c
}

func (c Config) weight(tenant string) int { return max(c.Weights[tenant], 1) }
