package blockbuilder

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/traceql"
)

// Config of the block-builders of a node.
type Config struct {
	CutBytes     int64         `koanf:"max_block_bytes"`    // uncovered log of a partition that makes a cut due
	CutAge       time.Duration `koanf:"max_block_duration"` // age of the oldest uncovered record that makes a cut due
	Tick         time.Duration `koanf:"check_interval"`     // how often the live-store is asked
	RowGroup     int           `koanf:"row_group_spans"`    // spans of a row group
	RetryDelay   time.Duration `koanf:"retry_delay"`        // after the first failure of a row; each that follows waits twice as long, up to a minute
	BuildTimeout time.Duration `koanf:"build_timeout"`      // of the blocks of one cut; must be well below the orphan sweep's grace of an hour
	SharedWindow time.Duration `koanf:"-"`                  // how far other homes of a trace are looked for: the trace window of queries
}

// DefaultConfig is what a node runs with when nothing is configured. What a node holds in all is bounded by its live stores' budget.
func DefaultConfig() Config {
	return Config{CutBytes: 64 << 20, CutAge: time.Minute, Tick: 250 * time.Millisecond, RowGroup: 128 << 10, RetryDelay: 2 * time.Second,
		BuildTimeout: 10 * time.Minute, SharedWindow: traceql.DefaultTraceWindow}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.CutBytes < 64<<10 {
		errs = append(errs, fmt.Errorf("max_block_bytes: %d is below 64 KiB", c.CutBytes))
	}
	if c.CutAge <= 0 || c.Tick <= 0 || c.RetryDelay <= 0 {
		errs = append(errs, errors.New("max_block_duration, check_interval, retry_delay: must be positive"))
	}
	if c.BuildTimeout <= 0 || c.BuildTimeout > 30*time.Minute {
		errs = append(errs, fmt.Errorf("build_timeout: %s is not between 0 and 30 minutes", c.BuildTimeout))
	}
	if c.RowGroup < 1<<10 || c.RowGroup > 1<<20 {
		errs = append(errs, fmt.Errorf("row_group_spans: %d is outside %d to %d", c.RowGroup, 1<<10, 1<<20))
	}
	return errors.Join(errs...)
}
