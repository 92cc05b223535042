package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/actors/overrides"
	overridesapi "github.com/troupe-tracing/troupe/runtime/gateway/overrides"
)

// A tenant has the limits of its own entry, else those of "*", else the defaults; entries are not
// mixed. A file that cannot be read any more leaves the limits as they are.
func TestTenantLimits(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	write := func(s string) { require.NoError(t, os.WriteFile(file, []byte(s), 0o600)) }
	write("overrides:\n  a.b: {read: {max_search_duration: 1d}, ingestion: {rate_limit_bytes: 5, max_traces_per_user: 3}, max_bytes_per_trace: 7, metrics_generator: {processors: [span-metrics], max_active_series: 5}}\n  \"*\": {read: {left_pad_trace_ids: true}}\n")
	cfg := overrides.Config{File: file, Period: time.Second, Foreign: tenantKeys()}
	cfg.Defaults.Read.MaxTagBytes = 7
	var log bytes.Buffer
	var l liveLimits
	load := func() error {
		next, err := overrides.ReadFile(cfg)
		if err == nil {
			overrides.LogRead(slog.New(slog.NewTextHandler(&log, nil)), next)
			l.Store(next)
		}
		return err
	}
	require.NoError(t, load())
	require.Contains(t, log.String(), "all traces are kept, however many\" keys=overrides.a.b.ingestion.max_traces_per_user")
	require.Contains(t, log.String(), "overrides.a.b.metrics_generator\"")
	require.Contains(t, log.String(), "overrides.a.b.metrics_generator.max_active_series, ")
	require.EqualValues(t, 7, l.bytesOfTrace("a.b"), "by its flat name")
	require.Zero(t, l.bytesOfTrace("other"))
	rate, _, limited := l.ofIngestion("a.b").Rate()
	require.True(t, limited)
	require.EqualValues(t, 5, rate)
	_, _, limited = l.ofIngestion("other").Rate()
	require.False(t, limited)
	require.Equal(t, 24*time.Hour, l.ofQueries("a.b").MaxSearchDuration)
	require.Zero(t, l.ofQueries("a.b").MaxTagBytes)
	require.True(t, l.ofQueries("other").LeftPadTraceIDs)
	b, err := overridesapi.YAML(l.currentSet())
	require.NoError(t, err)
	require.Contains(t, string(b), "a.b:")

	write("overrides: {a.b: {raed: {}}}")
	require.ErrorContains(t, load(), "raed")
	require.Equal(t, 24*time.Hour, l.ofQueries("a.b").MaxSearchDuration)
	write("overrides: {a.b: {metrics_generator: {procesors: []}}}")
	require.ErrorContains(t, load(), `unknown field "procesors"`)
	write("overrides: {a.b: {ingestion: {rate_limit_bytes: -1}}}")
	require.ErrorContains(t, load(), "overrides.a.b.ingestion.rate_limit_bytes: must not be negative")
	write("overrides: {a.b: {ingestion_rate_limit_bytes: 6, ingestion_burst_size_bytes: 60}}")
	require.NoError(t, load(), "the flat names of Tempo 2")
	rate, burst, _ := l.ofIngestion("a.b").Rate()
	require.EqualValues(t, []int64{6, 60}, []int64{rate, burst})
	write("overrides: {forwarders: {metrics_generator_processors: [span-metrics], metrics_generator_remote_write_headers: {x: secret}}}")
	require.NoError(t, load(), "a tenant may be called as a key is")
	require.Equal(t, map[string]any{"processors": []any{"span-metrics"}}, l.Load().Of("forwarders").Generator)
	require.NotContains(t, log.String(), "secret")
	write("overrides: {}")
	require.NoError(t, load())
	require.Equal(t, 7, l.ofQueries("a.b").MaxTagBytes)

	_, err = overrides.ReadFile(overrides.Config{File: file + ".missing"})
	require.ErrorContains(t, err, "tenants.yaml.missing")
}
