package backendscheduler

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/upkeep"
)

// Config of the backend-scheduler.
type Config struct {
	// How often the catalog is compared with the log.
	CheckInterval time.Duration `koanf:"log_check_interval"`
	// How often the bucket is searched for blocks that are not in the catalog.
	SweepInterval time.Duration `koanf:"sweep_interval"`
	// How long the objects of an unfinished block, which has no meta.json, are left alone. It must
	// be longer than any build.
	SweepGrace time.Duration `koanf:"sweep_grace"`
	// The number of spans that a merged block may have. If it is not configured, it follows the
	// size of the process. 0: blocks are not merged.
	MaxSpans int64 `koanf:"max_block_spans"`
	// How long the objects of a block that was replaced or retired stay, for the queries that read
	// it still. It must be longer than query_frontend.max_query_duration and
	// block_builder.build_timeout.
	RetiredGrace time.Duration `koanf:"retired_grace"`
	// The bytes that all blocks together may have. Beyond them the oldest day is retired, whatever
	// its retention. 0: any number.
	MaxBytes      config.Bytes               `koanf:"max_bucket_bytes"`
	SnapshotEvery uint64                     `koanf:"-"` // commits between two snapshots of the catalog
	NewName       func() string              `koanf:"-"` // chance, so that no two leases have one name
	LimitsOf      func(string) upkeep.Limits `koanf:"-"` // of a tenant, as they are in force; nil: none
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{
		CheckInterval: 10 * time.Second,
		SweepInterval: 30 * time.Minute,
		SweepGrace:    time.Hour,
		MaxSpans:      1 << 20,
		RetiredGrace:  15 * time.Minute,
		SnapshotEvery: 1000,
	}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.CheckInterval <= 0 || c.SweepInterval <= 0 {
		errs = append(errs, errors.New("log_check_interval, sweep_interval: must be positive"))
	}
	if c.MaxSpans < 0 || c.MaxBytes < 0 {
		errs = append(errs, errors.New("max_block_spans, max_bucket_bytes: must not be negative"))
	}
	if c.RetiredGrace <= 0 {
		errs = append(errs, errors.New("retired_grace: must be positive"))
	}
	if c.SweepGrace < time.Hour {
		errs = append(errs, fmt.Errorf("sweep_grace: %s is below an hour, a build may take half of that", c.SweepGrace))
	}
	return errors.Join(errs...)
}
