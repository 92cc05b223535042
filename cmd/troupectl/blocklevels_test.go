package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
)

// Blocks are summed up by tenant, state and level, their days of arrival counted once.
func TestSumLevels(t *testing.T) {
	day := func(n int) int64 { return time.Date(2026, 3, n, 12, 0, 0, 0, time.UTC).UnixNano() }
	of := func(id, tenant string, level int32, arrived int) *blocks.BlockMeta {
		return &blocks.BlockMeta{Id: id, Tenant: tenant, Level: level, Spans: 10, Bytes: 100, MaxArrivalUnixNano: day(arrived),
			MinStartUnixNano: uint64(day(arrived)), MaxEndUnixNano: uint64(day(arrived)) + 5,
			Epoch: catalog.ImportEpoch(id), To: 1}
	}
	entry := func(list ...*blocks.BlockMeta) *blocks.Entry {
		return &blocks.Entry{BlocksImported: &blocks.BlocksImported{Tenant: list[0].GetTenant(), Blocks: list}}
	}
	c, err := catalog.New().With(1,
		entry(of("a", "shop", 0, 1), of("b", "shop", 0, 3), of("c", "shop", 0, 3), of("d", "shop", 3, 2)),
		entry(of("e", "other", 0, 1)),
		&blocks.Entry{BlocksRetired: &blocks.BlocksRetired{Tenant: "shop", Blocks: []string{"c"}}})
	require.NoError(t, err)
	sums := (&bucketFlags{tenant: "shop"}).sumLevels(c)
	require.Len(t, sums, 3)
	require.Equal(t, 2, sums[0].Blocks)
	require.EqualValues(t, 20, sums[0].Spans)
	require.Equal(t, 2, sums[0].Days)
	require.Equal(t, "2026-03-01", sums[0].FirstDay)
	require.Equal(t, "2026-03-03", sums[0].LastDay)
	require.Equal(t, uint64(day(1)), sums[0].Oldest)
	require.EqualValues(t, 3, sums[1].Level)
	require.Equal(t, stateRetired, sums[2].State)
	require.Len(t, (&bucketFlags{}).sumLevels(c), 4)
}
