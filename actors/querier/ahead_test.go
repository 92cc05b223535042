package querier

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/catalog"
)

// Blocks are opened ahead newest first, until their indexes fill what there is room for; one that
// is gone or damaged hides no other.
func TestOpenAhead(t *testing.T) {
	d, s := newDeps()
	list := []*blocks.BlockMeta{s.add(t, "a", 30, 40), s.add(t, "b", 20, 30), s.add(t, "c", 10, 20), s.add(t, "d", 0, 10)}
	s.gone["a"] = true
	file := s.objects["b"]["spans.parquet"]
	for i := 4; i < len(file)-4; i++ {
		file[i] ^= 0x5a
	}
	c, err := s.Open(context.Background(), list[2])
	require.NoError(t, err)

	s.opened, d.Ahead = 0, c.Memory()
	d.openAhead(context.Background(), list)
	require.Equal(t, 3, s.opened, "the damaged ones take no room, and c takes all of it")

	s.opened, d.Ahead = 0, c.Memory()+1
	d.openAhead(context.Background(), list)
	require.Equal(t, 4, s.opened)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	s.opened = 0
	d.openAhead(ctx, list)
	require.Zero(t, s.opened, "nobody wants it any more")
}

// What is opened ahead is what the catalog has come to name since, of all tenants together, newest
// first.
func TestTake(t *testing.T) {
	s := catalog.New()
	publish := func(tenant string, ends map[string]uint64) *blocks.Entry {
		add := &blocks.BlocksReplaced{Tenant: tenant}
		for id, end := range ends {
			add.Outputs = append(add.Outputs, &blocks.BlockMeta{Id: id, Tenant: tenant, Partition: -1, MaxEndUnixNano: end})
		}
		return &blocks.Entry{BlocksReplaced: add}
	}
	var a openingAhead
	next := func(entries ...*blocks.Entry) (ids []string) {
		require.NoError(t, s.Apply(&blocks.Commit{Seq: s.View().Version + 1, Entries: entries}))
		for _, m := range a.takeNewBlocks(s.View()) {
			ids = append(ids, m.GetId())
		}
		return ids
	}
	epoch := &blocks.Entry{Epoch: &blocks.Epoch{Id: "e", Starts: []int64{7}}}
	require.Equal(t, []string{"d", "b", "c", "a"}, next(epoch, publish("t", map[string]uint64{"a": 10, "b": 30}), publish("u", map[string]uint64{"c": 20, "d": 30 + 1})))
	require.Empty(t, next())
	require.Equal(t, []string{"e"}, next(publish("t", map[string]uint64{"e": 5})))
	require.EqualValues(t, 3, a.asked)
}
