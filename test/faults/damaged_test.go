package faults

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// A block of a merge is damaged. Three merges fail, and then that block stays as it is: log and
// answers name it, and all others are merged.
func TestDamagedInput(t *testing.T) {
	store := startTraffic(t)
	n := startNode(t, store)
	s := newSender(n, 2)
	for cuts := 0; cuts < 3; cuts, _ = store.published() {
		s.push()
		time.Sleep(500 * time.Millisecond)
	}
	n.Kill()
	c := store.catalog(t)
	damaged := c.View().Blocks(tenant, 0, 1<<63)[1].GetId()
	name := blockstore.Folder(tenant, damaged) + block.SpansObject
	raw := store.objects(t, name)[name]
	for i := 4; i < len(raw)/2; i++ {
		raw[i] ^= 0x55
	}
	store.put(t, name, raw)
	n.Start()
	count := func(text string) int { return strings.Count(n.Log(), text) }
	for merges := 0; merges < 2; _, merges = store.published() {
		s.push()
		time.Sleep(500 * time.Millisecond)
		require.Less(t, len(s.spans), 4000, "nothing else is merged; the node's log:\n%s", n.Log())
	}
	const tooOften = "merges of blocks have failed too often; the blocks stay as they are"
	require.Equal(t, 1, count(tooOften))
	require.Equal(t, 2, count("a merge of blocks has failed; it is tried again"))
	c = store.catalog(t)
	require.Len(t, c.Unmerged(), 1, "the others are merged")
	require.Contains(t, c.Unmerged()[damaged], "corrupt")
	var a struct {
		Complete bool
		Warnings []string
	}
	n.GetJSON(&a, "/api/search", within("q", everything, "limit", "200000")...)
	require.False(t, a.Complete)
	require.Contains(t, strings.Join(a.Warnings, ";"), damaged)
}
