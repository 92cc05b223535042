package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
	"github.com/troupe-tracing/troupe/test/kit/stores"
)

// A node whose blocks are in an object store keeps every acknowledged span through kill -9 and
// through a pause of the store, and finds them all in the store alone when its log is gone.
func TestObjectStore(t *testing.T) {
	store := stores.StartS3(t)
	n := kit.NewNode(t)
	n.Args = append(n.Args, store.Flags()...)
	n.Config = "block_builder:\n  max_block_bytes: 262144\n  max_block_duration: 1s\n"
	n.Start()
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	type round struct{ acked, unknown map[string]bool }
	var rounds []round
	verifyAll := func() {
		t.Helper()
		for i, x := range rounds {
			verify(t, n, fmt.Sprintf("s3-round-%d", i), x.acked, x.unknown)
		}
	}
	for i := range 3 {
		if i == 2 {
			require.NoError(t, store.Pause()) // pushes go on, because they need the log only
		}
		service := fmt.Sprintf("s3-round-%d", i)
		acked, unknown := sendUntilKilled(t, n, service, time.Duration(500+r.IntN(1000))*time.Millisecond, r.Uint64())
		require.NotEmpty(t, acked)
		rounds = append(rounds, round{acked, unknown})
		if i == 2 {
			require.NoError(t, store.Resume())
		}
		n.Start()
	}
	verifyAll()
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
	n.RemoveLog()
	n.Start()
	verifyAll()

	before := bucketRequests(t, n)
	require.Positive(t, before)
	time.Sleep(30 * time.Second)
	require.Equal(t, before, bucketRequests(t, n), "an idle node sends no requests")
	require.Equal(t, 0, n.Stop(60*time.Second), n.Log())
}

// bucketRequests returns how many requests the node has sent to its object store.
func bucketRequests(t *testing.T, n *kit.Node) (sum float64) {
	t.Helper()
	code, body := n.Get("/metrics")
	require.Equal(t, 200, code)
	lines := bufio.NewScanner(bytes.NewReader(body))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "troupe_bucket_requests_total{") {
			var x float64
			_, err := fmt.Sscan(lines.Text()[strings.LastIndexByte(lines.Text(), ' '):], &x)
			require.NoError(t, err)
			sum += x
		}
	}
	require.NoError(t, lines.Err())
	return sum
}
