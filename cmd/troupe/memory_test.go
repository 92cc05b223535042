package main

import (
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/config"
)

// machineOf is the file system of a machine with so much memory and no limits.
func machineOf(mib int64) fstest.MapFS {
	return fstest.MapFS{"proc/meminfo": {Data: fmt.Appendf(nil, "MemTotal: %d kB\n", mib<<10)}}
}

// The defaults are the shares of a process of the full size. In a smaller one each budget is
// smaller in proportion, in a larger one those grow that do not make anything wait longer. What is
// configured stays, and whatever comes out works.
func TestDivideMemory(t *testing.T) {
	divide := func(mib int64, yaml string, args ...string) Config {
		c, err := parseWith(t, yaml, args...)
		require.NoError(t, err)
		c.divideMemory(machineOf(mib))
		require.NoError(t, config.Validate(&c.cfg), "%d MiB", mib)
		return c.cfg
	}
	full, defaults := divide(24<<10, ""), defaultConfig()
	require.Equal(t, config.Auto, full.MemoryLimit, "what is configured is shown as it is")
	for i, b := range full.budgets() {
		require.Equal(t, *defaults.budgets()[i].bytes, *b.bytes, b.key)
	}

	half := divide(384, "")
	for i, b := range half.budgets() {
		require.Equal(t, *defaults.budgets()[i].bytes/2, *b.bytes, b.key)
	}
	twice := divide(24<<10, "memory_limit: 768MiB")
	for i, b := range twice.budgets() {
		times := config.Bytes(1)
		if b.grows {
			times = 2
		}
		require.Equal(t, times*(*defaults.budgets()[i].bytes), *b.bytes, b.key)
	}
	require.Equal(t, defaults.LiveStore, divide(64, "memory_limit: 0").LiveStore, "no size, no shares")

	require.EqualValues(t, 1<<20, full.Scheduler.MaxSpans)
	require.EqualValues(t, 512<<10, half.Scheduler.MaxSpans)
	require.EqualValues(t, 2<<20, twice.Scheduler.MaxSpans)
	require.EqualValues(t, 4<<20, divide(24<<10, "memory_limit: 8GiB").Scheduler.MaxSpans, "larger blocks are no faster")
	require.EqualValues(t, 1<<20/6, divide(128, "").Scheduler.MaxSpans)
	require.EqualValues(t, 5, divide(384, "backend_scheduler: {max_block_spans: 5}").Scheduler.MaxSpans)

	small := divide(64, "query_frontend: {max_result_bytes: 99MiB}\nstorage: {trace: {cache_bytes: 3MiB}}",
		"-set=live_store.max_uncovered_bytes=2MiB")
	require.EqualValues(t, 3<<20, small.Storage.Trace.Cache)
	require.EqualValues(t, 2<<20, small.LiveStore.NodeBytes)
	require.EqualValues(t, 99<<20, small.QueryFrontend.MaxResults, "a single answer may be so large")
	require.EqualValues(t, 40<<20, small.Distributor.Receivers.OTLP.MaxBufferedBytes, "twice the largest request")
	require.Less(t, small.Distributor.MaxBacklogBytes, config.Bytes(6<<20))
}

func TestMemoryLimitIsRead(t *testing.T) {
	for text, want := range map[string]config.AutoBytes{"auto": config.Auto, "512MiB": 512 << 20, "0": 0, "268435456": 256 << 20} {
		c, err := parseWith(t, "memory_limit: "+text)
		require.NoError(t, err, text)
		require.Equal(t, want, c.cfg.MemoryLimit, text)
	}
	for _, text := range []string{"most", "63MiB", "-1MiB"} {
		_, err := parseWith(t, "memory_limit: "+text)
		require.ErrorContains(t, err, "memory_limit", text)
	}
}
