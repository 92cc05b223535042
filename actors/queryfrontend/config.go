package queryfrontend

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
)

// Config of the query-frontend: a plain record, which decides nothing.
type Config struct {
	// The number of queries of one tenant that run at the same time. Further ones wait.
	MaxRunning int `koanf:"max_running_queries"`
	// The number of queries of all tenants that run at the same time. Further ones wait.
	MaxAll int `koanf:"max_running_queries_all"`
	// The number of queries of one tenant that may wait. Further ones are refused.
	MaxQueued int `koanf:"max_outstanding_per_tenant"`
	// The number of jobs that run at the same time. 0 means two more than there are processors.
	Slots int `koanf:"query_slots"`
	// The number of jobs of one tenant that run at the same time. 0 means one for each processor.
	TenantSlots int `koanf:"query_slots_per_tenant"`
	// The slot time that a tenant returning from a pause may use before others.
	Burst time.Duration `koanf:"fair_share_burst"`
	// The weight of each tenant when slots are shared. A tenant that is not listed has the weight
	// 1.
	Weights map[string]int `koanf:"tenant_weights"`

	// The time that a query may take. It is then answered with what is known, and the answer says
	// that it is not complete.
	MaxDuration time.Duration `koanf:"max_query_duration"`
	// The time that one job may take. After it the answer names what is missing.
	JobTimeout time.Duration `koanf:"job_timeout"`
	// How often a job is tried if no actor can do it, the first time included.
	MaxTries int `koanf:"max_retries"`
	// The pause before a job is tried again. It doubles with each try.
	RetryAfter time.Duration `koanf:"retry_after"`
	// The number of jobs that one query may have: scans of live-stores and of parts of blocks.
	MaxJobs int `koanf:"max_jobs_per_query"`
	// The bytes of blocks that one query may read.
	MaxBytes config.Bytes `koanf:"max_bytes_per_query"`
	// The memory for the answer of one query while it is built. A query that needs more fails and
	// names this key.
	MaxResult config.Bytes `koanf:"max_result_bytes"`
	// The memory for all answers, until their clients have read them. When it is used up, the query
	// with the largest answer fails, or a new answer is refused.
	MaxResults config.Bytes `koanf:"max_results_bytes"`
	// The number of spans that one job reads. Larger blocks are read in parts.
	JobSpans int64 `koanf:"spans_per_job"`
	// The bytes in memory from which a trace that is asked for by its id is long: it is not put
	// together in memory, but read in chunks.
	LongTrace config.Bytes `koanf:"-"`
	// The number of traces with several homes that are put together at a time.
	Confirm int `koanf:"confirm_traces"`
	// How far beyond the range of a query the spans of its traces are considered. Block-builders
	// look for other parts of a trace as far.
	TraceWindow time.Duration `koanf:"trace_window"`
	// The time between two partial answers of one query.
	ProgressStep time.Duration `koanf:"progress_interval"`
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{
		MaxRunning:   32,
		MaxAll:       256,
		MaxQueued:    2000,
		Burst:        250 * time.Millisecond,
		MaxDuration:  5 * time.Minute,
		JobTimeout:   30 * time.Second,
		MaxTries:     3,
		RetryAfter:   100 * time.Millisecond,
		MaxJobs:      100_000,
		MaxBytes:     1 << 40,
		MaxResult:    128 << 20,
		MaxResults:   256 << 20,
		JobSpans:     128 << 10,
		LongTrace:    16 << 20,
		Confirm:      8192,
		ProgressStep: 100 * time.Millisecond,
		TraceWindow:  eval.DefaultTraceWindow,
	}
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
		errs = append(errs, errors.New("max_outstanding_per_tenant, query_slots, query_slots_per_tenant, "+
			"fair_share_burst, progress_interval: must not be negative"))
	}
	for t, w := range c.Weights {
		positive("tenant_weights."+t, w > 0)
	}
	return errors.Join(errs...)
}

// SpareSlots is the number of slots beyond the processors by default. The pool that scans should
// have a worker for each slot.
const SpareSlots = 2

// ForMachine returns the configuration with the slots filled in that depend on the machine.
func (c Config) ForMachine(processors int) Config {
	if c.Slots == 0 {
		c.Slots = processors + SpareSlots
	}
	if c.TenantSlots == 0 {
		c.TenantSlots = processors
	}
	c.TenantSlots = min(c.TenantSlots, c.Slots)
	return c
}

// weightOf returns the share of the slots that a tenant has.
func (c Config) weightOf(tenant string) int { return max(c.Weights[tenant], 1) }
