package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/test/kit"
)

// installed returns the folder that install.sh fills. The test skips unless it runs under `make
// clients`.
func installed(t *testing.T) string {
	t.Helper()
	if os.Getenv("TROUPE_CLIENTS") == "" {
		t.Skip("real clients are not installed: run `make clients`")
	}
	dir, err := filepath.Abs(".installed")
	require.NoError(t, err)
	require.DirExists(t, dir, "run test/clients/install.sh")
	return dir
}

// countSpans counts the spans of the last hour that match a query.
func countSpans(t *testing.T, n *kit.Node, query string) int {
	t.Helper()
	now := time.Now()
	var got struct {
		Series []struct {
			Value float64
		}
		Complete *bool
	}
	n.GetJSON(&got, "/api/metrics/query", "q", query+" | count_over_time()",
		"start", fmt.Sprint(now.Add(-time.Hour).Unix()), "end", fmt.Sprint(now.Add(time.Hour).Unix()))
	total := 0
	for _, s := range got.Series {
		total += int(s.Value)
	}
	return total
}

// waitForSpans waits until at least want spans match, and demands that there are just as many. It
// returns their number.
func waitForSpans(t *testing.T, n *kit.Node, query string, want int) int {
	t.Helper()
	got := 0
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if got = countSpans(t, n, query); got >= want {
			break
		}
	}
	require.Equal(t, want, got, query)
	return got
}
