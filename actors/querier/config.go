package querier

import (
	"errors"

	"github.com/troupe-tracing/troupe/runtime/config"
)

// Config of a querier.
type Config struct {
	// The memory for results of scans of blocks, which later queries use again.
	ResultCache config.Bytes `koanf:"result_cache_bytes"`
}

// DefaultConfig is what a node runs with when nothing is configured.
func DefaultConfig() Config { return Config{ResultCache: 32 << 20} }

// Validate names every value that cannot work.
func (c Config) Validate() error {
	if c.ResultCache < 0 {
		return errors.New("result_cache_bytes: must not be negative")
	}
	return nil
}
