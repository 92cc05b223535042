package backendscheduler

import (
	"errors"
	"fmt"
	"time"
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
	// The number of spans that a merged block may have. 0: blocks are not merged.
	MaxSpans      int64         `koanf:"max_block_spans"`
	SnapshotEvery uint64        `koanf:"-"` // commits between two snapshots of the catalog
	NewName       func() string `koanf:"-"` // chance, so that no two leases have one name
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{
		CheckInterval: 10 * time.Second,
		SweepInterval: 30 * time.Minute,
		SweepGrace:    time.Hour,
		MaxSpans:      1 << 20,
		SnapshotEvery: 1000,
	}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.CheckInterval <= 0 || c.SweepInterval <= 0 {
		errs = append(errs, errors.New("log_check_interval, sweep_interval: must be positive"))
	}
	if c.MaxSpans < 0 {
		errs = append(errs, errors.New("max_block_spans: must not be negative"))
	}
	if c.SweepGrace < time.Hour {
		errs = append(errs, fmt.Errorf("sweep_grace: %s is below an hour, a build may take half of that", c.SweepGrace))
	}
	return errors.Join(errs...)
}
