package backendworker

import (
	"errors"
	"time"
)

// Config of the backend-worker.
type Config struct {
	// How long the worker rests before it asks again, after there was nothing to do.
	Rest       time.Duration `koanf:"poll_interval"`
	Compaction Compaction    `koanf:"compaction"`
	// The number of spans in a row group of a merged block.
	RowGroup int `koanf:"-"`
}

// Compaction says how long blocks are kept.
type Compaction struct {
	// How long spans are kept after the end of the day on which they arrived, in UTC. 0: for ever.
	// A tenant may have another time (overrides.*.compaction.block_retention).
	Retention time.Duration `koanf:"block_retention"`
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config {
	return Config{
		Rest:       5 * time.Second,
		Compaction: Compaction{Retention: 14 * 24 * time.Hour},
		RowGroup:   128 << 10,
	}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	if c.Rest <= 0 || c.Compaction.Retention < 0 {
		return errors.New("poll_interval, compaction.block_retention: must be positive, the second one at least 0")
	}
	return nil
}
