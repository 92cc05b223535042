package blockbuilder

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/eval"
)

// Config of the block-builders of a node.
type Config struct {
	// The size of the part of a partition's log that is in no block yet, at which blocks are cut
	// from it.
	CutBytes config.Bytes `koanf:"max_block_bytes"`
	// The age of the oldest record that is in no block yet, at which blocks are cut.
	CutAge time.Duration `koanf:"max_block_duration"`
	// How often a block-builder asks the live-store whether a cut is due.
	Tick time.Duration `koanf:"check_interval"`
	// The number of spans in a row group of a block.
	RowGroup int `koanf:"row_group_spans"`
	// The pause after a first failure. Each further failure doubles it, up to a minute.
	RetryDelay time.Duration `koanf:"retry_delay"`
	// The time that the blocks of one cut may take to build. It must be well below
	// backend_scheduler.sweep_grace.
	BuildTimeout time.Duration `koanf:"build_timeout"`
	// How far around a block other homes of its traces are looked for: the trace window of queries.
	SharedWindow time.Duration `koanf:"-"`
	// The bytes of the message that publishes a cut. Almost all of it are the traces that the cut
	// shares with other blocks: a million of them make 25 MB.
	MaxPublish int `koanf:"-"`
}

// DefaultConfig is what a node runs with when nothing is configured. The budget of its live-stores
// bounds what a node holds in memory.
func DefaultConfig() Config {
	return Config{
		CutBytes:     64 << 20,
		CutAge:       time.Minute,
		Tick:         250 * time.Millisecond,
		RowGroup:     128 << 10,
		RetryDelay:   2 * time.Second,
		BuildTimeout: 10 * time.Minute,
		SharedWindow: eval.DefaultTraceWindow,
		MaxPublish:   32 << 20,
	}
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
