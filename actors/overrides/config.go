package overrides

import (
	"errors"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
)

// Config of the limits of tenants.
type Config struct {
	Defaults limits.Tenant `koanf:"defaults"`
	// A file with limits by tenant. It is read again when it changes.
	File string `koanf:"per_tenant_override_config"`
	// How often the node looks whether that file has changed.
	Period time.Duration `koanf:"per_tenant_override_period"`
	Own    OwnConfig     `koanf:"user_configurable_overrides"`

	// The environment variables that are replaced in the text of the file; nil replaces none.
	Environ []string `koanf:"-"`
	// Keys of the file that are accepted and not acted on.
	Foreign config.Foreign `koanf:"-"`
}

// OwnConfig says what tenants may set themselves.
type OwnConfig struct {
	// Whether /api/overrides is served, where tenants set some limits and settings themselves.
	Enabled bool `koanf:"enabled"`
	// How often the node looks for settings that other processes have written. Settings that it
	// has written itself apply at once.
	Poll time.Duration `koanf:"poll_interval"`
	API  APIConfig     `koanf:"api"`
}

// APIConfig says what /api/overrides accepts.
type APIConfig struct {
	// Whether a tenant's own settings are refused if the operator's file has an entry for that
	// tenant.
	Check bool `koanf:"check_for_conflicting_runtime_overrides"`
}

// DefaultConfig is what a node runs with when nothing is configured: no limits, no file, and no
// settings by tenants.
func DefaultConfig() Config {
	return Config{
		Period: 10 * time.Second,
		Own:    OwnConfig{Poll: time.Minute},
	}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	if c.Period <= 0 {
		return errors.New("per_tenant_override_period: must be positive")
	}
	return nil
}

// Validate names every value that cannot work.
func (c OwnConfig) Validate() error {
	if c.Poll <= 0 {
		return errors.New("poll_interval: must be positive")
	}
	return nil
}
