package overrides

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
)

// NoGenerator is the cause of a warning about settings of the metrics-generator, those that are
// read and shown as well as those that are not.
const NoGenerator = "not built yet: the metrics-generator. No metrics are made of spans"

// Limits are the limits of all tenants. A value is not changed once it is made.
type Limits struct {
	limits.Set
	Warnings []config.Warning // about keys of the file that are not acted on

	text []byte // of the file that they were read from
}

// Live is where the limits in force stand. The actor stores a new value; everybody may load it at
// any time, on any goroutine.
type Live interface {
	Load() *Limits
	Store(*Limits)
}

// ReadFile returns the limits that the configuration and its file say. The error joins all that is
// wrong with the file; beside it are the limits without the file.
func ReadFile(cfg Config) (*Limits, error) {
	l := &Limits{Set: limits.Set{Defaults: cfg.Defaults}}
	if cfg.File == "" {
		return l, nil
	}
	text, err := os.ReadFile(cfg.File)
	if err != nil {
		return l, fmt.Errorf("read limits of tenants: %w", err)
	}
	read, err := parseFile(cfg, text)
	if err != nil {
		return l, err
	}
	return read, nil
}

// readChanged reads the file and its limits, where its text is another than it was.
func readChanged(cfg Config, last []byte) fileRead {
	text, err := os.ReadFile(cfg.File)
	if err != nil {
		return fileRead{err: fmt.Errorf("read limits of tenants: %w", err)}
	}
	if bytes.Equal(text, last) {
		return fileRead{text: text}
	}
	l, err := parseFile(cfg, text)
	return fileRead{limits: l, text: text, err: err}
}

// tenantsFile is the shape of the file.
type tenantsFile struct {
	Overrides map[string]limits.Tenant `koanf:"overrides"`
}

func parseFile(cfg Config, text []byte) (*Limits, error) {
	var file tenantsFile
	loaded, err := config.Load(&file, config.Sources{
		File:      cfg.File,
		YAML:      text,
		ExpandEnv: cfg.Environ != nil,
		Env:       cfg.Environ,
		Foreign:   cfg.Foreign,
	})
	var errs []error
	for _, e := range config.Errors(err) {
		errs = append(errs, fmt.Errorf("read limits of tenants: %w", e))
	}
	for _, id := range slices.Sorted(maps.Keys(file.Overrides)) {
		tenant := file.Overrides[id]
		for _, err := range config.Errors(config.Validate(&tenant)) {
			errs = append(errs, fmt.Errorf("read limits of tenants: %s: overrides.%s.%w", cfg.File, id, err))
		}
		if len(tenant.Generator) > 0 {
			w := config.Warning{Key: "overrides." + id + ".metrics_generator", Cause: NoGenerator}
			loaded.Warnings = append(loaded.Warnings, w)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Limits{
		Set:      limits.Set{Defaults: cfg.Defaults, Entries: file.Overrides},
		Warnings: loaded.Warnings,
		text:     text,
	}, nil
}
