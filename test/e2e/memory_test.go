package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
)

// A node that is sent more than it has memory for stays within its size: the live-stores hold no
// more bytes than they may, however fast spans come, and pushes are slowed down. Nothing that was
// acknowledged is lost, and queries beside the load are right although what they were planned on is
// dropped under them.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of a short run: with the race detector a process is several times as large")
	}
	const mib = 1 << 20
	n := kit.NewNode(t)
	n.Config = "memory_limit: 96MiB\n"
	n.Start()
	require.Contains(t, n.Log(), "source=configured")
	first := pushUntil(t, n, "first", 10_000)

	ctx, stop := context.WithCancel(t.Context())
	var held int64 // most bytes of the live-stores
	var watching sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil {
			held = max(held, metricSum(t, n, "troupe_live_store_bytes"))
			if got := countSpans(t, n, "first"); got != first {
				t.Errorf("%d of %d spans are found beside the load", got, first)
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	sent := pushUntil(t, n, "more", 600_000)
	stop()
	watching.Wait()
	require.Equal(t, sent, countSpans(t, n, "more"))

	// What is read when the bound is passed comes on top: a megabyte of the log for each of the
	// four partitions.
	const uncovered = 96 * mib / 6
	t.Logf("%d MiB held, peak %d MiB", held/mib, peakBytes(t, n)/mib)
	require.Greater(t, held, int64(uncovered/2), "the load was too small to tell")
	require.Less(t, held, int64(uncovered*5/2+10*mib))
	require.Less(t, peakBytes(t, n), int64(192*mib))
}

// pushUntil pushes so many spans of a service, over eight connections as fast as they are taken,
// and returns how many were acknowledged. What the node refuses for want of room is pushed again.
func pushUntil(t *testing.T, n *kit.Node, service string, spans int64) int64 {
	var acked atomic.Int64
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			r := rand.New(rand.NewPCG(uint64(len(service)), uint64(w)))
			for acked.Load() < spans {
				body, ids := request(r, service, 100)
				for {
					code, answer, err := n.Push(t.Context(), "application/x-protobuf", body)
					if err != nil || code != http.StatusOK && code != http.StatusTooManyRequests {
						t.Errorf("push: %d %s %v", code, answer, err)
						return
					}
					if code == http.StatusOK {
						acked.Add(int64(len(ids) * spansPerTrace))
						break
					}
					time.Sleep(50 * time.Millisecond)
				}
			}
		})
	}
	all.Wait()
	return acked.Load()
}

// countSpans asks how many spans of a service there are. The answer must be complete.
func countSpans(t *testing.T, n *kit.Node, service string) (spans int64) {
	var answer struct {
		Series []struct{ Samples []struct{ Value float64 } }
	}
	n.GetJSON(&answer, "/api/metrics/query_range",
		"q", fmt.Sprintf("{ resource.service.name = %q } | count_over_time()", service), "step", "1m",
		"start", strconv.FormatInt(time.Now().Unix()-600, 10), "end", strconv.FormatInt(time.Now().Unix()+60, 10))
	for _, s := range answer.Series {
		for _, p := range s.Samples {
			spans += int64(p.Value)
		}
	}
	return spans
}

// metricSum returns a metric, summed over its labels.
func metricSum(t *testing.T, n *kit.Node, name string) (sum int64) {
	code, text := n.Get("/metrics")
	require.Equal(t, http.StatusOK, code)
	for line := range strings.Lines(string(text)) {
		if at := strings.LastIndexByte(line, ' '); strings.HasPrefix(line, name+"{") || strings.HasPrefix(line, name+" ") {
			value, err := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
			require.NoError(t, err)
			sum += int64(value)
		}
	}
	return sum
}

// peakBytes returns the largest resident size that the process has had.
func peakBytes(t *testing.T, n *kit.Node) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.Pid()))
	require.NoError(t, err)
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	kib, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
	require.NoError(t, err)
	return kib << 10
}
