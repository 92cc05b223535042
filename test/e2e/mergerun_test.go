package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
)

// A node that is sent to without a pause, and cuts every few seconds, merges beside that. The
// number of its blocks stays bounded, blocks that were merged are removed, and every answer is the
// same before, during and after merging: it is compared with what was sent, and with the first one.
// `make merge-run` does it for half an hour.
func TestMergeRun(t *testing.T) {
	if testing.Short() {
		t.Skip("left out of a short run: it lasts two minutes")
	}
	n := kit.NewNode(t)
	// A short run cuts more often, so that blocks are merged twice in it, too. In a long one blocks
	// are removed two and a half minutes after they were merged.
	lasting, rate, every, long := 75*time.Second, 4000, 15*time.Second, os.Getenv("MERGE_RUN_FOR")
	n.Config = "block_builder: {max_block_duration: 2s}\nbackend_worker: {poll_interval: 1s}\n"
	if long != "" {
		var err error
		lasting, err = time.ParseDuration(long)
		require.NoError(t, err)
		rate, err = strconv.Atoi(os.Getenv("MERGE_RUN_RATE"))
		require.NoError(t, err)
		every = lasting / 30
		n.Config = "block_builder: {max_block_duration: 10s, build_timeout: 30s}\n" +
			"query_frontend: {max_query_duration: 30s}\nbackend_scheduler: {retired_grace: 150s}\n"
	}
	n.Start()
	load, asker := &mergeLoad{n: n, rate: rate}, newMergeAsker(t, n)
	began := time.Now()
	ctx, stop := context.WithTimeout(t.Context(), lasting)
	defer stop()
	var all sync.WaitGroup
	all.Go(func() {
		defer stop()
		if err := load.send(ctx, asker.take); err != nil {
			t.Error(err)
		}
	})
	all.Go(func() { asker.askAlong(ctx) })
	most := watchMerges(ctx, t, n, load, every)
	all.Wait()
	require.False(t, t.Failed())
	sent, took := load.sent.Load(), time.Since(began).Seconds()
	t.Logf("%d spans in %.0f s, %.0f spans/s; at most %.0f blocks; peak RSS %d MB",
		sent, took, float64(sent)/took, most, peakBytes(t, n)>>20)
	during := asker.compared

	awaitMerges(t, n, long != "")
	end := readMerges(t, n)
	t.Logf("when nothing is left to merge: %v", end)
	asker.askAll()
	after := asker.compared - during
	require.Zero(t, n.Stop(time.Minute), n.Log())
	n.Start()
	asker.askAll()
	t.Logf("%d windows of 10 s; %d answers compared beside sending, %d after merging, %d after a restart; "+
		"%d wrong; %d more were not complete and said so",
		len(asker.windows), during, after, asker.compared-during-after, len(asker.wrong), asker.incomplete)
	require.Zero(t, len(asker.wrong), "wrong answers")

	require.Positive(t, end.merges)
	require.Zero(t, end.failures)
	require.Greater(t, end.cuts, end.blocks)
	require.LessOrEqual(t, end.blocks, mostBlocks(end.cuts), "blocks after %.0f cuts", end.cuts)
	if long != "" {
		require.Positive(t, end.removed, "no merged block was removed")
	}
}

// mergePartitions is the number of partitions of the embedded log.
const mergePartitions = 4

// mostBlocks bounds the blocks of a day that is not over: what was merged twice has at least
// sixteen cuts, and of each partition some cuts and some blocks that were merged once wait for
// neighbours.
func mostBlocks(cuts float64) float64 { return cuts/16 + mergePartitions*(8+8) }

// mergeState is what a node says of its blocks.
type mergeState struct {
	blocks, cuts             float64 // live blocks, and blocks that were cut
	merges, merged, failures float64 // merges, their inputs, and those that came to nothing
	folders, removed         float64 // of blocks that are there, and of those that were removed
}

func (m mergeState) String() string {
	return fmt.Sprintf("%.0f blocks of %.0f cuts; %.0f blocks merged in %.0f merges; %.0f of them removed",
		m.blocks, m.cuts, m.merged, m.merges, m.removed)
}

func readMerges(t *testing.T, n *kit.Node) mergeState {
	metric := func(name string) float64 { return float64(metricSum(t, n, name)) }
	m := mergeState{
		blocks:   metric("troupe_backend_scheduler_blocks"),
		merges:   metric("troupe_backend_worker_merges_total"),
		merged:   metric("troupe_backend_worker_merged_blocks_total"),
		failures: metric("troupe_backend_worker_merge_failures_total"),
	}
	folders, err := filepath.Glob(filepath.Join(n.Dir, "blocks", "*", "*", "meta.json"))
	require.NoError(t, err)
	m.folders = float64(len(folders))
	m.cuts = m.blocks + m.merged - m.merges
	m.removed = max(m.blocks+m.merged-m.folders, 0)
	return m
}

// watchMerges prints what the node has from time to time, and returns the most live blocks.
func watchMerges(
	ctx context.Context, t *testing.T, n *kit.Node, load *mergeLoad, every time.Duration,
) (most float64) {
	began, line := time.Now(), time.Now()
	for ctx.Err() == nil {
		time.Sleep(time.Second)
		m := readMerges(t, n)
		most = max(most, m.blocks)
		if time.Since(line) >= every {
			line = line.Add(every)
			t.Logf("%5.0f s: %d spans, %v, RSS %d MB",
				time.Since(began).Seconds(), load.sent.Load(), m, residentBytes(t, n)>>20)
		}
	}
	return most
}

// awaitMerges waits until everything is in blocks, and the worker has found nothing to merge for a
// while; if it is asked for, also until all blocks that were merged are removed.
func awaitMerges(t *testing.T, n *kit.Node, removed bool) {
	var last mergeState
	var since time.Time
	require.Eventually(t, func() bool {
		m := readMerges(t, n)
		if m.merges != last.merges || m.blocks != last.blocks || since.IsZero() {
			last, since = m, time.Now()
		}
		return time.Since(since) > 15*time.Second && (!removed || m.removed >= m.merged)
	}, 20*time.Minute, time.Second)
}
