package backendscheduler

import (
	"errors"
	"fmt"
	"time"
)

// Config of the backend-scheduler.
type Config struct {
	CheckInterval time.Duration `koanf:"log_check_interval"` // how often the catalog is compared with the log
	SweepInterval time.Duration `koanf:"sweep_interval"`     // how often blocks that are not in the catalog are looked for
	SweepGrace    time.Duration `koanf:"sweep_grace"`        // how long parts of a block that has no meta stay; longer than any build
	SnapshotEvery uint64        `koanf:"-"`                  // commits between two snapshots of the catalog
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{CheckInterval: 10 * time.Second, SweepInterval: 30 * time.Minute, SweepGrace: time.Hour, SnapshotEvery: 1000}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.CheckInterval <= 0 || c.SweepInterval <= 0 {
		errs = append(errs, errors.New("log_check_interval, sweep_interval: must be positive"))
	}
	if c.SweepGrace < time.Hour {
		errs = append(errs, fmt.Errorf("sweep_grace: %s is below an hour, a build may take half of that", c.SweepGrace))
	}
	return errors.Join(errs...)
}
