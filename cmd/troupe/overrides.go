package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/engine/limits"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/storage/documents"
)

// Overrides are limits by tenant.
type Overrides struct {
	Defaults limits.Tenant `koanf:"defaults"`
	// A file with limits by tenant, which is read again when it changes.
	File string `koanf:"per_tenant_override_config"`
	// How often the node looks whether that file has changed.
	Period time.Duration `koanf:"per_tenant_override_period"`
	Own    OwnLimits     `koanf:"user_configurable_overrides"`

	Environ []string `koanf:"-"` // variables that are replaced in the text of the file; nil: none are
}

// Validate names every value that cannot work.
func (o Overrides) Validate() error {
	if o.Period <= 0 {
		return errors.New("per_tenant_override_period: must be positive")
	}
	return nil
}

// noGenerator is the warning about settings of the metrics-generator that are read and shown; it is
// that of those that are not.
const noGenerator = "not built yet: the metrics-generator. No metrics are made of spans"

// tenants holds the limits that are in force. It is safe for concurrent use.
type tenants struct {
	cfg  Overrides
	log  *slog.Logger
	text []byte           // of the file, as it was read last
	told []config.Warning // of that text
	set  atomic.Pointer[limits.Set]
	own  atomic.Pointer[documents.Store] // nil: off, or not read yet
}

// loadTenants reads the file; one that cannot be read keeps the node from starting.
func loadTenants(cfg Overrides, log *slog.Logger) (*tenants, error) {
	t := &tenants{cfg: cfg, log: log}
	t.set.Store(&limits.Set{Defaults: cfg.Defaults})
	if cfg.File == "" {
		return t, nil
	}
	return t, t.load()
}

func (t *tenants) load() error {
	b, err := os.ReadFile(t.cfg.File)
	if err != nil {
		return fmt.Errorf("read limits of tenants: %w", err)
	}
	if bytes.Equal(b, t.text) {
		return nil
	}
	t.text = b
	file := struct {
		Overrides map[string]limits.Tenant `koanf:"overrides"`
	}{}
	loaded, err := config.Load(&file, config.Sources{File: t.cfg.File, YAML: b, ExpandEnv: t.cfg.Environ != nil, Env: t.cfg.Environ,
		Foreign: tenantKeys()})
	var errs []error
	for _, e := range listErrors(err) {
		errs = append(errs, fmt.Errorf("read limits of tenants: %w", e))
	}
	for _, id := range slices.Sorted(maps.Keys(file.Overrides)) {
		l := file.Overrides[id]
		for _, err := range listErrors(config.Validate(&l)) {
			errs = append(errs, fmt.Errorf("read limits of tenants: %s: overrides.%s.%w", t.cfg.File, id, err))
		}
		if len(l.Generator) > 0 {
			loaded.Warnings = append(loaded.Warnings, config.Warning{Key: "overrides." + id + ".metrics_generator", Cause: noGenerator})
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	t.told = loaded.Warnings
	logWarnings(t.log, "limits of tenants", loaded.Warnings)
	t.set.Store(&limits.Set{Defaults: t.cfg.Defaults, Entries: file.Overrides})
	t.log.Info("limits of tenants read", "tenants", len(file.Overrides))
	return nil
}

// tenantKeys are Tempo's keys below a tenant; at the top of the file every key is a tenant's name.
func tenantKeys() config.Foreign {
	var b strings.Builder
	for line := range strings.Lines(tempoKeys) {
		if strings.HasPrefix(line, "overrides.*.") || strings.HasPrefix(line, "@") {
			b.WriteString(line)
		}
	}
	return config.Foreign(b.String())
}

// watch reads the file again when it has changed. One that cannot be read leaves the limits as they
// are.
func (t *tenants) watch(ctx context.Context) {
	if t.cfg.File == "" {
		return
	}
	every(ctx, t.cfg.Period, func() {
		if err := t.load(); err != nil {
			t.log.Error("limits of tenants stay as they are", "err", err)
		}
	})
}

// every calls f again and again until the context ends.
func every(ctx context.Context, period time.Duration, f func()) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

func (t *tenants) ingestion(id string) limits.Ingestion { return t.set.Load().Of(id).Ingestion }

func (t *tenants) traceBytes(id string) int64 { return t.set.Load().Of(id).Traces.MaxBytes }

func (t *tenants) query(id string) query.Limits {
	r := t.set.Load().Of(id).Read
	return query.Limits{MaxSearchDuration: r.MaxSearchDuration, MaxMetricsDuration: r.MaxMetricsDuration, MaxTagBytes: r.MaxTagBytes, LeftPadTraceIDs: r.LeftPadTraceIDs}
}

// print is /status/runtime_config.
func (t *tenants) print() ([]byte, error) {
	out := map[string]any{}
	for id, l := range t.set.Load().Entries {
		tree, err := config.Tree(l)
		if err != nil {
			return nil, err
		}
		out[id] = tree
	}
	defaults, err := config.Tree(t.cfg.Defaults)
	if err != nil {
		return nil, err
	}
	return yaml.Marshal(map[string]any{"defaults": defaults, "overrides": out})
}
