package sim

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/messages/kinds"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Something that the block-builder needs fails for an hour: it tries again ever more seldom, says
// so now and then, does not build again what is built, and holds no more from try to try. When it
// is back all goes on.
func TestBuilderRetries(t *testing.T) {
	ofBlock := func(name string) bool { return !strings.HasPrefix(name, "catalog/") }
	for name, c := range map[string]struct {
		fails  func(objstore.Call) bool
		lost   string // messages to this kind
		builds int    // blocks that are begun in the hour, at most
	}{
		"blocks cannot be written": {fails: func(c objstore.Call) bool {
			return c.Op == objstore.OpCreate &&
				ofBlock(c.Name)
		}, builds: 100},
		"the end of a block cannot be": {fails: func(c objstore.Call) bool {
			return strings.HasSuffix(c.Name,
				"/meta.json")
		}, builds: 100},
		"the catalog cannot be written": {fails: func(c objstore.Call) bool {
			return c.Op == objstore.OpCreate &&
				!ofBlock(c.Name)
		}, builds: 4},
		"the scheduler cannot be reached":  {lost: kinds.BackendScheduler, builds: 4},
		"the live-store cannot be reached": {lost: kinds.LiveStore, builds: 4},
	} {
		t.Run(name, func(t *testing.T) {
			w := course(t, settings{partitions: 1})
			n := w.nodes[0]
			w.push(n, 20)
			builds := 0
			clear(w.said)
			w.store.SetPlan(func(call objstore.Call) objstore.Fault {
				if call.Op == objstore.OpCreate && strings.HasSuffix(call.Name, "/spans.parquet") {
					builds++
				}
				if c.fails != nil && c.fails(call) {
					return objstore.Fault{Before: errDown}
				}
				return objstore.Fault{}
			})
			w.lose = func(kind string) bool { return kind == c.lost }
			bytes := func() int {
				held, err := strconv.Atoi(w.detail(n, kinds.LiveStore, "bytes"))
				require.NoError(t, err)
				return held
			}
			w.rest(10 * time.Minute)
			before := bytes()
			w.rest(50 * time.Minute)
			lines := 0
			for line, times := range w.said {
				if strings.Contains(line, "kind=block-builder") {
					lines += times
				}
			}
			require.LessOrEqual(t, builds, c.builds, "builds")
			require.LessOrEqual(t, lines, 100, "lines of log")
			require.Greater(t, lines, 0)
			require.LessOrEqual(t, bytes(), before, "memory grows from try to try")
			require.Zero(t, w.covered(0))
			w.store.SetPlan(nil)
			w.lose = nil
			w.rest(3 * time.Minute)
			require.EqualValues(t, len(w.log.records[0]), w.covered(0), "what waited is in blocks")
			w.finish()
		})
	}
}
