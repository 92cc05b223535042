package backendworker

import (
	"errors"
	"time"
)

// Config of the backend-worker.
type Config struct {
	// How long the worker rests before it asks again, after there was nothing to do.
	Rest time.Duration `koanf:"poll_interval"`
	// The number of spans in a row group of a merged block.
	RowGroup int `koanf:"-"`
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config { return Config{Rest: 5 * time.Second, RowGroup: 128 << 10} }

// Validate names every value that cannot work.
func (c Config) Validate() error {
	if c.Rest <= 0 {
		return errors.New("poll_interval: must be positive")
	}
	return nil
}
