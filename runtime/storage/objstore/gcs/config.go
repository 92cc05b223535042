package gcs

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Config names the bucket and says how to reach it. Its keys are Tempo's. Credentials are those of
// the environment (GOOGLE_APPLICATION_CREDENTIALS) or of the machine.
type Config struct {
	// The name of the bucket. It must exist.
	Bucket string `koanf:"bucket_name"`
	// A folder of the bucket in which all objects are. Empty: none.
	Prefix string `koanf:"prefix"`
	// The URL of the store's JSON interface. Empty: Google's.
	Endpoint string `koanf:"endpoint"`
	// Whether requests carry no credentials, as emulators of the store want it.
	Insecure bool `koanf:"insecure"`
	// The Cache-Control of objects.
	CacheControl string `koanf:"object_cache_control"`
	// Metadata that objects get.
	Metadata map[string]string `koanf:"object_metadata"`
	// After how long without a first byte a read is sent a second time. 0: never.
	HedgeAfter time.Duration `koanf:"hedge_requests_at"`
	// How often a request is sent at most, until it succeeds.
	Attempts int `koanf:"max_retries"`
}

// DefaultConfig names no bucket.
func DefaultConfig() Config {
	r := objstore.DefaultRemoteConfig()
	return Config{HedgeAfter: r.HedgeAfter, Attempts: r.Attempts}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.Attempts < 1 {
		errs = append(errs, fmt.Errorf("max_retries: must be at least 1, not %d", c.Attempts))
	}
	if c.HedgeAfter < 0 {
		errs = append(errs, errors.New("hedge_requests_at: must not be negative"))
	}
	return errors.Join(errs...)
}
