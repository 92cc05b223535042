package faults

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
)

// refill makes the bucket hold these objects and no others.
func (f *traffic) refill(t *testing.T, objects map[string][]byte) {
	t.Helper()
	for name := range f.objects(t, "") {
		f.remove(t, name)
	}
	for name, b := range objects {
		f.put(t, name, b)
	}
}

// The journal of a node that is down is damaged, in the middle of merges: inputs and outputs of
// some are in the bucket. The next start makes the catalog anew where it must. No span is lost, and
// none counts twice.
func TestJournalIsDamaged(t *testing.T) {
	store := startTraffic(t)
	n := startNode(t, store)
	s := newSender(n, 1)
	w := &watcher{sender: s}
	for merges := 0; merges < 2; _, merges = store.published() {
		s.push()
		time.Sleep(500 * time.Millisecond)
	}
	require.Zero(t, n.Stop(time.Minute), n.Log())
	time.Sleep(settling)
	whole := store.objects(t, "")
	entries := slices.Sorted(maps.Keys(store.objects(t, "catalog/0")))
	require.Greater(t, len(entries), 8)
	retired := 0
	for _, r := range store.catalog(t).Retired() {
		if whole[blockstore.Folder(tenant, r.GetBlock().GetId())+block.MetaObject] != nil {
			retired++
		}
	}
	require.Positive(t, retired, "inputs of merges are in the bucket")
	newest, middle := entries[len(entries)-1], entries[len(entries)/2]
	for name, damage := range map[string]func(m map[string][]byte){
		"the newest entry is lost":     func(m map[string][]byte) { delete(m, newest) },
		"an entry is lost":             func(m map[string][]byte) { delete(m, middle) },
		"the newest entry is torn":     func(m map[string][]byte) { m[newest] = m[newest][:len(m[newest])/2] },
		"an entry is torn":             func(m map[string][]byte) { m[middle] = m[middle][:9] },
		"a stray entry is far ahead":   func(m map[string][]byte) { m["catalog/00000000000000099999"] = []byte("stray") },
		"a stray entry is the next":    func(m map[string][]byte) { m[fmt.Sprintf("catalog/%020d", len(entries)+1)] = []byte("stray") },
		"objects of others are there":  func(m map[string][]byte) { m["catalog/readme"], m["catalog/snapshot/x"] = []byte("x"), []byte("y") },
		"the only snapshot is damaged": func(m map[string][]byte) { m["catalog/snapshot/00000000000000000003"] = []byte("trj1damaged") },
		"all of the journal is lost":   func(m map[string][]byte) { dropJournal(m) },
		"the entries of merges are lost": func(m map[string][]byte) {
			for _, e := range entries {
				if (request{commit: decodeCommit(m[e], "")}).writes(func(e *blocks.Entry) bool { return e.GetBlocksReplaced() != nil }) {
					delete(m, e)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects := map[string][]byte{}
			for k, v := range whole {
				objects[k] = bytes.Clone(v)
			}
			damage(objects)
			store.refill(t, objects)
			w.figures, w.broken = figures{}, time.Now()
			n.Start()
			for until := time.Now().Add(3 * time.Second); time.Now().Before(until); time.Sleep(100 * time.Millisecond) {
				w.search()
				w.count()
			}
			require.Zero(t, n.Stop(time.Minute), n.Log())
			t.Logf("figures: %s: %s", name, w.figures)
			require.Zero(t, w.doubled+w.hidden+w.incomplete, "%s", w.first)
			require.NotEmpty(t, w.heals)
		})
	}
}

func dropJournal(m map[string][]byte) {
	maps.DeleteFunc(m, func(name string, _ []byte) bool { return strings.HasPrefix(name, "catalog/") })
}
