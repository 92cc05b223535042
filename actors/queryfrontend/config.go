package queryfrontend

import (
	"errors"
	"time"
)

// Config of the query-frontend.
type Config struct {
	MaxRunning  int           `koanf:"max_running_queries"`
	JobTimeout  time.Duration `koanf:"job_timeout"`      // of one job; its absence is named in the answer
	Outstanding int           `koanf:"outstanding_jobs"` // jobs of one query sent and not yet answered
	Confirm     int           `koanf:"confirm_traces"`   // traces with several homes put together at a time
	Partitions  int           `koanf:"-"`
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{MaxRunning: 1000, JobTimeout: 30 * time.Second, Outstanding: 16, Confirm: 512}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	if c.MaxRunning < 1 || c.JobTimeout <= 0 || c.Outstanding < 1 || c.Confirm < 1 {
		return errors.New("max_running_queries, job_timeout, outstanding_jobs, confirm_traces: must be positive")
	}
	return nil
}
